# ./dev demo kafka: changes of a throw-away Postgres arrive in the topics of a
# throw-away Kafka, where kcat reads them.
#
# The end of the demo is checked as well: a change that is lost or comes twice makes
# it fail.
use Leat::Test;
use Leat::Kafka;
use Leat::Postgres;
use JSON::PP;

sub step { print "\n\e[1m$_[0]\e[0m\n" }
sub indent { my ($text) = @_; $text =~ s/^/    /mg; $text =~ s/\s*\z/\n/; print $text }

my ($pg, $kafka, $conf, %seen);
my $json = JSON::PP->new->canonical;

sub sql {
	my ($text) = @_;
	indent("postgres=# $_") for split /\n/, $text;
	$pg->query($text);
}

sub short {
	my ($r) = @_;
	return "$r->{key}  (nothing: a tombstone)" unless defined $r->{value};
	my $v = $json->decode($r->{value});
	return "$r->{key}  $v->{status}" . (defined $v->{event_count} ? ", $v->{event_count} records" : '')
		if $v->{status};
	return join '  ', $r->{key} // '-', $v->{op}, map { ref $v->{$_} ? "$_ " . $json->encode($v->{$_}) : () }
		qw(before after);
}

# Waits for n more records of a topic, and shows them.
sub arrive {
	my ($topic, $n, $verbose) = @_;
	my @new;
	poll_until {
		my @all = $kafka->topics->{$topic} ? $kafka->records($topic) : ();
		@new = grep { !$seen{"$topic $_->{partition} $_->{offset}"} } @all;
		@new >= $n;
	} "$n records in $topic", 120;
	indent("\$ kcat -b BROKERS -C -t $topic -X isolation.level=read_committed");
	for my $r (@new) {
		$seen{"$topic $r->{partition} $r->{offset}"} = $r;
		indent("<- $topic\[$r->{partition}]  " . short($r));
	}
	indent(JSON::PP->new->canonical->pretty->encode($json->decode($new[0]{value}))) if $verbose;
}

sub start_agent {
	my $p = start_leat({ name => 'run' }, 'run', '-c', $conf);
	indent("\$ leat run -c leat.conf    (process " . $p->pid . ')');
	poll_until {
		die "leat run ended:\n" . $p->err if !$p->is_running;
		$p->err =~ /running code=started/;
	} 'the pipeline', 120;
	return $p;
}

step('A throw-away Postgres and a throw-away Kafka ' . Leat::Kafka::version() . ' on 127.0.0.1');
$pg = Leat::Postgres->new;
$kafka = Leat::Kafka->new;
sql('CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, balance numeric(12,2) DEFAULT 0)');

step('The conf');
my $dir = tmpdir();
$conf = write_conf(<<TXT);
state_dir = "$dir/state"

source shop {
	type = postgres
	conninfo = "${\ $pg->conninfo}"
	tables = { "public.*" }
}

sink lake {
	type = kafka
	brokers = "${\ $kafka->bootstrap}"
	partitions = 2
	transaction_topic = "{source}.transaction"
}

pipeline shop {
	source = shop
	sink = lake
	initial = stream_only
}
TXT
indent(slurp($conf));
my ($rc, $out, $err) = run_leat('check', '-c', $conf);
die "leat check ended with $rc: $out$err" if $rc;
indent("\$ leat check -c leat.conf\n" . join '', grep { /sink/ } split /^/, $out);

step('The agent runs; what it commits is read by kcat, which knows nothing of leat');
my $agent = start_agent();
sql("INSERT INTO users VALUES (1, 'Ada', 100), (2, 'Ben', 50)");
arrive('shop.public.users', 2, 1);

step('One transaction: all of it is seen at once, or nothing');
sql("BEGIN;\nUPDATE users SET balance = balance - 30 WHERE id = 1;\nUPDATE users SET balance = balance + 30 WHERE id = 2;\nCOMMIT");
arrive('shop.public.users', 2);
arrive('shop.transaction', 4);

step('A transaction that is rolled back is not seen');
sql("BEGIN;\nINSERT INTO users VALUES (666, 'Nobody');\nROLLBACK");

step('The agent is killed, and its state thrown away; the topics say where to go on');
$agent->kill9;
system 'rm', '-rf', "$dir/state";
indent('$ kill -9 ' . $agent->pid . "; rm -rf state");
sql("DELETE FROM users WHERE id = 2;\nINSERT INTO users VALUES (3, 'Cai')");
$agent = start_agent();
arrive('shop.public.users', 3);

$rc = $agent->stop;
my (@rows, %ids);
for my $r (values %seen) {
	next if $r->{topic} ne 'shop.public.users' || !defined $r->{value};
	my $v = $json->decode($r->{value});
	push @rows, $v;
	$ids{ $v->{leat}{id} }++;
}
my $faults = $rc == 0 ? '' : "the agent ended with status $rc\n";
$faults .= 'records: ' . @rows . ", not 6\n" if @rows != 6;
$faults .= "one came twice\n" if keys %ids != @rows;
$faults .= "a rolled-back row arrived\n" if grep { $_->{after} && $_->{after}{id} == 666 } @rows;
$kafka->stop;
$pg->stop;
die "the demo went wrong:\n$faults" if $faults;
step('6 changes, 6 records and a tombstone, none twice; everything is cleaned up');
