# The records of Debezium, field by field: the same Postgres, the same statements,
# Debezium's own connector on one side and leat's Kafka sink on the other.
#
# What may differ stands in t/conformance.allowed with the reason.  Each pipeline
# has the modes of the connector of its name.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Debezium;
use Leat::Compare;
use Leat::Types;

Leat::Postgres->need;
Leat::Debezium->need;
binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;
my $pg = Leat::Postgres->new(conf => { max_replication_slots => 40, max_wal_senders => 40 });
my $kafka = Leat::Kafka->new;
$pg->query('CREATE DATABASE shop');

sub converter {
	my ($schemas) = @_;
	return map { ("$_.converter" => 'org.apache.kafka.connect.json.JsonConverter',
		"$_.converter.schemas.enable" => $schemas) } qw(key value);
}

# name => [tables beside those of everybody, the connector's settings, the sink's]
my %modes = (
	plain => [['far'], {}, 'schemas = yes'],
	bare => [['far'], { converter('false') },
		''],
	texts => [['far', 'nan', 'huge'], { 'decimal.handling.mode' => 'string', 'time.precision.mode' => 'isostring',
			'binary.handling.mode' => 'base64', 'interval.handling.mode' => 'string' },
		'schemas = yes  decimal = string  time = isostring  binary = base64  interval = string'],
	doubles => [['nan'], { 'decimal.handling.mode' => 'double', 'time.precision.mode' => 'connect',
			'binary.handling.mode' => 'hex', 'interval.handling.mode' => 'numeric' },
		'schemas = yes  decimal = double  time = connect  binary = hex  interval = numeric'],
	micros => [[], { 'time.precision.mode' => 'microseconds', 'binary.handling.mode' => 'base64-url-safe' },
		'schemas = yes  time = microseconds  binary = base64-url-safe'],
	nanos => [[], { 'time.precision.mode' => 'nanoseconds' }, 'schemas = yes  time = nanoseconds'],
	adaptive => [[], { 'time.precision.mode' => 'adaptive_time_microseconds' },
		'schemas = yes  time = adaptive_time_microseconds'],
);
my @names = grep { !$ENV{LEAT_TEST_ONLY} || $_ eq $ENV{LEAT_TEST_ONLY} } sort keys %modes;

# --- the tables: one of all types, and one for each thing that can happen

my @types = Leat::Types->all($pg->value('SHOW server_version_num'));
my %type_of;	# column of the table of all types => type
$type_of{"c_$_"} = $types[$_][1] for 0 .. $#types;

# Values that some modes cannot carry are in tables of their own.
sub table_for {
	my ($type, $literal) = @_;
	return 'nan' if $type =~ /^(?:numeric|float)/ && $literal =~ /NaN|Infinity|1e-16383/;
	return 'huge' if $literal =~ /178000000|294276/;
	return 'far' if $type =~ /^(?:date|time|interval)/ && $literal =~ /infinity|BC|\d{5}-/;
	return 'all_types';
}

# [type, literal]: what one of the two stops at.
my @left_out = (
	[qr/\[\]$/, qr/\[0:1\]|\{\{/],	# leat: is no list of one dimension
	[qr/^timetz/, qr/05:30:15/],	# Debezium: java.time has no seconds there
);

sub columns { return join ', ', map { "c_$_ $types[$_][1]" } 0 .. $#types }

# One row for each place in the lists of values.
sub inserts {
	my (%rows, @sql);
	for my $i (0 .. $#types) {
		my ($test, $type, $form, @values) = @{ $types[$i] };
		my %n;
		for (@values) {
			my $literal = Leat::Types->literal($_, $form);
			next if grep { $type =~ $_->[0] && $literal =~ $_->[1] } @left_out;
			my $table = table_for($type, $literal);
			$rows{$table}[$n{$table}++]{"c_$i"} = $literal;
		}
	}
	for my $table (sort keys %rows) {
		push @{ $rows{$table} }, {};	# of nulls
		for my $id (0 .. $#{ $rows{$table} }) {
			my $row = $rows{$table}[$id];
			my @names = sort keys %$row;
			push @sql, "INSERT INTO $table (" . join(', ', 'id', @names) . ') VALUES (' .
				join(', ', $id, @$row{@names}) . ');';
		}
	}
	return join "\n", @sql;
}

my $setup = Leat::Types->setup . <<"SQL";
CREATE TABLE all_types (id int PRIMARY KEY, ${\ columns()});
CREATE TABLE far (LIKE all_types INCLUDING ALL);
CREATE TABLE nan (LIKE all_types INCLUDING ALL);
CREATE TABLE huge (LIKE all_types INCLUDING ALL);
CREATE TABLE pair_key (a int, b text, v numeric(10,2) NOT NULL DEFAULT 7, w text, PRIMARY KEY (b, a));
CREATE TABLE whole (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 3, big text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE toast (id int PRIMARY KEY, small text, big text, bin bytea, js jsonb, list int[], words text[], num numeric);
ALTER TABLE toast ALTER big SET STORAGE EXTERNAL, ALTER bin SET STORAGE EXTERNAL, ALTER js SET STORAGE EXTERNAL,
	ALTER list SET STORAGE EXTERNAL, ALTER words SET STORAGE EXTERNAL, ALTER num SET STORAGE EXTERNAL;
CREATE TABLE by_index (a int NOT NULL, b text, v text);
CREATE UNIQUE INDEX by_index_a ON by_index (a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a;
CREATE TABLE keyless (a int, v text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE "Odd Name" ("Id no" int PRIMARY KEY, "gr\xc3\xb6\xc3\x9fe" text, "1st" text, "select" mood);
CREATE DOMAIN moment AS timestamp(3);
CREATE TABLE digits (id int PRIMARY KEY, z0 timestamptz(0), z3 timestamptz(3), tz3 timetz(3), t0 time(0),
	ts3 moment, ts0 timestamp(0), n numeric(5), m money, f float4);
CREATE TABLE warm_up (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE evolving (id int PRIMARY KEY, v text);
SQL

my $statements = <<'SQL';
INSERT INTO pair_key VALUES (1, 'x', 1.5, 'first'), (2, 'y', 2.5, NULL);
UPDATE pair_key SET w = 'second' WHERE a = 1;
UPDATE pair_key SET a = 3, w = 'moved' WHERE a = 1;
DELETE FROM pair_key WHERE a = 2;
INSERT INTO whole VALUES (1, 'a', 1, 'b'), (2, 'c', DEFAULT, repeat('z', 9000));
UPDATE whole SET v = 'd' WHERE id = 2;
UPDATE whole SET id = 5 WHERE id = 1;
DELETE FROM whole;
INSERT INTO toast VALUES (1, 's', repeat('x', 9000), decode(repeat('00ff', 5000), 'hex'),
	jsonb_build_object('k', repeat('j', 9000)), array_fill(7, ARRAY[3000]),
	array_fill('word'::text, ARRAY[3000]), repeat('9', 9000)::numeric);
UPDATE toast SET small = 't' WHERE id = 1;
UPDATE toast SET id = 2 WHERE id = 1;
DELETE FROM toast;
INSERT INTO by_index VALUES (1, 'b', 'v'), (2, NULL, 'w');
UPDATE by_index SET v = 'x' WHERE a = 1;
UPDATE by_index SET a = 4 WHERE a = 1;
DELETE FROM by_index WHERE a = 2;
INSERT INTO keyless VALUES (1, 'a'), (1, 'a');
UPDATE keyless SET v = 'b';
DELETE FROM keyless;
INSERT INTO "Odd Name" VALUES (1, 'g', 'f', 'sad');
UPDATE "Odd Name" SET "select" = 'so so';
BEGIN;
INSERT INTO whole VALUES (10, 'in', 1, NULL);
INSERT INTO keyless VALUES (10, 'a transaction');
SAVEPOINT s;
INSERT INTO whole VALUES (11, 'not', 1, NULL);
ROLLBACK TO s;
INSERT INTO whole VALUES (12, 'of two', 1, NULL);
UPDATE keyless SET v = 'tables';
COMMIT;
INSERT INTO digits VALUES (1, '2024-02-29 12:34:56.7', '2024-02-29 12:34:56.7', '12:34:56.7+02', '12:34:56.7',
	'2024-02-29 12:34:56.7', '2024-02-29 12:34:56.7', 12345, 12.5, 1e10),
	(2, '2024-02-29 12:34:56', '2024-02-29 12:34:56', '12:34:56+02', '12:34:56',
	'2024-02-29 12:34:56', '2024-02-29 12:34:56', 0, 0, 0.5);
INSERT INTO evolving VALUES (1, 'a');
ALTER TABLE evolving ADD COLUMN w int;
INSERT INTO evolving VALUES (2, 'b', 7);
ALTER TABLE evolving ALTER COLUMN w TYPE bigint;
UPDATE evolving SET w = 9 WHERE id = 2;
ALTER TABLE evolving DROP COLUMN v;
DELETE FROM evolving WHERE id = 1;
SELECT pg_logical_emit_message(true, 'inside', 'a transaction');
SELECT pg_logical_emit_message(false, 'outside', 'of one');
TRUNCATE keyless;
TRUNCATE whole, by_index RESTART IDENTITY CASCADE;
SQL

sub query {
	my ($sql) = @_;
	return $pg->session(dbname => 'shop')->query($sql);
}

# --- both of them

sub conf {
	my ($name) = @_;
	my ($more, $settings, $sink) = @{ $modes{$name} };
	$sink .= '  compat = debezium';
	my @out = map { "\"public.$_\"" } grep { my $t = $_; !grep { $_ eq $t } @$more } qw(far nan huge);
	my $out = join ', ', '"public.warm_up"', @out;
	return <<"CONF";
source $name {
type = postgres
conninfo = "${\ $pg->conninfo(dbname => 'shop')}"
tables = { "public.*" }
exclude_tables = { $out }
}
sink to_$name {
type = kafka
brokers = "${\ $kafka->bootstrap}"
topic = "leat.{source}.{schema}.{table}"
other_topic = "leat.{source}.other"
$sink
}
pipeline $name { source = $name  sink = to_$name  initial = stream_only }
CONF
}

sub connector {
	my ($name) = @_;
	my ($more, $settings) = @{ $modes{$name} };
	my @out = grep { my $t = $_; !grep { $_ eq $t } @$more } qw(far nan huge);
	return { converter('true'), 'database.dbname' => 'shop', 'slot.name' => "dbz_$name",
		'publication.name' => "dbz_$name", 'snapshot.mode' => 'no_data', 'poll.interval.ms' => 20,
		'topic.creation.default.replication.factor' => 1, 'topic.creation.default.partitions' => 1,
		'table.exclude.list' => join(',', map { "public.$_" } 'none', @out),
		'publication.autocreate.mode' => 'filtered', 'skipped.operations' => 'none',
		'provide.transaction.metadata' => 'true', 'extended.headers.enabled' => 'false',
		'statistics.metrics.enabled' => 'false', %$settings };
}

query($setup);
my $agent = start_leat('run', '-c', write_conf(join '', map { conf($_) } @names));
my $debezium = Leat::Debezium->new($kafka, 'conformance', exactly_once => 0)->start;
$debezium->create($_, $pg, %{ connector($_) }) for @names;
# A connector that is started anew before it has stored a place begins behind what
# came meanwhile: each is given rows of a table that leat has not until it has one.
for my $name (@names) {
	poll_until {
		query('INSERT INTO warm_up DEFAULT VALUES');
		$debezium->task_state($name) eq 'RUNNING' && records("$name.public.warm_up") && $debezium->offset($name);
	} "connector $name";
}
poll_until { !grep { $agent->err !~ /"$_": running code=started/ } @names } 'the pipelines to run';
query("SET client_encoding = 'UTF8'; SET timezone = 'UTC';\n" . inserts());
query($statements);
query("INSERT INTO pair_key VALUES (99, 'the last', 0, NULL)");

sub records {
	my ($topic) = @_;
	my @records = $kafka->topics->{$topic} ? $kafka->records($topic) : ();
	return @records;
}

sub is_last { return grep { defined $_->{value} && $_->{value} =~ /"the last"/ } @_ }

sub await {
	my ($who, $name, $topic) = @_;
	poll_until {
		die "leat: " . $agent->err unless $agent->is_running && $agent->err !~ / code=\w+_rejected/;
		$debezium->task_state($name);
		is_last(records($topic));
	} "the last row of $who";
}
for my $name (@names) {
	await("$name of Debezium", $name, "$name.public.pair_key");
	await("$name of leat", $name, "leat.$name.public.pair_key");
}

# --- record by record

sub op_of { return defined $_[0]{value} && $_[0]{value} =~ /"op":"(\w+)"/ ? $1 : 'tombstone' }

# Debezium writes a record for each table of a TRUNCATE, leat one that names them;
# theirs that go with ours.
sub truncates_of {
	my ($theirs, $ours) = @_;
	my $place = qr/"table":"([^"]*)","txId":\d+,"lsn":(\d+)/;
	my %at = map { $_->{value} =~ $place ? ("$1 $2" => $_) : () } @{ $theirs->{truncate} };
	return { truncate => [map { $_->{value} =~ $place && $at{"$1 $2"} || () } @{ $ours->{truncate} }] };
}

# table => records, in order; Debezium has truncates among the rows.
sub sorted {
	my (@topics) = @_;
	my (%rows, %truncates, @messages, @nobody);
	for my $topic (@topics) {
		for (records($topic)) {
			my $op = op_of($_);
			next if $op eq 'schema';
			# a tombstone that buries nobody is told of once
			push(@nobody, $topic), next unless defined $_->{key} || defined $_->{value};
			push @messages, $_ if $op eq 'm';
			push @{ $truncates{truncate} }, $_ if $op eq 't';
			push @{ $rows{$topic =~ s/.*\.public\.//r} }, $_ if $op !~ /^[mt]$/;
		}
	}
	return { rows => \%rows, truncates => \%truncates, messages => { '' => \@messages }, nobody => \@nobody };
}

my $cmp = Leat::Compare->new("$SRCDIR/t/conformance.allowed");

# Columns of the table of all types go by their types.
sub named {
	my ($difference) = @_;
	$difference =~ s/^([^:]*?)\b(c_\d+)\b/exists $type_of{$2} ? "$1<$type_of{$2}>" : "$1$2"/e;
	return $difference;
}

sub differences {
	my ($kind, $x, $y) = @_;
	my $op = op_of($x);
	my @found = op_of($y) eq $op ? () : ("op: $op | " . op_of($y));
	push @found, $cmp->record("$kind key", $x->{key}, $y->{key}) if defined $x->{key} || defined $y->{key};
	push @found, $cmp->record($kind, $x->{value}, $y->{value}) if defined $x->{value} || defined $y->{value};
	push @found, "headers: $x->{headers} | $y->{headers}" if $x->{headers} ne $y->{headers};
	return map { named($_) } @found;
}

for my $name (@names) {
	subtest $name => sub {
		my @topics = sort keys %{ $kafka->topics };
		my $theirs = sorted(grep { /^\Q$name\E\.(?:public\.(?!warm_up)|message$)/ } @topics);
		my $ours = sorted(grep { /^leat\.\Q$name\E\./ } @topics);
		my (%bad, $n);
		$bad{$_} = 'once' for grep { !$cmp->allows($_) } map { 'a tombstone without a key: ' . @$_ }
			grep { @$_ } map { $_->{nobody} } $theirs, $ours;
		$theirs->{truncates} = truncates_of(map { $_->{truncates} } $theirs, $ours);
		for my $kind (qw(rows truncates messages)) {
			my %tables = (%{ $theirs->{$kind} }, %{ $ours->{$kind} });
			for my $table (sort keys %tables) {
				my ($x, $y) = map { $_->{$kind}{$table} || [] } $theirs, $ours;
				is(join(' ', map { op_of($_) } @$y), join(' ', map { op_of($_) } @$x), "$kind of $table");
				for my $i (0 .. (@$x < @$y ? $#$x : $#$y)) {
					$n++;
					$bad{$_} //= "$kind of $table, record $i"
						for grep { !$cmp->allows($_) } differences($kind =~ s/s$//r, $x->[$i], $y->[$i]);
				}
			}
		}
		cmp_ok($n, '>', 50, "$n records were compared");
		is(join("\n", map { "$_   ($bad{$_})" } sort keys %bad), '', 'as Debezium writes them, but for what is allowed');
	};
}
is(join("\n", $cmp->unused), '', 'each allowed difference is one') if @names == keys %modes;
is($agent->stop, 0, 'the agent ends cleanly');
$debezium->stop;
done_testing;
