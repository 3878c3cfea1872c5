# Leat::Types: a value or two of every built-in type of PostgreSQL, and of those
# that people add: what tests of values send through.
#
#	$session->query(Leat::Types->setup);
#	for (Leat::Types->all($version)) {
#		my ($test, $type, $form, @values) = @$_;
#	}
#
# form: of the values in JSON.  A value is an SQL literal, or [literal, what it is]
# where a form has been decided on.
package Leat::Types;
use strict;
use warnings;
use utf8;

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

# Of a server of that version (server_version_num).
sub all {
	my ($class, $version) = @_;
	my @all = @types;
	@all = grep { $_->[1] ne 'numeric(3,-2)' } @all if $version < 150000;
	push @all, ['E6', 'interval', 'string', ["'infinity'", 'infinity'], "'-infinity'"] if $version >= 170000;
	return @all;
}

sub setup {
	return <<'SQL';
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
}

# The literal of a value, in quotes where its type would read a bare one otherwise.
sub literal {
	my ($class, $value, $form) = @_;
	my $literal = ref $value ? $value->[0] : $value;
	return $literal =~ /^-?\d/ && $form ne 'string' && $literal !~ /::/ ? "'$literal'" : $literal;
}

1;
