# Leat::Letters: a pipeline that is killed again and again while some of its events
# cannot be taken, and what must be true of it then.
#
#	my $rig = Leat::Letters->new($pg, 'name', sink => sub { text of a section "out" });
#	$rig->work(20);				# transactions
#	$rig->at_point('dead_letter_stored', 2);	# killed there, or after a while
#	my @wrong = $rig->check(@delivered);	# { id, seq, key }, as they were delivered
#
# A second pipeline that is never killed takes everything; what it has is the truth.
# The sink's section is made anew for each start: sink->($is_lenient).
package Leat::Letters;
use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(sleep time);

use Leat::Test ();

use constant { KEYS => 40, SIZE => 32 * 1000, REACH => 8 };

my $rows = 1000;
my $json = JSON::PP->new->utf8;

sub new {
	my ($class, $pg, $name, %opt) = @_;
	my $self = bless { pg => $pg, name => $name, dir => Leat::Test::tmpdir($name), sink => $opt{sink},
		ordered => $opt{ordered}, hits => {}, count => { kills => 0, retries => 0 } }, $class;
	$pg->query("CREATE DATABASE $name");
	$self->{session} = $pg->session(dbname => $name);
	$self->{session}->query('CREATE TABLE t (id int PRIMARY KEY, v text, n int)');
	$self->{$_} = Leat::Test::tmpdir("$name.$_") for qw(agent truth);
	$self->{reference} = $self->begin('truth', "log out { path = \"$self->{truth}/log\" }");
	return $self;
}

# The conf of one of the two; the name of the source is a part of ids.
sub conf {
	my ($self, $which, $sink) = @_;
	my $conninfo = $self->{pg}->conninfo(dbname => $self->{name});
	return Leat::Test::spew("$self->{$which}/leat.conf", <<"CONF");
state_dir = "$self->{$which}/state"
source shop { type = postgres  conninfo = "$conninfo"  tables = { "public.t" } }
$sink
pipeline ${which}_$self->{name} {
source = shop
sink = out
initial = stream_only
on_reject = dead_letter
exit_on_stop = yes
}
CONF
}

sub pipeline { return "$_[1]_$_[0]{name}" }

sub begin {
	my ($self, $which, $sink, $fault) = @_;
	my $conf = $self->conf($which, $sink);
	my $p = Leat::Test::start_leat({ name => "$self->{name}.$which", env => { LEAT_FAULT => $fault,
		LEAT_MUTATE => $which eq 'agent' ? $ENV{LEAT_LETTERS_MUTATE} : undef } }, 'run', '-c', $conf);
	return $p if $fault;
	Leat::Test::poll_until { $p->err =~ /running code=started/ || !$p->is_running } "$which to run", 120;
	return $p;
}

sub start {
	my ($self, $is_lenient, $fault) = @_;
	$self->{is_lenient} = $is_lenient;
	return $self->{process} = $self->begin('agent', $self->{sink}->($is_lenient), $fault);
}

# --- what happens

sub value { return $_[0] || rand() < 0.3 ? "repeat(md5(random()::text), " . SIZE / 32 . ')' : "'v'" }

sub statement {
	my $id = 1 + int rand KEYS;
	my $kind = rand;
	# whose letter can be delivered for long
	return 'INSERT INTO t VALUES (' . ++$rows . ', ' . value(1) . ', 0)' if $kind < 0.06;
	return "INSERT INTO t VALUES ($id, " . value() . ", 0) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = t.n + 1"
		if $kind < 0.45;
	return "UPDATE t SET v = " . value() . ", n = n + 1 WHERE id = $id" if $kind < 0.75;
	return "DELETE FROM t WHERE id = $id" if $kind < 0.85;
	my $to = 1 + int rand KEYS;
	return "UPDATE t SET id = $to WHERE id = $id AND NOT EXISTS (SELECT 1 FROM t WHERE id = $to)" if $kind < 0.997;
	return "TRUNCATE t";
}

sub work {
	my ($self, $n) = @_;
	for (1 .. $n) {
		$self->{session}->query(join ";\n", 'BEGIN', (map { statement() } 0 .. rand 4), 'COMMIT');
	}
}

sub kill9 {
	my ($self) = @_;
	my $p = $self->{process};
	my $status = $p->status;
	die "the agent ended with $status: " . $p->err if defined $status && $status != -9;
	$p->kill9;
	$self->{count}{kills}++;
	$self->{retry}->kill9 if $self->{retry} && $self->{retry}->is_running;
	delete $self->{retry};
}

# Work goes on until the agent dies at its point, or for a while.
sub at_point {
	my ($self, $point, $n, %opt) = @_;
	$self->make_letters if $opt{lenient};
	$self->start($opt{lenient}, "$point:$n");
	my $begun = time;
	while (time < $begun + REACH * ($opt{lenient} ? 4 : 1) && $self->{process}->is_running) {
		$self->retry if $opt{lenient} && !($self->{retry} && $self->{retry}->is_running);
		# which comes behind them
		$self->work(1) if !$opt{lenient} || time > $begun + REACH / 2;
		sleep 0.05;
	}
	$self->{hits}{$point}++ unless $self->{process}->is_running;
	$self->kill9;
}

# Some that can be delivered, and nothing behind them.
sub make_letters {
	my ($self) = @_;
	$self->start(0);
	my @ids = map { ++$rows } 1 .. 3;
	$self->{session}->query("INSERT INTO t VALUES ($_, " . value(1) . ', 0)') for @ids;
	my $keys = join '|', map { "\\{\"id\":$_\\}" } @ids;
	Leat::Test::poll_until {
		3 == grep { $_->{state} eq 'dead' && $_->{key} =~ /^(?:$keys)$/ } $self->letters
	} 'dead letters', 60;
	$self->kill9;
}

sub at_random {
	my ($self, %opt) = @_;
	$self->start($opt{lenient});
	my $end = time + rand 1.5;
	$self->retry if $opt{lenient};
	while (time < $end) { $self->work(2) }
	$self->kill9;
}

sub retry {
	my ($self) = @_;
	$self->{count}{retries}++;
	$self->{retry} = Leat::Test::start_leat({ name => "$self->{name}.retry" }, 'dlq', 'retry', '-c', "$self->{agent}/leat.conf",
		$self->pipeline('agent'), '--all');
}

# Everything that can be delivered is.
sub finish {
	my ($self) = @_;
	$self->{session}->query("INSERT INTO t VALUES (0, 'end', 0)");
	my $p = $self->start(1);
	Leat::Test::poll_until {
		die 'the agent ended: ' . $p->err unless $p->is_running;
		$self->is_caught_up
	} 'the end', 120;
	Leat::Test::run_leat('dlq', 'retry', '-c', "$self->{agent}/leat.conf", $self->pipeline('agent'), '--all');
	my $rc = $p->stop('TERM', 60);
	$self->{reference}->stop('TERM', 60);
	return $rc;
}

sub is_caught_up {
	my ($self) = @_;
	my $lsn = $self->{lsn} ||= $self->{pg}->value('SELECT pg_current_wal_flush_lsn()');
	return $self->{pg}->value("SELECT count(*) FROM pg_replication_slots WHERE slot_name IN
		('leat_agent_$self->{name}', 'leat_truth_$self->{name}') AND confirmed_flush_lsn >= '$lsn'") == 2;
}

# --- what is true

# Rows and truncations of lines as `leat log cat` prints them.
sub events_of {
	my (@lines) = @_;
	my @events;
	for (@lines) {
		my ($op) = /"op":"(\w+)"/;
		next unless $op =~ /^[cudt]$/;
		my ($id, $seq) = /"leat":\{"id":"([^"]+)","seq":(\d+)/ or die "no id: " . substr $_, 0, 200;
		my %keys;
		$keys{$_} = 1 for /"(?:before|after)":\{"id":(\d+)/g;
		push @events, { op => $op, id => $id =~ s{/[di]$}{}r, seq => $seq, keys => \%keys };
	}
	return @events;
}

sub truth {
	my ($self) = @_;
	my ($rc, $out, $err) = Leat::Test::run_leat('log', 'cat', '-c', "$self->{truth}/leat.conf", 'out');
	die $err if $rc;
	my (%truth, $n);
	for my $e (events_of(split /\n/, $out)) {
		my $known = $truth{$e->{id}} ||= { id => $e->{id}, n => ++$n, op => $e->{op}, keys => {}, records => 0 };
		$known->{records}++;
		$known->{keys}{$_} = 1 for keys %{ $e->{keys} };
	}
	return \%truth;
}

sub letters {
	my ($self) = @_;
	my ($rc, $out, $err) = Leat::Test::run_leat('dlq', 'list', '-c', "$self->{agent}/leat.conf", '--json', $self->pipeline('agent'));
	die $err if $rc;
	return @{ $json->decode($out) };
}

sub share_key {
	my ($a, $b) = @_;
	return 1 if $a->{op} eq 't' || $b->{op} eq 't';
	return scalar grep { $b->{keys}{$_} } keys %{ $a->{keys} };
}

# delivered: lines as they lie there, each key's in order.
sub check {
	my ($self, @lines) = @_;
	my ($truth, @wrong, %records, %last) = ($self->truth);
	my @delivered = events_of(@lines);
	for my $e (@delivered) {
		my $known = $truth->{$e->{id}} or push(@wrong, "$e->{id} never happened"), next;
		$records{$e->{id}}++;
		# what lies in one place after what; a sink that is not in order as a whole
		# has truncations elsewhere
		next if $e->{op} eq 't' && !$self->{ordered};
		for my $key ($e->{op} eq 't' ? 1 .. KEYS : keys %{ $e->{keys} }) {
			push @wrong, "$e->{id}, key $key: number $known->{n} after $last{$key}"
				if defined $last{$key} && $known->{n} < $last{$key};
			$last{$key} = $known->{n};
		}
	}
	my %kept;
	for my $l ($self->letters) {
		push @wrong, "letter $l->{id} is there twice" if $kept{$l->{id}}++;
		my $known = $truth->{$l->{id}} or push(@wrong, "letter $l->{id} never happened"), next;
		push @wrong, "letter $l->{id} is $l->{state} in the end", next if $l->{state} ne 'superseded';
		my $by = $truth->{$l->{superseded_by}} or push(@wrong, "letter $l->{id} is superseded by $l->{superseded_by}"), next;
		push @wrong, "letter $l->{id} is superseded by $by->{id}, which is not later" if $by->{n} < $known->{n};
		push @wrong, "letter $l->{id} is superseded by $by->{id}, which was not delivered" unless $records{$by->{id}};
		push @wrong, "letter $l->{id} is superseded by $by->{id} of another key"
			unless $self->{ordered} || share_key($known, $by);
	}
	for my $e (values %$truth) {
		my $n = $records{$e->{id}} || 0;
		push @wrong, "$e->{id} is delivered and kept" if $n && $kept{$e->{id}};
		push @wrong, "$e->{id} is lost" if !$n && !$kept{$e->{id}};
		push @wrong, "$e->{id} has $n records, not $e->{records}" if $n && $n != $e->{records};
	}
	$self->{count}{events} = keys %$truth;
	$self->{count}{letters} = keys %kept;
	return @wrong;
}

1;
