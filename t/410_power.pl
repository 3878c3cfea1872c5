# The power goes, again and again, at the machine that leat runs on; the database
# has a machine of its own, and has been told what it may forget.  What leat
# acknowledged is there each time, and it goes on by itself: none lost, none
# repeated, the same ids and seq.
#
# One agent with three pipelines: Postgres into a log, that log into another, and
# Postgres to standard output, which keeps no place, so that there the state file is
# what counts.  It dies at some operation on its files, or at some instant; then
# t/power_cut makes of its directory what a loss of power may leave (t/power.h).
# Now and then the process dies and the machine does not.  What is right is decided
# by the database's history alone (Leat::Ledger).
#
#	LEAT_POWER_LOSSES  how many (25; 200 in the long form, with its rounds)
#	LEAT_POWER_SEED    it is printed
#	LEAT_POWER_MUTATE  a promise to break: the test is to fail (t/411_mutants.pl)
use Leat::Test;
use Leat::Ledger qw(is_same_stream);
use Leat::Load;
use Leat::Postgres;
use Leat::Witness;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep time);

need_feature('FAULTS');
Leat::Postgres->need;
plan skip_all => 'no pg_waldump beside the server' unless -x Leat::Postgres::bindir() . '/pg_waldump';

my $losses = $ENV{LEAT_POWER_LOSSES} || (is_long() ? 200 : 25);
my $seed = defined $ENV{LEAT_POWER_SEED} ? $ENV{LEAT_POWER_SEED} : time % 1_000_000;
my $mutation = $ENV{LEAT_POWER_MUTATE};
my @pipelines = qw(one two print);
srand $seed;
note "seed $seed";
alarm($ENV{LEAT_TEST_TIMEOUT} || 300 + 5 * $losses);

my $dir = tmpdir('power');
my ($tree, $base, $journal) = map { tmpdir("power/$_") } qw(tree base journal);
$journal .= '/ops';
my (@lives, %count);
$count{$_} = 0 for qw(losses kills alone files lost);

my $pg = Leat::Postgres->new(fsync => 1, conf => { deadlock_timeout => '50ms',
	wal_keep_size => '8GB', max_replication_slots => 10, max_wal_senders => 10 });
Leat::Load->prepare($pg);
my $conninfo = $pg->conninfo;
my $conf = write_conf(<<"CONF");
state_dir = "$tree/var/state"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.*" } }
log one { path = "$tree/var/log/one"  retention_age = 0  segment_size = 64KiB }
log two { path = "$tree/var/log/two"  retention_age = 0  segment_size = 64KiB  compression = 0 }
sink lines { type = stdout }
pipeline one { source = shop  sink = one  initial = stream_only  exit_on_stop = yes }
pipeline two { source = one  sink = two  exit_on_stop = yes }
pipeline print { source = shop  sink = lines  initial = stream_only  exit_on_stop = yes }
CONF

# Each life writes to a file of its own, which is there before.
sub begin {
	my ($fault) = @_;
	my $out = sprintf 'out.%03d', scalar @lives;
	spew("$_/$out", '') for $tree, $base;
	my $process = start_leat({ dir => $dir, out => "$tree/$out", env => { LEAT_DISK_JOURNAL => $journal,
		LEAT_DISK_FAULT => $fault, LEAT_MUTATE => $mutation } }, 'run', '-c', $conf);
	push @lives, { out => $out };
	return $process;
}

sub await_running {
	my ($process) = @_;
	poll_until {
		die 'it ended: ' . $process->err unless $process->is_running;
		my $said = $process->err;
		!grep { $said !~ /pipeline "$_": running code=started/ } @pipelines
	} 'it to run', 60;
}

# The lines that a consumer finds after the loss.  One that the loss has damaged is
# none; behind it there may be whole ones that were not acknowledged either, or,
# where a sync had failed, what was printed again for that.  With a damaged line
# before the first event nothing says where the life began.
sub take_output {
	my ($life) = @_;
	my @lines = grep { !/^[^\0]*"op":"schema"[^\0]*\n\z/ } split /(?<=\n)/, slurp("$tree/$life->{out}");
	my @whole = grep { !/\0/ && /^\{.*\}\n\z/ } @lines;
	$life->{is_begin_known} = @whole && $whole[0] eq $lines[0];
	spew("$dir/$life->{out}", map { Leat::Ledger::timeless($_) } @whole);
	unlink "$_/$life->{out}" for $tree, $base;
	$life->{taken} = 1;
}

# False when it stopped for good: that is the end of the test.
sub live {
	my $at_start = rand() < 0.3;
	my $fault = rand() < 0.75 ? 'any:' . (1 + int rand($at_start ? 80 : 1200)) . ':' . (qw(kill late))[rand 2] : undef;
	$fault = join ',', $fault || (), 'sync:' . (1 + int rand 100) . ':EIO' if rand() < 0.15;
	my $process = begin($fault);
	my $end = time + ($fault && $fault =~ /any/ ? 4 : 0.05 + rand 1.2);
	sleep 0.01 until defined $process->status || time > $end;
	$process->kill9 unless defined $process->status;
	$count{kills}++;
	return 1 if $process->status == -9;
	fail('it never stops for good');
	diag "status ${\ $process->status}, after $count{losses} losses:\n" . $process->err;
	return 0;
}

sub cut {
	my ($rc, $out, $err) = run_command("$BUILDDIR/t/power_cut", $tree, $base, $journal, int rand 1e9);
	die "power_cut: $err" if $rc != 0;
	my ($files, undef, $lost) = split ' ', $out;
	$count{losses}++;
	$count{files} += $files;
	$count{lost} += $lost;
	take_output($_) for grep { !$_->{taken} } @lives;
}

sub await_marker {
	my ($process, $marker) = @_;
	poll_until {
		die 'it ended: ' . $process->err unless $process->is_running;
		my $out = slurp("$tree/$lives[-1]{out}");
		$out =~ /\Q$marker\E/ && 2 == grep {
			my (undef, $text) = run_leat('log', 'cat', '-c', $conf, $_);
			$text =~ /\Q$marker\E/
		} qw(one two)
	} 'the end to arrive', 120;
}

# Each line is one of the stream, none is left out, and no life begins behind the end
# of those before.
sub check_output {
	my ($events) = @_;
	my @all = grep { !/"op":"schema"/ } map { Leat::Ledger::timeless($_) } split /(?<=\n)/, slurp($events);
	my %at = map { $all[$_] => $_ } 0 .. $#all;
	my ($reached, $repeated) = (0, 0);
	for my $life (@lives) {
		my $n = 0;
		for (split /(?<=\n)/, slurp("$dir/$life->{out}")) {
			my $at = $at{$_};
			return "$life->{out} has what is not in the log: $_" unless defined $at;
			return "$life->{out} begins at event $at, $reached had come"
				if $n++ == 0 && $at > $reached && $life->{is_begin_known};
			$repeated++ if $at < $reached;
			$reached++ if $at == $reached;
		}
	}
	note "$repeated events were printed again";
	return $reached == @all ? '' : "$reached of ${\ scalar @all} events were seen";
}

sub cat {
	my ($log) = @_;
	my $p = start_leat({ name => 'cat', out => "$dir/$log.events" }, 'log', 'cat', '-c', $conf, $log);
	is($p->wait(120), 0, "log $log can be read") or diag $p->err;
	return "$dir/$log.events";
}

# --- the losses

my $ledger = Leat::Ledger->new(source => 'shop', tables => \%Leat::Load::tables);
my $from = $pg->value('SELECT pg_current_wal_lsn()');
my $first = begin();
await_running($first);	# from here on both pipelines of Postgres count alike
my $load = Leat::Load->start($pg, seed => $seed, pause => 0.03);
$first->kill9;
while ($count{losses} < $losses) {
	if (!live()) {
		$load->stop;
		done_testing;
		exit;
	}
	if (rand() < 0.2) { $count{alone}++ } else { cut() }
}
my $report = $load->stop;
$pg->query("SELECT ledger.say('end', 'the end')");
my $last = begin();
await_marker($last, '"content":"' . encode_base64('the end', '') . '"');
is($last->stop('TERM', 60), 0, 'it ends cleanly') or diag $last->err;
take_output($_) for grep { !$_->{taken} } @lives;

# --- what is right

for my $log (qw(one two)) {
	my ($rc, undef, $err) = run_leat('log', 'verify', '-c', $conf, $log);
	is($rc, 0, "log $log is sound") or diag $err;
}
my $events = cat('one');
read_history($ledger, $pg);
read_wal($ledger, $pg, $from);
open my $lines, '<', $events or die "$events: $!";
my @wrong = $ledger->check($lines, final_rows($pg));
is(scalar @wrong, 0, 'the log holds what the database did, each change once, in order')
	or diag join "\n", @wrong;
is(is_same_stream($events, cat('two')), '', 'the log behind it has the same');
is(check_output($events), '', 'standard output has all, and again only what was not acknowledged');
cmp_ok($count{lost}, '>', $count{losses}, 'the losses took something');
note sprintf 'seed %s: %d losses of power (%d kills, %d of them without a loss), %d files with ' .
	'unsynced operations, of which %d were lost; %d transactions, %d events', $seed,
	@count{qw(losses kills alone files lost)}, $ledger->transactions, $ledger->count;

done_testing;
