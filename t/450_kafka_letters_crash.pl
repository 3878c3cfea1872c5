# A pipeline into Kafka is killed while it puts events aside and delivers them later:
# each is in a topic or a dead letter, once, and not both, each key's in order.
#
#	LEAT_CRASH_KILLS   kill -9 per round (16)
#	LEAT_CRASH_SEED    of the first round; it is printed
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS)
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Letters;
use List::Util qw(shuffle);

need_feature('FAULTS');
Leat::Postgres->need;
Leat::Kafka->need;

my @points = qw(dead_letter_stored dead_letter_superseded kafka_commit kafka_committed after_fsync_before_state);
# while dead letters are being delivered
my @again = qw(dead_letter_superseded dead_letter_retried kafka_commit kafka_committed);
my $kills = $ENV{LEAT_CRASH_KILLS} || 16;
my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : time % 1_000_000;
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new;
alarm($ENV{LEAT_TEST_TIMEOUT} || 400 + $rounds * 30 * $kills);

sub records {
	my ($prefix) = @_;
	return grep { defined $_->{value} } map { $kafka->records($_) }
		grep { /^\Q$prefix\E/ } sort keys %{ $kafka->topics };
}

# How many came behind later ones.
sub late {
	my (%last, $n);
	for (@_) {
		my ($seq) = $_->{value} =~ /"leat":\{"id":"[^"]*","seq":(\d+)/;
		my $last = \$last{"$_->{topic} $_->{partition}"};
		$n++ if defined $$last && $seq < $$last;
		$$last = $seq unless defined $$last && $seq < $$last;
	}
	return $n || 0;
}

sub run_round {
	my ($round) = @_;
	my $name = "kround$round";
	my $rig = Leat::Letters->new($pg, $name, sink => sub {
		my $limit = $_[0] ? 1_000_000 : 10_000;
		return 'sink out { type = kafka  brokers = "' . $kafka->bootstrap . "\"  partitions = 2\n" .
			"topic = \"$name.{table}\"  other_topic = \"$name.other\"\n" .
			"properties = { \"message.max.bytes=$limit\" } }";
	});
	$rig->start(0);
	$rig->work(5);
	poll_until { keys(%{ $kafka->topics }) > 1 || !$rig->{process}->is_running } 'the topics', 60;
	$rig->kill9;
	my @plan = map { my $point = $_; sub { $rig->at_point($point, 1 + int rand 4) } } @points;
	push @plan, map { my $point = $_; sub { $rig->at_point($point, $point =~ /^dead/ ? 1 : 1 + int rand 3, lenient => 1) } } @again;
	push @plan, sub { $rig->at_random(lenient => rand() < 0.6) } while @plan < $kills;
	$_->() for shuffle @plan;
	is($rig->finish, 0, 'the agent ends cleanly');
	ok($rig->{hits}{$_}, "killed at $_") for keys %{ { map { $_ => 1 } @points, @again } };
	my @records = records("$name.");
	my @wrong = $rig->check(map { $_->{value} } @records);
	is(scalar @wrong, 0, 'each event is in a topic or a dead letter, once, each key\'s in order')
		or diag join "\n", splice @wrong, 0, 20;
	cmp_ok($rig->{count}{letters}, '>', 5, 'there were dead letters');
	cmp_ok($rig->{count}{late} = late(@records), '>', 0, 'and some that were delivered later');
	note join ', ', map { "$_ $rig->{count}{$_}" } sort keys %{ $rig->{count} };
}

for my $round (1 .. $rounds) {
	srand $seed;
	note "LEAT_CRASH_SEED=$seed LEAT_CRASH_KILLS=$kills";
	subtest "round $round, LEAT_CRASH_SEED=$seed" => sub { run_round($round) };
	last unless Test::More->builder->is_passing;
	$seed++;
}
$kafka->stop;
done_testing;
