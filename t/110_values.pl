# Values of every built-in type arrive as the server itself prints them, whatever
# the database's settings are: tests E1 to E21 (scalar part).
#
# Each type has a table.  What is expected is not written down but asked of the
# server, in a session with the canonical settings; where a value's form has been
# decided on, it stands behind the value.
use utf8;
use Leat::Test;
use Leat::Postgres;
use Leat::Stream;
use MIME::Base64 qw(encode_base64);

Leat::Postgres->need;
my $pg = Leat::Postgres->new;
binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

# [test, type, form of the values in JSON, SQL literals or [literal, what it is]]
my @types = (
	['E1', 'bool', 'bool', 'true', 'false'],
	['E3', 'int2', 'number', '-32768', '32767'],
	['E3', 'int4', 'number', '-2147483648', '2147483647', ["'0'", '0']],
	['E3', 'int8', 'number', ['-9223372036854775808', '-9223372036854775808'],
		['9223372036854775807', '9223372036854775807'], '9007199254740993'],
	['E3', 'oid', 'number', ["'4294967295'", '4294967295'], "'0'"],
	['E3', 'xid8', 'number', ["'18446744073709551615'", '18446744073709551615']],
	['E2', 'numeric', 'string', ["'NaN'", 'NaN'], ["'Infinity'", 'Infinity'],
		["'-Infinity'", '-Infinity'], ['1e-20', '0.00000000000000000001'],
		['1e50', '1' . '0' x 50], ['12345.60000', '12345.60000'], '-0.000', '1e-16383'],
	['E2', 'numeric(3,-2)', 'string', ['12345', '12300']],
	['E2', 'numeric(10,2)', 'string', ['0.1', '0.10'], '-99999999.99'],
	['E1', 'float4', 'number', '0.1', '16777217', "'-0'", "'NaN'", "'Infinity'", "'-Infinity'",
		'1e-45', '3.4028235e38'],
	['E1', 'float8', 'number', ['0.1::float8 + 0.2', '0.30000000000000004'], '1e308', '5e-324',
		"'-0'", "'NaN'", "'-Infinity'", '1e15', '123456789012345678'],
	['E16', 'money', 'string', ['(-1234.56)::numeric::money', '-$1,234.56'], '0::money'],
	['E1', 'text', 'string', "''", "'plain'", "E'quote \" back \\\\ tab \\t nl \\n cr \\r'",
		"E'\\u0001\\u001f\\u007f'", "'é漢😀'", "'NULL'", "repeat('x', 3000)", "repeat('é', 70000)"],
	['E1', 'varchar(20)', 'string', "'twenty characters at'", "''"],
	['E17', 'char(5)', 'string', ["'ab'", 'ab   '], "''"],
	['E1', 'name', 'string', "'a name'"],
	['E1', '"char"', 'string', "'a'", "''"],
	['E15', 'bytea', 'bytes', "''",
		"(SELECT string_agg(set_byte('\\x00', 0, i), '' ORDER BY i) FROM generate_series(0, 255) i)",
		"'\\\\'", "decode(repeat('00ff', 5000), 'hex')"],
	['E4', 'date', 'string', "'2024-02-29'", ["'infinity'", 'infinity'], ["'-infinity'", '-infinity'],
		["'0044-03-15 BC'", '0044-03-15 BC'], "'4713-01-01 BC'", ["'12345-06-07'", '12345-06-07'],
		"'5874897-12-31'", "'0001-01-01'"],
	['E7', 'time', 'string', ["'24:00:00'", '24:00:00'], "'12:34:56.789'", "'00:00'"],
	['E7', 'time(3)', 'string', "'12:34:56.78949'"],
	['E7', 'timetz', 'string', ["'12:34:56+05:30:15'", '12:34:56+05:30:15'], "'00:00-08'"],
	['E4', 'timestamp', 'time', ["'2024-01-01 00:00:00.123456'", '2024-01-01T00:00:00.123456'],
		["'infinity'", 'infinity'], "'-infinity'", "'4713-01-01 00:00:00 BC'",
		"'294276-12-31 23:59:59.999999'", "'12345-06-07 08:09:10.5'", "'1999-12-31 23:59:59'"],
	['E4', 'timestamp(0)', 'time', "'2024-01-01 00:00:00.6'"],
	['E5', 'timestamptz', 'time', ["'1800-01-01 00:00:00+00'", '1800-01-01T00:00:00Z'],
		["'2024-01-01 00:00:00.5+05:30'", '2023-12-31T18:30:00.5Z'], "'infinity'", "'-infinity'",
		"'4713-01-02 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'"],
	['E6', 'interval', 'string',
		["'1 year -2 mons 3 days -04:05:06.789'", '10 mons 3 days -04:05:06.789'],
		"'-1 days +25:00'", "'0'", "'178000000 years'", "'P1Y2M3DT4H5M6S'"],
	['E6', 'interval day to second(3)', 'string', "'1 day 02:03:04.5678'"],
	['E1', 'uuid', 'string', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
	['E14', 'json', 'string', ["'{\"a\": 1,  \"a\":2.50}'", '{"a": 1,  "a":2.50}'], ["'null'", 'null'],
		"'\"\\u00e9\"'"],
	['E14', 'jsonb', 'string', ["'{\"b\":2e3,\"a\":[1,2.50]}'", '{"a": [1, 2.50], "b": 2000}'],
		["'null'", 'null'], "'1e100'"],
	['E1', 'xml', 'string', "'<a b=\"c\">&amp;</a>'"],
	['E1', 'bit(5)', 'string', "B'10101'"],
	['E1', 'varbit', 'string', "B''", "B'1'"],
	['E1', 'bit varying(9)', 'string', "B'101'"],
	['E1', 'inet', 'string', "'192.168.1.5/24'", "'::1'"],
	['E1', 'cidr', 'string', "'10.0.0.0/8'", "'2001:db8::/32'"],
	['E1', 'macaddr', 'string', "'08:00:2b:01:02:03'"],
	['E1', 'macaddr8', 'string', "'08:00:2b:01:02:03:04:05'"],
	['E10', 'mood', 'string', "'sad'", "'so so'"],
	['E11', 'age', 'number', '41'],
	['E11', 'amount', 'string', ['1', '1.00']],
	['E11', 'yes', 'bool', 'true'],
	['E11', 'blob', 'bytes', "'\\xdeadbeef'"],
	['E8', 'int[]', 'string', ["'[0:1]={1,2}'", '[0:1]={1,2}'], "'{{1,2},{3,NULL}}'", ["'{}'", '{}']],
	['E8', 'text[]', 'string', 'ARRAY[\'a,b\', \'c"d\', \'NULL\', NULL, \'\', \'e\\f\']'],
	['E8', 'timestamptz[]', 'string', "ARRAY['2024-01-01 00:00+00'::timestamptz]"],
	['E8', 'mood[]', 'string', "ARRAY['sad', 'so so']::mood[]"],
	['E11', 'amount[]', 'string', 'ARRAY[1, 2.5]::amount[]'],
	['E9', 'int4range', 'string', "'empty'", "'[1,5]'", "'(,5)'"],
	['E9', 'tstzrange', 'string', "'[2024-01-01 00:00+00,infinity)'"],
	['E9', 'int4multirange', 'string', "'{[1,3),[5,8)}'"],
	['E12', 'pair', 'string', "ROW(1, 'a\"b,c')", "ROW(NULL, '')"],
	['E12', 'pair[]', 'string', "ARRAY[ROW(1, 'x')]::pair[]"],
	['E13', 'ext.citext', 'string', "'MiXed'"],
	['E13', 'ext.hstore', 'string', "'a=>1, b=>NULL'"],
	['E13', 'ext.ltree', 'string', "'Top.Science'"],
	['E1', 'point', 'string', "'(1.5,2)'"],
	['E1', 'box', 'string', "'(1,2),(3,4)'"],
	['E1', 'path', 'string', "'[(0,0),(1,1)]'"],
	['E1', 'circle', 'string', "'<(0,0),2>'"],
	['E1', 'tsvector', 'string', "'a:1 b:2A'"],
	['E1', 'tsquery', 'string', "'a & b'"],
	['E1', 'pg_lsn', 'string', "'16/B374D848'"],
	['E1', 'jsonpath', 'string', "'\$.a[*]'"],
	['E1', 'txid_snapshot', 'string', "'10:20:10,14'"],
	['E1', 'regclass', 'string', "'pg_class'"],
	['E1', 'xid', 'string', "'7'"],
	['E1', 'int2vector', 'string', "'1 2 3'"],
);
my $version = $pg->query('SHOW server_version_num');
@types = grep { $_->[1] ne 'numeric(3,-2)' } @types if $version < 150000;
push @types, ['E6', 'interval', 'string', ["'infinity'", 'infinity'], "'-infinity'"] if $version >= 170000;

my $shop = Leat::Stream->new($pg, name => 'shop', db => 'shop', tables => ['public.*']);
my $ascii = Leat::Stream->new($pg, name => 'ascii', db => 'ascii');
my $latin = Leat::Stream->new($pg, name => 'latin', db => 'latin');

# --- set up

$pg->query('CREATE DATABASE shop');
$pg->query("CREATE DATABASE $_->[0] TEMPLATE template0 ENCODING '$_->[1]' LC_COLLATE 'C' LC_CTYPE 'C'")
	for ['ascii', 'SQL_ASCII'], ['latin', 'LATIN1'];

$shop->query(<<'SQL');
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE TYPE mood AS ENUM ('sad', 'so so');
CREATE DOMAIN age AS int CHECK (VALUE > 0);
CREATE DOMAIN amount AS numeric(10,2);
CREATE DOMAIN yes AS bool;
CREATE DOMAIN blob AS bytea;
CREATE TYPE pair AS (a int, b text);
SQL
for my $i (0 .. $#types) {
	$shop->query("CREATE TABLE t_$i (id int PRIMARY KEY, v $types[$i][1])");
}
$shop->query('CREATE TABLE moods (id int PRIMARY KEY, v mood)');
$ascii->query('CREATE TABLE "raw" (id int PRIMARY KEY, "words" text)');
{
	my $s = $latin->session;
	$s->query("SET client_encoding = 'UTF8'; CREATE TABLE \"caf\x{e9}\" (id int PRIMARY KEY, \"\x{fc}ber\" text)");
}

# E1: settings of database and role that the text of values must not depend on
my @settings = (['datestyle', 'German, DMY'], ['timezone', 'Asia/Kolkata'],
	['intervalstyle', 'sql_standard'], ['bytea_output', 'escape'], ['extra_float_digits', '-15'],
	['client_encoding', 'LATIN1'], ['search_path', 'public, ext'], ['xmloption', 'content'],
	['default_transaction_read_only', 'off']);
my ($german) = grep { /^de_DE\.utf-?8$/i } split /\n/, `locale -a 2>/dev/null`;
push @settings, ['lc_monetary', $german] if $german;
for (@settings) {
	my ($name, $value) = @$_;
	$pg->query("ALTER DATABASE shop SET $name = " .
		($name =~ /^(?:datestyle|search_path)$/ ? $value : "'$value'"));
	$pg->query("ALTER ROLE postgres IN DATABASE shop SET $name = " .
		($name =~ /^(?:datestyle|search_path)$/ ? $value : "'$value'"));
}
Leat::Stream->start_all($shop, $ascii, $latin);

# --- what the server says

delete $shop->{session};
my $canonical = "SET client_encoding = 'UTF8'; SET datestyle = ISO; SET intervalstyle = postgres; " .
	"SET extra_float_digits = 3; SET timezone = 'UTC'; SET bytea_output = hex; SET lc_monetary = 'C'; ";

# id => text, undef for NULL
sub server_text {
	my ($table) = @_;
	my $s = $shop->session;
	my $text = $s->query("$canonical SELECT id, num_nulls(v), " .
		"encode(convert_to(format('%s', v), 'UTF8'), 'hex') FROM $table ORDER BY id");
	my %text;
	for (split /\n/, $text) {
		next unless /^(\d+)\|(\d)\|([0-9a-f]*)$/;
		my $value = pack 'H*', $3;
		$text{$1} = $2 ? undef : $value;
	}
	return \%text;
}

my $number = qr/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/;

# The JSON that leat-envelope(7) promises for a text of the server; strings are
# compared decoded, so their text stands behind an s.
sub expected_json {
	my ($form, $text) = @_;
	return 'null' unless defined $text;
	return $text eq 't' ? 'true' : 'false' if $form eq 'bool';
	return $text if $form eq 'number' && $text =~ $number;
	return 's' . encode_base64(pack('H*', substr $text, 2), '') if $form eq 'bytes';
	$text =~ s/^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:(\+00)|)$/$1 . 'T' . $2 . ($3 ? 'Z' : '')/e
		if $form eq 'time';
	return "s$text";
}

# The token behind "v": in a line of JSON, in the same form.
sub token_of {
	my ($line) = @_;
	$line =~ /"v":("(?:[^"\\]++|\\.)*+"|[^,}]+)/ or return "no value in $line";
	my $token = $1;
	return $token unless $token =~ /^"/;
	my $text = JSON::PP->new->utf8->allow_nonref->decode($token);
	utf8::encode($text);
	return "s$text";
}

# --- one insert of everything

{
	my $s = $shop->session;
	my $sql = $canonical . "BEGIN;\n";
	for my $i (0 .. $#types) {
		my ($test, $type, $form, @values) = @{ $types[$i] };
		my $id = 1;
		$sql .= "INSERT INTO t_$i VALUES (0, NULL);\n";
		for (@values) {
			my $literal = ref $_ ? $_->[0] : $_;
			$literal = "'$literal'" if $literal =~ /^-?\d/ && $form ne 'string' && $literal !~ /::/;
			$sql .= "INSERT INTO t_$i VALUES (" . $id++ . ", $literal);\n";
		}
	}
	$s->query("$sql COMMIT;");
}
my @lines = $shop->new_lines('--format', 'row');
my (%by_table, @schema);
for (@lines) {
	push @schema, $_ if /"__op":"schema"/;
	next unless /"__op":"c"/;
	/^\{"id":(\d+)/ or next;
	my $id = $1;
	/"__table":"public\.(\w+)"/ and $by_table{$1}{$id} = $_;
}

for my $i (0 .. $#types) {
	my ($test, $type, $form, @values) = @{ $types[$i] };
	subtest "$test: $type" => sub {
		my $server = server_text("t_$i");
		is(token_of($by_table{"t_$i"}{0} || ''), 'null', 'NULL is null');
		for my $id (1 .. @values) {
			my $value = $values[$id - 1];
			my ($literal, $known) = ref $value ? @$value : ($value);
			my $got = token_of($by_table{"t_$i"}{$id} || '');
			is($got, expected_json($form, $server->{$id}), "$literal as the server prints it");
			next unless defined $known;
			is($got =~ s/^s//r, $known, "which is $known");
		}
	};
}

# --- what else belongs to these tests

subtest 'E2: no token is anything that JSON does not have' => sub {
	my $n = 0;
	for (@lines) {
		next if eval { JSON::PP->new->utf8->decode($_); 1 };
		$n++;
		diag $_;
	}
	is($n, 0, 'every line is JSON');
	is(scalar(grep { /(?<!")\b(?:NaN|-?Infinity)\b(?!")/ } @lines), 0, 'NaN and Infinity are strings');
};

subtest 'E1: types are named as the server names them' => sub {
	my %native = map { /"__table":"public\.t_(\d+)"/ ? ($1 => $_) : () } @schema;
	my %want = ('numeric(10,2)' => 'numeric(10,2)', 'numeric(3,-2)' => 'numeric(3,-2)',
		'varchar(20)' => 'varchar(20)', 'char(5)' => 'char(5)', 'timestamp(0)' => 'timestamp(0)',
		'time(3)' => 'time(3)', 'bit(5)' => 'bit(5)', 'bit varying(9)' => 'varbit(9)', 'int[]' => 'int4[]',
		'interval day to second(3)' => 'interval day to second(3)');
	for my $i (0 .. $#types) {
		my ($test, $type) = @{ $types[$i] };
		my $change = JSON::PP->new->utf8->decode($native{$i} || '{}')->{__schema_change};
		my ($v) = grep { $_->{name} eq 'v' } @{ $change->{columns} || [] };
		ok($v && length $v->{native}, "$type has a name");
		is($v->{native}, $want{$type}, "$type is $want{$type}") if $want{$type};
		is($v->{type}, 'other', "$type is other") if $type =~ /^ext\./;
		is($v->{type}, 'enum', "$type is an enum") if $type eq 'mood';
		is($v->{type}, { age => 'int32', amount => 'decimal', yes => 'bool', blob => 'bytes' }->{$type},
			"$type is read as its base type") if $type =~ /^(?:age|amount|yes|blob)$/;
		like($v->{native}, qr/citext|hstore|ltree/, "$type is called $v->{native}") if $type =~ /^ext\./;
	}
};

subtest 'E10: labels of an enum are those of their place in the log' => sub {
	my @rows = $shop->changes("INSERT INTO moods VALUES (1, 'sad')",
		"ALTER TYPE mood ADD VALUE 'happy'", "INSERT INTO moods VALUES (2, 'happy')",
		"ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", "UPDATE moods SET v = 'blue' WHERE id = 1");
	is_deeply([map { $_->{after} ? $_->{after}{v} : () } @rows], ['sad', 'happy', 'blue'],
		'old and new labels');
};

subtest 'E17: padding and length do not depend on an update' => sub {
	my ($i) = grep { $types[$_][1] eq 'char(5)' } 0 .. $#types;
	my ($row) = $shop->changes("UPDATE t_$i SET v = 'z' WHERE id = 1");
	is($row->{after}{v}, 'z    ', 'padded as declared');
};

subtest 'E19: a LATIN1 database' => sub {
	my $s = $latin->session;
	$s->query("SET client_encoding = 'UTF8'; INSERT INTO \"caf\x{e9}\" VALUES (1, '\x{e9}t\x{e9}')");
	my ($row) = grep { $_->{op} eq 'c' } map { Leat::Stream::decode($_) } $latin->new_lines;
	is($row->{after}{"\x{fc}ber"}, "\x{e9}t\x{e9}", 'value and name of the column are UTF-8');
	is($row->{source}{table}, "caf\x{e9}", 'and the table\'s');
};

subtest 'E18: text that is not UTF-8 stops the pipeline, and only that' => sub {
	my @rows = $ascii->changes("INSERT INTO \"raw\" VALUES (1, 'plain')");
	is($rows[-1]{after}{words}, 'plain', 'ASCII passes');
	$ascii->query("INSERT INTO \"raw\" VALUES (2, E'caf\\xe9')");
	my $entry = $ascii->await('stopped');
	is($entry->{code}, 'value_invalid', 'it is stopped as value_invalid');
	like($entry->{message}, qr/table "public\.raw": column "words"/, 'naming table and column');
	like($entry->{message}, qr/ [0-9A-F]+\/[0-9A-F]+/, 'and LSN');
	like($entry->{hint}, qr/leat offsets set ascii now --accept-gap/, 'with the command that leaves the state');
	is(join("\n", $ascii->lines), '', 'nothing of it is in the log');
	my ($row) = $shop->changes("INSERT INTO moods VALUES (9, 'happy')");
	is($row->{after}{id}, 9, 'the other pipelines run on');
};

done_testing;
