# Killed at any instant and at every fault point, with or without its state
# directory afterwards, leat delivers each change once: the same ids, the same seq,
# none lost, none repeated, in order.
#
# Two pipelines read the same load (Leat::Load) into logs of their own.  One, the
# victim, is killed all the time, and another agent takes over from it now and then;
# the other is left alone and is the reference for ids and seq.  What is right is
# decided by the database's history alone (Leat::Ledger).  The victim's log is read
# meanwhile, by who is killed as well:
#
#	readers    an agent with three pipelines, one behind the other: into a log
#	           that deletes what is older than a second, from that one into a log
#	           that keeps all, from there to standard output
#	consumer   `leat log tail` that goes on where its output ends
#	holder     `leat log tail` of the log that deletes, frozen at times
#
# More pipelines are begun while the load runs, and killed while they make their
# slots.  The server is stopped in the middle of its work, also while there is no
# agent, and with commits that nobody has synced.
#
#	LEAT_CRASH_KILLS   kill -9 of the victim per round (60)
#	LEAT_CRASH_SEED    of the first round (default: made from the commit)
#	LEAT_CRASH_PAUSE   seconds between two transactions of a session (0.02)
#	LEAT_TEST_LONG     rounds, each with the next seed (./dev soak ROUNDS); the
#	                   seed is then the time
use Leat::Test;
use Leat::Lane;
use Leat::Ledger qw(is_same_stream);
use Leat::Lives;
use Leat::Load;
use Leat::Witness;
use Leat::Postgres;
use MIME::Base64 qw(encode_base64);
use File::Compare qw(compare);
use File::Path qw(remove_tree);
use List::Util qw(shuffle sum min max);
use Time::HiRes qw(sleep time);

need_feature('FAULTS');
Leat::Postgres->need;
plan skip_all => 'no pg_waldump beside the server' unless -x Leat::Postgres::bindir() . '/pg_waldump';

my @points = grep { !/^(?:kafka|dead_letter)_/ } slurp("$SRCDIR/base/fault.def") =~ /^FAULT\((\w+),/mg;
# Reached only while a pipeline begins: by the pipelines that come later.
my %is_first = map { $_ => 1 } qw(slot_intent slot_create);
# Reached at each commit; the others are rarer.
my %is_often = map { $_ => 1 } qw(after_read after_transform mid_frame before_fsync
	after_fsync_before_state after_state_before_ack after_ack);
# Where pipelines between logs come by, and the only ones that do.
my @readers_points = (sort(keys %is_often), qw(schema_write segment_roll retention_delete));
my %is_readers = map { $_ => 1 } qw(retention_delete);
my $kills = $ENV{LEAT_CRASH_KILLS} || 60;
my $rounds = is_long() ? $ENV{LEAT_TEST_LONG} : 1;
my $seed = defined $ENV{LEAT_CRASH_SEED} ? $ENV{LEAT_CRASH_SEED} : seed_of_commit();
my $pause = $ENV{LEAT_CRASH_PAUSE} || 0.02;
# of a round
use constant { RESTARTS => 4, TAKEOVERS => 3, LARGE => 3, LATE => 2 };
# Seconds for everything to catch up.
use constant CATCH_UP => 120;

alarm($ENV{LEAT_TEST_TIMEOUT} || 600 + 120 * $rounds * max(1, $kills / 60));

# --- one pipeline and its log

my ($pg, $round, %count, %hits, %total, @born, @wrong, @bursts, %broken, $is_over);

# Of a Postgres pipeline.  as: another agent of the same pipeline; log: more of the
# section; source: likewise.
sub agent {
	my ($name, %opt) = @_;
	my $dir = tmpdir("$round-$name");
	my $as = $opt{as} || '';
	my $conninfo = $pg->conninfo;
	my $conf = write_conf(<<"CONF", "$round-$name/leat$as.conf");
state_dir = "$dir/state$as"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.*" } @{[$opt{source} || '']} }
log out { path = "$dir/log"  retention_age = 0  @{[$opt{log} || '']} }
pipeline $name { source = shop  sink = out  initial = stream_only  exit_on_stop = yes }
CONF
	return { name => $name, dir => $dir, conf => $conf, state => "$dir/state$as", logs => ['out'] };
}

sub readers_of {
	my ($victim) = @_;
	my $dir = tmpdir("$round-readers");
	my $conf = write_conf(<<"CONF", "$round-readers/leat.conf");
state_dir = "$dir/state"
log out { path = "$victim->{dir}/log" }
log short { path = "$dir/short"  retention_age = 1s  segment_size = 64KiB  compression = 0 }
log copy { path = "$dir/copy"  retention_age = 0  segment_size = 256KiB }
sink lines { type = stdout }
pipeline short { source = out  sink = short  exit_on_stop = yes }
pipeline copy { source = short  sink = copy  exit_on_stop = yes }
pipeline print { source = copy  sink = lines  exit_on_stop = yes }
CONF
	return { name => 'readers', dir => $dir, conf => $conf, state => "$dir/state",
		logs => ['short', 'copy'], lives => [] };
}

sub start {
	my ($a, $fault) = @_;
	return $a->{process} = start_leat({ dir => $a->{dir}, env => { LEAT_FAULT => $fault } },
		'run', '-c', $a->{conf});
}

# What it said in all its lives when a pipeline stopped for good, or a sanitizer.
sub stops { return grep { /^\S+ error |runtime error|Sanitizer/ } map { split /^/, slurp($_) } sort glob "$_[0]{dir}/leat.*.err" }

sub is_running {
	my ($process, $pipeline) = @_;
	return $process->err =~ /pipeline "\Q$pipeline\E": running code=started/;
}

sub await_running {
	my ($a, @pipelines) = @_;
	poll_until {
		die "$a->{name} ended: " . $a->{process}->err unless $a->{process}->is_running;
		!grep { !is_running($a->{process}, $_) } @pipelines
	} "$a->{name} to run", 60;
}

# none, or the state directory (of these pipelines) is deleted, or an older one put
# back in its place
sub wipe {
	my ($a, $how, @pipelines) = @_;
	my @dirs = @pipelines ? map { "$a->{state}/$_" } @pipelines : $a->{state};
	for my $dir (grep { -d } @dirs) {
		if ($how eq 'deleted') {
			remove_tree($dir);
			next;
		}
		remove_tree($dir), rename "$dir.old", $dir if -d "$dir.old";
		run_command('cp', '-a', $dir, "$dir.old");
	}
	$count{"$how of $a->{name}"}++;
}

sub stat_of {
	my ($a, $log) = @_;
	my ($rc, $out) = run_leat('log', 'stat', '-c', $a->{conf}, $log, '--json');
	return $rc == 0 ? $out : '';
}

# What the server may forget has been committed.
sub check_acked {
	my ($a, $stat) = @_;
	my ($end, $n) = $stat =~ m{"cursor":"[^"]* end=([0-9A-F]+/[0-9A-F]+) [^"]*?n=(\d+)} or return;
	$count{inside}++ if $n > 0;
	my $flush = eval { $pg->query("SELECT confirmed_flush_lsn FROM pg_replication_slots " .
		"WHERE slot_name = 'leat_$a->{name}'") };
	return unless $flush;
	push @wrong, "$a->{name}: the slot is at $flush, the log at $end"
		if Leat::Ledger::lsn($flush) > Leat::Ledger::lsn($end);
	$count{acks}++;
}

# What a log may forget has been committed by its reader.
sub check_places {
	my ($a) = @_;
	my ($short, $copy) = map { stat_of($a, $_) } 'short', 'copy';
	my ($print) = (run_leat('offsets', 'show', '-c', $a->{conf}, '--json', 'print'))[1] =~ /"seq":(\d+)/;
	my ($kept) = $short =~ /"name":"copy","cursor":"log \S+ seq=(\d+)/;
	my ($committed) = $copy =~ /"cursor":"[^"]* seq=(\d+) crc=\w+"/;
	push @wrong, "copy: its place in \"short\" is $kept, committed are $committed"
		if defined $kept && defined $committed && $kept > $committed;
	$count{acks}++ if defined $kept && defined $committed;
	return $a->{printed} = $print;
}

sub end_agent {
	my ($a) = @_;
	is($a->{process}->stop('TERM', 60), 0, "$a->{name} ends cleanly") or diag $a->{process}->err;
}

sub tail {
	my ($a, $log, $from) = @_;
	return start_leat({ dir => $a->{dir}, name => 'tail' },
		'log', 'tail', '-c', $a->{conf}, $log, '--from', $from);
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

# Steps in an order that the seed decides: each fault point some times, with and
# without the state directory; what is left is killed at random instants.
sub plan_of {
	my $each = max(1, int($kills / 30));
	my @plan;
	my $i = 0;
	for my $point (grep { !$is_first{$_} && !$is_readers{$_} } @points) {
		for my $n (1 .. $each) {
			push @plan, { point => $point, at => $n > 1 && $is_often{$point} ? 1 + int rand 12 : 1,
				# the other threads may do what they should not yet
				how => ($i + $n) % 3 ? '' : ':late' };
		}
		$i++;
	}
	push @plan, map { { after => rand 0.15, large => 1 } } 1 .. LARGE;
	my $left = $kills - @plan - 2 * TAKEOVERS;
	push @plan, map { $_ % 3 ? { after => rand 0.5, is_working => 1 } : { after => 0.001 + rand 0.1 } }
		1 .. max(RESTARTS, $left);
	my @restarts = qw(running absent starting running);
	$_->{restart} = shift @restarts for (grep { $_->{after} && !$_->{large} } @plan)[0 .. RESTARTS - 1];
	@plan = shuffle @plan, map { { takeover => $_ } } 1 .. TAKEOVERS;
	splice @plan, rand(@plan), 0, { late => $_ } for 1 .. LATE;
	$plan[$_]{wipe} = ('deleted', '', 'deleted', 'old')[$_ % 4] for 0 .. $#plan;
	return @plan;
}

sub victim_lane {
	my ($a, $b) = @_;
	my @plan = plan_of();
	my $extra = 2;
	my $lane;
	return $lane = Leat::Lane->new(name => 'victim', agent => $a, next => sub {
		while (my $step = shift @plan) {
			push(@born, late_lane($step->{late})), next if $step->{late};
			unshift(@plan, takeover($lane, $a, $b, $step)), next if $step->{takeover};
			$step->{process} = delete $lane->{standby} if $step->{inherits};
			return $step;
		}
		# what chance or a slow machine left out
		@plan = map { { point => $_, at => 1, how => '', wipe => '' } }
			grep { !$is_first{$_} && !$is_readers{$_} && !$lane->{hits}{$_} } @points if $extra-- > 0;
		return shift @plan;
	}, begin => sub {
		my (undef, $step) = @_;
		my ($point, $restart) = map { $step->{$_} || '' } qw(point restart);
		restart_server() if $restart eq 'absent';
		if ($restart eq 'starting') { restart_server(sub { start($a) }) }
		else { start($a, $point && "$point:$step->{at}$step->{how}") }
		$step->{ready} = sub { is_running($a->{process}, 'victim') && ($restart ne 'running' || restart_server()) }
			if $step->{is_working} || $restart eq 'running';
		$step->{ready} = sub { is_running($a->{process}, 'victim') && is_committed($step) } if $step->{large};
		$step->{during} = sub { break_connection('victim') } if $point eq 'reconnect';
		# what else may be long in coming
		$step->{during} = sub { is_committed($step) } if $point =~ /^(?:segment_roll|gear_switch|chunk_advanced)$/;
		return $a->{process};
	}, ended => sub {
		my (undef, $step) = @_;
		wipe($step->{agent} || $a, $step->{wipe}) if $step->{wipe};
		my $stat = stat_of($a, 'out');
		my ($bytes) = $stat =~ /"bytes":(\d+)/;
		$count{grown}++ if ($bytes || 0) != ($a->{size} || 0);
		$a->{size} = $bytes;
		check_acked($a, $stat) unless $step->{leaves};
	});
}

# A large transaction is sent, and is committed.
sub is_committed {
	my ($step) = @_;
	$step->{session} ||= $pg->session->send(Leat::Load::large_of(90_000_000 + 10_000 * $count{large}++));
	return $step->{session}->is_done;
}

# Two agents of one pipeline: the one that runs dies, the other takes over, and dies
# as well; sometimes before it could.
sub takeover {
	my ($lane, $a, $b, $step) = @_;
	my $at_once = $step->{takeover} == 1;
	my $point = (grep { $is_often{$_} } @points)[rand 7];
	return ({
		after => rand 0.4, wipe => $step->{wipe}, leaves => 1,
		ready => sub {
			return 0 unless is_running($lane->{process}, 'victim');
			start($b, $at_once ? undef : "$point:" . (1 + int rand 8)) unless $lane->{standby};
			$lane->{standby} = $b->{process};
			return $b->{process}->err =~ /standby/ ? 1 : 0;
		},
	}, {
		inherits => 1, agent => $b, wipe => ('', 'deleted')[rand 2],
		$at_once ? (after => rand 1.2) : (point => $point, at => 1),
	});
}

sub break_connection {
	my ($name) = @_;
	return if time < ($broken{$name} || 0);
	$broken{$name} = time + 0.5;
	$pg->query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = 'leat/$name'");
}

# In the middle of its work, and with commits that were promised to nobody but
# somebody who does not wait for the disk.  between: what happens meanwhile.
sub restart_server {
	my ($between) = @_;
	my @said = map { "burst $count{restarts}.$_" } 1 .. 30;
	$pg->session(options => "'-c synchronous_commit=off'")->query(
		join '', map { "SELECT ledger.say('promise', '$_');\n" } @said);
	push @bursts, @said;
	$pg->stop('immediate');
	$between->() if $between;
	$pg->start;
	return ++$count{restarts};
}

# A pipeline that begins now, and is killed at its first two steps.
sub late_lane {
	my ($n) = @_;
	my $a = agent("late$n");
	my @steps = (
		# the intent is made twice: in the agent, and by the source
		{ point => 'slot_intent', at => 1 + $n % 2, wipe => $n % 2 },
		{ point => 'slot_create', at => 1, wipe => ($n + 1) % 2 },
		{ after => 0, ready => sub { is_running($a->{process}, $a->{name}) }, then => sub {
			$pg->query("SELECT ledger.say('late', 'begun $a->{name}')");
			end_agent($a);
		} });
	return Leat::Lane->new(name => $a->{name}, agent => $a, next => sub { shift @steps }, begin => sub {
		return start($a, $_[1]{point} && "$_[1]{point}:$_[1]{at}");
	}, ended => sub { wipe($a, 'deleted') if $_[1]{wipe} });
}

# --- who reads the log meanwhile

sub start_readers {
	my ($a, $fault) = @_;
	start($a, $fault);
	push @{ $a->{lives} }, { path => $a->{process}{out}, from => ($a->{printed} || 0) + 1 };
	return $a->{process};
}

sub readers_lane {
	my ($a) = @_;
	my ($n, $extra, @left) = (0, 3);
	my $lane;
	return $lane = Leat::Lane->new(name => 'readers', agent => $a, next => sub {
		$n++;
		@left = shuffle @readers_points unless @left;
		if ($is_over) {
			@left = grep { !$lane->{hits}{$_} } @readers_points;
			return undef unless @left && $extra-- > 0;
		}
		my $how = $n % 4 ? '' : ':late';
		return !$is_over && $n % 2 ? { after => 0.02 + rand 1 }
			: { point => shift @left, at => 1 + int rand 3, how => $how };
	}, begin => sub {
		return start_readers($a, $_[1]{point} && "$_[1]{point}:$_[1]{at}$_[1]{how}");
	}, ended => sub {
		$a->{lives}[-1]{is_cut} = 1;
		wipe($a, $n % 4 < 2 ? 'deleted' : 'old', 'short', 'copy') if $n % 4 != 1;
		# standard output keeps no place: all again
		wipe($a, 'deleted', 'print') if $n % 12 == 0;
		check_places($a);
	});
}

# Who keeps what was printed, and goes on where that ends.
sub start_consumer {
	my ($a, $lives) = @_;
	my ($from) = map { end_of($_->{path}) =~ /.*"seq":(\d+).*\n/s ? $1 : () } reverse @$lives;
	my $process = tail($a, 'out', $from ? "seq:$from" : 'earliest');
	push @$lives, { path => $process->{out}, from => $from || 1, is_late => defined $from };
	return $process;
}

sub consumer_lane {
	my ($a, $lives) = @_;
	return Leat::Lane->new(name => 'consumer', next => sub { $is_over ? undef : { after => rand 1.5 } },
		begin => sub { start_consumer($a, $lives) }, ended => sub { $lives->[-1]{is_cut} = 1 });
}

# Its segments are deleted while it reads them; being frozen it loses its place, and
# says so.
sub holder_lane {
	my ($a, $lives) = @_;
	my $n = 0;
	my $lane;
	return $lane = Leat::Lane->new(name => 'holder', next => sub {
		return undef if $is_over;
		my $frozen = time + 0.2 + rand 1;
		my $signal = 'STOP';
		return { after => 5 + rand 2, during => sub {
			return if !$signal || time < $frozen;
			$lane->{process}->signal($signal);
			$frozen = time + 1.5 + rand 2.5;
			$signal = $signal eq 'STOP' ? 'CONT' : undef;
		} };
	}, begin => sub {
		my $process = tail($a, 'short', $n++ % 2 ? 'latest' : 'earliest');
		push @$lives, { path => $process->{out}, is_late => 1, is_cut => 1 };
		return $process;
	}, may_end => sub {
		return $_[0]->status == 7 && $_[0]->err =~ /has been deleted up to seq/ && ++$count{purged};
	});
}

# --- what the database says

# What was acknowledged behind a sync is there; the rest the server may take back.
sub check_promises {
	my ($report) = @_;
	my $lines = psql_lines($pg, 'promises', "SELECT new->>'content' FROM ledger.history WHERE op = 'MESSAGE'");
	my %kept = map { chomp; $_ => 1 } <$lines>;
	my @broken = grep { !$kept{$_} } sort keys %{ $report->{synced} };
	is("@broken", '', 'what was committed behind a sync has outlived the restarts');
	$count{promised} += () = (keys %{ $report->{synced} }, keys %{ $report->{unsynced} }, @bursts);
	$count{taken_back} += grep { !$kept{$_} } keys %{ $report->{unsynced} }, @bursts;
}

# --- what leat printed

sub cat {
	my ($a, $log) = @_;
	my $out = "$a->{dir}/$log.events";
	my $p = start_leat({ dir => $a->{dir}, name => 'cat', out => $out }, 'log', 'cat', '-c', $a->{conf}, $log);
	is($p->wait(120), 0, "the log $log of $a->{name} can be read") or diag $p->err;
	return $out;
}

sub is_same_file {
	my ($events, $file, $what) = @_;
	return pass($what) if compare($events, $file) == 0;
	fail($what);
	diag is_same_stream($events, $file) || 'it differs';
}

sub check_lives {
	my ($lives, $who, $is_whole, @lives) = @_;
	for my $life (@lives) {
		my $why = $lives->wrong($life) or next;
		fail("$who saw each event once, in order");
		return diag $why;
	}
	$count{lives} += @lives;
	$count{seen} += sum(0, map { $_->{seen} } @lives);
	return pass("$who saw each event of its lives once, in order") unless $is_whole;
	ok($lives->is_whole(@lives), "$who saw each event, in order, whatever its lives") or diag explain \@lives;
}

# --- a round

sub begin {
	my $compression = 'compression = ' . int rand 2;
	$pg = Leat::Postgres->new(name => "pg$round", fsync => 1, conf => { deadlock_timeout => '50ms',
		wal_writer_delay => '500ms', wal_keep_size => '8GB', max_replication_slots => 60,
		max_wal_senders => 60 });
	Leat::Load->prepare($pg);
	# it changes gears all the time, the reference streams
	my %victim = (log => "segment_size = 64KiB  $compression",
		source => 'catchup_threshold = 0  catchup_temp = 1MiB');
	my @agents = (agent('victim', %victim), agent('victim', %victim, as => 2), agent('reference'));
	for my $a (@agents[0, 2]) {
		start($a);
		await_running($a, $a->{name});
		$a->{tail} = tail($a, 'out', 'earliest');
	}
	my $readers = readers_of($agents[0]);
	start_readers($readers);
	await_running($readers, qw(short copy print));
	return ($pg->query('SELECT pg_current_wal_lsn()'), @agents, $readers);
}

sub torture {
	my ($a, $b, $readers, $consumer, $holder) = @_;
	$_->{process}->kill9 for $a, $readers;
	$readers->{lives}[-1]{is_cut} = 1;
	check_places($readers);
	my $victim = victim_lane($a, $b);
	my @lanes = ($victim, readers_lane($readers), consumer_lane($a, $consumer), holder_lane($readers, $holder));
	my @all = @lanes;
	while (@lanes) {
		@lanes = ((grep { $_->turn } @lanes), @born);
		push @all, splice @born;
		$is_over = !grep { $_ == $victim || $_->{name} =~ /^late/ } @lanes;
		sleep 0.005;
	}
	return @all;
}

sub await_end {
	my ($victim, $reference, $readers, $consumer, @late) = @_;
	my $marker = marker("the end of round $round");
	$pg->query("SELECT ledger.say('end', 'the end of round $round')");
	start($victim);
	start_readers($readers);
	my $last = start_consumer($victim, $consumer);
	for my $a (@late) {
		start($a);
		$a->{tail} = tail($a, 'out', 'earliest');
	}
	for ([$victim, $victim->{tail}], [$victim, $last], [$readers, $readers->{process}], map { [$_, $_->{tail}] } $reference, @late) {
		my ($a, $process) = @$_;
		poll_until {
			die "$a->{name} ended: " . $a->{process}->err unless $a->{process}->is_running;
			end_of($process->{out}) =~ /\Q$marker\E.*\n/
		} "the end in $process->{out}", CATCH_UP;
	}
	end_agent($_) for $victim, $reference, $readers, @late;
	is($_->stop('TERM', 30), 0, 'a tail ends cleanly') for $last, map { $_->{tail} } $victim, $reference, @late;
}

sub check_late {
	my ($events, $a) = @_;
	my $of_late = cat($a, 'out');
	is(is_same_stream($events, $of_late, places => 1), '',
		"$a->{name}, killed while it made its slot, has all from some place on");
	my $begun = marker("begun $a->{name}");
	ok((grep { /\Q$begun\E/ } split /^/, slurp($of_late)), 'and that place is before it streamed');
	is_same_file($of_late, $a->{tail}{out}, "a reader of $a->{name} saw each event once, in order");
}

sub check_lanes {
	my ($victim, $readers, @others) = @_;
	for my $point (@points) {
		my $n = sum map { $_->{hits}{$point} || 0 } $victim, $readers, @others;
		ok($n, "killed at $point") or diag 'the fault point was never reached';
		$hits{$point} += $n;
	}
	for my $point (@readers_points) {
		ok($readers->{hits}{$point}, "the readers were killed at $point");
	}
	cmp_ok($victim->{kills}, '>=', $kills, 'as many kills as asked for');
	cmp_ok($count{grown}, '>=', $victim->{kills} / 3, 'many of them in the middle of work');
	cmp_ok($count{inside}, '>', 0, 'some with a part of a transaction committed') if $kills >= 60;
	cmp_ok($count{acks}, '>=', $victim->{kills} / 2, 'what source and log may forget was looked at');
	is(join("\n", @wrong), '', 'and was committed each time');
}

sub check_ledger {
	my ($events, $report, $from) = @_;
	my $ledger = Leat::Ledger->new(source => 'shop', tables => \%Leat::Load::tables);
	$count{changes} += read_history($ledger, $pg);
	read_wal($ledger, $pg, $from);
	open my $lines, '<', $events or die $!;
	my @found = $ledger->check($lines, final_rows($pg));
	is(scalar @found, 0, 'the log holds what the database did, each change once, in order')
		or diag join "\n", @found;
	check_promises($report);
	$count{transactions} = $ledger->transactions;
	$count{events} = $ledger->count;
}

sub run_round {
	my $started = time;
	%count = map { $_ => 0 } qw(restarts large grown inside acks changes lives seen purged promised taken_back);
	@wrong = @bursts = ();
	$is_over = 0;
	my ($from, $victim, $standby, $reference, $readers) = begin();
	my $load = Leat::Load->start($pg, seed => $seed, pause => $pause, name => "load$round");
	my (@consumer, @holder);
	my @lanes = torture($victim, $standby, $readers, \@consumer, \@holder);
	my $report = $load->stop;
	my @late = map { $_->{agent} } grep { $_->{name} =~ /^late/ } @lanes;
	await_end($victim, $reference, $readers, \@consumer, @late);
	my $tortured = time - $started;

	check_lanes(@lanes);
	for my $a ($victim, $reference, $readers, @late) {
		is(join('', stops($a)), '', "$a->{name} never stopped for good");
		for my $log (@{ $a->{logs} }) {
			my ($rc, undef, $err) = run_leat('log', 'verify', '-c', $a->{conf}, $log);
			is($rc, 0, "the log $log of $a->{name} is sound") or diag $err;
		}
	}
	# what the load may run into: deadlocks, lock timeouts, restarts
	my @odd = grep { !/^(?:40P01|55P03|57P0.|away)$/ } keys %{ $report->{errors} };
	is("@odd", '', 'the load ran as it is meant to') or diag $report->{texts};

	my $events = cat($victim, 'out');
	check_ledger($events, $report, $from);
	is(is_same_stream($events, cat($reference, 'out')), '',
		'ids and seq are those of a pipeline that was never killed');
	is_same_file($events, $victim->{tail}{out}, 'a reader who was there all the time saw each event once, in order');
	is_same_file($events, cat($readers, 'copy'), 'a log behind two logs is the same');
	my $lives = Leat::Lives->new($events);
	is($lives->wrong({ path => cat($readers, 'short'), is_late => 1 }), '', 'the one between has the end of it');
	check_lives($lives, 'whoever reads on where the output ended', 1, @consumer);
	check_lives($lives, 'whoever reads what is deleted', 0, @holder);
	check_lives($lives, 'standard output', 1, @{ $readers->{lives} });
	check_late($events, $_) for @late;
	report($report, \@lanes, $tortured, time - $started);
}

sub report {
	my ($report, $lanes, $tortured, $all) = @_;
	$count{"kills of $_->{name}"} += $_->{kills} for @$lanes;
	$count{gears} = grep { / code=gear / } map { split /^/, slurp($_) } glob tmpdir() . "/$round-victim/leat.*.err";
	note "seed $seed: ", join ', ', map { "$_ $count{$_}" } sort keys %count;
	note 'the load: ' . join(', ', map { my $of = $report->{$_}; map { "$_ $of->{$_}" } sort keys %$of } qw(kinds errors));
	note 'not reached in time: ', join ', ', map { @{ $_->{missed} } } @$lanes;
	note sprintf '%.0f s of load, %.0f s in all', $tortured, $all;
	$total{$_} += $count{$_} for keys %count;
}

for (1 .. $rounds) {
	$round = $_;
	srand $seed;
	note "LEAT_CRASH_SEED=$seed LEAT_CRASH_KILLS=$kills";
	subtest "round $round, LEAT_CRASH_SEED=$seed" => \&run_round;
	last unless Test::More->builder->is_passing;
	$pg->stop('immediate');
	remove_tree(glob(tmpdir() . "/$round-*"), $pg->dir) unless $ENV{LEAT_TEST_KEEP};
	$seed++;
}
if (is_long()) {
	diag "$rounds rounds: " . join ', ', map { "$_ $total{$_}" } sort keys %total;
	diag 'killed at: ' . join ', ', map { "$_ $hits{$_}" } @points;
}
done_testing();
