# Values of every type arrive as the server's own SELECT prints them.
use utf8;
use JSON::PP;
use Leat::Test;
use Leat::MySQL;
use Leat::Rig;

my $json = JSON::PP->new->utf8->allow_nonref;
my $base64 = q{REPLACE(TO_BASE64(v), '\n', '')};
my $stamp = q{CONCAT(REPLACE(v, ' ', 'T'), 'Z')};
my $t = q{REPLACE(v, ' ', 'T')};

# type, what SELECT is to print (v), the values
my @both = (
	['tinyint', 'v', -128, -1, 0, 127],
	['tinyint unsigned', 'v', 0, 128, 255],
	['smallint', 'v', -32768, 0, 32767],
	['smallint unsigned', 'v', 0, 32768, 65535],
	['mediumint', 'v', -8388608, -1, 8388607],
	['mediumint unsigned', 'v', 8388608, 16777215],
	['int', 'v', -2147483648, 0, 2147483647],
	['int unsigned', 'v', 2147483648, 4294967295],
	['int(5) unsigned zerofill', 'v + 0', 7],
	['bigint', 'v', '-9223372036854775808', -1, '9223372036854775807'],
	['bigint unsigned', 'v', '9223372036854775808', '18446744073709551615'],
	['boolean', 'v', 0, 1],
	['bit(1)', 'BIN(v)', "b'0'", "b'1'"],
	['bit(10)', q{LPAD(BIN(v), 10, '0')}, "b'1010101010'", "b'1'"],
	['bit(64)', q{LPAD(BIN(v), 64, '0')}, '18446744073709551615', 1],
	['decimal(1,0)', 'v', -9, 0, 9],
	['decimal(10,2)', 'v', -1234.56, 0, 0.01, -0.01, 99999999.99],
	['decimal(9,9)', 'v', '0.123456789', '-0.000000001', 0],
	['decimal(65,0)', 'v', '9' x 65, '-1' . '0' x 64],
	['decimal(65,30)', 'v', '-12345678901234567890123456789012345.123456789012345678901234567890', '0.' . '0' x 29 . '1'],
	['decimal(20,10)', 'v', '1000000000.0000000001', '-999999999.9', 0],
	['date', 'v', "'2024-02-29'", "'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-15'"],
	['time', 'v', "'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'12:34:56'"],
	(map { my $n = $_; ["time($n)", 'v', "'-12:34:56.789123'", "'-00:00:00.9'", "'00:00:00.1'", "'838:59:59'", "'-838:59:58.000001'"] } 1 .. 6),
	['datetime', $t, "'2024-02-29 23:59:59'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'", "'1000-01-01 00:00:00'"],
	(map { ["datetime($_)", $t, "'2024-02-29 23:59:59.123456'", "'2024-01-01 00:00:00.000001'"] } 1 .. 6),
	['timestamp NULL', $stamp, "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-02-29 12:00:00'"],
	(map { ["timestamp($_) NULL", $stamp, "'2024-02-29 23:59:59.123456'", "'1999-12-31 23:59:59.999'"] } 1 .. 6),
	['year', 'v + 0', 1901, 2155, 0, 2024],
	['char(10)', 'v', "'abc'", "''", "'\x{e9}\x{20ac}\x{1f600}'", "'a  '"],
	['char(255)', 'v', "'x'", "REPEAT('\x{1f600}', 255)"],
	['varchar(10)', 'v', "'a  '", "''", "'\x{e9}\x{4e2d}'"],
	['varchar(300)', 'v', "'x'", "REPEAT('y', 300)"],
	['varchar(10) CHARACTER SET latin1', 'v', "'\x{e9}\x{20ac}'", "'plain'"],
	['varchar(10) CHARACTER SET ascii', 'v', "'abc'"],
	['varchar(10) CHARACTER SET utf8mb3', 'v', "'\x{e9}\x{4e2d}'"],
	['varchar(10) CHARACTER SET cp1251', 'v', "'\x{43f}\x{440}'"],
	['varchar(10) CHARACTER SET koi8r', 'v', "'\x{43f}\x{440}'"],
	['varchar(10) CHARACTER SET ucs2', 'v', "'\x{e9}\x{4e2d}'"],
	['varchar(10) CHARACTER SET utf16', 'v', "'\x{1f600}a'"],
	['varchar(10) CHARACTER SET utf32', 'v', "'\x{1f600}a'"],
	['varchar(10) CHARACTER SET sjis', 'v', "'\x{65e5}\x{672c}'"],
	['varchar(10) CHARACTER SET ujis', 'v', "'\x{65e5}\x{672c}'"],
	['varchar(10) CHARACTER SET gbk', 'v', "'\x{4e2d}\x{6587}'"],
	['varchar(10) CHARACTER SET big5', 'v', "'\x{4e2d}\x{6587}'"],
	['varchar(10) CHARACTER SET euckr', 'v', "'\x{d55c}'"],
	['tinytext', 'v', "''", "'x'"],
	['text', 'v', "REPEAT('z', 65535)", "'\x{e9}'"],
	['mediumtext', 'v', "REPEAT('\x{e9}', 100000)"],
	['longtext', 'v', "'l'"],
	['text CHARACTER SET latin1', 'v', "'\x{e9}'"],
	['binary(10)', $base64, "x'0102'", "x'00'", "x'ffffffffffffffffff00'", "''"],
	['varbinary(10)', $base64, "x'0100'", "''", "x'ff'"],
	['varbinary(300)', $base64, "x'0100'"],
	['tinyblob', $base64, "x'00ff'"], ['blob', $base64, "''", "x'00'"],
	['mediumblob', $base64, "REPEAT(x'00', 70000)"], ['longblob', $base64, "x'0a0d'"],
	[q{enum('a','b','it''s')}, 'v', "'a'", "'it''s'", 0],
	[q{enum('x','\x{e9}') CHARACTER SET latin1}, 'v', "'\x{e9}'", "'x'"],
	['enum(' . join(',', map { "'e$_'" } 1 .. 300) . ')', 'v', "'e1'", "'e300'"],
	[q{set('x','y','z')}, 'v', "'x,z'", "''", "'y'"],
	['set(' . join(',', map { "'s$_'" } 1 .. 64) . ')', 'v', "'s1,s64'", "'s33'"],
	['geometry', $base64, "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0,1 1)')"],
);
my @numeric = (
	['float', 'v', 0, 1.5, -2.5, 0.1, '3.4e38', '1e-38', 16777217],
	['double', 'v', 0, 1.5, 0.1, '1.7976931348623157e308', '2.2250738585072014e-308', '-1e15', 123456789.123456789],
);
my @documents = map { "'$_'" } '{"a": 1, "d": {}, "bb": [true, null, 1.5, "x", -70000, 18446744073709551615]}',
	'null', '[]', '{}', '"\\\\"\\\\n\\\\u0001é"', '-9223372036854775808', '1.0', '1e20', '1e-7', '0.1', '1e15', '1e14',
	'123456789012345680', '1.5e300', '[[[[1]]]]', '-32768', '65536', '4294967296', '{"é": ""}';
my @mysql = (
	['json', 'v', @documents, "JSON_OBJECT('d', CAST(12.50 AS DECIMAL(4,2)))",
		"CAST(CAST('2024-01-02 03:04:05.678' AS DATETIME(3)) AS JSON)", "CAST(CAST('2024-01-02' AS DATE) AS JSON)",
		"CAST(CAST('-12:34:56' AS TIME) AS JSON)", "CAST(x'00ff' AS JSON)",
		"JSON_OBJECT('big', REPEAT('x', 70000), 'n', 70000)"],
	['vector(3)', $base64, "STRING_TO_VECTOR('[1,2,-0.5]')"],
	['varchar(10) CHARACTER SET gb18030', 'v', "'\x{4e2d}\x{1f600}'"],
);
my @mariadb = (
	['json', 'v', q{'{"a": [1, 2]}'}],
	['varchar(1000) COMPRESSED', 'v', "REPEAT('z', 500)", "'short'", "''"],
	['longblob COMPRESSED', $base64, "REPEAT(x'41', 5000)", "x'00'"],
	['text COMPRESSED CHARACTER SET latin1', 'v', "REPEAT('\x{e9}', 500)"],
	['uuid', q{TO_BASE64(UNHEX(REPLACE(v, '-', '')))}, "'123e4567-e89b-12d3-a456-426655440000'"],
	['inet4', 'TO_BASE64(INET6_ATON(v))', "'10.0.0.0'"],
	['inet6', 'TO_BASE64(INET6_ATON(v))', "'2001:db8::'", "'::1'"],
	[q{varchar(10) COLLATE utf8mb4_uca1400_ai_ci}, 'v', "'\x{e9}'"],
);

# Of each row of table t: id => the JSON text of v.
sub captured {
	my ($rig, $table) = @_;
	my %v;
	for ($rig->lines('--table', "$rig->{schema}.$table")) {
		$v{$1} = $2 if /"op":"c"/ && /"after":\{"id":(\d+),"v":(.*?)\},"source":\{/;
	}
	return \%v;
}

sub text_of {
	my ($raw) = @_;
	return undef if !defined $raw || $raw eq 'null';
	return $raw =~ /^"/ ? $json->decode($raw) : $raw;
}

for my $kind (Leat::MySQL->kinds) {
	my $db = Leat::MySQL->new(kind => $kind);
	my @cases = (@both, @numeric, $kind eq 'mysql' ? @mysql : @mariadb);
	my $n = 0;
	my $rig = Leat::Rig->new($db, "vals_$kind", sql => join '', map {
		"CREATE TABLE t" . $n++ . " (id int PRIMARY KEY, v $_->[0]);\n";
	} @cases);
	$rig->start->await_running;
	$n = 0;
	for my $case (@cases) {
		my ($type, $show, @values) = @$case;
		my $id = 0;
		$rig->query("SET sql_mode = ''; " . join '', map { $id++; "INSERT INTO t$n VALUES ($id, $_); " } @values, 'NULL');
		$n++;
	}
	my $last = $n - 1;
	my $rows = @{ $cases[-1] } - 1;
	$rig->await(sub { keys %{ captured($rig, "t$last") } >= $rows }, 'the last row', 120);
	for my $i (0 .. $#cases) {
		my ($type, $show) = @{ $cases[$i] };
		my $got = captured($rig, "t$i");
		my %want = map { $_->[0] => $_->[1] } map { [split /\t/, $_, 2] }
			split /\n/, $rig->query("SELECT id, $show FROM t$i ORDER BY id");
		my @bad;
		for my $id (sort { $a <=> $b } keys %want) {
			my $have = text_of($got->{$id});
			my $want = unescape($want{$id});
			$want = undef if $want eq 'NULL';
			next if !defined $have && !defined $want;
			next if defined $have && defined $want && ($type =~ /^(?:float|double)/ ? near($have, $want, $type) : $have eq $want);
			push @bad, "row $id: leat has " . shorten($have) . ', the server ' . shorten($want);
		}
		is(join("\n", @bad), '', "$kind: " . substr($type, 0, 50));
	}
	$rig->is_sound("$kind: the log is sound");
	$rig->stop;
	$db->stop;
}

# As the client prints it, one row a line.
sub unescape {
	my ($s) = @_;
	my %special = (n => "\n", t => "\t", 0 => "\0");
	return $s =~ s/\\(.)/defined $special{$1} ? $special{$1} : $1/ger;
}

# The server prints six digits of a float, and seventeen of a double.
sub near {
	my ($have, $want, $type) = @_;
	return abs($have - $want) <= abs($want) * ($type eq 'float' ? 1e-5 : 1e-15);
}

sub shorten {
	my ($s) = @_;
	return 'nothing' unless defined $s;
	utf8::encode($s);
	return length $s > 200 ? substr($s, 0, 200) . '...' : $s;
}

done_testing;
