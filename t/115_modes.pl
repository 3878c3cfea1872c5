# The modes of decimals, times, bytes, intervals and arrays: numbers and texts are
# those that the server computes from the same values.
use Leat::Test;
use Leat::Postgres;
use Leat::Stream;
use Leat::Avro;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use Math::BigInt;

Leat::Postgres->need;
my $pg = Leat::Postgres->new;
my $st = Leat::Stream->new($pg);
$st->query(<<'SQL');
CREATE TABLE m (id int PRIMARY KEY, n numeric(20,4), v numeric, money money, d date,
	t3 time(3), t6 time, tz timetz, ts3 timestamp(3), ts6 timestamp, tstz timestamptz,
	iv interval, b bytea, bit1 bit(1), bits bit(12), a int[], texts text[], big text);
ALTER TABLE m ALTER big SET STORAGE EXTERNAL;
SQL
$st->start;
my @events = $st->changes(<<'SQL');
INSERT INTO m VALUES
	(1, 12345.6789, 1.50, 1234.56, '2024-02-29', '12:34:56.789', '24:00:00', '12:34:56+05:30',
	 '2024-01-01 00:00:00.123', '1969-12-31 23:59:59.999999', '2024-06-30 12:00:00.5+02',
	 '1 year 2 mons 3 days 04:05:06.78', '\x00ff10', B'1', B'100000000011',
	 '{1,NULL,-3}', '{"a,b","c\"d",NULL,"NULL",""}', repeat('x', 9000)),
	(2, -0.0001, -123456789012345678901234567890.12345, -0.01, '0044-03-15 BC', '00:00:00',
	 '00:00:00.000001', '00:00:00-08', '0001-01-01 00:00:00', '12345-06-07 08:09:10.5',
	 '1800-01-01 00:00:00+00', '-1 days +25:00', '', B'0', B'000000000000', '{}', '{}', NULL);
UPDATE m SET n = 1 WHERE id = 1;
SQL

# What the server makes of each row.
my @server = map { [split /\|/, $_, -1] } split /\n/, $st->query(<<'SQL');
SET timezone = 'UTC'; SET lc_monetary = 'C';
SELECT id, trunc(n * 10000), v, trunc(money::numeric * 100), d - '1970-01-01',
	trunc(extract(epoch FROM t3) * 1000), trunc(extract(epoch FROM t6) * 1000000),
	trunc(extract(epoch FROM ts3) * 1000), trunc(extract(epoch FROM ts6) * 1000000),
	encode(b, 'hex')
FROM m ORDER BY id
SQL
$server[0][1] = 123456789; # as it was inserted
shift @server while @server && $server[0][0] !~ /^\d/;

# An unscaled decimal's bytes, as a number.
sub number_of {
	my ($base64) = @_;
	my $hex = unpack 'H*', decode_base64($base64);
	my $n = Math::BigInt->from_hex($hex || '0');
	$n -= Math::BigInt->new(2)->bpow(4 * length $hex) if $hex =~ /^[89a-f]/;
	return "$n";
}

sub view {
	my ($format) = @_;
	my ($rc, $out, $err) = run_leat('log', 'cat', '-c', $st->{conf}, $st->{log}, '--format', $format);
	is($rc, 0, "leat log cat --format $format") or diag $err;
	return grep { ($_->{op} || $_->{payload}{op} || $_->{iodebeziumop} || '') =~ /^[cu]$/ }
		map { JSON::PP->new->utf8->allow_bignum->decode($_) } split /\n/, $out;
}

my @rows = map { $_->{after} } view('debezium,compat=debezium');
for my $i (0, 1) {
	my ($row, $want) = ($rows[$i], $server[$i]);
	is(number_of($row->{n}), $want->[1], "row $want->[0]: a decimal with a scale");
	my $scale = $row->{v}{scale};
	my $digits = number_of($row->{v}{value});
	is($digits, ($want->[2] =~ s/\.//r) + 0 == 0 ? 0 : $want->[2] =~ s/\.//r, 'a decimal without one, its digits');
	is($scale, length(($want->[2] =~ /\.(.*)/)[0]), 'and its scale');
	is(number_of($row->{money}), $want->[3], 'money');
	is($row->{d}, $want->[4], 'a date is days');
	is($row->{t3}, $want->[5], 'a time of 3 digits is milliseconds');
	is($row->{t6}, $want->[6], 'of 6, microseconds');
	is($row->{ts3}, $want->[7], 'a timestamp of 3 digits is milliseconds');
	is($row->{ts6}, $want->[8], 'of 6, microseconds');
	is(unpack('H*', decode_base64($row->{b})), $want->[9], 'bytes');
}
is($rows[0]{tz}, '07:04:56Z', 'a time with a zone is moved to UTC');
is($rows[1]{tz}, '08:00:00Z', 'also from the west');
is($rows[0]{tstz}, '2024-06-30T10:00:00.500000Z', 'a timestamp with a zone is text in UTC');
is($rows[0]{iv}, ((14 * 30.4375 + 3) * 86400 + 4 * 3600 + 5 * 60) * 1000000 + 6780000, 'an interval is microseconds');
is($rows[1]{iv}, 3600000000, 'of mixed signs too');
ok($rows[0]{bit1} && ref $rows[0]{bit1} && !$rows[1]{bit1}, 'a bit is a boolean');
is(unpack('H*', decode_base64($rows[0]{bits})), '0308', 'bits are bytes, the last bit first');
is_deeply([@{ $rows[0]{a} }[0, 2], $rows[0]{a}[1]], [1, -3, undef], 'an array is a list');
is_deeply($rows[0]{texts}, ['a,b', 'c"d', undef, 'NULL', ''], 'of texts too');
is_deeply([$rows[1]{a}, $rows[1]{texts}], [[], []], 'also an empty one');
is($rows[2]{big}, '__debezium_unavailable_value', 'what was not sent is marked');

my @plain = map { $_->{after} } view('debezium,time=isostring,decimal=double,binary=hex,interval=string');
is($plain[0]{d}, '2024-02-29Z', 'isostring: a date');
is($plain[1]{ts6}, '+12345-06-07T08:09:10.5Z', 'a timestamp');
is($plain[0]{iv}, 'P1Y2M3DT4H5M6.78S', 'an interval');
is($plain[0]{b}, '00ff10', 'bytes as hexadecimal digits');
is($plain[0]{n}, 12345.6789, 'a decimal as a number');
ok(!exists $plain[2]{big}, 'what was not sent is left out');
is($plain[0]{a}, '{1,NULL,-3}', 'an array stays text');

my @full = view('debezium,schemas=yes');
my %fields = map { $_->{field} => $_ } @{ $full[0]{schema}{fields} };
is($full[0]{schema}{name}, 'shop.public.m.Envelope', 'a schema has the name of the table');
my %cols = map { $_->{field} => $_ } @{ $fields{after}{fields} };
is_deeply([sort keys %cols], [sort keys %{ $full[0]{payload}{after} }], 'and its columns');
is($cols{n}{parameters}{scale}, 4, 'a decimal has its scale');
is($cols{d}{name}, 'io.debezium.time.Date', 'a date its name');
is($cols{a}{items}{type}, 'int32', 'an array the type of its elements');
ok(!$cols{id}{optional} && $cols{n}{optional}, 'only the key is required');
ok(exists $full[2]{payload}{after}{big} && !defined $full[2]{payload}{after}{big}, 'what was not sent is null');
is_deeply($full[2]{payload}{leat}{unchanged}, ['big'], 'and named');

my @ce = view('cloudevents');
is($ce[0]{id}, $events[1]{leat}{id}, 'a CloudEvent has the id of the event');
is($ce[0]{data}{after}{n}, '12345.6789', 'and the row');

# --- Avro: by its schema the same as JSON with schemas

sub plain {
	my ($v) = @_;
	return { map { $_ => plain($v->{$_}) } keys %$v } if ref $v eq 'HASH';
	return [map { plain($_) } @$v] if ref $v eq 'ARRAY';
	return defined $v ? JSON::PP::is_bool($v) ? $v ? 1 : 0 : "$v" : undef;
}

$st->changes("SELECT pg_logical_emit_message(true, 'prefix', 'content')", 'TRUNCATE m');
my ($arc, $avro, $aerr) = run_leat('log', 'cat', '-c', $st->{conf}, $st->{log}, '--format', 'avro');
is($arc, 0, 'leat log cat --format avro') or diag $aerr;
my (%schemas, @avro);
for (map { JSON::PP->new->utf8->decode($_) } split /\n/, $avro) {
	if ($_->{schema}) {
		$schemas{ $_->{id} } = $_->{schema};
		next;
	}
	my ($key, $value) = map { defined $_ ? Leat::Avro::decode(\%schemas, decode_base64($_)) : undef } @$_{qw(key value)};
	push @avro, plain({ key => $key, value => $value });
}
my @json = grep { $_->{payload}{op} =~ /^.$/ } map { JSON::PP->new->utf8->allow_bignum->decode($_) }
	split /\n/, (run_leat('log', 'cat', '-c', $st->{conf}, $st->{log}, '--format', 'debezium,schemas=yes'))[1];
is(scalar @avro, scalar @json, 'as many records');
my @ops;
for my $i (0 .. $#json) {
	my $payload = plain($json[$i]{payload});
	push @ops, $payload->{op};
	# members that the schema has no field for, and fields that JSON leaves out
	if ($payload->{op} eq 'm') {
		delete @$payload{qw(before after ts_us ts_ns)};
	}
	$payload->{source}{origin} = undef;
	$payload->{leat}{$_} //= undef for qw(schema unchanged truncate);
	is_deeply($avro[$i]{value}, $payload, "record $i: the same value as in JSON");
	is_deeply($avro[$i]{key}, { id => $payload->{after}{id} }, 'and its key') if $payload->{op} =~ /[cu]/;
}
ok((grep { $_ eq 'm' } @ops) && (grep { $_ eq 't' } @ops), 'messages and truncates among them');

# --- what a mode cannot carry

$st->changes("INSERT INTO m (id, v) VALUES (3, 'NaN')");
my ($rc, $out, $err) = run_leat('log', 'cat', '-c', $st->{conf}, $st->{log}, '--format', 'debezium,compat=debezium');
is($rc, 8, 'NaN as an exact decimal is refused');
like($err, qr/table "public\.m": column "v"/, 'table and column are named');
like($err, qr/^hint: /m, 'with a hint');
unlike($err, qr/NaN/, 'and without the value');
is(scalar(grep { /"op":"[cut]"/ } split /\n/, $out), 4, 'what came before is there');
done_testing;
