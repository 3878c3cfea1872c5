# Agent and broker are killed at any instant and at every fault point of the sink,
# half of the times the state directory is deleted: a reader of committed records
# that is not leat gets each change once, each key's in order, and no transaction
# in parts.
#
# Between agent and broker stands a proxy that stalls and resets.  What is right is
# decided by the database's own history (Leat::Ledger).
#
#	LEAT_CRASH_KILLS   kill -9 of the agent per round (15)
#	LEAT_CRASH_SEED    of the first round; it is printed
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS)
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Ledger qw(decode_json_text);
use Leat::Load;
use Leat::Witness;
use MIME::Base64 qw(encode_base64);
use File::Path qw(remove_tree);
use List::Util qw(shuffle max);
use Time::HiRes qw(sleep time);

need_feature('FAULTS');
Leat::Postgres->need;
Leat::Kafka->need;
plan skip_all => 'no pg_waldump beside the server' unless -x Leat::Postgres::bindir() . '/pg_waldump';

my @points = (grep({ /^kafka_/ } slurp("$SRCDIR/base/fault.def") =~ /^FAULT\((\w+),/mg),
	qw(after_read after_fsync_before_state after_state_before_ack after_ack));
my $kills = $ENV{LEAT_CRASH_KILLS} || 15;
my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : time % 1_000_000;
# How long a fault point may take to come by, and everything to catch up.
use constant { REACH => 30, CATCH_UP => 180 };

alarm($ENV{LEAT_TEST_TIMEOUT} || 900 + 600 * $rounds * max(1, $kills / 15));

my ($pg, $kafka, $dir, $conf, $agent, $round, %hits, %count);

# --- the agent

sub start {
	my ($fault) = @_;
	$agent = start_leat({ dir => $dir, env => { LEAT_FAULT => $fault } }, 'run', '-c', $conf);
}

sub kill_agent {
	my ($wipe) = @_;
	my $status = $agent->status;
	die "the agent ended with $status by itself: " . $agent->err if defined $status && $status != -9;
	$agent->kill9;
	$count{kills}++;
	return unless $wipe;
	remove_tree("$dir/state");
	$count{wipes}++;
}

# It dies at a fault point; false when it did not come by.
sub await_death {
	my $end = time + REACH;
	while (time < $end) {
		my $status = $agent->status;
		return $status == -9 || die "the agent ended with $status: " . $agent->err if defined $status;
		sleep 0.01;
	}
	return 0;
}

# --- what happens, in an order that the seed decides

sub at_point {
	my ($point, $n) = @_;
	start("$point:$n");
	$hits{$point}++ if await_death();
}

sub in_doubt {
	my ($point) = @_;
	start("$point:" . (2 + int rand 4) . ':error');
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

sub broker_dies {
	start();
	sleep 0.2 + rand 1;
	$kafka->kill9;
	$count{brokers}++;
	# one time the agent lives through it, the next time it dies meanwhile
	kill_agent(0), start() if $count{brokers} % 2 == 0;
	$kafka->start;
	sleep rand 1;
}

sub frozen_agent {
	start();
	sleep 0.3 + rand 0.7;
	$agent->signal('STOP');
	sleep 2.5;	# longer than the transaction may be
	$agent->signal('CONT');
	$count{frozen}++;
	sleep 0.5 + rand 0.5;
}

sub plan_of {
	my @plan = map { my $point = $_; sub { at_point($point, $point eq 'kafka_init' ? 1 : 1 + int rand 6) } }
		grep { $_ ne 'kafka_topic' } @points;
	push @plan, map { my $point = $_; sub { in_doubt($point) } } qw(kafka_commit kafka_committed);
	push @plan, map { \&broker_dies } 1 .. max(1, int($kills / 7) - 1);
	push @plan, \&broken_line, \&frozen_agent;
	push @plan, (\&at_random, \&at_random, \&broken_line)[rand 3] while @plan < $kills;
	return shuffle @plan;
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
	Leat::Load->prepare($pg);
	$kafka = Leat::Kafka->new(proxied => 1);
	my ($conninfo, $brokers) = ($pg->conninfo, $kafka->proxied);
	$conf = write_conf(<<"CONF", "round$round/leat.conf");
state_dir = "$dir/state"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.*" } }
sink out {
	type = kafka
	brokers = "$brokers"
	partitions = 3
	transaction_timeout = 2s
}
pipeline crash { source = shop  sink = out  initial = stream_only  exit_on_stop = yes }
CONF
	start();
	poll_until {
		die 'the agent ended: ' . $agent->err unless $agent->is_running;
		$agent->err =~ /running code=started/
	} 'the first start', 120;
	return $pg->query('SELECT pg_current_wal_lsn()');
}

sub run_round {
	%count = map { $_ => 0 } qw(kills wipes doubts resets brokers frozen commits);
	%hits = ();
	my $from = begin();
	kill_agent(0);
	# topics are made when the first rows come, and then no more
	start('kafka_topic:2');
	my $load = Leat::Load->start($pg, seed => $seed, pause => 0.1, name => "load$round");
	$hits{kafka_topic}++ if await_death();
	kill_agent(1);
	my $n = 0;
	for my $step (plan_of()) {
		$step->();
		kill_agent($n++ % 2);
	}
	# what chance or a slow machine left out
	for my $point (grep { !$hits{$_} && $_ ne 'kafka_topic' } @points) {
		at_point($point, 1);
		kill_agent(0);
	}
	my $report = $load->stop;
	$pg->query("SELECT ledger.say('end', 'the end of round $round')");
	my $marker = encode_base64("the end of round $round", '');
	start();
	poll_until {
		die 'the agent ended: ' . $agent->err unless $agent->is_running;
		has_end($marker)
	} 'the end in the topic', CATCH_UP;
	is($agent->stop('TERM', 60), 0, 'the agent ends cleanly') or diag $agent->err;

	ok($hits{$_}, "killed at $_") for @points;
	cmp_ok($count{kills}, '>=', $kills, 'as many kills as asked for');
	my @stops = grep { /^\S+ error |Sanitizer|runtime error/ } map { split /^/, slurp($_) } glob "$dir/leat.*.err";
	is(join('', @stops), '', 'the pipeline never stopped for good');

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
	note sprintf '%d kills (%d with the state), %d of the broker, %d broken lines, %d frozen, %d doubts; ' .
		'%d changes, %d transactions, %d commits', @count{qw(kills wipes brokers resets frozen doubts changes)},
		$ledger->transactions, $count{commits};
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
