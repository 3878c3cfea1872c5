# What happened in the server's transactions is what arrives, in order and
# numbered, whatever form the log gave it.
use Leat::Test;
use Leat::MySQL;
use Leat::Rig;

sub rows { return grep { $_->{op} =~ /^[cudt]$/ } @_ }
# "c t 1"
sub brief {
	return map { my $row = $_->{after} || $_->{before} || {};
		join ' ', $_->{op}, $_->{source}{table}, defined $row->{id} ? $row->{id} : () } rows(@_);
}
sub transactions { my %seen; return grep { !$seen{$_}++ } map { $_->{transaction}{id} } rows(@_) }

# What the statements add to the log, up to the row of table `last` that ends them.
my $last = 0;
sub changes {
	my ($rig, @sql) = @_;
	my $before = $rig->{seen} || 0;
	$rig->query($_) for @sql;
	$last++;
	$rig->query("INSERT INTO last VALUES ($last)");
	my @ev;
	$rig->await(sub {
		@ev = $rig->events;
		grep { $_->{op} eq 'c' && $_->{source}{table} eq 'last' && $_->{after}{id} == $last } @ev
	}, "row $last of table last");
	$rig->{seen} = @ev;
	return grep { $_->{source}{table} ne 'last' } @ev[$before .. $#ev];
}

for my $kind (Leat::MySQL->kinds) {
my $is_mysql = $kind eq 'mysql';
my $db = Leat::MySQL->new(kind => $kind);
my $rig = Leat::Rig->new($db, "txn_$kind", source => 'exclude_tables = { "*.hidden*" }', sql => <<'SQL');
CREATE TABLE last (id int PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY, v text);
CREATE TABLE hidden (id int PRIMARY KEY, v decimal(10,2), w datetime(3), x enum('a','b'));
CREATE TABLE nokey (id int, v text);
CREATE TABLE twokeys (a int, id int, v text, PRIMARY KEY (id, a));
CREATE TABLE prefixed (id varchar(100), v text, PRIMARY KEY (id(10)));
CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY HASH (id) PARTITIONS 4;
CREATE TABLE gone (id int PRIMARY KEY);
CREATE TABLE mem (id int PRIMARY KEY) ENGINE = MyISAM;
SQL
$rig->start->await_running;

subtest "$kind: a transaction of several tables is one, numbered without a hole" => sub {
	my @ev = changes($rig, "BEGIN; INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO hidden VALUES (1, 1.5, NOW(), 'a'), (2, NULL, NULL, NULL); " .
		"UPDATE hidden SET v = 3; INSERT INTO other VALUES (3, 'c'); COMMIT");
	is_deeply([brief(@ev)], ['c t 1', 'c t 2', 'c other 3'], 'three inserts');
	is(scalar transactions(@ev), 1, 'of one transaction');
	is_deeply([map { $_->{transaction}{total_order} } rows(@ev)], [1, 2, 7],
		'rows of a table that is left out are counted');
	is_deeply([map { $_->{transaction}{data_collection_order} } rows(@ev)], [1, 2, 1], 'each numbered in its table');
	cmp_ok(abs($ev[-1]{source}{ts_ms} / 1000 - time), '<', 3600, 'the time of the commit is told');
};

subtest "$kind: what is rolled back leaves nothing" => sub {
	my @ev = changes($rig, "BEGIN; INSERT INTO t VALUES (10, ''); SAVEPOINT s; INSERT INTO t VALUES (11, ''); " .
		"ROLLBACK TO s; INSERT INTO t VALUES (12, ''); COMMIT", "BEGIN; INSERT INTO t VALUES (13, ''); ROLLBACK");
	is_deeply([brief(@ev)], ['c t 10', 'c t 12'], 'only the two that were committed');
};

subtest "$kind: keys" => sub {
	my @ev = changes($rig, "INSERT INTO nokey VALUES (1, 'a'), (1, 'a'); UPDATE nokey SET v = 'b' LIMIT 1; DELETE FROM nokey",
		"INSERT INTO twokeys VALUES (1, 2, 'x'); UPDATE twokeys SET a = 2; UPDATE twokeys SET v = 'y'",
		"INSERT INTO prefixed VALUES ('k', 'x'); UPDATE prefixed SET id = 'l'");
	is_deeply([brief(@ev)], ['c nokey 1', 'c nokey 1', 'u nokey 1', 'd nokey 1', 'd nokey 1',
		'c twokeys 2', 'd twokeys 2', 'c twokeys 2', 'u twokeys 2', 'c prefixed k', 'd prefixed k', 'c prefixed l'],
		'a change of a part of the key is a delete and an insert, without a key there is none');
};

subtest "$kind: REPLACE, ON DUPLICATE KEY, triggers, partitions, other engines" => sub {
	my @ev = changes($rig, "INSERT INTO part VALUES (1, 'a'), (2, 'b'), (3, 'c'); UPDATE part SET v = 'z' WHERE id = 2",
		"INSERT INTO mem VALUES (1)", "CREATE TRIGGER tr AFTER INSERT ON other FOR EACH ROW INSERT INTO gone VALUES (NEW.id)",
		"INSERT INTO other VALUES (20, '')", "DROP TRIGGER tr",
		"INSERT INTO other VALUES (20, 'x') ON DUPLICATE KEY UPDATE v = 'y'");
	is_deeply([sort { $a cmp $b } grep { /part/ } brief(@ev)], ['c part 1', 'c part 2', 'c part 3', 'u part 2'], 'partitions are one table');
	is_deeply([grep { !/part/ } brief(@ev)], ['c mem 1', 'c other 20', 'c gone 20', 'u other 20'], 'each effect is a change');
};

subtest "$kind: a table changes its shape" => sub {
	my @ev = changes($rig, "ALTER TABLE other ADD COLUMN w int NOT NULL DEFAULT 7", "INSERT INTO other (id) VALUES (30)",
		"ALTER TABLE other DROP COLUMN v, MODIFY w bigint unsigned", "INSERT INTO other VALUES (31, 18446744073709551615)",
		"ALTER TABLE other ADD COLUMN e enum('a','b')", "INSERT INTO other VALUES (32, 1, 'b')",
		"ALTER TABLE other MODIFY e enum('a','b','c')", "INSERT INTO other VALUES (33, 1, 'c')",
		"ALTER TABLE other DROP PRIMARY KEY", "INSERT INTO other VALUES (34, 1, 'c')");
	is_deeply([map { $_->{op} } @ev], [('schema', 'c') x 5], 'each version comes right in front of its first row');
	is($ev[1]{after}{w}, 7, 'with the new column');
	ok(!exists $ev[3]{after}{v}, 'and without the old one');
	is($ev[7]{after}{e}, 'c', 'a label that is added');
	is_deeply([map { $_->{leat}{schema}{version} } @ev], [map { ($_, $_) } 2 .. 6], 'numbered');
};

subtest "$kind: tables change places" => sub {
	my @ev = changes($rig, "CREATE TABLE _t_new LIKE t; ALTER TABLE _t_new ADD COLUMN n int; RENAME TABLE t TO _t_old, _t_new TO t",
		"INSERT INTO t VALUES (40, 'x', 1)", "RENAME TABLE t TO _t_new, _t_old TO t", "INSERT INTO t VALUES (41, 'y')");
	is_deeply([map { $_->{op} } @ev], ['schema', 'c', 'schema', 'c'], 'capture follows the name');
	is($ev[1]{after}{n}, 1, 'with the shape of whoever has it');
	ok(!exists $ev[3]{after}{n}, 'and back');
};

subtest "$kind: TRUNCATE, DROP, CREATE ... SELECT" => sub {
	my @ev = changes($rig, "TRUNCATE TABLE gone", "INSERT INTO gone VALUES (50)", "DROP TABLE gone", "CREATE TABLE gone (id int PRIMARY KEY, x int)",
		"INSERT INTO gone VALUES (51, 1)", "CREATE TABLE made AS SELECT 52 AS id", "CREATE OR REPLACE VIEW seen AS SELECT 1", "FLUSH TABLES",
		"/* a comment */ TRUNCATE made");
	is_deeply([brief(@ev)], ['t gone', 'c gone 50', 'c gone 51', 'c made 52', 't made'], 'what changed rows is there');
};

subtest "$kind: the forms that the log can have" => sub {
	my @sql = $is_mysql ? (
		"SET binlog_transaction_compression = ON; BEGIN; " . join('; ', map { "INSERT INTO mem2 VALUES ($_, REPEAT('x', 1000))" } 60 .. 69) . "; COMMIT",
		"SET binlog_transaction_compression = OFF; SET binlog_rows_query_log_events = ON", "INSERT INTO mem2 VALUES (70, '')",
		"SET gtid_next = 'AUTOMATIC:mytag'; INSERT INTO mem2 VALUES (71, ''); SET gtid_next = 'AUTOMATIC'", "INSERT INTO mem2 VALUES (72, '')",
	) : (
		"SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10; BEGIN; " . join('; ', map { "INSERT INTO mem2 VALUES ($_, REPEAT('x', 1000))" } 60 .. 69) . "; COMMIT",
		"UPDATE mem2 SET v = REPEAT('y', 1000) WHERE id = 60; DELETE FROM mem2 WHERE id = 60; SET GLOBAL log_bin_compress = OFF", "INSERT INTO mem2 VALUES (70, '')",
		"SET gtid_domain_id = 5; INSERT INTO mem2 VALUES (71, ''); SET gtid_domain_id = 0", "INSERT INTO mem2 VALUES (72, '')",
	);
	my @ev = changes($rig, 'CREATE TABLE mem2 (id int PRIMARY KEY, v text)', @sql);
	my @want = ((map { "c mem2 $_" } 60 .. 69), $is_mysql ? () : ('u mem2 60', 'd mem2 60'), map { "c mem2 $_" } 70 .. 72);
	is_deeply([brief(@ev)], \@want, 'all of it arrives');
	is(length((rows(@ev))[0]{after}{v}), 1000, 'with its values');
	my ($special) = grep { $_->{op} eq 'c' && $_->{after}{id} == 71 } @ev;
	like($special->{transaction}{id}, $is_mysql ? qr/:mytag:1$/ : qr/^5-\d+-1$/, 'GTIDs with tags, and of other domains');
	$rig->kill9;
	$rig->start->await_running;
	is_deeply([brief(changes($rig, "INSERT INTO mem2 VALUES (73, '')"))], ['c mem2 73'], 'and reading goes on behind them');
};

subtest "$kind: the log goes on in other files" => sub {
	my @ev = changes($rig, "INSERT INTO t VALUES (80, '')", 'FLUSH BINARY LOGS', "INSERT INTO t VALUES (81, '')", 'FLUSH BINARY LOGS',
		"INSERT INTO t VALUES (82, '')");
	is_deeply([brief(@ev)], ['c t 80', 'c t 81', 'c t 82'], 'without a hole');
	$rig->stop;
	$db->purge;
	$rig->start->await_running;
	is_deeply([brief(changes($rig, "INSERT INTO t VALUES (83, '')"))], ['c t 83'], 'and what was read may be purged');
};

$rig->stop;

scenario "$kind: a large transaction is cut, and gone on with where it was cut" => sub {
	my $large = Leat::Rig->new($db, "large_$kind", sql => 'CREATE TABLE t (id int PRIMARY KEY, v varchar(200));
		CREATE TABLE digits (d int PRIMARY KEY); INSERT INTO digits VALUES ' . join ',', map { "($_)" } 0 .. 9);
	$large->start->await_running;
	$large->stop;
	$large->query("SET binlog_transaction_compression = ON") if $is_mysql;
	$large->query("INSERT INTO t SELECT a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d, REPEAT('v', 150)
		FROM digits a, digits b, digits c, digits d, digits e");
	my @lives = has_feature('FAULTS') ? qw(after_read:3 before_fsync:2 after_fsync_before_state:1) : ();
	for my $fault (@lives) {
		$large->start({ env => { LEAT_FAULT => $fault } });
		poll_until { !$large->agent->is_running } "the end at $fault", 60;
	}
	my @partly = $large->ids;
	cmp_ok(scalar @partly, '<', 100000, 'killed in the middle of it: ' . @partly . ' rows were there') if @lives;
	cmp_ok(scalar @partly, '>', 0, 'of it some had been delivered') if @lives;
	$large->start->await(sub { $large->ids >= 100000 }, 'all rows', 120);
	my %seen = map { $_ => 1 } my @ids = $large->ids;
	is(scalar @ids, 100000, 'no row twice');
	is(scalar keys %seen, 100000, 'and none is missing');
	$large->is_sound;
	$large->stop;
};

$db->stop;
}

done_testing;
