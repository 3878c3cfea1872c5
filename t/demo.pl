# ./dev demo: changes of a throw-away Postgres arrive in leat's own log.
#
# Everything shown is what the commands print; events after the first are
# shortened to one line each.  The end of the demo is checked as well: a change
# that is lost or comes twice makes it fail.
use Leat::Test;
use Leat::Postgres;

my ($conf, $tail, $seen) = ('', undef, 0);
my @arrived;	# every event that `leat log tail` has printed

sub step { print "\n\e[1m$_[0]\e[0m\n" }
sub indent { my ($text) = @_; $text =~ s/^/    /mg; $text =~ s/\s*\z/\n/; print $text }

sub sql {
	my ($pg, $text) = @_;
	indent("postgres=# $_") for split /\n/, $text;
	$pg->query($text);
}

# The events that are new in the output of the tail, complete lines only.
sub new_events {
	my $text = $tail->out;
	my $end = rindex($text, "\n") + 1;
	return if $end <= $seen;
	my @new = json_lines(substr $text, $seen, $end - $seen);
	push @arrived, @new;
	$seen = $end;
	return @new;
}

sub short {
	my ($ev) = @_;
	my $json = JSON::PP->new->canonical;
	my %op = (c => 'insert', u => 'update', d => 'delete', t => 'truncate', r => 'read', m => 'message');
	my $s = $ev->{source};
	my $text = $op{ $ev->{op} || '' } || 'schema';
	$text .= " $s->{schema}.$s->{table}" if defined $s->{table};
	$text .= '  before ' . $json->encode($ev->{before}) if $ev->{before};
	$text .= '  after ' . $json->encode($ev->{after}) if $ev->{after};
	$text .= "  version $ev->{leat}{schema}{version}"
		if $text =~ /^schema/ && $ev->{leat}{schema}{version};
	return '<- ' . (defined $ev->{leat}{seq} ? "seq $ev->{leat}{seq}  " : '') . $text;
}

# Shows what arrives until `n` row events more are there.
sub arrive {
	my ($n, $verbose) = @_;
	my $rows = 0;
	poll_until {
		for my $ev (new_events()) {
			$rows++ if ($ev->{op} || '') =~ /^[cudt]$/;
			indent(short($ev));
			indent(JSON::PP->new->canonical->pretty->encode($ev)) if $verbose && $rows == 1;
		}
		$rows >= $n;
	} "$n events", 60;
}

sub show {
	my (@words) = @_;
	my ($rc, $out, $err) = run_leat(@words);
	s/\Q$conf\E/leat.conf/ for @words;
	indent("\$ leat @words\n$out$err");
	die "leat @words: exit status $rc\n" if $rc;
	return $out;
}

sub start_agent {
	my $p = start_leat({ name => 'run' }, 'run', '-c', $conf);
	indent("\$ leat run -c leat.conf    (process " . $p->pid . ')');
	poll_until {
		die "leat run ended:\n" . $p->err if !$p->is_running;
		my ($rc, $out) = run_leat('status', '-c', $conf, '--json');
		$rc == 0 && $out =~ /"state"\s*:\s*"running"/;
	} 'the pipeline', 60;
	return $p;
}

step('A throw-away Postgres on 127.0.0.1, and a table');
my $pg = Leat::Postgres->new;
sql($pg, 'CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, balance numeric(12,2) DEFAULT 0)');

step('The conf');
my $dir = tmpdir();
$conf = write_conf(<<TXT);
state_dir = "$dir/state"

source shop {
	type = postgres
	conninfo = "${\ $pg->conninfo}"
	tables = { "public.*" }
}

log shop_log { path = "$dir/log" }

pipeline shop {
	source = shop
	sink = shop_log
	initial = stream_only
}
TXT
indent(slurp($conf));

step('What leat finds on the server');
show('check', '-c', $conf);

step('The agent runs; in a process of its own, `leat log tail` reads what it commits');
my $agent = start_agent();
indent('$ leat log tail -c leat.conf --from earliest shop_log');
$tail = start_leat({ name => 'tail' }, 'log', 'tail', '-c', $conf,
	'--from', 'earliest', 'shop_log');

step('Inserts: the first event whole, then one line each');
sql($pg, "INSERT INTO users VALUES (1, 'Ada', 100)");
arrive(1, 1);
sql($pg, "INSERT INTO users VALUES (2, 'Grace', 250.50), (3, 'Edsger', 0)");
arrive(2);

step('Update and delete');
sql($pg, "UPDATE users SET balance = balance + 50 WHERE id = 1");
arrive(1);
sql($pg, 'DELETE FROM users WHERE id = 3');
arrive(1);

step('A transaction that is rolled back: nothing arrives; the commit behind it does');
sql($pg, "BEGIN;\nINSERT INTO users VALUES (666, 'Nobody', 1);\nROLLBACK");
sql($pg, "BEGIN;\nUPDATE users SET balance = balance - 10 WHERE id = 1;\n" .
	"UPDATE users SET balance = balance + 10 WHERE id = 2;\nCOMMIT");
arrive(2);

step('ALTER TABLE: the next row brings a new version of the table');
sql($pg, 'ALTER TABLE users ADD COLUMN email text');
sql($pg, "INSERT INTO users VALUES (4, 'Barbara', 1.00, 'barbara\@example.com')");
arrive(1);
show('schema', 'list', '-c', $conf, 'shop');

step('kill -9 of the agent, a change while it is away, and a new start');
$agent->kill9;
indent('$ kill -9 ' . $agent->pid);
sql($pg, "UPDATE users SET name = 'Barbara L.' WHERE id = 4");
$agent = start_agent();
arrive(1);

step('Where everything stands');
show('status', '-c', $conf);
show('log', 'stat', '-c', $conf, 'shop_log');

step('Clean stop');
my $rc = $agent->stop;
indent("leat run ended with status $rc");
$tail->stop;
show('log', 'verify', '-c', $conf, 'shop_log');

my @rows = grep { ($_->{op} || '') =~ /^[cud]$/ } @arrived, new_events();
my (%ids, $last);
my $faults = $rc == 0 ? '' : "the agent ended with status $rc\n";
for my $ev (@rows) {
	$faults .= "twice: $ev->{leat}{id}\n" if $ids{ $ev->{leat}{id} }++;
	$faults .= "out of order: $ev->{leat}{seq}\n" if defined $last && $ev->{leat}{seq} <= $last;
	$last = $ev->{leat}{seq};
}
$faults .= 'events: ' . @rows . ", not 9\n" if @rows != 9;
$faults .= "a rolled-back row arrived\n" if grep { $_->{after} && $_->{after}{id} == 666 } @rows;
$pg->stop;
die "the demo went wrong:\n$faults" if $faults;
step('9 changes, 9 events, in order, none twice; everything is cleaned up');
