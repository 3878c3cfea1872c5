# Every allocation of a whole agent fails once, from its start over a change of
# a table's shape to its stop, and every one of the commands: it goes on, or ends
# and says why.  Afterwards nothing is lost or repeated.
use Leat::Test;
use Leat::Memory;
use Leat::Postgres;
use Leat::Rig;

Leat::Memory->need;
Leat::Postgres->need;
my $pg = Leat::Postgres->new;
my $rig = Leat::Rig->new($pg, 'memory', pipeline => 'exit_on_stop = yes');
my $rows = 0;

# Ended by itself, it has an exit status of its own and has said something.
sub ended_well {
	my ($who, $what) = @_;
	my $status = $who->agent->status;
	return 1 if $status >= 0 && $status <= 10 && $who->said =~ /memory|allocat/i;
	fail("$what: the agent ended with $status");
	diag $who->said;
	return 0;
}

# A start, a change of the shape between two rows, a stop.
sub cycle {
	my ($env, $what) = @_;
	my $width = 100 + $rows;
	$rig->start({ env => $env });
	$rig->insert(++$rows);
	$rig->query("ALTER TABLE t ALTER v TYPE varchar($width)");
	$rig->insert(++$rows);
	my $again = 0;
	poll_until {
		if (!$rig->agent->is_running) {
			return 1 if $again++ || !ended_well($rig, $what);
			$rig->start;
		}
		$rig->ids >= $rows
	} "row $rows with $what";
	my $status = $rig->stop;
	return if $status == 0;
	ended_well($rig, $what);
	$rig->start->await_running;
	$rig->stop;
}

$rig->start->await_running;
$rig->stop;
for my $own (1, 0) {
	scenario($own ? 'allocations of our own' : 'allocations of any library' => sub {
		my $memory = Leat::Memory->new(own => $own);
		cycle($memory->env(0), 'all memory');
		my $all = $memory->count;
		cmp_ok($all, '>', $own ? 100 : 1000, 'they are counted');
		note "$all allocations";
		cycle($memory->env($_), "no memory for allocation $_") for Leat::Memory::places($all, 12);
		is(join(' ', $rig->ids), join(' ', 1 .. $rows), 'every row is there once');
		$rig->is_sound;
	});
}

# --- the first start, which makes slot and publication

scenario 'a first start' => sub {
	my $new = Leat::Rig->new($pg, 'first', type => 'null', pipeline => 'exit_on_stop = yes');
	my $memory = Leat::Memory->new;
	my $start = sub {
		my ($env, $what) = @_;
		$new->start({ env => $env });
		for my $again (0, 1) {
			poll_until { !$new->agent->is_running || $new->said =~ /: running code=started/ } "a start with $what";
			last if $new->agent->is_running;
			return if $again || !ended_well($new, $what);
			$new->start;
		}
		ok($new->slot, "$what: the slot is there") unless $new->slot;
		my $status = $new->stop;
		ended_well($new, $what) if $status != 0;
		my ($rc, $out, $err) = $new->leat('drop', 'first', '--yes');
		is($rc, 0, "$what: it can be dropped") or diag $err if $rc != 0;
	};
	$start->($memory->env(0), 'all memory');
	my $all = $memory->count;
	cmp_ok($all, '>', 1000, 'allocations are counted');
	$start->($memory->env($_), "no memory for allocation $_") for Leat::Memory::places($all, 12);
	ok(!$new->slot, 'nothing is left behind');
};

# --- commands

sub answers {
	my ($memory, $nth, @words) = @_;
	my $opt = { env => $memory->env($nth), timeout => 60 };
	my ($command, @rest) = @words;
	return run_leat($opt, $command, '-c', $rig->conf, @rest);
}

for my $words (['version'], ['check', '-n'], ['check'], ['check', '--json'], ['status'], ['status', '--json'], ['offsets', 'show'],
	['schema', 'list'],
	['schema', 'show', 'memory', 'public.t'], ['log', 'stat', 'memory_log'], ['log', 'verify', 'memory_log'],
	['log', 'cat', 'memory_log']) {
	scenario("leat @$words" => sub {
		my $memory = Leat::Memory->new;
		my ($rc, $out, $err) = answers($memory, 0, @$words);
		is($rc, 0, 'works with all memory') or diag $err;
		my ($all, @bad) = ($memory->count);
		note "$all allocations";
		for my $nth (Leat::Memory::places($all, 20)) {
			# jansson cannot tell what it lacked
			my $told = $words->[0] eq 'status' ? qr/memory|allocat|is not JSON/ : qr/memory|allocat/;
			my ($status, $said, $why) = answers($memory, $nth, @$words);
			# numbers of a server that lives
			next if $status == 0 && $said =~ s/\d+/0/gr eq $out =~ s/\d+/0/gr;
			push @bad, "$nth: $status, $said$why"
				unless $status >= 0 && $status <= 10 && "$said$why" =~ $told;
		}
		is(join('', @bad), '', 'without some it does, or says why not');
	});
}

done_testing;
