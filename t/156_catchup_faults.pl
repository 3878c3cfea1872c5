# What happens to a network or to a slot in the middle of a chunk: E177 and E186 of
# the list of acceptance tests, in the catch-up gear.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;
use Time::HiRes qw(time);

use constant { ROWS => 40_000, LENGTH => 500 };

Leat::Postgres->need;

# A pipeline with a backlog of rows 1 .. ROWS, small transactions and large ones.
sub backlog {
	my ($rig) = @_;
	$rig->start->await_running;
	$rig->insert(1)->await_acked;
	$rig->stop;
	$rig->query("INSERT INTO t SELECT i, repeat('x', @{[LENGTH]}) FROM generate_series(2, 10000) i");
	$rig->query(<<"SQL");
DO \$\$ BEGIN
	FOR n IN 100 .. @{[ROWS / 100 - 1]} LOOP
		INSERT INTO t SELECT i, repeat('x', @{[LENGTH]}) FROM generate_series(n * 100 + 1, n * 100 + 100) i;
		COMMIT;
	END LOOP;
END \$\$
SQL
	return $rig;
}

scenario 'E186: a network that swallows everything, at many places of chunks' => sub {
	my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '2s' });
	my $proxy = Leat::Proxy->new($pg->port);
	my $rig = backlog(Leat::Rig->new($pg, 'swallowed', conninfo => { port => $proxy->port }, top => 'log_level = debug',
		source => "catchup_threshold = 0\ncatchup_temp = 16MiB"));
	my ($noticed, $chunks) = (0, 0);
	$rig->start;
	for my $bytes (50_000, 400_000, 1_000_000, 5_000_000) {
		my $mark = length $rig->said;
		$proxy->swallow_after($bytes);
		$rig->await(sub { substr($rig->said, $mark) =~ / code=source_unreachable/ }, "the loss after $bytes bytes");
		my $said = substr $rig->said, $mark;
		$noticed++ if $said =~ /nothing was heard from the server/;
		my ($gear) = $said =~ /.* code=gear gear=(\S+).* code=source_unreachable/s;
		$chunks++ if ($gear || '') eq 'catch-up';
		$proxy->pass;
		# half open: the server knows nothing of it until its kernel tells it
		$proxy->cut;
	}
	is($noticed, 4, 'each loss is noticed by the silence');
	is($chunks, 4, 'in the middle of a chunk');
	$rig->await_count(ROWS, 120);
	is_deeply([$rig->ids], [1 .. ROWS], 'every row comes once, in order');
	$rig->is_sound;
	$rig->await_acked;
	$rig->stop;
};

# Seconds until the server asks the client whether it is still there, as the kernel
# tells it; undef while something else is waited for.
sub keepalive_due {
	my ($port, $client) = @_;
	for (split /\n/, slurp('/proc/net/tcp')) {
		my ($local, $remote, $timer, $ticks) = /^\s*\d+: \w+:(\w+) \w+:(\w+) \w+ \w+:\w+ (\w+):(\w+)/ or next;
		return $timer eq '02' ? hex($ticks) / 100 : undef if hex $local == $port && hex $remote == $client;
	}
	return;
}

scenario 'an agent that vanishes without a word does not hold the claim for hours' => sub {
	plan skip_all => 'no /proc/net/tcp' unless -r '/proc/net/tcp';
	my $pg = Leat::Postgres->new;
	my $rig = Leat::Rig->new($pg, 'vanishes');
	$rig->start->await_running;
	my @ports = map { $_->[0] } $pg->rows("SELECT client_port FROM pg_stat_activity WHERE application_name = 'leat/vanishes'");
	cmp_ok(scalar @ports, '>=', 1, 'it is connected');
	for my $client (@ports) {
		my $due;
		$rig->await(sub { defined($due = keepalive_due($pg->port, $client)) }, 'an idle moment');
		cmp_ok($due, '<=', 60, 'the server asks every minute');
	}
	$rig->stop;
};

# A pipe that nobody reads from, so that chunks stand still; and its other end.
sub blocked {
	my ($rig) = @_;
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w });
	close $w;
	$rig->await(sub { ($rig->status->{queue_bytes} || 0) > 512 << 10 }, 'a full queue');
	return $r;
}

sub drain {
	my ($rig, $r) = @_;
	my $out = spew("$rig->{dir}/out", '');
	start_command({ name => 'drain', out => $out, setup => sub { open STDIN, '<&', $r or die "stdin: $!" } }, 'cat');
	close $r;
	return $out;
}

sub ids_in { return slurp($_[0]) =~ /"after":\{"id":(\d+)/g }

# The server is to give up the log that the slot needs; returns the session that
# asks for it.
sub begin_invalidation {
	my ($pg) = @_;
	$pg->set_conf(max_slot_wal_keep_size => '1MB', min_wal_size => '32MB', max_wal_size => '32MB')->reload;
	my $s = $pg->session;
	$s->send('SELECT pg_switch_wal(); CHECKPOINT');
	return $s;
}

scenario 'E177: slot_lost: the slot is invalidated while the result of a chunk is read' => sub {
	my $pg = Leat::Postgres->new;
	my $rig = backlog(Leat::Rig->new($pg, 'reading', type => 'stdout', pipeline => 'queue_size = 1MiB',
		source => 'catchup_threshold = 0'));
	my $r = blocked($rig);
	is($rig->status->{gear}, 'catch-up', 'it reads a chunk');
	begin_invalidation($pg)->finish;
	is($rig->slot->{wal_status}, 'lost', 'the server has given the slot up');
	my $out = drain($rig, $r);
	my $st = $rig->stops_with('slot_lost', 90);
	like($st->{hint}, qr/leat offsets set reading now --accept-gap/, 'which is the command that leaves it');
	my @ids = ids_in($out);
	is_deeply(\@ids, [$ids[0] .. $ids[0] + $#ids], 'what was delivered is without a gap');
	cmp_ok(scalar @ids, '>', 500, 'and there is some of it');
	$rig->obey_hint($st);
};

scenario 'E177: slot_lost: the slot is invalidated while a chunk is decoded' => sub {
	my $pg = Leat::Postgres->new;
	my $rig = backlog(Leat::Rig->new($pg, 'decoding', source => 'catchup_threshold = 0'));
	# what takes its time and is not sent
	$rig->query('CREATE SCHEMA hidden; CREATE TABLE hidden.h AS SELECT generate_series(1, 500000)');
	$rig->start;
	my ($pid, $end) = (undef, time + 60);
	until ($pid || time > $end) {
		$pid = $pg->value("SELECT s.active_pid FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
			WHERE a.query LIKE 'COPY (SELECT lsn%'");
	}
	kill 'STOP', $pid;
	my $is_held = $pg->value("SELECT active_pid = $pid FROM pg_replication_slots");
	my $s = begin_invalidation($pg);
	poll_until { $s->is_done || $pg->log_text =~ /terminating process $pid to release replication slot/ } 'the invalidation';
	kill 'CONT', $pid;
	$s->finish;
	my $st = $rig->stops_with('slot_lost', 90);
	like($st->{hint}, qr/leat offsets set decoding now --accept-gap/, 'which is the command that leaves it');
	my @ids = $rig->ids;
	is_deeply(\@ids, [1 .. @ids], 'what was delivered is without a gap');
	is($is_held, 't', 'it was decoding');
	$rig->leaves_with_gap($st, ROWS + 1);
	$rig->stop;
};

done_testing;
