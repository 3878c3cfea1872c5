# Killed at any instant and at every fault point, with or without its state
# directory afterwards, leat delivers each change once: the same ids, the same seq,
# none lost, none repeated, in order.
#
# Two pipelines read the same load (Leat::Load) into logs of their own.  One is
# killed all the time; the other is left alone and is the reference for ids and
# seq.  What is right is decided by the database's history alone (Leat::Ledger).
# More pipelines are begun while the load runs, and killed while they make their
# slots.
#
#	LEAT_CRASH_KILLS   kill -9 per round (60)
#	LEAT_CRASH_SEED    of the first round; it is printed
#	LEAT_CRASH_PAUSE   seconds between two transactions of a session (0.02)
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS)
use Leat::Test;
use Leat::Postgres;
use Leat::Ledger qw(is_same_stream);
use Leat::Load;
use MIME::Base64 qw(encode_base64);
use File::Path qw(remove_tree);
use List::Util qw(shuffle sum min max);
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

need_feature('FAULTS');
Leat::Postgres->need;
plan skip_all => 'no pg_waldump beside the server' unless -x Leat::Postgres::bindir() . '/pg_waldump';

# The ledger wants the whole log, so nothing is deleted here (t/unit/log_crash.c).
my @points = grep { $_ ne 'retention_delete' } slurp("$SRCDIR/base/fault.def") =~ /^FAULT\((\w+),/mg;
# Reached only while a pipeline begins: by the pipelines that come later.
my %is_first = map { $_ => 1 } qw(slot_intent slot_create);
# Reached at each commit; the others are rarer.
my %is_often = map { $_ => 1 } qw(after_read after_transform mid_frame before_fsync
	after_fsync_before_state after_state_before_ack after_ack);
my $kills = $ENV{LEAT_CRASH_KILLS} || 60;
my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : time % 1_000_000;
my $pause = $ENV{LEAT_CRASH_PAUSE} || 0.02;
# How long a fault point may take to come by, and everything to catch up.
use constant { REACH => 10, CATCH_UP => 120 };

alarm($ENV{LEAT_TEST_TIMEOUT} || 600 + 120 * $rounds * max(1, $kills / 60));

# --- one pipeline and its log

my ($pg, $round, %hits, %count, @missed);

# log: more of the section
sub agent {
	my ($name, $log) = @_;
	my $dir = tmpdir("$round-$name");
	my $conninfo = $pg->conninfo;
	my $conf = write_conf(<<"CONF", "$round-$name/leat.conf");
state_dir = "$dir/state"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.*" } }
log out { path = "$dir/log"  retention_age = 0  $log }
pipeline $name { source = shop  sink = out  initial = stream_only  exit_on_stop = yes }
CONF
	return { name => $name, dir => $dir, conf => $conf, starts => 0 };
}

sub start {
	my ($a, $fault) = @_;
	$a->{trace} = "$a->{dir}/trace." . ++$a->{starts};
	$a->{process} = start_leat({ dir => $a->{dir}, env => { LEAT_FAULT => $fault,
		LEAT_FAULT_TRACE => $a->{trace} } }, 'run', '-c', $a->{conf});
}

# What it said in all its lives when a pipeline stopped for good, or a sanitizer.
sub stops { return grep { /^\S+ error |runtime error|Sanitizer/ } map { split /^/, slurp($_) } sort glob "$_[0]{dir}/leat.*.err" }

sub walsender {
	my ($a) = @_;
	return $pg->query("SELECT pid FROM pg_stat_replication WHERE application_name = 'leat/$a->{name}' " .
		"AND state IN ('streaming', 'catchup')");
}

sub await_streaming {
	my ($a) = @_;
	poll_until {
		die "$a->{name} ended: " . $a->{process}->err unless $a->{process}->is_running;
		walsender($a)
	} "pipeline $a->{name} to stream", 60;
}

# It dies at a fault point; false when it did not come by.
sub await_death {
	my ($a, $seconds) = @_;
	my $end = time + $seconds;
	while (time < $end) {
		my $status = $a->{process}->status;
		return $status == -9 || die "$a->{name} ended with $status: " . $a->{process}->err
			if defined $status;
		sleep 0.01;
	}
	return 0;
}

sub kill_agent {
	my ($a) = @_;
	my $status = $a->{process}->status;
	die "$a->{name} ended with $status by itself: " . $a->{process}->err if defined $status;
	$a->{process}->kill9;
}

sub after_kill {
	my ($a, $wipe) = @_;
	$count{kills}++;
	if ($wipe) {
		remove_tree("$a->{dir}/state");
		$count{wipes}++;
	}
	my $size = sum(0, map { -s $_ } glob "$a->{dir}/log/*.seg $a->{dir}/log/*");
	$count{grown}++ if $size != ($a->{size} || 0);
	$a->{size} = $size;
	my (undef, $stat) = run_leat('log', 'stat', '-c', $a->{conf}, 'out', '--json');
	$count{inside}++ if $stat =~ /"cursor":"[^"]* n=[1-9]/;
}

sub end_agent {
	my ($a) = @_;
	is($a->{process}->stop('TERM', 60), 0, "$a->{name} ends cleanly") or diag $a->{process}->err;
}

sub tail {
	my ($a, $from) = @_;
	push @{ $a->{tails} }, { from => $from, process => start_leat({ dir => $a->{dir}, name => 'tail' },
		'log', 'tail', '-c', $a->{conf}, 'out', '--from', $from) };
	return $a->{tails}[-1];
}

# Without reading all of it each time.
sub end_of {
	my ($path) = @_;
	open my $f, '<', $path or return '';
	seek $f, max(0, (-s $f) - 65536), 0;
	local $/;
	my $text = <$f>;
	return defined $text ? $text : '';
}

sub marker { return '"content":"' . encode_base64($_[0], '') . '"' }

# --- the plan

# [what, ...] in an order that the seed decides: each fault point some times, with
# and without the state directory; what is left is killed at random instants.
sub plan_of {
	my $each = max(1, int($kills / 20));
	my (@plan, $left);
	my @late = map { { wipe => [$_ % 2, ($_ + 1) % 2] } } 1 .. $each;
	my $i = 0;
	for my $point (grep { !$is_first{$_} } @points) {
		for my $n (1 .. $each) {
			push @plan, { point => $point, wipe => ($i + $n) % 2,
				at => $n == 1 ? 1 : 1 + int rand($is_often{$point} ? 12 : 2),
				# the other threads may do what they should not yet
				how => ($i + $n) % 3 ? '' : ':late' };
		}
		$i++;
	}
	$left = max(0, $kills - @plan - keys(%is_first) * $each);
	push @plan, map { { wipe => $_ % 2, after => $_ % 3 ? 0.01 + rand 0.79 : 0.001 + rand 0.06 } } 1 .. $left;
	$_->{restart} = 1 for (grep { $_->{after} } @plan)[0 .. min(2, $left - 1)];
	push @plan, map { { late => $_ } } @late;
	return shuffle @plan;
}

sub hit {
	my ($a, $point, $n, $how) = @_;
	start($a, "$point:$n" . ($how || ''));
	my $reached = 0;
	my $until = time + REACH;
	do {
		if ($point eq 'reconnect') {
			$pg->query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication " .
				"WHERE application_name = 'leat/$a->{name}'");
		}
		$reached = await_death($a, 0.5);
	} until $reached || time > $until;
	if ($reached) {
		$hits{$point}++;
	} else {
		push @missed, "$point:$n";
		kill_agent($a);
	}
	return $reached;
}

# A pipeline that begins now, and is killed at its first two steps.
sub late {
	my ($step, $late) = @_;
	my $a = agent('late' . @$late, '');
	push @$late, $a;
	my @wipe = @{ $step->{wipe} };
	# the intent is made twice: in the agent, and by the source
	for (['slot_intent', 1 + @$late % 2, $wipe[0]], ['slot_create', 1, $wipe[1]]) {
		my ($point, $n, $wipe) = @$_;
		hit($a, $point, $n);
		after_kill($a, $wipe);
	}
	start($a);
	await_streaming($a);
	$a->{begun} = 'begun ' . $a->{name};
	$pg->query("SELECT ledger.say('late', '$a->{begun}')");
	end_agent($a);
}

sub kill_at_random {
	my ($a, $step) = @_;
	start($a);
	if ($step->{restart}) {
		sleep 0.3;
		$pg->restart('immediate');
		$count{restarts}++;
	}
	sleep $step->{after};
	kill_agent($a);
}

# --- what the database says

sub psql_lines {
	my ($name, $sql) = @_;
	my $out = tmpdir() . "/$round.$name";
	unlink $out;
	my $p = start_command({ name => 'psql', out => $out }, Leat::Postgres::bindir() . '/psql', '-X', '-q', '-A', '-t',
		'-F', "\t", '-P', 'null=\N', '-d', $pg->conninfo, '-c', $sql);
	die 'psql: ' . $p->err if $p->wait(120);
	open my $lines, '<', $out or die "$out: $!";
	return $lines;
}

sub read_history {
	my ($ledger) = @_;
	my $lines = psql_lines('history', 'SELECT n, xid, op, tab, lsn, old, new FROM ledger.history');
	while (my $line = <$lines>) {
		chomp $line;
		$ledger->history(map { $_ eq '\N' ? undef : $_ } split /\t/, $line, -1);
		$count{changes}++;
	}
}

# Commit records, from the write-ahead log itself.
sub read_commits {
	my ($ledger, $from) = @_;
	my $dump = start_command({ name => 'waldump' }, Leat::Postgres::bindir() . '/pg_waldump',
		'-p', "$pg->{data}/pg_wal", '-r', 'Transaction', '-s', $from);
	$dump->wait(120);	# it ends with an error where the log does
	open my $lines, '<', $dump->{out} or die $!;
	while (<$lines>) {
		next unless m{tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+),.* desc: COMMIT (\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)\.(\d{6}) UTC};
		$ledger->commit($1, $2, timegm($8, $7, $6, $5, $4 - 1, $3) . $9);
	}
	$dump->forget;
}

sub final_rows {
	my %final;
	for my $table (keys %Leat::Load::tables) {
		my $rows = psql_lines('final', "SELECT to_jsonb(t) FROM $table t");
		$final{$table} = [map { chomp; $_ } <$rows>];
	}
	return \%final;
}

# --- what leat printed

sub cat {
	my ($a) = @_;
	my $out = "$a->{dir}/events";
	my $p = start_leat({ dir => $a->{dir}, name => 'cat', out => $out }, 'log', 'cat', '-c', $a->{conf}, 'out');
	is($p->wait(120), 0, "the log of $a->{name} can be read") or diag $p->err;
	return $a->{events} = $out;
}

# The next event that a reader saw.  One who begins in the middle sees a table for
# the first time there, so its schema records have less to tell, but each row's
# version must have been announced.
sub next_event {
	my ($file, $known) = @_;
	while (defined(my $line = <$file>)) {
		return $line unless $known;
		if ($line =~ /"schema_change":\{"table":"([^"]+)","version":(\d+)/) {
			$known->{$1} = $2;
			next;
		}
		return $line unless $line =~ /"schema":\{"table":"([^"]+)","version":(\d+)\}/;
		return ($known->{$1} || 0) == $2 ? $line : "version $2 of $1 was not announced: $line";
	}
	return undef;
}

# Each line of a reader's session is the line that stands in the log.
sub check_tail {
	my ($a, $tail) = @_;
	$tail->{process}->stop('TERM', 30);
	my ($from) = $tail->{from} =~ /^seq:(\d+)/;
	open my $log, '<', $a->{events} or die $!;
	open my $seen, '<', $tail->{process}{out} or die $!;
	my ($n, @known) = (0, $from ? ({}, {}) : ());
	while (defined(my $want = next_event($log, $known[0]))) {
		next if $from && $want =~ /"leat":\{"id":"[^"]+","seq":(\d+)/ && $1 < $from;
		my $got = next_event($seen, $known[1]);
		next if defined $got && $got eq $want && ++$n;
		fail("a reader from $tail->{from} saw each event once, in order");
		diag "event " . ($n + 1) . ":\n in the log $want was seen " . (defined $got ? $got : 'nothing');
		return;
	}
	my $more = <$seen>;
	ok(!defined $more, "a reader from $tail->{from} saw each event once, in order")
		or diag "and after the end: $more";
	$count{seen} += $n;
}

# --- a round

sub begin {
	my $compression = 'compression = ' . int rand 2;
	$pg = Leat::Postgres->new(name => "pg$round", fsync => 1, conf => { deadlock_timeout => '50ms',
		wal_keep_size => '8GB', max_replication_slots => 60, max_wal_senders => 60 });
	Leat::Load->prepare($pg);
	my $victim = agent('victim', "segment_size = 64KiB  $compression");
	my $reference = agent('reference', '');
	for my $a ($victim, $reference) {
		start($a);
		await_streaming($a);
		tail($a, 'earliest');
	}
	return ($victim, $reference, $pg->query('SELECT pg_current_wal_lsn()'));
}

sub torture {
	my ($victim, $late) = @_;
	kill_agent($victim);
	after_kill($victim, 0);
	$count{kills}--;	# only the planned ones count
	my $n = 0;
	for my $step (plan_of()) {
		if ($step->{late}) {
			late($step->{late}, $late);
			next;
		}
		if ($step->{point}) { hit($victim, @$step{qw(point at how)}) }
		else { kill_at_random($victim, $step) }
		after_kill($victim, $step->{wipe});
		if (++$n % 15 == 0 && end_of($victim->{tails}[0]{process}{out}) =~ /.*"seq":(\d+)/s) {
			tail($victim, "seq:$1");
		}
	}
	# what chance or a slow machine left out
	for my $point (grep { !$is_first{$_} && !$hits{$_} } @points) {
		hit($victim, $point, 1);
		after_kill($victim, 0);
	}
}

sub await_end {
	my ($victim, $reference, $late) = @_;
	$pg->query("SELECT ledger.say('end', 'the end of round $round')");
	my $marker = marker("the end of round $round");
	start($victim);
	for my $a (@$late) {
		start($a);
		tail($a, 'earliest');
	}
	for my $a ($victim, $reference, @$late) {
		for my $tail (@{ $a->{tails} }) {
			poll_until {
				die "$a->{name} ended: " . $a->{process}->err unless $a->{process}->is_running;
				end_of($tail->{process}{out}) =~ /\Q$marker\E/
			} "the end in a tail of $a->{name}", CATCH_UP;
		}
	}
	end_agent($_) for $victim, $reference, @$late;
}

sub check_late {
	my ($victim, $a) = @_;
	cat($a);
	my $difference = is_same_stream($victim->{events}, $a->{events}, places => 1);
	is($difference, '', "$a->{name}, killed while it made its slot, has all from some place on");
	my $begun = marker($a->{begun});
	ok((grep { /\Q$begun\E/ } split /^/, slurp($a->{events})), 'and that place is before it streamed');
}

sub run_round {
	my $started = time;
	%count = map { $_ => 0 } qw(kills wipes restarts grown inside changes seen);
	%hits = @missed = ();
	my ($victim, $reference, $from) = begin();
	my $load = Leat::Load->start($pg, seed => $seed, pause => $pause, name => "load$round");
	my @late;
	torture($victim, \@late);
	my $report = $load->stop;
	await_end($victim, $reference, \@late);
	my $tortured = time - $started;

	for my $point (@points) {
		ok($hits{$point}, "killed at $point") or diag 'the fault point was never reached';
	}
	cmp_ok($count{kills}, '>=', $kills, 'as many kills as asked for');
	cmp_ok($count{grown}, '>=', $count{kills} / 3, 'many of them in the middle of work');
	cmp_ok($count{inside}, '>', 0, 'some with a part of a transaction committed') if $kills >= 60;
	for my $a ($victim, $reference, @late) {
		is(join('', stops($a)), '', "$a->{name} never stopped for good");
	}
	my ($rc, undef, $err) = run_leat('log', 'verify', '-c', $victim->{conf}, 'out');
	is($rc, 0, 'the log is sound') or diag $err;
	# what the load may run into: deadlocks, lock timeouts, restarts
	my @odd = grep { !/^(?:40P01|55P03|57P0.|away)$/ } keys %{ $report->{errors} };
	is("@odd", '', 'the load ran as it is meant to') or diag $report->{texts};

	my $ledger = Leat::Ledger->new(source => 'shop', tables => \%Leat::Load::tables,
		doubtful => $count{restarts} * 4);
	read_history($ledger);
	read_commits($ledger, $from);
	open my $lines, '<', cat($victim) or die $!;
	my @wrong = $ledger->check($lines, final_rows());
	is(scalar @wrong, 0, 'the log holds what the database did, each change once, in order')
		or diag join "\n", @wrong;
	is(is_same_stream($victim->{events}, cat($reference)), '',
		'ids and seq are those of a pipeline that was never killed');
	check_tail($victim, $_) for @{ $victim->{tails} };
	check_tail($reference, $_) for @{ $reference->{tails} };
	check_late($victim, $_) for @late;
	report($report, $ledger, $tortured, time - $started);
}

sub report {
	my ($report, $ledger, $tortured, $all) = @_;
	note sprintf 'seed %s: %d kills (%d with the state directory, %d behind a part of a transaction), ' .
		'%d restarts of the server', $seed, @count{qw(kills wipes inside restarts)};
	note sprintf '%d transactions of %d kinds, %d changes, %d events, %d seen by readers; rolled back: %d',
		$ledger->transactions, scalar(keys %{ $report->{kinds} }), $count{changes}, $ledger->count,
		$count{seen}, $report->{kinds}{rollback} || 0;
	note 'the load failed with: ' . join(', ', map { "$_ $report->{errors}{$_}" }
		sort keys %{ $report->{errors} }) . '; ' . join(', ', map { "$_ $report->{kinds}{$_}" }
		sort keys %{ $report->{kinds} });
	note 'hit: ' . join ', ', map { "$_ $hits{$_}" } grep { $hits{$_} } @points;
	note 'not reached in time: ', join ', ', @missed if @missed;
	note sprintf '%.0f s of load, %.0f s in all', $tortured, $all;
}

for (1 .. $rounds) {
	$round = $_;
	srand $seed;
	note "LEAT_CRASH_SEED=$seed LEAT_CRASH_KILLS=$kills";
	subtest "round $round, seed $seed" => \&run_round;
	last unless Test::More->builder->is_passing;
	$pg->stop('immediate');
	remove_tree(glob(tmpdir() . "/$round-*"), $pg->dir) unless $ENV{LEAT_TEST_KEEP};
	$seed++;
}
done_testing();
