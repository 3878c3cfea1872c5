# Tables that change their shape while they are captured: tests E76 to E79, E81
# to E84, E93 and E94.
use utf8;
use Leat::Test;
use Leat::Postgres;
use Leat::Stream;

Leat::Postgres->need;
binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;
my $pg = Leat::Postgres->new;
$pg->query('CREATE DATABASE shop');
my $st = Leat::Stream->new($pg, db => 'shop', tables => ['public.*', 'archive.*'],
	source => 'exclude_tables = { "public.x_*" }');
$st->query(<<'SQL');
CREATE SCHEMA archive; CREATE SCHEMA elsewhere;
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text, n int);
CREATE TABLE moved (id int PRIMARY KEY);
CREATE TABLE again (id int PRIMARY KEY, v text);
CREATE TABLE ident (id int PRIMARY KEY, e text NOT NULL, v text);
CREATE UNIQUE INDEX ident_e ON ident (e);
CREATE TABLE listed (id int PRIMARY KEY, v text, secret text);
CREATE PUBLICATION leat_shop FOR ALL TABLES;
SQL
$st->start;

# What a version says: number and "name native" of each column.
sub version {
	my ($ev) = @_;
	return [$ev->{schema_change}{version}, map { "$_->{name} $_->{native}" } @{ $ev->{schema_change}{columns} }];
}
sub ops { return join ' ', map { $_->{op} } @_ }
sub versions_of { return map { $_->{leat}{schema}{version} } @_ }

subtest 'E76: ADD COLUMN with a default' => sub {
	$st->changes("INSERT INTO a VALUES (1, 'old')");
	my @ev = $st->changes('ALTER TABLE a ADD n int NOT NULL DEFAULT 7', "INSERT INTO a VALUES (2, 'new', 8)",
		"UPDATE a SET v = 'touched' WHERE id = 1");
	is(ops(@ev), 'schema c u', 'one version, in front of the first row; nothing of the table is rewritten');
	is_deeply(version($ev[0]), [2, 'id int4', 'v text', 'n int4'], 'with the new column');
	is_deeply($ev[0]{schema_change}{changes}, ['added column "n" int4 not null'], 'which is named as the change');
	is($ev[0]{schema_change}{previous}, 1, 'behind version 1');
	is($ev[0]{leat}{seq}, $ev[1]{leat}{seq}, 'it has the seq of the row behind it');
	is_deeply($ev[2]{after}, { id => 1, v => 'touched', n => 7 }, 'an old row has the default');
	is_deeply([versions_of(@ev)], [2, 2, 2], 'rows name their version');
};

subtest 'E77: shapes that change inside a transaction' => sub {
	my @ev = $st->changes(<<'SQL');
BEGIN;
INSERT INTO b VALUES (1, 'x', 1);
ALTER TABLE b DROP COLUMN v;
INSERT INTO b VALUES (2, 2);
ALTER TABLE b RENAME COLUMN n TO m;
INSERT INTO b VALUES (3, 3);
ALTER TABLE b ALTER m TYPE bigint;
INSERT INTO b VALUES (4, 5000000000);
ALTER TABLE b ADD z text;
ALTER TABLE b DROP COLUMN z;
UPDATE b SET m = 4 WHERE id = 4;
COMMIT
SQL
	is(ops(@ev), 'schema c schema c schema c schema c u', 'each row has the shape of its place');
	is_deeply([map { version($_) } grep { $_->{op} eq 'schema' } @ev], [
		[1, 'id int4', 'v text', 'n int4'],
		[2, 'id int4', 'n int4'],
		[3, 'id int4', 'm int4'],
		[4, 'id int4', 'm int8'],
	], 'and each shape is a version');
	is_deeply([map { $_->{after} } grep { $_->{op} ne 'schema' } @ev], [
		{ id => 1, v => 'x', n => 1 }, { id => 2, n => 2 }, { id => 3, m => 3 },
		{ id => 4, m => 5000000000 }, { id => 4, m => 4 } ], 'values stand under the names of their time');
	is_deeply([map { $_->{transaction}{total_order} } grep { $_->{op} ne 'schema' } @ev], [1 .. 5],
		'versions take no ordinals');
};

subtest 'E77: a change that is rolled back is none' => sub {
	my @ev = $st->changes('BEGIN; ALTER TABLE b ADD gone int; INSERT INTO b VALUES (9, 9, 9); ROLLBACK;' .
		'INSERT INTO b VALUES (10, 10)');
	is(ops(@ev), 'c', 'no version of it');
	is_deeply([versions_of(@ev)], [4], 'the row has the version before');
};

subtest 'E78: RENAME TABLE and SET SCHEMA' => sub {
	$st->changes('INSERT INTO moved VALUES (1)');
	my @ev = $st->changes('ALTER TABLE moved RENAME TO moved2; INSERT INTO moved2 VALUES (2)',
		'ALTER TABLE moved2 SET SCHEMA archive; INSERT INTO archive.moved2 VALUES (3)');
	is_deeply([map { "$_->{source}{schema}.$_->{source}{table}" } grep { $_->{op} eq 'c' } @ev],
		['public.moved2', 'archive.moved2'], 'rows carry the name of their time');
	is(ops(@ev), 'schema c schema c', 'a new name is a new table');
	is_deeply([versions_of(@ev)], [1, 1, 1, 1], 'whose versions begin with 1');
	@ev = $st->changes('ALTER TABLE archive.moved2 SET SCHEMA elsewhere; INSERT INTO elsewhere.moved2 VALUES (4)',
		'ALTER TABLE elsewhere.moved2 SET SCHEMA public; ALTER TABLE moved2 RENAME TO x_moved;' .
		'INSERT INTO x_moved VALUES (5)');
	is(ops(@ev), '', 'a name that the conf does not want is not delivered');
	@ev = $st->changes('ALTER TABLE x_moved RENAME TO moved; INSERT INTO moved VALUES (6)');
	is(ops(@ev), 'c', 'back under its first name it is the version it was');
	is_deeply([versions_of(@ev)], [1], 'the first');
};

subtest 'E79: DROP and CREATE under the same name' => sub {
	$st->changes("INSERT INTO again VALUES (1, 'a')");
	my @ev = $st->changes('DROP TABLE again; CREATE TABLE again (k int PRIMARY KEY); INSERT INTO again VALUES (2)');
	is(ops(@ev), 'schema c', 'the new table is a new version');
	is_deeply(version($ev[0]), [2, 'k int4'], 'with its own columns');
	like(join('; ', @{ $ev[0]{schema_change}{changes} }), qr/created anew/, 'and it says why');
	@ev = $st->changes('BEGIN; DROP TABLE again; CREATE TABLE again (k int PRIMARY KEY); INSERT INTO again VALUES (3);' .
		'DROP TABLE again; CREATE TABLE again (k int PRIMARY KEY); INSERT INTO again VALUES (4); COMMIT');
	is(ops(@ev), 'schema c schema c', 'also twice in one transaction');
	is_deeply([versions_of(@ev)], [3, 3, 4, 4], 'and with the same columns');
};

subtest 'E82: REPLICA IDENTITY changes' => sub {
	my @ev = $st->changes("INSERT INTO ident VALUES (1, 'a', 'x')", "UPDATE ident SET v = 'y'",
		'ALTER TABLE ident REPLICA IDENTITY FULL', "UPDATE ident SET v = 'z'",
		'ALTER TABLE ident REPLICA IDENTITY USING INDEX ident_e', 'DELETE FROM ident');
	is(ops(@ev), 'schema c u schema u schema d', 'each identity is a version');
	is_deeply([map { $_->{before} } grep { $_->{op} =~ /^[ud]$/ } @ev],
		[undef, { id => 1, e => 'a', v => 'y' }, { e => 'a' }], 'and decides what is known of the row before');
	my @schema = grep { $_->{op} eq 'schema' } @ev;
	is_deeply([map { [map { $_->{key} } @{ $_->{schema_change}{columns} }] } @schema],
		[[1, 0, 0], [1, 0, 0], [0, 1, 0]], 'the key is what every change carries');
	like(join('; ', @{ $schema[1]{schema_change}{changes} }), qr/identity from default to full/, 'the change is named');
	@ev = $st->changes('ALTER TABLE ident REPLICA IDENTITY NOTHING', "INSERT INTO ident VALUES (2, 'b', 'x')");
	is(ops(@ev), 'schema c', 'NOTHING is one, too');
	$st->query('ALTER TABLE ident REPLICA IDENTITY DEFAULT');
};

subtest 'E93: as many columns as a table can have' => sub {
	my @names = map { sprintf 'c%04d', $_ } 1 .. 1600;
	my @ev = $st->changes('CREATE TABLE broad (' . join(', ', map { "$_ bool" } @names) . ')',
		'INSERT INTO broad VALUES (' . join(', ', map { $_ % 3 ? 'true' : 'NULL' } 1 .. 1600) . ')');
	is(ops(@ev), 'schema c', 'are read');
	is(scalar @{ $ev[0]{schema_change}{columns} }, 1600, 'and described');
	is_deeply([sort keys %{ $ev[1]{after} }], \@names, 'all of them');
	ok($ev[1]{after}{c1600} && !defined $ev[1]{after}{c1599}, 'each with its value');
};

subtest 'E94: names of all kinds' => sub {
	my @names = ('UPPER', 'two words', 'quo"te', "apo'strophe", 'back\\slash', 'dot.dot', 'emoji😀',
		'é' x 31, 'x' x 63, "tab\there", '{"json"}', '%s%n', 'select');
	my $s = $st->session;
	my $q = sub { '"' . $_[0] =~ s/"/""/gr . '"' };
	for my $name (@names) {
		$s->query('CREATE TABLE ' . $q->($name) . ' (id int PRIMARY KEY, ' . $q->("c $name" =~ s/^(.{1,30}).*$/$1/r) .
			' text)');
		$s->query('INSERT INTO ' . $q->($name) . " VALUES (1, 'v')");
	}
	my @ev = $st->changes();
	is_deeply([map { $_->{source}{table} } grep { $_->{op} eq 'c' } @ev], \@names, 'of tables');
	is_deeply([map { grep { $_ ne 'id' } keys %{ $_->{after} } } grep { $_->{op} eq 'c' } @ev],
		[map { "c $_" =~ s/^(.{1,30}).*$/$1/r } @names], 'and of columns');
	$s->query('UPDATE ' . $q->($_) . ' SET id = 2') for @names;
	$s->query('CREATE SCHEMA "archive.x"; CREATE TABLE "archive.x".y (id int PRIMARY KEY)');
	@ev = $st->changes();
	is(ops(@ev), join(' ', ('d c') x @names), 'keys among them');
	my ($rc, $out, $err) = run_leat('schema', 'list', '-c', $st->{conf}, $st->{name});
	is($rc, 0, 'leat schema list shows them') or diag $err;
	like($out, qr/ public\."quo""te" version/, 'quoted where a name has a quote in it');
};

subtest 'E81: what the catalog no longer has' => sub {
	is($st->{agent}->stop, 0, 'the agent ends cleanly');
	$st->query(<<'SQL');
CREATE TYPE colour AS ENUM ('red');
CREATE DOMAIN weight AS numeric(6,2);
CREATE TABLE short_lived (id int PRIMARY KEY, c colour, w weight, n int);
INSERT INTO short_lived VALUES (1, 'red', 2, 3);
ALTER TABLE short_lived DROP COLUMN n;
INSERT INTO short_lived VALUES (2, 'red', 4);
DELETE FROM short_lived WHERE id = 1;
DROP TABLE short_lived;
DROP TYPE colour;
DROP DOMAIN weight;
SQL
	$st->start;
	my @ev = $st->changes();
	is(ops(@ev), 'schema c schema c d', 'is read from the backlog all the same');
	is_deeply($ev[1]{after}, { id => 1, c => 'red', w => '2.00', n => 3 }, 'values of unknown types are text');
	is_deeply([map { "$_->{type} $_->{native} $_->{key}" } @{ $ev[2]{schema_change}{columns} }],
		['int32 int4 1', 'other public.colour 0', 'decimal numeric 0'], 'types are those that the stream tells');
	is_deeply($ev[4]{before}, { id => 1 }, 'the key is the identity\'s');
};

is($st->{agent}->stop, 0, 'the agent ends cleanly');

# --- with a publication of single tables

$pg->query('CREATE DATABASE lists');
my $li = Leat::Stream->new($pg, name => 'lists', db => 'lists');
$li->query(<<'SQL');
CREATE TABLE listed (id int PRIMARY KEY, v text, secret text);
CREATE TABLE late (id int PRIMARY KEY, v text);
INSERT INTO late VALUES (1, 'before');
CREATE PUBLICATION leat_lists FOR TABLE listed;
SQL
$li->start;

subtest 'E83: a column list' => sub {
	plan skip_all => 'none before PostgreSQL 15' if Leat::Postgres::major() < 15;
	my @ev = $li->changes("INSERT INTO listed VALUES (1, 'a', 's')",
		'ALTER PUBLICATION leat_lists SET TABLE listed (id, v)', "INSERT INTO listed VALUES (2, 'b', 's')",
		"UPDATE listed SET secret = 't' WHERE id = 2");
	is(ops(@ev), 'schema c schema c u', 'is a version of the table');
	is_deeply(version($ev[2]), [2, 'id int4', 'v text'], 'without the column');
	is_deeply($ev[3]{after}, { id => 2, v => 'b' }, 'which is absent, not null');
	ok(!exists $ev[4]{leat}{unchanged}, 'and not unchanged either');
};

subtest 'E84: a table that joins the publication' => sub {
	my @ev = $li->changes("INSERT INTO late VALUES (2, 'unpublished')", 'ALTER PUBLICATION leat_lists ADD TABLE late',
		"INSERT INTO late VALUES (3, 'published')", "UPDATE late SET v = 'touched' WHERE id = 1");
	is(ops(@ev), 'schema c u', 'is delivered from there on');
	is_deeply([map { $_->{after}{id} } @ev[1, 2]], [3, 1], 'changes of its old rows included');
	@ev = $li->changes('ALTER PUBLICATION leat_lists DROP TABLE late', "INSERT INTO late VALUES (4, 'unpublished')",
		"INSERT INTO listed VALUES (3, 'c')");
	is_deeply([map { $_->{source}{table} } grep { $_->{op} ne 'schema' } @ev], ['listed'],
		'and one that leaves it is not');
};

is($li->{agent}->stop, 0, 'the agent ends cleanly');
done_testing;
