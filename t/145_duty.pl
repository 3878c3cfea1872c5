# What the agent owes a server that waits for it: E106 to E108, E165, E193 and
# E202 of the list of acceptance tests.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;
use Time::HiRes qw(time);

use constant ROWS => 6000;	# several times what the queue takes
my $LAST = qr/"id":@{[ROWS]},.*\n/;

Leat::Postgres->need;

# A pipe as the agent's stdout; nobody reads it until drain().
sub blocked_pipe {
	pipe my $r, my $w or die "pipe: $!";
	return ($r, $w);
}

# Everything that comes out of it, in a process of its own.
sub drain {
	my ($r, $file) = @_;
	spew($file, '');
	return start_command({ name => 'drain', out => $file, setup => sub {
		open STDIN, '<&', $r or die "stdin: $!";
	} }, 'cat');
}

sub ids_in { return slurp($_[0]) =~ /"after":\{"id":(\d+)/g }

sub memory_of {
	my ($pid) = @_;
	return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : 0;
}

# Begun first, so that the others fill the time that it takes.
my $patient = Leat::Postgres->new(conf => { wal_sender_timeout => '5s' });
my ($r, $w) = blocked_pipe();
my $blocked = Leat::Rig->new($patient, 'e108', type => 'stdout', pipeline => 'queue_size = 1MiB');
$blocked->start({ stdout => $w })->await_running;
close $w;
$blocked->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, @{[ROWS]}) i");
$blocked->await(sub { $blocked->status->{queue_bytes} > 512 << 10 }, 'a full queue');
my $sender = $patient->value('SELECT pid FROM pg_stat_replication');
my $patience = time + (is_long() ? 60 : 20);

scenario 'E106: with idle tables the slot follows the WAL of another database' => sub {
	my $pg = Leat::Postgres->new(conf => { checkpoint_timeout => '30s', max_wal_size => '64MB' });
	my $rig = Leat::Rig->new($pg, 'e106');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$pg->query('CREATE TABLE noise (x text)');
	my $much = is_long() ? 5 << 30 : 48 << 20;
	my $wal = 0;
	my $from = $pg->value('SELECT pg_current_wal_lsn()');
	until ($wal > $much) {
		$pg->query("TRUNCATE noise; INSERT INTO noise SELECT repeat(md5(i::text), 30) FROM generate_series(1, 64000) i");
		$wal = $pg->value("SELECT pg_current_wal_lsn() - '$from'");
	}
	note "$wal bytes of it";
	$pg->query('CHECKPOINT');
	my $lsn = $pg->value('SELECT pg_current_wal_flush_lsn()');
	my $start = time;
	$rig->await(sub { $pg->value("SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots") eq 't' },
		'confirmed_flush', 60);
	cmp_ok(time - $start, '<', 30, 'confirmed_flush follows within seconds');
	$rig->await(sub {
		$pg->query("INSERT INTO noise VALUES ('x'); CHECKPOINT");
		$pg->value("SELECT pg_current_wal_lsn() - restart_lsn < 33554432 FROM pg_replication_slots") eq 't'
	}, 'restart_lsn', 60);
	pass('and restart_lsn, so that the server can remove old segments');
	my ($other) = grep { $_->{op} eq 'c' && $_->{source}{table} ne 't' } $rig->events;
	is($other, undef, 'without a row of the other database in the log');
	is($pg->value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"), 1,
		'and nothing was written to the source for it');
	$rig->insert(2)->await_ids(1, 2);
	$rig->stop;
};

scenario 'E107: a server with an idle agent stops at once' => sub {
	my $pg = Leat::Postgres->new;
	my $proxy = Leat::Proxy->new($pg->port);
	my $rig = Leat::Rig->new($pg, 'e107', conninfo => { port => $proxy->port });
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->disconnect;
	my $up = $proxy->count->{up};
	my $start = time;
	$pg->stop('fast', 60);
	my $took = time - $start;
	cmp_ok($took, '<', 5, sprintf 'it stopped within %.1f s', $took);
	$up = $proxy->count->{up} - $up;
	cmp_ok($up, '<', 20 * 39 * ($took + 1) + 4000, 'without a flood of replies');
	$pg->start;
	$rig->insert(2)->await_ids(1, 2);
	$rig->stop;
};

scenario 'E107: a server can stop although the sink is blocked' => sub {
	my $pg = Leat::Postgres->new;
	my $proxy = Leat::Proxy->new($pg->port);
	my ($r, $w) = blocked_pipe();
	my $rig = Leat::Rig->new($pg, 'e107b', type => 'stdout', pipeline => 'queue_size = 1MiB',
		conninfo => { port => $proxy->port });
	$rig->start({ stdout => $w })->await_running;
	close $w;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, @{[ROWS]}) i");
	$rig->await(sub { $rig->status->{queue_bytes} > 512 << 10 }, 'a full queue');
	$rig->disconnect;
	my $up = $proxy->count->{up};
	my $start = time;
	$pg->stop('fast', 60);
	my $took = time - $start;
	cmp_ok($took, '<', 30, sprintf 'it stopped within %.1f s', $took);
	$up = $proxy->count->{up} - $up;
	cmp_ok($up, '<', 20 * 39 * ($took + 1) + 4000, 'without a flood of replies');
	$pg->start;
	my $cat = drain($r, "$rig->{dir}/out");
	close $r;
	$rig->await(sub { slurp("$rig->{dir}/out") =~ $LAST }, 'the last row', 60);
	my %seen = map { $_ => 1 } ids_in("$rig->{dir}/out");
	is(scalar keys %seen, ROWS, 'afterwards every row arrives');
	$rig->stop;
};

scenario 'E193, E202: a slow sink does not cost the connection, nor is more confirmed than it has' => sub {
	my ($r, $w) = blocked_pipe();
	my $rig = Leat::Rig->new($patient, 'slow', type => 'stdout', pipeline => 'queue_size = 1MiB',
		conninfo => { options => "'-c wal_sender_timeout=2s'" });
	$rig->start({ stdout => $w })->await_running;
	close $w;
	my $pid = $rig->sender;
	my $out = spew("$rig->{dir}/out", '');
	my $start = time;
	my $slow = start_command({ name => 'slow', out => $out, setup => sub {
		open STDIN, '<&', $r or die "stdin: $!";
	} }, 'perl', '-e', 'while (sysread STDIN, $_, 65536) { syswrite STDOUT, $_; select undef, undef, undef, 0.1 }');
	close $r;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, @{[ROWS]}) i");
	# the transaction is on its way, a part of it delivered, and the server asks
	my ($inside, %confirmed) = (0);
	$rig->await(sub {
		my ($end, $commit) = $rig->status->{cursor} =~ / end=(\S+) commit=(\S+) n=[1-9]/ or return slurp($out) =~ $LAST;
		my ($flush) = $patient->value("SELECT flush_lsn FROM pg_stat_replication WHERE application_name = 'leat/slow'");
		$confirmed{"$end $flush"}++ if $rig->status->{cursor} =~ / commit=\Q$commit\E /;
		return ++$inside >= 15;
	}, 'a part of it', 90);
	cmp_ok(scalar keys %confirmed, '>', 0, 'what is confirmed is seen while a part is delivered');
	is(join(', ', grep { lsn((split / /)[1]) > lsn((split / /)[0]) } keys %confirmed), '',
		'and does not lie behind the end of the transaction before');
	$rig->await(sub { slurp($out) =~ $LAST }, 'the last row', 90);
	cmp_ok(time - $start, '>', 4, 'it takes several times wal_sender_timeout');
	is_deeply([ids_in($out)], [1 .. ROWS], 'every row comes, once and in order');
	is($rig->sender, $pid, 'over the same connection');
	$rig->stop;
};

sub lsn {
	my ($high, $low) = map { hex } split m{/}, $_[0];
	return $high * 2 ** 32 + $low;
}

sub Leat::Rig::sender {
	my ($self) = @_;
	return $self->{pg}->value("SELECT pid FROM pg_stat_replication WHERE application_name = 'leat/$self->{name}'");
}

scenario 'E165: a large value, and one that is too large for the server' => sub {
	my $mb = is_long() ? 200 : 32;
	my $pg = Leat::Postgres->new(conf => { max_wal_size => '2GB' });
	my $rig = Leat::Rig->new($pg, 'e165', sql => 'CREATE TABLE t (id int PRIMARY KEY, v text);
		ALTER TABLE t ALTER v SET STORAGE EXTERNAL; CREATE TABLE b (id int PRIMARY KEY, v bytea)');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->query("INSERT INTO t VALUES (2, repeat(md5('a'), $mb * 32768))");
	$rig->insert(3);
	$rig->await(sub { ($rig->status->{seq} || 0) >= 3 }, 'it', 180);
	my ($line) = grep { /"op":"c"/ } $rig->lines('--from', 'seq:2', '--to', 'seq:2');
	my $from = index($line, '"v":"') + 5;
	is(index($line, '"', $from) - $from, $mb << 20, "$mb MiB arrive");
	my ($peak) = slurp('/proc/' . $rig->agent->pid . '/status') =~ /^VmHWM:\s+(\d+) kB/m;
	cmp_ok($peak, '<', ($mb * 7 / 2 + 24) * 1024, 'in memory that is a small multiple of it') unless has_sanitizer();
	my $behind = sub {
		my ($seq, $id) = @_;
		$rig->await(sub { grep { /"after":\{"id":$id,/ } $rig->lines('--from', "seq:$seq") }, "row $id", 120);
		pass("and row $id behind it");
	};
	$rig->insert(4);
	$behind->(4, 4);
	if (is_long()) {	# in text form twice as long, and no message has more than 1 GiB
		$rig->query("INSERT INTO b VALUES (5, convert_to(repeat('x', 600 << 20), 'UTF8'))");
		my $st = $rig->stops_with('poisoned', 300);
		like("$st->{message} $st->{detail}", qr{[0-9A-F]+/[0-9A-F]+.*invalid memory alloc|alloc.*[0-9A-F]+/[0-9A-F]+}s,
			'600 MiB of bytes are poison, with the place and the server\'s words');
		$rig->obey_hint($st);
		$rig->start->await_running;
		$rig->insert(6);
		$behind->(5, 6);
	}
	$rig->stop;
};

scenario 'E108: a blocked sink does not cost the connection' => sub {
	my $now;
	poll_until {
		$now = $blocked->sender;
		$now ne $sender || time > $patience
	} 'the end of patience';
	is($now, $sender, 'the connection outlives several times wal_sender_timeout');
	cmp_ok(memory_of($blocked->agent->pid), '<', 100_000, 'the agent does not gather what it cannot deliver');
	unlike($blocked->said, qr/code=source_unreachable/, 'and no failure is logged');
	my $cat = drain($r, "$blocked->{dir}/out");
	close $r;
	$blocked->await(sub { slurp("$blocked->{dir}/out") =~ $LAST }, 'the last row', 60);
	is_deeply([ids_in("$blocked->{dir}/out")], [1 .. ROWS], 'then every row comes, once and in order');
	is($blocked->sender, $sender, 'over the same connection');
	$blocked->stop;
};

done_testing;
