# A pipeline is killed while it puts events aside: each is in the log or a dead
# letter, once, and not both.
#
#	LEAT_CRASH_KILLS   kill -9 per round (12)
#	LEAT_CRASH_SEED    of the first round; it is printed
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS)
use Leat::Test;
use Leat::Postgres;
use Leat::Letters;
use List::Util qw(shuffle);

need_feature('FAULTS');
Leat::Postgres->need;

my @points = qw(dead_letter_stored dead_letter_superseded before_fsync after_fsync_before_state after_state_before_ack);
my $kills = $ENV{LEAT_CRASH_KILLS} || 12;
my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : time % 1_000_000;
my $pg = Leat::Postgres->new;
alarm($ENV{LEAT_TEST_TIMEOUT} || 300 + $rounds * 20 * $kills);

sub run_round {
	my ($round) = @_;
	my $rig;
	$rig = Leat::Letters->new($pg, "round$round", ordered => 1, sink => sub {
		return "log out { path = \"$rig->{agent}/log\"  max_event_size = " . ($_[0] ? '1MiB' : '16KiB') . ' }';
	});
	$rig->start(0);
	$rig->work(5);
	$rig->kill9;
	my @plan = map { my $point = $_; sub { $rig->at_point($point, 1 + int rand 4) } } @points;
	push @plan, sub { $rig->at_random(lenient => rand() < 0.3) } while @plan < $kills;
	$_->() for shuffle @plan;
	is($rig->finish, 0, 'the agent ends cleanly');
	ok($rig->{hits}{$_}, "killed at $_") for @points;
	my ($rc, $out, $err) = run_leat('log', 'cat', '-c', "$rig->{agent}/leat.conf", 'out');
	is($rc, 0, 'the log can be read') or diag $err;
	my @wrong = $rig->check(split /\n/, $out);
	is(scalar @wrong, 0, 'each event is in the log or a dead letter, once, in order')
		or diag join "\n", splice @wrong, 0, 20;
	cmp_ok($rig->{count}{letters}, '>', 5, 'there were dead letters');
	note join ', ', map { "$_ $rig->{count}{$_}" } sort keys %{ $rig->{count} };
}

for my $round (1 .. $rounds) {
	srand $seed;
	note "LEAT_CRASH_SEED=$seed LEAT_CRASH_KILLS=$kills";
	subtest "round $round, LEAT_CRASH_SEED=$seed" => sub { run_round($round) };
	last unless Test::More->builder->is_passing;
	$seed++;
}
done_testing;
