# A pipeline takes over from Debezium in the middle of a load, without a snapshot:
# no change is lost, none comes twice, each key stays in its partition and in order.
#
# Debezium is a real one, in Kafka Connect with exactly-once on.  The long form also has
# one without, that is killed.
#
# No timing decides: the load runs until both have written.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Debezium;
use Leat::Rig;
use JSON::PP;

Leat::Postgres->need;
Leat::Debezium->need;
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new;
my $json = JSON::PP->new->canonical;

$pg->query(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v int, w text);
CREATE TABLE u (id int PRIMARY KEY, v int);
INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, 50) i;
CREATE TABLE ticks (n int);
SQL

# Transactions of many sizes, several at once, until told to end; v of a row counts
# its changes.
my $load = <<'SQL';
DO $$
DECLARE
	n int;
	k int;
BEGIN
	FOR n IN 1 .. 100000 LOOP
		EXIT WHEN EXISTS (SELECT FROM ticks);
		FOR k IN 1 .. CASE WHEN n % 50 = 0 THEN 400 ELSE 1 + n % 4 END LOOP
			UPDATE t SET v = v + 1 WHERE id = SESSION + 4 * (random() * 11)::int;
			INSERT INTO u VALUES (SESSION + 4 * (n * 1000 + k), 1);
		END LOOP;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SQL

sub start_load {
	return map {
		start_command({ name => "load$_" }, Leat::Postgres::bindir() . '/psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1',
			'-d', $pg->conninfo, '-c', $load =~ s/SESSION/$_/gr)
	} 1 .. 4;
}

sub end_load {
	$pg->query('INSERT INTO ticks VALUES (1)');
	for (@_) {
		die 'the load failed: ' . $_->err if $_->wait(120);
	}
}

sub start_debezium {
	my ($name, %opt) = @_;
	my $connect = Leat::Debezium->new($kafka, $name, %opt)->start;
	return $connect->create($name, $pg, 'table.include.list' => 'public.t,public.u', 'topic.prefix' => $name,
		'max.batch.size' => 64, 'max.queue.size' => 256, 'poll.interval.ms' => 20,
		'topic.creation.default.replication.factor' => 1, 'topic.creation.default.partitions' => 3);
}

# Ends the worker and returns what it keeps as its place, as Kafka Connect prints it.
sub stop_debezium {
	my ($connect, $name) = @_;
	$connect->stop_connector($name);
	my $offset;
	poll_until { $offset = $connect->offset($name) } 'the offset';
	$connect->stop;
	return $json->encode({ offsets => [{ partition => { server => $name }, offset => $offset }] });
}

# The changes of a topic: [partition, key, id, v], without tombstones; by their text,
# because JSON::PP takes its time.
sub changes {
	my ($topic) = @_;
	return map { [@$_{qw(partition key)}, $_->{value} =~ /"after":\{"id":(\d+),"v":(\d+)/] }
		grep { defined $_->{value} } $kafka->records($topic);
}

# How many there are, of all or of leat's.
sub count {
	my ($topic, $pattern) = @_;
	return 0 unless $kafka->topics->{$topic};
	return scalar grep { defined $_->{value} && (!$pattern || $_->{value} =~ $pattern) } $kafka->records($topic);
}

# What the database holds is what the topics add up to; each change is there once.
sub topics_are_right {
	my ($name) = @_;
	my (%v, %partition, @bad);
	for (changes("$name.public.t")) {
		my ($partition, $key, $id, $now) = @$_;
		push @bad, "row $id: $v{$id}, then $now" if exists $v{$id} && $now != $v{$id} + 1;
		$v{$id} = $now;
		push @bad, "$key is in two partitions" if $partition != ($partition{$key} //= $partition);
	}
	my $want = join ' ', map { join '=', @$_ } $pg->rows('SELECT id, v FROM t ORDER BY id');
	is(join(' ', map { "$_=$v{$_}" } sort { $a <=> $b } keys %v), $want, 'the last change of each row is there');
	my %seen;
	$seen{$_->[2]}++ for changes("$name.public.u");
	my @want = map { $_->[0] } $pg->rows('SELECT id FROM u');
	push @bad, map { "row $_ of u came $seen{$_} times" } grep { $seen{$_} > 1 } keys %seen;
	push @bad, map { "row $_ of u is missing" } grep { !$seen{$_} } @want;
	splice @bad, 20;
	is(join("\n", @bad), '', 'no change is missing, none comes twice, keys keep partition and order');
}

sub rig {
	my ($name) = @_;
	return Leat::Rig->new($pg, "leat_$name", type => 'kafka', database => 'postgres', sql => '',
		sink => 'brokers = "' . $kafka->bootstrap . "\"\ntopic = \"$name.{schema}.{table}\"\npartitions = 3",
		tables => ['public.t', 'public.u'], source => "publication = $name");
}

scenario 'exactly once' => sub {
	my $connect = start_debezium('exact');
	$connect->await_task('exact');
	my @load = start_load();
	poll_until { count('exact.public.u') > 500 } 'Debezium to write';
	my $offset = stop_debezium($connect, 'exact');
	diag $offset if $ENV{LEAT_TEST_KEEP};
	my $rig = rig('exact');
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'leat_exact', $offset, '--adopt', 'exact');
	is($rc, 0, 'the place of Debezium is taken') or diag $err;
	like($out, qr/taken=\d+,/, 'to the change') or diag $out;
	$rig->start->await_running;
	poll_until { count('exact.public.u', qr/"leat":/) > 0 } 'the pipeline to write';
	end_load(@load);
	my $n = $pg->value('SELECT count(*) FROM u');
	$rig->await(sub { count('exact.public.u') >= $n }, 'everything');
	$rig->await_acked;
	topics_are_right('exact');
	is($rig->stop, 0, 'the agent ends cleanly');
	is($pg->slot('exact')->{active}, 'f', 'the slot of Debezium is still there, to be dropped');
};

# What is stored of its place lags behind what was written.
scenario 'a connector that was killed' => sub {
	plan skip_all => 'the long form' unless is_long();
	$pg->query('TRUNCATE u, ticks');
	my $connect = start_debezium('killed', exactly_once => 0);
	$connect->await_task('killed');
	my @load = start_load();
	poll_until { count('killed.public.u') > 500 } 'Debezium to write';
	$connect->stop_connector('killed')->resume_connector('killed');	# stores an offset
	my $n = count('killed.public.u');
	poll_until { count('killed.public.u') > $n + 200 } 'Debezium to write more';
	$connect->kill9;
	my ($offset) = map { $_->{value} } (grep { $_->{key} =~ /killed/ } $kafka->records('connect-killed-offset'))[-1];
	my $rig = rig('killed');
	poll_until { ($pg->slot('killed') || {})->{active} eq 'f' } 'the server to notice';
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'leat_killed', $offset, '--adopt', 'killed');
	is($rc, 0, 'the offset as it is is taken') or diag $err;
	$rig->start->await_running;
	end_load(@load);
	my @want = map { $_->[0] } $pg->rows('SELECT id FROM u');
	my %seen;
	$rig->await(sub {
		%seen = ();
		push @{ $seen{$_->{value} =~ /"after":\{"id":(\d+)/ ? $1 : 0} }, $_->{value} =~ /"txId":(\d+),"lsn":(\d+)/
			? "$1 $2" : $_->{value} for $kafka->records('killed.public.u');
		!grep { !$seen{$_} } @want
	}, 'everything');
	ok(1, 'nothing is lost');
	my @twice = grep { @$_ > 1 } values %seen;
	cmp_ok(scalar @twice, '>', 0, 'what was written behind it comes again');
	is(scalar(grep { $_->[0] ne $_->[1] } @twice), 0, 'with the same transaction and LSN');
	is($rig->stop, 0, 'the agent ends cleanly');
};

$kafka->stop;
done_testing;
