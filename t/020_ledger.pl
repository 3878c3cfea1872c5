# The ledger of the crash tests finds what it is for: each way in which a log, or
# what a reader saw of it, can be wrong is made here on purpose.
use Leat::Test;
use Leat::Ledger qw(decode_json_text is_same_stream);
use Leat::Lives;
use MIME::Base64 qw(encode_base64);

# --- JSON

is_deeply(decode_json_text('{"a": [1, -2.50, "x\"\\\\\n\u0007"], "b":{},"c":null,"d":true}'),
	{ a => [1, '-2.50', "x\"\\\n\a"], b => {}, c => undef, d => 'true' }, 'numbers stay text');
ok(!eval { decode_json_text('{"a":1,"a":2}'); 1 }, 'a member given twice is refused');
ok(!eval { decode_json_text('{"a":1} x'); 1 }, 'and more behind the end');
ok(!eval { decode_json_text('{"a":1'); 1 }, 'and an end that is missing');

# --- a small database and its log

sub json {
	my ($v) = @_;
	return 'null' unless defined $v;
	return '{' . join(',', map { "\"$_\":" . json($v->{$_}) } sort keys %$v) . '}' if ref $v eq 'HASH';
	return '[' . join(',', map { json($_) } @$v) . ']' if ref $v;
	return $v =~ /^-?\d+$/ ? $v : "\"$v\"";
}

# xid => commit LSN
my %commit = (700 => '0/1000', 701 => '0/1800', 702 => '0/2000', 703 => '0/2800', 704 => '0/3000',
	705 => '0/3800', 706 => '0/4000', 707 => '0/4800');
# as pg_waldump has it
my $waldump = join '', (map { sprintf "rmgr: Transaction len (rec/tot):     46/    46, tx:        %d, lsn: %s, " .
	"prev 0/00000000, desc: COMMIT 1970-01-01 00:00:00.%06d UTC\n", $_, $commit{$_}, $_ * 1000 } sort keys %commit),
	'rmgr: LogicalMessage len (rec/tot):     61/    61, tx:          0, lsn: 0/00001EC0, prev 0/00000000, ' .
	"desc: MESSAGE non-transactional, prefix \"beacon\"; payload (2 bytes): 62 31\n",
	'rmgr: LogicalMessage len (rec/tot):     61/    61, tx:        701, lsn: 0/00001780, prev 0/00000000, ' .
	"desc: MESSAGE transactional, prefix \"p\"; payload (2 bytes): 62 31\n";
# n, xid, op, table, old, new
my @history = (
	[1, 700, 'INSERT', 'item', undef, { id => 1, name => 'a', bio => 'long' }],
	[2, 700, 'INSERT', 'item', undef, { id => 2, name => 'b', bio => undef }],
	[3, 701, 'UPDATE', 'item', { id => 1, name => 'a', bio => 'long' },
		{ id => 1, name => 'z', bio => 'long' }],
	[4, 701, 'MESSAGE', undef, undef, { prefix => 'p', content => 'hello' }],
	# executed before 703, committed behind it
	[5, 704, 'INSERT', 'whole', undef, { id => 9, name => 'w' }],
	[7, 702, 'DDL', 'item', undef, { column => 'x1', default => 5 }],
	[8, 702, 'UPDATE', 'item', { id => 1, name => 'z', bio => 'long', x1 => 5 },
		{ id => 3, name => 'z', bio => 'long', x1 => 5 }],
	[9, 703, 'DELETE', 'item', { id => 3, name => 'z', bio => 'long', x1 => 5 }, undef],
	[10, 704, 'UPDATE', 'whole', { id => 9, name => 'w' }, { id => 9, name => 'v' }],
	[11, 705, 'INSERT', 'gone', undef, { id => 1 }],
	[12, 705, 'TRUNCATE', undef, undef, { tables => ['gone'] }],
	[13, 705, 'INSERT', 'item', undef, { id => 4, name => 'q', bio => undef, x1 => 5 }],
	[14, 706, 'INSERT', 'account', undef, { id => 1, balance => 100 }],
	[15, 706, 'INSERT', 'account', undef, { id => 2, balance => 100 }],
	[16, 707, 'UPDATE', 'account', { id => 1, balance => 100 }, { id => 1, balance => 93 }],
	[17, 707, 'UPDATE', 'account', { id => 2, balance => 100 }, { id => 2, balance => 107 }],
);
my %final = (item => [{ id => 2, name => 'b', bio => undef, x1 => 5 },
		{ id => 4, name => 'q', bio => undef, x1 => 5 }],
	whole => [{ id => 9, name => 'v' }], gone => [],
	account => [{ id => 1, balance => 93 }, { id => 2, balance => 107 }]);

my %order;	# xid and table: how many
sub line {
	my ($id, $seq, $op, $table, $before, $after, %more) = @_;
	my ($lsn, $ordinal) = $id =~ m{^(\w+)/(\d+)};
	my ($xid) = grep { hex($lsn) == Leat::Ledger::lsn($commit{$_}) } keys %commit;
	undef $xid if $op eq 'm' && !$ordinal;
	my $counted = $id =~ m{/i$} ? $order{$xid}{$table} : $op =~ /[cudt]/ ? ++$order{$xid}{$table} : 0;
	return json({ before => $before, after => $after, op => $op,
		source => { name => 'shop', schema => $table ? 'public' : '', table => $table || '',
			txId => $xid, ts_us => $xid ? $xid * 1000 : 77, lsn => 5, sequence => '[5,6]' },
		transaction => $xid ? { id => "$xid:" . hex $lsn, total_order => $ordinal,
			data_collection_order => $counted } : undef,
		leat => { id => "shop/1/$id", seq => $seq, ($table ? (schema => { table => "public.$table",
			version => $more{version} || 1 }) : ()),
			($more{unchanged} ? (unchanged => $more{unchanged}) : ()),
			($more{truncate} ? (truncate => { tables => $more{truncate} }) : ()) },
		($op eq 'm' ? (message => { prefix => $more{prefix},
			content => encode_base64($more{content}, '') }) : ()) });
}

sub schema {
	my ($table, $version, $seq, @columns) = @_;
	return json({ before => undef, after => undef, op => 'schema', source => {}, transaction => undef,
		schema_change => { table => "public.$table", version => $version,
			previous => $version > 1 ? $version - 1 : undef,
			columns => [map { { name => $_ } } @columns] },
		leat => { id => "shop/1/schema/public.$table/$version", seq => $seq,
			schema => { table => "public.$table", version => $version } } });
}

my @right = (
	schema('item', 1, 1, qw(id name bio)),
	line('1000/1', 1, 'c', 'item', undef, { id => 1, name => 'a', bio => 'long' }),
	line('1000/2', 2, 'c', 'item', undef, { id => 2, name => 'b', bio => undef }),
	line('1800/1', 3, 'u', 'item', undef, { id => 1, name => 'z' }, unchanged => ['bio']),
	line('1800/2', 4, 'm', undef, undef, undef, prefix => 'p', content => 'hello'),
	line('1F00/0', 5, 'm', undef, undef, undef, prefix => 'beacon', content => 'b1'),
	schema('item', 2, 6, qw(id name bio x1)),
	line('2000/1/d', 6, 'd', 'item', { id => 1 }, undef, version => 2),
	line('2000/1/i', 6, 'c', 'item', undef, { id => 3, name => 'z', x1 => 5 }, version => 2,
		unchanged => ['bio']),
	line('2800/1', 7, 'd', 'item', { id => 3 }, undef, version => 2),
	schema('whole', 1, 8, qw(id name)),
	line('3000/1', 8, 'c', 'whole', undef, { id => 9, name => 'w' }),
	line('3000/2', 9, 'u', 'whole', { id => 9, name => 'w' }, { id => 9, name => 'v' }),
	schema('gone', 1, 10, 'id'),
	line('3800/1', 10, 'c', 'gone', undef, { id => 1 }),
	line('3800/2', 11, 't', 'gone', undef, undef, truncate => ['public.gone']),
	line('3800/3', 12, 'c', 'item', undef, { id => 4, name => 'q', bio => undef, x1 => 5 }, version => 2),
	schema('account', 1, 13, qw(id balance)),
	line('4000/1', 13, 'c', 'account', undef, { id => 1, balance => 100 }),
	line('4000/2', 14, 'c', 'account', undef, { id => 2, balance => 100 }),
	line('4800/1', 15, 'u', 'account', undef, { id => 1, balance => 93 }),
	line('4800/2', 16, 'u', 'account', undef, { id => 2, balance => 107 }),
);

sub ledger {
	my ($dump) = @_;
	my $ledger = Leat::Ledger->new(source => 'shop', tables => { item => { key => ['id'] },
		whole => { key => ['id'], identity => 'full' }, gone => { key => ['id'] },
		account => { key => ['id'], mean => { balance => 100 } } });
	$ledger->history(@$_[0 .. 3], map { defined $_ ? json($_) : undef } @$_[4, 5]) for @history;
	open my $lines, '<', \($dump || $waldump) or die $!;
	$ledger->read_waldump($lines);
	return $ledger;
}

sub check {
	my ($lines, $final) = @_;
	my $text = join '', map { "$_\n" } @$lines;
	open my $file, '<', \$text or die $!;
	my %rows = map { my $table = $_; $table => [map { json($_) } @{ $final->{$table} }] } keys %$final;
	return ledger()->check($file, \%rows);
}

is_deeply([check(\@right, \%final)], [], 'a log that is right has no faults');
is(scalar @right, 22, 'all lines are there');

# --- and each way of being wrong

sub finds {
	my ($kind, $name, $change) = @_;
	my @lines = @right;
	my %rows = map { $_ => [map { { %$_ } } @{ $final{$_} }] } keys %final;
	$change->(\@lines, \%rows);
	my @wrong = check(\@lines, \%rows);
	ok((grep { /^\Q$kind\E: / } @wrong), "$name is found") or diag join "\n", 'found only:', @wrong;
}

sub edit {
	my ($n, $from, $to) = @_;
	return sub { $_[0][$n] =~ s/$from/$to/ or die "no $from in $_[0][$n]" };
}

for my $n (grep { $right[$_] !~ /"op":"schema"/ } 0 .. $#right) {
	my ($id) = $right[$n] =~ /"id":"(shop[^"]*)"/;
	finds('lost', "$id left out", sub { splice @{ $_[0] }, $n, 1 });
	finds('repeated', "$id twice", sub { splice @{ $_[0] }, $n, 0, $_[0][$n] });
}
finds('seq', 'one left out', sub { splice @{ $_[0] }, 2, 1 });
finds('order', 'two exchanged', sub { @{ $_[0] }[1, 2] = @{ $_[0] }[2, 1] });
finds('order', 'a transaction before its time',
	sub { splice @{ $_[0] }, 5, 0, splice @{ $_[0] }, 9, 1 });
finds('seq', 'a seq that falls', edit(3, '"seq":3', '"seq":1'));
finds('seq', 'a seq that leaves one out', edit(16, '"seq":12', '"seq":13'));
finds('never committed', 'one of another transaction', edit(2, '1000/2', '1004/2'));
finds('never committed', 'one more in a transaction', sub {
	push @{ $_[0] }, line('4800/3', 17, 'd', 'item', { id => 2 }, undef, version => 2) });
finds('op', 'an insert for an update', edit(3, '"op":"u"', '"op":"c"'));
finds('image', 'another value', edit(2, '"name":"b"', '"name":"c"'));
finds('image', 'a value for a NULL', edit(2, '"bio":null', '"bio":"null"'));
finds('image', 'a NULL for a value', edit(1, '"bio":"long"', '"bio":null'));
finds('image', 'a column left out', edit(2, '"bio":null,', ''));
finds('image', 'a before image that lacks columns', edit(12, '"before":\{"id":9,"name":"w"\}', '"before":{"id":9}'));
finds('image', 'a key of another row', edit(9, '"before":\{"id":3\}', '"before":{"id":2}'));
finds('final state', 'that too in the end', edit(9, '"before":\{"id":3\}', '"before":{"id":2}'));
finds('schema', 'a column that the version has not', edit(6, '\{"name":"x1"\}', '{"name":"x2"}'));
finds('schema', 'a version not announced', sub { splice @{ $_[0] }, 6, 1 });
finds('schema', 'a version announced twice', sub { splice @{ $_[0] }, 6, 0, $_[0][6] });
finds('schema', 'a version announced too early',
	sub { splice @{ $_[0] }, 5, 0, splice @{ $_[0] }, 6, 1 });
finds('schema', 'a row by an older version', edit(16, '"version":2', '"version":1'));
finds('provenance', 'another transaction id', edit(2, '"txId":700', '"txId":701'));
finds('provenance', 'another table', edit(2, '"table":"item"', '"table":"whole"'));
finds('provenance', 'another place in its table', edit(2, '"data_collection_order":2', '"data_collection_order":1'));
finds('provenance', 'another ordinal', edit(12, '"total_order":2', '"total_order":3'));
finds('provenance', 'another time of commit', edit(2, '"ts_us":700000', '"ts_us":700001'));
finds('message', 'another text', edit(4, '"content":"[^"]*"', '"content":"eA=="'));
finds('truncate', 'another table truncated', edit(15, '\["public.gone"\]', '["public.item"]'));
finds('final state', 'a row too many in the database', sub { push @{ $_[1]{item} }, { id => 8, name => 'n' } });
finds('final state', 'a row too few', sub { pop @{ $_[1]{item} } });
finds('final state', 'another value there', sub { $_[1]{whole}[0]{name} = 'u' });
finds('final state', 'another default of a new column', sub { $_[1]{item}[0]{x1} = 6 });
finds('sum', 'half of a transfer', edit(21, '"balance":107', '"balance":100'));
finds('sum', 'a transfer that is cut in two by another change', sub { @{ $_[0] }[3, 20] = @{ $_[0] }[20, 3] });
finds('unreadable', 'half a line', edit(16, '..........$', ''));

# --- the write-ahead log

is(Leat::Ledger::end_of_record(@$_[0, 1]), $_->[2], "a record of $_->[1] bytes at $_->[0]")
	for [64, 57, 128], [8128, 64, 8192], [8128, 65, 8192 + 24 + 8], [8128, 64 + 8168 + 8, 16384 + 24 + 8],
		[(16 << 20) - 64, 72, (16 << 20) + 40 + 8];

# --- history and log in doubt

my $short = ledger($waldump =~ s/^.* 703, .*\n//mr);
open my $nothing, '<', \'' or die $!;
ok(!eval { $short->check($nothing); 1 }, 'a transaction without a commit record is refused');
like($@, qr/703/, 'by its number');

# --- two logs

my $files = 0;
sub file { return spew(tmpdir() . '/' . $files++, map { "$_\n" } @_) }
my $first = file(@right);
is(is_same_stream($first, file(@right)), '', 'two logs of the same are the same');
my @other = @right;
$other[2] =~ s/"name":"b"/"name":"c"/;
like(is_same_stream($first, file(@other)), qr{behind shop/1/1000/1:}, 'a value that differs is found');
like(is_same_stream($first, file(@right[0 .. 15])), qr/its end/, 'an end that is missing');
like(is_same_stream(file(@right[0 .. 15]), $first), qr/goes on/, 'one that goes on');
@other = @right;
$other[2] =~ s/"seq":2/"seq":3/;
like(is_same_stream($first, file(@other)), qr/behind/, 'another seq');
my @later = @right[9 .. $#right];
s/"seq":(\d+)/'"seq":' . ($1 - 6)/e, s/"version":2/"version":1/ for @later;
is(is_same_stream($first, file(@later), places => 1), '', 'a pipeline that began later has a part');
splice @later, 3, 1;
like(is_same_stream($first, file(@later), places => 1), qr/behind/, 'without holes');

# --- who was killed while it read

my $lives = Leat::Lives->new($first);
sub life { return { path => file(@{ $_[0] }), @_[1 .. $#_] } }
sub cut { my ($life) = @_; spew($life->{path}, slurp($life->{path}) =~ s/.{30}\n\z//sr); return { %$life, is_cut => 1 } }
is($lives->wrong(life(\@right)), '', 'a life that saw all');
is($lives->wrong(life([@right[4 .. 9]], from => 4)), '', 'and a piece');
is($lives->wrong(life([@right[6 .. 9]], from => 6)), '', 'that begins with a version');
is($lives->wrong(life([$right[0], @right[4 .. 9]], from => 4, is_late => 1)), '', 'or is told the versions in force');
like($lives->wrong(life([@right[4 .. 9]], from => 3)), qr/event 1 /, 'one that begins too late is found');
like($lives->wrong(life([@right[3 .. 9]], from => 4)), qr/event 1 /, 'and too early');
like($lives->wrong(life([@right[4, 5, 7 .. 9]], from => 4)), qr/event 3 /, 'one that leaves out a version');
like($lives->wrong(life([@right[4, 6 .. 9]], from => 4)), qr/event 2 /, 'or an event');
like($lives->wrong(life([@right[4, 4 .. 9]], from => 4)), qr/event 2 /, 'or has one twice');
like($lives->wrong(life([@right[14 .. 17]], from => 10, is_late => 1)), qr/version 1 of public.gone was not announced/,
	'or is not told a version');
like($lives->wrong(life([@right, $right[21]])), qr/event 23 /, 'or goes on behind the end');
is($lives->wrong(cut(life([@right[0 .. 4]]))), '', 'the line at the end may be cut by a kill');
like($lives->wrong({ %{ cut(life([@right[0 .. 4]])) }, is_cut => 0 }), qr/event 5 /, 'but by nothing else');
my @lives = map { cut(life([@right[$_->[0] .. $_->[1]]], from => $_->[2])) } [0, 7, 1], [5, 12, 5], [10, 21, 8];
is($lives->wrong($_), '', 'three lives are right') for @lives;
is($lives->leaves_out(@lives), undef, 'and leave nothing out');
ok(!$lives->is_whole(@lives), 'but the last line');
push @lives, life([$right[21]], from => 16);
is($lives->wrong($lives[-1]), '', 'that a fourth one has');
ok($lives->is_whole(@lives), 'then it is all');
is($lives->leaves_out(@lives[0, 2]), $lives[2], 'without the second one there is a hole');
done_testing();
