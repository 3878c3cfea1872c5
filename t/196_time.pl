# Time that jumps, and processes that stand still: E125 of the list of acceptance
# tests, and what SIGSTOP does to agent and server.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;
use POSIX qw(strftime);
use Time::HiRes qw(time);

use constant DAY => 86400;

Leat::Postgres->need;
my $lib = tmpdir() . '/clock.so';
spew($lib, slurp("$BUILDDIR/t/clock.so"));
chmod 0755, $lib;

# What puts a program's wall clock elsewhere, and how to move it.
sub clock {
	my ($name) = @_;
	my $file = spew(tmpdir() . "/$name.clock", pack 'q', 0);
	my $asan = $ENV{ASAN_OPTIONS} || '';
	return ({ LD_PRELOAD => $lib, LEAT_TEST_CLOCK => $file,
		ASAN_OPTIONS => "$asan:verify_asan_link_order=0" }, sub {
		my ($shift) = @_;
		open my $f, '+<', $file or die "$file: $!";
		syswrite $f, pack 'q', $shift;
	});
}

sub at { return strftime '%Y-%m-%dT%H:%M:%SZ', gmtime $_[0] }

# --- the agent's clock

scenario 'E125: the agent\'s clock is set forward and back a day' => sub {
	my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '6s' });
	my ($env, $set) = clock('agent');
	my $rig = Leat::Rig->new($pg, 'jumps', log => "segment_size = 64KiB\ncompression = 0\nretention_age = 12h");
	$rig->start({ env => $env })->await_running;
	my $sender = sub { $pg->value("SELECT pid FROM pg_stat_replication WHERE application_name = 'leat/jumps'") };
	my $pid = $sender->();
	my $replies = sub { $pg->value("SELECT reply_time FROM pg_stat_replication WHERE application_name = 'leat/jumps'") };
	my $n = 0;
	my $segments = sub { my @s = glob $rig->log_dir . '/*.log'; scalar @s };
	for my $shift (0, DAY, 0, -DAY(), 0) {
		$set->($shift);
		my $mark = length $rig->said;
		# with nothing to read, which would bring the timers round
		my $was = $replies->();
		$rig->await(sub { $replies->() ne $was }, 'feedback');
		$rig->query("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series($n + 1, $n + 200) i");
		$n += 200;
		$rig->await_acked;
		is($sender->(), $pid, "at $shift s feedback goes on: the connection is the same") or diag $rig->said;
		my $st = $rig->status;
		is($st->{state}, 'running', 'status says that all is well');
		if ($shift == DAY) {
			$rig->await_said(qr/ code=retention .*why=age/, 30);
			cmp_ok($segments->(), '<', 4, 'by the new time old segments are too old');
		} else {
			unlike(substr($rig->said, $mark), qr/ code=retention /, 'nothing is deleted') if $shift;
		}
	}
	$set->(-DAY());
	$pg->query("SELECT pg_terminate_backend($pid)");
	$set->(0);
	$rig->query("INSERT INTO t VALUES ($n + 1, 'x')");
	$rig->await(sub { grep { $_ == $n + 1 } $rig->ids }, 'the row behind a reconnect');
	$set->(DAY);
	$rig->await_acked;
	my @ids = $rig->ids;
	is_deeply(\@ids, [$ids[0] .. $n + 1], 'and the log has every row that it kept, in order');
	my ($rc, $out, $err) = $rig->leat('log', 'verify', $rig->log_name);
	is($rc, 0, 'and is sound') or diag $out . $err;
	$rig->is_sound;
	is($rig->stop, 0, 'a stop ends it');
};

# --- the server's clock

scenario 'a place in the log by time, when the server\'s clock went back' => sub {
	my ($env, $set) = clock('server');
	my $pg = Leat::Postgres->new(env => $env);
	my $rig = Leat::Rig->new($pg, 'index', log => "segment_size = 64KiB\ncompression = 0");
	my $start = int time;
	# hours at which so many rows each are committed
	my @hours = (0, 5, 2, 8, 1);
	my (@rows, $n);	# [id, hour]
	my $insert = sub {
		my ($hour, $count, $size) = @_;
		$set->($hour * 3600);
		$rig->query(join '', map { push @rows, [++$n, $hour]; "INSERT INTO t VALUES ($n, repeat('x', $size));" } 1 .. $count);
	};
	$rig->start->await_running;
	$rig->insert(++$n);
	push @rows, [$n, 0];
	$rig->await_count($n);
	$rig->stop;
	$insert->($_, 20, 10) for @hours;	# all in one frame
	$rig->start->await_count($n);
	for my $hour (@hours) {	# and over several segments
		$insert->($hour, 40, 2000);
		$rig->await_count($n);
	}
	cmp_ok(scalar(() = glob $rig->log_dir . '/*.log'), '>', 4, 'the log has several segments');
	for my $hour (1, 2, 4, 5, 7, 8, 9) {
		my ($from) = grep { $rows[$_][1] >= $hour } 0 .. $#rows;
		my @want = defined $from ? map { $_->[0] } @rows[$from .. $#rows] : ();
		my @got = map { /"after":\{"id":(\d+)/ } $rig->lines('--from', 'time:' . at($start + 3600 * $hour));
		is("@got", "@want", "from $hour h: the first that is not earlier, and all behind it");
	}
	my $copy = spew("$rig->{dir}/copy.conf", <<"CONF");
state_dir = "$rig->{dir}/copied"
log index_log { path = "$rig->{dir}/log" }
log copy_log { path = "$rig->{dir}/copy" }
pipeline copy {
source = index_log
sink = copy_log
start = "time:@{[at($start + 7 * 3600)]}"
}
CONF
	my $reader = start_leat('run', '-c', $copy);
	my ($first) = grep { $_->[1] >= 7 } @rows;
	my @ids;
	poll_until {
		@ids = -e "$rig->{dir}/copy/tip" ? map { $_->{after} ? $_->{after}{id} : () } events($copy, 'copy_log') : ();
		@ids && $ids[-1] == $n
	} 'the last row';
	is_deeply(\@ids, [$first->[0] .. $n], 'start = time:T of a pipeline likewise');
	is($reader->stop, 0, 'it ends cleanly');
	$rig->stop;
	$set->(0);
	$rig->disconnect;
	$pg->stop('immediate');
};

scenario 'E125: the server\'s clock is set forward and back a day' => sub {
	my ($env, $set) = clock('jumping');
	my $pg = Leat::Postgres->new(env => $env, conf => { wal_sender_timeout => '3s' });
	my $rig = Leat::Rig->new($pg, 'leaps');
	$rig->start->await_running;
	my $n = 0;
	for my $shift (DAY, 0, -DAY(), 0) {
		$set->($shift);
		$rig->insert($n + 1 .. $n + 50);
		$n += 50;
		$rig->await_count($n);
		$rig->await_acked;
	}
	is_deeply([$rig->ids], [1 .. $n], 'costs nothing, whatever the server thinks of its connections');
	$rig->is_sound;
	$rig->stop;
	$rig->disconnect;
	$pg->stop('immediate');
};

# --- SIGSTOP

my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '2s' });

scenario 'the agent stands still for longer than wal_sender_timeout' => sub {
	my $rig = Leat::Rig->new($pg, 'still', pipeline => 'queue_size = 1MiB');
	$rig->start->await_running;
	my $n = 0;
	for my $round (1, 2) {
		my $mark = $pg->log_mark;
		$rig->query("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series($n + 1, $n + 20000) i");
		$rig->await(sub { ($rig->status->{seq} || 0) > $n }, 'a part of it') if $round == 2;
		$rig->agent->signal('STOP');
		$rig->insert($n + 20001);
		$n += 20001;
		poll_until { $pg->log_since($mark) =~ /terminating walsender process due to replication timeout/ }
			'the end of the server\'s patience';
		$rig->agent->signal('CONT');
		$rig->await_said(qr/(?: code=source_unreachable\b.*){$round}/s, 60);
		$rig->await_count($n);
	}
	is_deeply([$rig->ids], [1 .. $n], 'costs nothing and repeats nothing');
	$rig->is_sound;
	$rig->stop;
};

scenario 'the whole server stands still' => sub {
	my $own = Leat::Postgres->new(conf => { wal_sender_timeout => '2s' });
	my $rig = Leat::Rig->new($own, 'solid', source => 'connect_timeout = 2s');
	$rig->start->await_running;
	$rig->insert(1 .. 3)->await_ids(1 .. 3);
	$own->freeze;
	$rig->await_said(qr/nothing was heard from the server.* code=source_unreachable\b/, 60);
	$rig->await_said(qr/no answer from the server.* code=source_unreachable\b/, 60);
	is($rig->status->{state}, 'retrying', 'is noticed, and tried again');
	$own->thaw;
	$rig->disconnect;
	$rig->insert(4)->await_ids(1 .. 4);
	$rig->is_sound;
	$own->freeze;
	is($rig->stop, 0, 'an agent of a server that stands still can be stopped');
	$own->thaw;
	$rig->disconnect;
	$own->stop('immediate');
};

done_testing;
