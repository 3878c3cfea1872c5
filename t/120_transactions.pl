# What happened in the database's transactions is what arrives, in order and
# numbered: tests E44 to E57, and E75 in small.
use Leat::Test;
use Leat::Postgres;
use Leat::Stream;

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_prepared_transactions => 10 });
my $long = join '', map { chr(97 + ($_ * 7 + int($_ / 13)) % 26) } 1 .. 9000;

# Two pipelines of one database: partitions by their root, and by themselves.
my $shop = Leat::Stream->new($pg, name => 'shop');
my $leaves = Leat::Stream->new($pg, name => 'leaves', tables => ['public.part*'],
	source => 'partition_root = no');
$shop->query(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE toast (id int PRIMARY KEY, v text, big text);
ALTER TABLE toast ALTER big SET STORAGE EXTERNAL;
CREATE TABLE toast_full (LIKE toast INCLUDING ALL);
ALTER TABLE toast_full REPLICA IDENTITY FULL;
CREATE TABLE bigkey (k text PRIMARY KEY, v text);
ALTER TABLE bigkey ALTER k SET STORAGE EXTERNAL;
CREATE TABLE byindex (id int PRIMARY KEY, e text NOT NULL, v text);
CREATE UNIQUE INDEX byindex_e ON byindex (e);
ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_e;
CREATE TABLE filtered (id int PRIMARY KEY, v int, big text);
ALTER TABLE filtered ALTER big SET STORAGE EXTERNAL;
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us (v text, region text NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE deferred REPLICA IDENTITY FULL;
CREATE SCHEMA hidden;
CREATE TABLE hidden.t (id int PRIMARY KEY);
SQL
Leat::Stream->start_all($shop, $leaves);
my $has_filters = Leat::Postgres::major() >= 15;
$shop->query('ALTER PUBLICATION leat_shop DROP TABLE filtered; ' .
	'ALTER PUBLICATION leat_shop ADD TABLE filtered WHERE (id < 100)') if $has_filters;

sub rows { return grep { $_->{op} ne 'schema' } @_ }
# "c t 1" and the like
sub brief {
	return map { my $row = $_->{after} || $_->{before} || {};
		join ' ', $_->{op}, $_->{source}{table}, defined $row->{id} ? $row->{id} : () } rows(@_);
}
sub ordinals { return map { $_->{transaction}{total_order} } rows(@_) }
sub xids { my %seen = map { $_->{source}{txId} => 1 } rows(@_); return sort keys %seen }

subtest 'E44: a savepoint that is rolled back leaves nothing' => sub {
	my @ev = $shop->changes('BEGIN; INSERT INTO t VALUES (1), (2), (3); SAVEPOINT s; INSERT INTO t VALUES (4);' .
		'ROLLBACK TO s; INSERT INTO t VALUES (5); COMMIT');
	is_deeply([brief(@ev)], ['c t 1', 'c t 2', 'c t 3', 'c t 5'], 'four inserts');
	is_deeply([ordinals(@ev)], [1 .. 4], 'numbered without a hole');
	is(scalar(my @x = xids(@ev)), 1, 'in one transaction');
	is($ev[0]{op}, 'schema', 'behind the table\'s first version');
	my @seq = map { $_->{leat}{seq} } rows(@ev);
	is_deeply(\@seq, [$seq[0] .. $seq[0] + 3], 'with consecutive seqs');
	my %id = map { $_->{leat}{id} => 1 } @ev;
	is(scalar(keys %id), scalar(@ev), 'and ids of their own');
};

subtest 'E45: a transaction that is rolled back leaves nothing' => sub {
	my @ev = $shop->changes('BEGIN; INSERT INTO t VALUES (10); UPDATE t SET v = 1; DELETE FROM t; ROLLBACK');
	is_deeply([brief(@ev)], [], 'no events');
};

subtest 'E46: a transaction of unpublished tables moves the place and is nothing else' => sub {
	my $before = $pg->slot('leat_shop')->{confirmed_flush_lsn};
	$shop->query('INSERT INTO hidden.t SELECT generate_series(1, 1000)');
	my $lsn = $pg->query('SELECT pg_current_wal_lsn()');
	my @ev = $shop->changes();
	is_deeply([brief(@ev)], [], 'no events');
	ok(poll_until { $pg->query("SELECT confirmed_flush_lsn > '$before' AND confirmed_flush_lsn >= '$lsn'" .
		" FROM pg_replication_slots WHERE slot_name = 'leat_shop'") eq 't' } 'the slot to advance');
};

subtest 'E47: keys' => sub {
	my @ev = rows($shop->changes("UPDATE t SET v = 'x' WHERE id = 1"));
	is_deeply([brief(@ev)], ['u t 1'], 'an update beside the key is an update');
	is($ev[0]{before}, undef, 'without a row before');

	@ev = rows($shop->changes("UPDATE t SET id = 101 WHERE id = 1"));
	is_deeply([brief(@ev)], ['d t 1', 'c t 101'], 'an update of the key is a delete and an insert');
	is($ev[0]{leat}{seq}, $ev[1]{leat}{seq}, 'of one seq');
	is_deeply([map { $_->{leat}{id} =~ s/.*\///r } @ev], ['d', 'i'], 'and two ids');
	is_deeply($ev[0]{before}, { id => 1 }, 'the delete has the key alone');
	is($ev[1]{after}{v}, 'x', 'the insert has the row');

	my $key = substr $long, 0, 2500;	# out of line, and not too long for an index
	$shop->changes("INSERT INTO bigkey VALUES ('$key', 'a')");
	@ev = rows($shop->changes("UPDATE bigkey SET v = 'b'"));
	is_deeply([map { $_->{op} } @ev], ['u'], 'a key stored out of line that did not change is no key change');
	is($ev[0]{after}{k}, $key, 'and its value is there');
	is_deeply($ev[0]{leat}{unchanged}, undef, 'so nothing is missing');
	is($ev[0]{before}, undef, 'nor is there a row before');
	@ev = rows($shop->changes("UPDATE bigkey SET k = '$key' || 'z'"));
	is_deeply([map { $_->{op} } @ev], ['d', 'c'], 'one that did is');

	$shop->changes("INSERT INTO byindex VALUES (1, 'a', 'x')");
	@ev = rows($shop->changes("UPDATE byindex SET v = 'y'", "UPDATE byindex SET e = 'b'", 'DELETE FROM byindex'));
	is_deeply([map { $_->{op} } @ev], ['u', 'd', 'c', 'd'], 'identity INDEX: its columns are the key');
	is_deeply([map { $_->{before} } @ev], [undef, { e => 'a' }, undef, { e => 'b' }], 'and what is known of the row before');
};

subtest 'E48: values that were not sent' => sub {
	for my $table (qw(toast toast_full)) {
		$shop->changes("INSERT INTO $table VALUES (1, 'a', '$long'), (2, 'a', NULL)");
		my ($ev, $null) = rows($shop->changes("UPDATE $table SET v = 'b' WHERE id = 1",
			"UPDATE $table SET v = 'b' WHERE id = 2"));
		if ($table eq 'toast') {
			ok(!exists $ev->{after}{big}, 'identity DEFAULT: left out');
			is_deeply($ev->{leat}{unchanged}, ['big'], 'and named');
		} else {
			is($ev->{after}{big}, $long, 'identity FULL: taken from the row before');
			is($ev->{before}{big}, $long, 'which is there as well');
			ok(!exists $ev->{leat}{unchanged}, 'nothing is missing');
		}
		ok(exists $null->{after}{big} && !defined $null->{after}{big}, 'NULL is something else');
	}
};

subtest 'E49: rows that cross a row filter' => sub {
	plan skip_all => 'none before PostgreSQL 15' unless $has_filters;
	my @ev = $shop->changes("INSERT INTO filtered VALUES (1, 1, '$long'), (200, 2, '$long')",
		'UPDATE filtered SET id = 150 WHERE id = 1', 'UPDATE filtered SET id = 50 WHERE id = 200');
	is_deeply([brief(@ev)], ['c filtered 1', 'd filtered 1', 'c filtered 50'], 'out is a delete, in is an insert');
	my $in = $ev[-1];
	is_deeply($in->{leat}{unchanged}, ['big'], 'an insert can lack a value');
	ok(!exists $in->{after}{big}, 'and does not make one up');
};

subtest 'E50: TRUNCATE of several tables' => sub {
	$shop->changes('INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1); INSERT INTO other VALUES (1)');
	my @ev = rows($shop->changes('TRUNCATE parent, other RESTART IDENTITY CASCADE'));
	is(scalar @ev, 1, 'is one event');
	is_deeply([sort @{ $ev[0]{leat}{truncate}{tables} }], ['public.child', 'public.other', 'public.parent'],
		'that lists also what the cascade added');
	ok($ev[0]{leat}{truncate}{cascade} && $ev[0]{leat}{truncate}{restart_identity}, 'with its flags');
	@ev = rows($shop->changes('BEGIN; INSERT INTO other VALUES (1); TRUNCATE other; INSERT INTO other VALUES (2); COMMIT'));
	is_deeply([map { $_->{op} } @ev], ['c', 't', 'c'], 'it stands where it happened');
	is_deeply([map { $_->{transaction}{data_collection_order} } @ev], [1, 2, 3], 'and counts as a change of its table');
	ok(!$ev[1]{leat}{truncate}{cascade} && !$ev[1]{leat}{truncate}{restart_identity}, 'without flags');
};

subtest 'E51: a row that moves to another partition' => sub {
	my @sql = ("INSERT INTO part VALUES (1, 'eu', 'a')", "UPDATE part SET region = 'us'",
		"UPDATE part SET v = 'b'", 'DELETE FROM part');
	my @ev = $shop->changes(@sql);
	is_deeply([brief(@ev)], ['c part 1', 'd part 1', 'c part 1', 'u part 1', 'd part 1'],
		'by the root: delete and insert, all of the root');
	is_deeply([map { $_->{after} ? $_->{after}{v} : () } rows(@ev)], ['a', 'a', 'b'], 'in the root\'s order of columns');
	my @move = (rows(@ev))[1, 2];
	is($move[0]{source}{txId}, $move[1]{source}{txId}, 'in one transaction');
	@ev = $leaves->changes();
	is_deeply([brief(@ev)], ['c part_eu 1', 'd part_eu 1', 'c part_us 1', 'u part_us 1', 'd part_us 1'],
		'by the leaves: of each leaf');
	is_deeply([map { $_->{after} ? $_->{after}{v} : () } rows(@ev)], ['a', 'a', 'b'], 'in the leaf\'s order of columns');
};

subtest 'E52: TRUNCATE of a leaf is not published by way of its root' => sub {
	my @ev = $shop->changes("INSERT INTO part VALUES (2, 'eu', 'a')", 'TRUNCATE part_eu');
	is_deeply([brief(@ev)], ['c part 2'], 'the server sends nothing');
	@ev = $leaves->changes();
	is_deeply([brief(@ev)], ['c part_eu 2', 't part_eu'], 'by the leaves it does');
	my ($rc, $out) = run_leat('check', '-c', $shop->{conf});
	like($out, qr/TRUNCATE/i, 'leat check says so');
};

subtest 'E54: prepared transactions' => sub {
	my @ev = $shop->changes("BEGIN; INSERT INTO t VALUES (20), (21); PREPARE TRANSACTION 'a'",
		"BEGIN; INSERT INTO t VALUES (22); PREPARE TRANSACTION 'b'", 'INSERT INTO t VALUES (23)');
	is_deeply([brief(@ev)], ['c t 23'], 'nothing of them before they end');
	# neither agent nor server need to have seen the beginning
	is($shop->{agent}->stop, 0, 'the agent ends');
	delete $_->{session} for $shop, $leaves;
	$pg->restart('immediate');
	Leat::Stream->start_all($shop, $leaves);
	@ev = $shop->changes("COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'b'");
	is_deeply([brief(@ev)], ['c t 20', 'c t 21'], 'all of it when they are committed');
	is_deeply([ordinals(@ev)], [1, 2], 'as one transaction');
};

subtest 'E56: a deferred constraint that fails at commit' => sub {
	my $s = $shop->session;
	like(eval { $s->query('BEGIN; INSERT INTO deferred VALUES (1), (1); COMMIT'); '' } || $@, qr/23505/, 'fails');
	is_deeply([brief($shop->changes('INSERT INTO deferred VALUES (2)'))], ['c deferred 2'], 'and leaves nothing');
};

subtest 'E57: messages of a transaction that is rolled back' => sub {
	my @ev = $shop->changes("BEGIN; SELECT pg_logical_emit_message(true, 'in', 'a'); INSERT INTO t VALUES (30);" .
		"SELECT pg_logical_emit_message(false, 'out', E'\\\\xff00'::bytea); ROLLBACK");
	is_deeply([map { "$_->{op} $_->{message}{prefix} $_->{message}{content}" } @ev], ['m out /wA='],
		'the one that is not transactional arrives');
	is($ev[0]{transaction}, undef, 'it is in no transaction');
	like($ev[0]{leat}{id}, qr{^shop/1/[0-9A-F]+/0$}, 'its id is its place and 0');
	@ev = $shop->changes("BEGIN; INSERT INTO t VALUES (31); SELECT pg_logical_emit_message(true, 'in', 'b');" .
		"INSERT INTO t VALUES (32); SELECT pg_logical_emit_message(true, 'leat:x', 'c'); INSERT INTO t VALUES (33); COMMIT");
	is_deeply([map { $_->{op} } @ev], ['c', 'm', 'c', 'c'], 'a transactional one stands where it was sent');
	is_deeply([ordinals(@ev)], [1, 2, 3, 5], 'and takes a number, as the agent\'s own do');
};

subtest 'E75: many subtransactions' => sub {
	my $n = is_long() ? 100_000 : 2000;
	my @ev = rows($shop->changes(<<SQL));
DO \$\$ BEGIN
  FOR i IN 1..$n LOOP
    BEGIN
      INSERT INTO other VALUES (1000 + i);
      IF i % 10 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
END \$\$
SQL
	my @want = map { 1000 + $_ } grep { $_ % 10 } 1 .. $n;
	is(join(' ', map { $_->{after}{id} } @ev), join(' ', @want), 'those that were kept arrive');
	is(join(' ', ordinals(@ev)), join(' ', 1 .. @want), 'numbered without a hole');
};

is($shop->{agent}->stop, 0, 'the agent ends cleanly');

subtest 'E53: a table without an identity is named before it is published' => sub {
	my $st = Leat::Stream->new($pg, name => 'strict', db => 'strict');
	$pg->query('CREATE DATABASE strict');
	$st->query('CREATE TABLE bare (v int); CREATE TABLE good (id int PRIMARY KEY)');
	my $conf = write_conf($st->sections);
	my ($rc, $out, $err) = run_leat('check', '-c', $conf);
	is($rc, 1, 'leat check finds it');
	like("$out$err", qr/"public"\."bare"/, 'and names it');
	my $p = start_leat('run', '-c', $conf);
	$st->{conf} = $conf;
	$st->{agent} = $p;
	is($st->await('stopped')->{code}, 'table_identity', 'the pipeline stops instead of publishing it');
	is($st->query('SELECT count(*) FROM pg_publication'), 0, 'nothing was published');
	$st->query('INSERT INTO bare VALUES (1); UPDATE bare SET v = 2');
	pass('so the application can still update it');
	$p->stop;
	$st->query('CREATE PUBLICATION leat_strict FOR ALL TABLES');
	like(eval { $st->session->query('UPDATE bare SET v = 3'); '' } || $@, qr/55000/,
		'published by somebody it cannot');
	($rc, $out, $err) = run_leat('check', '-c', $conf);
	is($rc, 1, 'which leat check finds too');
	like("$out$err", qr/"public"\."bare"/, 'by its name');
};

subtest 'E55: CREATE TABLE AS with a publication of all tables' => sub {
	my $st = Leat::Stream->new($pg, name => 'everything', db => 'everything');
	$pg->query('CREATE DATABASE everything');
	$st->query('CREATE TABLE first (id int PRIMARY KEY); CREATE PUBLICATION leat_everything FOR ALL TABLES');
	$st->start;
	my @ev = $st->changes('CREATE TABLE made AS SELECT i AS id, i::text AS v FROM generate_series(1, 3) i');
	is_deeply([brief(@ev)], ['c made 1', 'c made 2', 'c made 3'], 'its rows are inserts');
	is_deeply([map { $_->{name} } @{ $ev[0]{schema_change}{columns} }], ['id', 'v'], 'behind its version');
	@ev = $st->changes('SELECT i AS id INTO again FROM generate_series(1, 2) i',
		'CREATE MATERIALIZED VIEW seen AS SELECT * FROM made', 'CREATE UNLOGGED TABLE fast AS SELECT 1 AS id');
	is_deeply([brief(@ev)], ['c again 1', 'c again 2'], 'SELECT INTO likewise; what cannot be published is not there');
	is($st->{agent}->stop, 0, 'the agent ends cleanly');
};

done_testing;
