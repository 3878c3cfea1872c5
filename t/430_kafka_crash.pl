# Agent and broker are killed at any instant and at every fault point of the sink,
# half of the times the state directory is deleted: a reader of committed records
# that is not leat gets each change once, each key's in order, and no transaction
# in parts.
#
# Between agent and broker stands a proxy that stalls and resets, and lets requests
# arrive late or twice (Leat::Stray).  Another agent of the same pipeline stands by,
# or takes over from one that was only frozen, and fights with it.  What is right is
# decided by the database's own history (Leat::Ledger).
#
#	LEAT_CRASH_KILLS   kill -9 of the agent per round (15; the long form has 200
#	                   in all, and 30 of the broker); below WHOLE the seed chooses
#	                   what a round has
#	LEAT_CRASH_SEED    of the first round (default: made from the commit)
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS)
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Ledger qw(decode_json_text);
use Leat::Load;
use Leat::Proxy;
use Leat::Witness;
use MIME::Base64 qw(encode_base64);
use File::Path qw(remove_tree);
use List::Util qw(shuffle max sum);
use POSIX qw(ceil);
use Time::HiRes qw(sleep time);

need_feature('FAULTS');
Leat::Postgres->need;
Leat::Kafka->need;
plan skip_all => 'no pg_waldump beside the server' unless -x Leat::Postgres::bindir() . '/pg_waldump';

use constant { KILLS => 200, BROKERS => 30, WHOLE => 40 };
# Seconds that a fault point may take to come by, and everything to catch up.
use constant { REACH => 30, CATCH_UP => 240 };

my @points = (grep({ /^kafka_/ } slurp("$SRCDIR/base/fault.def") =~ /^FAULT\((\w+),/mg),
	qw(after_read after_fsync_before_state after_state_before_ack after_ack));
# Come by once when a sink is opened.
my %is_opening = map { $_ => 1 } qw(kafka_fence kafka_init kafka_claim kafka_read kafka_announced);
# Have steps of their own.
my %is_rare = map { $_ => 1 } qw(kafka_topic kafka_abort);
# Kinds of requests
use constant { PRODUCE => 0, INIT_ID => 22, ADD => 24, END_TXN => 26 };

my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $kills = $ENV{LEAT_CRASH_KILLS} || (is_long() ? ceil(KILLS / $rounds) : 15);
my $brokers = $kills < WHOLE ? 1 : ceil($kills * BROKERS / KILLS);
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : seed_of_commit();

alarm($ENV{LEAT_TEST_TIMEOUT} || 900 + 600 * $rounds * max(1, $kills / 15));

# line: the proxy before the database; agents: who is alive
my ($pg, $line, $kafka, $dir, @confs, @agents, $round, %hits, %wanted, %count);

# --- the agents

# The second one is as if on another machine.
sub start {
	my ($fault, $which) = @_;
	push @agents, start_leat({ dir => $dir, env => { LEAT_FAULT => $fault } }, 'run', '-c', $confs[$which || 0]);
	return $agents[-1];
}

# Those that are alive; who has ended, and not at a fault point, ends the test.
sub kill_agents {
	my ($wipe) = @_;
	for my $agent (splice @agents) {
		my $status = $agent->status;
		die "the agent ended with $status by itself: " . $agent->err if defined $status && $status != -9;
		$agent->kill9;
		$count{kills}++;
		$count{wipes}++ if $wipe;
	}
	remove_tree("$dir/state", "$dir/state2") if $wipe;
}

sub is_up { return $_[0]->err =~ /running code=started/ }

sub await_up {
	my ($agent) = @_;
	poll_until {
		die 'the agent ended: ' . $agent->err unless $agent->is_running;
		is_up($agent)
	} 'the agent to run', 120;
}

# It dies at a fault point; false when it did not come by.
sub await_death {
	my ($agent, $during) = @_;
	my $end = time + REACH;
	while (time < $end) {
		my $status = $agent->status;
		return $status == -9 || die "the agent ended with $status: " . $agent->err if defined $status;
		$during->() if $during;
		sleep 0.01;
	}
	return 0;
}

# --- what happens, in an order that the seed decides

sub at_point {
	my ($point, $n, $how) = @_;
	$hits{$point}++ if await_death(start("$point:$n" . ($how || '')));
}

# The database is lost in the middle of a transaction, of which the first part is
# with the broker.
my $large = 0;
sub torn_off {
	my $agent = start('kafka_abort:1');
	my $next = 0;
	$hits{kafka_abort}++ if await_death($agent, sub {
		return if time < $next || !is_up($agent);
		$next = time + 3;
		my $first = 900_000_000 + $large++ * 10_000;
		$line->cut_after(1_500_000);
		$pg->query("INSERT INTO item (id, name, n) SELECT g, repeat(md5(g::text), 10), 1
			FROM generate_series($first, $first + 7000) g");
	});
}

sub in_doubt {
	my ($point) = @_;
	my $agent = start("$point:" . (2 + int rand 4) . ':error');
	poll_until { $agent->err =~ /code=sink_doubt/ || defined $agent->status } "$point to fail", 60;
	$count{doubts}++;
	sleep rand 0.5;
}

sub at_random {
	start();
	sleep 0.05 + rand 1.2;
}

sub broken_line {
	start();
	sleep 0.3 + rand 0.7;
	$kafka->proxy->stall;
	sleep 0.2 + rand 1;
	$kafka->proxy->reset;
	$kafka->proxy->pass;
	$count{resets}++;
	sleep 0.3 + rand 0.7;
	$kafka->proxy->cut;
	sleep rand 0.5;
}

# One of the first requests and, but for those that only come first, a later one.
sub stray {
	my ($api, $how) = @_;
	my $was = () = $kafka->proxy->answers;
	for my $n (1 .. ($api == INIT_ID ? 1 : 2)) {
		$kafka->proxy->stray($api, 1, $how, 50 + rand 1000);
		start() if $n == 1;
		sleep 0.5 + rand 0.7;
		my $end = time + REACH;
		sleep 0.05 while $kafka->proxy->answers < $was + $n && time < $end;
	}
	$kafka->proxy->stray($api, 0, 'late');
	sleep 0.2 + rand 0.5;
}

sub broker_dies {
	my ($with_agent) = @_;
	start();
	sleep 0.2 + rand 1;
	$kafka->kill9;
	$count{brokers}++;
	kill_agents(0), start() if $with_agent;
	$kafka->start;
	sleep rand 1;
}

sub frozen_agent {
	my $agent = start();
	sleep 0.3 + rand 0.7;
	$agent->signal('STOP');
	sleep 2.5;	# longer than the transaction may be
	$agent->signal('CONT');
	$count{frozen}++;
	sleep 0.5 + rand 0.5;
}

# One stands by and takes over.
sub two_agents {
	my @both = (start(undef, 0), start(undef, 1));
	poll_until { grep { is_up($_) } @both } 'one of two to run', 60;
	sleep 0.3 + rand 0.7;
	my ($first) = grep { is_up($_) } @both;
	my ($second) = grep { $_ != $first } @both;
	die 'both agents run' if is_up($second);
	@agents = ($first);
	kill_agents(0);
	@agents = ($second);
	await_up($second);
	$count{takeovers}++;
	sleep rand 0.7;
}

# One that is frozen loses its claim, a second one takes over, the first one wakes.
sub fight {
	my $first = start();
	await_up($first);
	sleep rand 0.5;
	$first->signal('STOP');
	$pg->query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
	my $second = start(undef, 1);
	await_up($second);
	sleep rand 0.7;
	$first->signal('CONT');
	poll_until { !$first->is_running || $first->err =~ /claim_held/ } 'the first agent to give way', 60;
	$count{fights}++;
	return if $first->is_running;
	die 'the fenced agent ended with ' . $first->status . ': ' . $first->err unless $first->status == 10;
	$count{fenced}++;
	@agents = ($second);
	# it has ended before it could be killed
	kill_agents(0);
	start();
	sleep rand 0.5;
}

# Steps, each with the kills that it costs; what is not named costs one.
sub plan_of {
	my @points = grep { !$is_rare{$_} } @points;
	my @steps = map { my $point = $_; [1, sub { at_point($point, $is_opening{$point} ? 1 : 1 + int rand 6) }, $point] } @points;
	push @steps, map { my $point = $_; [1, sub { at_point($point, 1 + int rand 6, ':late') }] } qw(kafka_begun kafka_progress kafka_sent);
	push @steps, map { my $point = $_; [1, sub { in_doubt($point) }] } qw(kafka_commit kafka_committed);
	push @steps, map { my ($api, $how) = @$_; [1, sub { stray($api, $how) }] }
		[END_TXN, 'late'], [END_TXN, 'late'], [END_TXN, 'late'], [END_TXN, 'twice'], [INIT_ID, 'late'], [ADD, 'late'], [PRODUCE, 'late'];
	push @steps, [1, \&torn_off, 'kafka_abort'], [2, \&two_agents], [2, \&fight], [1, \&broken_line], [1, \&frozen_agent];
	my @more = map { $_ % 2 ? [1, sub { broker_dies(0) }] : [2, sub { broker_dies(1) }] } 1 .. $brokers;
	my $left = $kills - 2 - sum(map { $_->[0] } @more);	# two are the beginning's
	# each of them once, points first, and then again as often as there is room
	my @deck = $kills < WHOLE ? shuffle(@steps) :
		((grep { $_->[2] } @steps), shuffle(grep { !$_->[2] } @steps));
	while ($left > 0) {
		@deck = shuffle(@steps, ([1, \&at_random]) x 12, ([1, \&broken_line]) x 4) unless @deck;
		my $step = shift @deck;
		next if $step->[0] > $left;
		push @more, $step;
		$left -= $step->[0];
	}
	$wanted{ $_->[2] } = 1 for grep { $_->[2] } @more;
	return map { $_->[1] } shuffle @more;
}

# --- what the reader gets

my @read;	# each topic's records, but the progress

# The records as one stream, in order of seq; what a version is announced for
# stands behind it, and of a change of key the delete first.
sub stream_of {
	my ($path) = @_;
	my @lines;
	for my $r (grep { defined $_->{value} } @read) {
		my ($op) = $r->{value} =~ /"op":"(\w+)"/;
		my ($id, $seq) = $r->{value} =~ /"leat":\{"id":"([^"]*)","seq":(\d+)/ or die "no id: $r->{value}";
		push @lines, [$seq, $op eq 'schema' ? 0 : 1, $id =~ m{/i$} ? 1 : 0, $r->{value}];
	}
	@lines = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] || $a->[2] <=> $b->[2] } @lines;
	spew($path, map { "$_->[3]\n" } @lines);
	return $path;
}

# In a partition seq grows, whatever was killed.
sub disorder {
	my (%last, @wrong);
	for my $r (grep { defined $_->{value} } @read) {
		my ($seq) = $r->{value} =~ /"leat":\{"id":"[^"]*","seq":(\d+)/;
		my $place = "$r->{topic}/$r->{partition}";
		push @wrong, "$place\@$r->{offset}: seq $seq after $last{$place}"
			if defined $last{$place} && $seq < $last{$place};
		$last{$place} = $seq;
	}
	return join "\n", @wrong;
}

# A transaction that a commit ended inside of, and that the progress does not tell of.
sub torn {
	my %span;
	for my $r (grep { defined $_->{value} } @read) {
		my ($txn) = $r->{value} =~ /"transaction":\{"id":"([^"]+)"/ or next;
		my ($seq) = $r->{value} =~ /"leat":\{"id":"[^"]*","seq":(\d+)/;
		my $span = $span{$txn} ||= [$seq, $seq];
		$span->[0] = $seq if $seq < $span->[0];
		$span->[1] = $seq if $seq > $span->[1];
	}
	my (%ends, @wrong);
	for my $r ($kafka->records('leat.progress.crash')) {
		next unless $r->{key} eq 'cursor';
		my ($seq) = $r->{value} =~ /^cursor leat1 \d+ (\d+) /m or die "no cursor: $r->{value}";
		$ends{$seq} = $r->{value} =~ /^open_transaction (\S+)/m ? $1 : '';
		$count{commits}++;
	}
	my @ends = sort { $a <=> $b } keys %ends;
	for my $txn (sort { $span{$a}[0] <=> $span{$b}[0] } keys %span) {
		my ($from, $to) = @{ $span{$txn} };
		shift @ends while @ends && $ends[0] < $from;
		push @wrong, "$txn, seq $from to $to, is cut at $ends[0]"
			if @ends && $ends[0] < $to && $ends{ $ends[0] } ne $txn;
	}
	return join "\n", @wrong;
}

# The commit numbers of the progress topic: one more each time.
sub gaps_in_progress {
	my @n = map { $_->{value} =~ /^commit (\d+)$/m ? $1 : () } $kafka->records('leat.progress.crash');
	return join ' ', map { "$n[$_ - 1]..$n[$_]" } grep { $n[$_] != $n[$_ - 1] + 1 } 1 .. $#n;
}

sub has_end {
	my ($marker) = @_;
	return $kafka->topics->{'shop.other'}
		&& grep { $_->{value} =~ /\Q$marker\E/ } $kafka->records('shop.other');
}

# --- a round

sub begin {
	$dir = tmpdir("round$round");
	$pg = Leat::Postgres->new(name => "pg$round", conf => { wal_keep_size => '8GB' });
	$line = Leat::Proxy->new($pg->port);
	Leat::Load->prepare($pg);
	$kafka = Leat::Kafka->new(proxied => 1, apart => 1);
	my $conninfo = $pg->conninfo(port => $line->port);
	@confs = map { write_conf(<<"CONF", "round$round/leat$_->[0].conf") } ['', $kafka->proxied], ['2', $kafka->bootstrap];
state_dir = "$dir/state$_->[0]"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.*" } }
sink out {
	type = kafka
	brokers = "$_->[1]"
	partitions = 3
	transaction_timeout = 2s
}
pipeline crash { source = shop  sink = out  initial = stream_only  exit_on_stop = yes }
CONF
	await_up(start());
	return $pg->query('SELECT pg_current_wal_lsn()');
}

# Half of the kills.
sub is_wipe_due { return 2 * $count{wipes} <= $count{kills} }

# The steps, and again what chance or a slow machine left out.
sub run_plan {
	for my $step (plan_of()) {
		$step->();
		kill_agents(is_wipe_due());
	}
	for my $point (grep { !$hits{$_} } sort keys %wanted) {
		$point eq 'kafka_abort' ? torn_off() : at_point($point, 1);
		kill_agents(is_wipe_due());
	}
}

sub await_end {
	$pg->query("SELECT ledger.say('end', 'the end of round $round')");
	my $marker = encode_base64("the end of round $round", '');
	my $agent = start();
	poll_until {
		die 'the agent ended: ' . $agent->err unless $agent->is_running;
		has_end($marker)
	} 'the end in the topic', CATCH_UP;
	is($agent->stop('TERM', 60), 0, 'the agent ends cleanly') or diag $agent->err;
	@agents = ();
}

sub stops {
	return grep { !/code=fenced/ } grep { /^\S+ error |Sanitizer|runtime error/ }
		map { split /^/, slurp($_) } glob "$dir/leat.*.err";
}

sub run_round {
	%count = map { $_ => 0 } qw(kills wipes doubts resets brokers frozen takeovers fights fenced commits);
	(%hits, %wanted) = ();
	my $from = begin();
	kill_agents(0);
	# topics are made when the first rows come, and then no more
	my $agent = start('kafka_topic:2');
	$wanted{kafka_topic} = 1;
	my $load = Leat::Load->start($pg, seed => $seed, pause => 0.1, name => "load$round");
	$hits{kafka_topic}++ if await_death($agent);
	kill_agents(1);
	run_plan();
	$load->stop;
	await_end();

	ok($hits{$_}, "killed at $_") for grep { $wanted{$_} } @points;
	cmp_ok($count{kills}, '>=', $kills, 'as many kills as asked for');
	is($count{brokers}, $brokers, 'and of the broker');
	is(scalar(grep { !$wanted{$_} } @points), 0, 'at every point') if $kills >= WHOLE;
	is(join('', stops()), '', 'the pipeline never stopped for good');

	@read = map { $kafka->records($_) } grep { /^shop\./ } sort keys %{ $kafka->topics };
	my $ledger = Leat::Ledger->new(source => 'shop', tables => \%Leat::Load::tables);
	$count{changes} = read_history($ledger, $pg);
	read_wal($ledger, $pg, $from);
	open my $lines, '<', stream_of("$dir/events") or die $!;
	my @wrong = $ledger->check($lines, final_rows($pg));
	is(scalar @wrong, 0, 'the topics hold what the database did, each change once')
		or diag join "\n", @wrong;
	is(disorder(), '', 'in each partition in order');
	is(torn(), '', 'no transaction is torn by a commit');
	is(gaps_in_progress(), '', 'the progress has each commit once');
	my %answers;
	$answers{$_}++ for $kafka->proxy->answers;
	note sprintf '%d kills (%d with the state), %d of the broker, %d broken lines, %d frozen, %d doubts, ' .
		'%d takeovers, %d fights (%d fenced), strays answered %s; %d changes, %d transactions, %d commits',
		@count{qw(kills wipes brokers resets frozen doubts takeovers fights fenced)},
		join(' ', map { "$_:$answers{$_}" } sort keys %answers) || 'none',
		$count{changes}, $ledger->transactions, $count{commits};
	note 'points: ', join ' ', map { "$_ " . ($hits{$_} || 0) } @points;
	$kafka->stop;
}

for (1 .. $rounds) {
	$round = $_;
	srand $seed;
	note "LEAT_CRASH_SEED=$seed LEAT_CRASH_KILLS=$kills LEAT_KAFKA_VERSION=" . Leat::Kafka::version();
	subtest "round $round, seed $seed" => \&run_round;
	last unless Test::More->builder->is_passing;
	$pg->stop('immediate');
	remove_tree(glob(tmpdir() . "/round$round"), $pg->dir, $kafka->{dir}) unless $ENV{LEAT_TEST_KEEP};
	$seed++;
}
done_testing();
