# A network and a disk that fail, stops under load: E186 to E188 and E194 of the
# list of acceptance tests, and a log on a full disk.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;
use Time::HiRes qw(time);

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '4s' });
my $proxy = Leat::Proxy->new($pg->port);

sub through_proxy {
	my ($name, %opt) = @_;
	return Leat::Rig->new($pg, $name, conninfo => { port => $proxy->port }, %opt);
}

for my $how (qw(cut reset)) {
	scenario "E186: a connection that ends by $how" => sub {
		my $rig = through_proxy($how);
		$rig->start->await_running;
		my $n = 0;
		for my $round (1 .. 4) {
			my $s = $rig->session;
			$s->send(join '', map { 'INSERT INTO t VALUES (' . ++$n . ", repeat('x', 200));" } 1 .. 200);
			$rig->await(sub { ($rig->status->{seq} || 0) > $n - 190 || $s->is_done }, 'a part of it');
			$proxy->$how;
			$s->finish;
			$rig->insert(++$n);
			$rig->await_count($n);
		}
		is_deeply([$rig->ids], [1 .. $n], 'costs nothing and repeats nothing');
		like($rig->said, qr/ code=source_unreachable\b/, 'and is said');
		$rig->is_sound;
		$rig->stop;
	};
}

scenario 'E186: a connection cut at many places of a transaction' => sub {
	my $rig = through_proxy('places');
	$rig->start->await_running;
	my $n = 0;
	for my $bytes (10, 700, 5_000, 40_000, 150_000) {
		$proxy->cut_after($bytes);
		my $to = $n + 2000;
		$rig->query("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series($n + 1, $to) i");
		$n = $to;
		$rig->await_count($n);
	}
	is_deeply([$rig->ids], [1 .. $n], 'every row once');
	$rig->is_sound;
	$rig->stop;
};

scenario 'E186: a network that swallows everything' => sub {
	my $rig = through_proxy('swallow');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$proxy->swallow;
	my $start = time;
	$rig->insert(2);
	$rig->await_said(qr/ code=source_unreachable\b/, 60);
	cmp_ok(time - $start, '<', 20, 'is noticed');
	$proxy->pass;
	$proxy->cut;
	$rig->await_ids(1, 2);
	$rig->is_sound;
	$rig->stop;
};

scenario 'E186: a server that cannot be reached for a while' => sub {
	my $rig = through_proxy('refuse');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$proxy->refuse;
	$rig->await_status('retrying', 'source_unreachable');
	$rig->insert(2);
	my $before = $proxy->count->{accepted};
	my $end = time + 3;
	poll_until { time > $end } 'some attempts';
	cmp_ok($proxy->count->{accepted} - $before, '<', 12, 'is not stormed');
	$proxy->pass;
	$rig->await_ids(1, 2);
	$rig->stop;
};

scenario 'E186: a walsender that is frozen' => sub {
	my $rig = Leat::Rig->new($pg, 'frozen');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $pid = $pg->value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'leat_frozen'");
	kill 'STOP', $pid;
	$rig->insert(2);
	$rig->await_said(qr/ code=source_unreachable\b/, 30);
	$rig->await(sub { $rig->status->{code} =~ /^(?:claim_held|slot_busy)$/ }, 'the claim that it still holds', 30);
	pass('is given up, and waited for');
	kill 'CONT', $pid;
	$rig->await_ids(1, 2);
	$rig->is_sound;
	$rig->stop;
};

scenario 'E188: a server that restarts while the slot is made, and when it was made' => sub {
	my $own = Leat::Postgres->new;
	for my $moment (qw(while after)) {
		my $rig = Leat::Rig->new($own, $moment);
		my $open = $rig->session;
		$open->query('BEGIN; INSERT INTO t VALUES (0)') if $moment eq 'while';
		$rig->start->await_said($moment eq 'while' ? qr/waits for open transactions/ : qr/created the replication slot/);
		$rig->disconnect;
		$own->restart('immediate');
		$rig->await_said(qr/: running code=started(?s:.*)\z/, 60);
		$rig->insert(1)->await_ids(1);
		is($own->value("SELECT string_agg(slot_name, ' ') FROM pg_replication_slots"), "leat_$moment",
			"$moment: there is the one slot");
		$rig->stop;
		my ($rc, $out, $err) = $rig->leat('drop', $moment, '--yes');
		is($rc, 0, 'leat drop') or diag $err;
		is($own->value('SELECT count(*) FROM pg_replication_slots'), 0, 'leaves none');
	}
};

scenario 'E194: SIGTERM under load' => sub {
	my $rig = Leat::Rig->new($pg, 'term');
	my ($n, $stops) = (0, 0);
	for my $round (1 .. 3) {
		$rig->start->await_running;
		my $s = $rig->session;
		my $to = $n + 3000;
		$s->send(join('', map { "INSERT INTO t VALUES ($_, 'x');" } $n + 1 .. $to - 1000)
			. "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series($to - 999, $to) i");
		$rig->await(sub { ($rig->status->{seq} || 0) > $n + 200 * $round }, 'a part of it');
		my $mark = $pg->log_mark;
		is($rig->stop(20), 0, 'it ends cleanly');
		unlike($pg->log_since($mark), qr/unexpected EOF|could not (?:receive|send)/, 'and takes leave of the server');
		my ($rc, $out) = $rig->leat('offsets', 'show', $rig->name, '--json');
		my ($end) = $out =~ / end=(\S+)/;
		is($rig->slot->{confirmed_flush_lsn}, $end, 'which was told of all that is delivered');
		$stops++ if $rig->ids < $to;
		$s->finish;
		$n = $to;
	}
	cmp_ok($stops, '>', 0, 'there was more to come');
	$rig->start->await_count($n);
	is_deeply([$rig->ids], [1 .. $n], 'and the next start goes on with exactly that');
	$rig->is_sound;
	$rig->stop;
};

scenario 'a server that restarts under load' => sub {
	my $own = Leat::Postgres->new;
	my $rig = Leat::Rig->new($own, 'again');
	$rig->start->await_running;
	my $n = 0;
	for my $mode (qw(fast immediate fast)) {
		$rig->insert($n + 1 .. $n + 300);
		$n += 300;
		$rig->disconnect;
		$own->restart($mode);
	}
	$rig->insert(++$n)->await_count($n);
	is_deeply([$rig->ids], [1 .. $n], 'every row once');
	$rig->is_sound;
	is($rig->agent->is_running, 1, 'one agent did all of it');
	$rig->stop;
};

scenario 'E187: the walsender is ended in the middle of a transaction' => sub {
	my $rig = Leat::Rig->new($pg, 'killed');
	$rig->start->await_running;
	my $n = 0;
	for my $round (1 .. 3) {
		my $to = $n + 60_000;
		$rig->query("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series($n + 1, $to) i");
		$rig->await(sub { ($rig->status->{seq} || 0) > $n }, 'a part of it');
		$pg->query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = 'leat/killed'");
		$n = $to;
		$rig->await_count($n);
	}
	is_deeply([$rig->ids], [1 .. $n], 'every row once');
	$rig->is_sound;
	$rig->stop;
};

# The server writes changes of a large transaction into files; the file of this one
# is a full disk, made again each time that the server takes it away.
scenario 'a server whose disk is full for a while' => sub {
	my $own = Leat::Postgres->new(conf => { logical_decoding_work_mem => '64kB', max_wal_size => '1GB' });
	my $rig = Leat::Rig->new($own, 'spill');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $s = $rig->session;
	$s->query('BEGIN');
	my $xid = $s->query('SELECT txid_current()');
	# decoded again each time before the file is made
	$rig->query('CREATE TABLE other AS SELECT i FROM generate_series(1, 300000) i');
	my ($high, $low) = map { hex } split m{/}, $s->query('SELECT pg_current_wal_insert_lsn()');
	my $file = sprintf '%s/data/pg_replslot/leat_spill/xid-%u-lsn-%X-%X.spill', $own->dir, $xid, $high,
		$low & 0xFF000000;
	my $disk = start_command({ name => 'full disk' }, $^X, '-e',
		'while (1) { symlink "/dev/full", $ARGV[0]; select undef, undef, undef, 0.0002 }', $file);
	poll_until { -l $file } 'the full disk';
	$s->send("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(2, 20000) i; COMMIT");
	my $count = sub { scalar(() = $own->log_text =~ /could not write to data file for XID $xid: No space/g) };
	poll_until {
		$count->() >= 5 || $rig->status->{state} eq 'stopped';
	} 'five failures', 120;
	$s->finish;
	# between two attempts it counts as running
	my $status;
	poll_until {
		$status = $rig->status;
		$status->{state} ne 'running';
	} 'a failure that is told', 60;
	is($status->{state}, 'retrying', 'is waited for, however often it fails') or diag $rig->said;
	like($status->{message}, qr/No space left on device/, 'and told');
	$disk->stop;
	$disk->wait;
	unlink $file;
	$rig->await_count(20000);
	is_deeply([$rig->ids], [1 .. 20000], 'and costs nothing');
	$rig->stop;
};

scenario 'the side connection is ended' => sub {
	my $rig = Leat::Rig->new($pg, 'side');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$pg->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leat/side'
		AND backend_type = 'client backend'");
	$rig->query('ALTER TABLE t ADD COLUMN n int');
	$rig->insert_n(2)->await_ids(1, 2);
	$rig->stop;
};

scenario 'the side connection is silent when a table has a new shape' => sub {
	# long enough for a slow machine, and a small part of what a statement may take
	my $rig = Leat::Rig->new($pg, 'mute', conninfo => { port => $proxy->port,
		options => "'-c wal_sender_timeout=9s'" });
	my $before = $proxy->count->{accepted};
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $mark = $pg->log_mark;
	$rig->query('ALTER TABLE t ADD COLUMN n int');
	$proxy->freeze($before + 2);	# the first is the walsender's
	$rig->insert_n(2);
	$rig->await_said(qr/table "public\.t": .* code=source_unreachable\b/, 60);
	unlike($pg->log_since($mark), qr/replication timeout/, 'the stream is not held up for longer than the server waits');
	$proxy->pass;
	$rig->await_ids(1, 2);
	$rig->is_sound;
	$rig->stop;
};

sub Leat::Rig::insert_n {
	my ($self, $id) = @_;
	$self->query("INSERT INTO t VALUES ($id, 'x', 1)");
	return $self;
}

scenario 'a log on a full disk' => sub {
	plan skip_all => 'needs root' if $> != 0;
	my $rig = Leat::Rig->new($pg, 'disk', pipeline => 'queue_size = 2MiB');
	mkdir $rig->log_dir;
	my ($rc) = run_command('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', $rig->log_dir);
	plan skip_all => 'cannot mount a tmpfs here' if $rc != 0;
	my $good = eval {
		$rig->start->await_running;
		$rig->insert(1)->await_ids(1);
		my $ballast = $rig->log_dir . '/ballast';
		run_command('dd', 'if=/dev/zero', "of=$ballast", 'bs=1M');
		$rig->query("INSERT INTO t SELECT i, (SELECT string_agg(md5((i * 1000 + j)::text), '')
			FROM generate_series(1, 100) j) FROM generate_series(2, 12000) i");
		$rig->await_said(qr/ code=disk_full\b/, 60);
		my $st = $rig->await_status('retrying', 'disk_full');
		ok($rig->agent->is_running, 'the agent waits');
		my ($vrc, $out, $err) = $rig->leat('log', 'verify', $rig->log_name);
		is($vrc, 0, 'the log is sound meanwhile') or diag $out . $err;
		unlink $ballast;
		run_command('mount', '-o', 'remount,size=200m', $rig->log_dir);
		my @ids = $rig->await_count(12000, 90);
		is_deeply(\@ids, [1 .. 12000], 'and goes on by itself, with every row once');
		$rig->is_sound;
		is($rig->stop, 0, 'it stops cleanly');
		1;
	};
	diag $@ unless $good;
	ok($good, 'the test went through');
	$rig->agent->kill9 if $rig->agent && $rig->agent->is_running;
	run_command('umount', '-l', $rig->log_dir);
};

done_testing;
