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
use Leat::Types;
use MIME::Base64 qw(encode_base64);

Leat::Postgres->need;
my $pg = Leat::Postgres->new;
binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my @types = Leat::Types->all($pg->query('SHOW server_version_num'));

my $shop = Leat::Stream->new($pg, name => 'shop', db => 'shop', tables => ['public.*']);
my $ascii = Leat::Stream->new($pg, name => 'ascii', db => 'ascii');
my $latin = Leat::Stream->new($pg, name => 'latin', db => 'latin');

# --- set up

$pg->query('CREATE DATABASE shop');
$pg->query("CREATE DATABASE $_->[0] TEMPLATE template0 ENCODING '$_->[1]' LC_COLLATE 'C' LC_CTYPE 'C'")
	for ['ascii', 'SQL_ASCII'], ['latin', 'LATIN1'];

$shop->query(Leat::Types->setup);
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
			$sql .= "INSERT INTO t_$i VALUES (" . $id++ . ', ' . Leat::Types->literal($_, $form) . ");\n";
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
