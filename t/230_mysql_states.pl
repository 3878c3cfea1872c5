# Whatever rules out the work, or makes going on doubtful, has a name, and a
# statement or a command that leaves it.
use Leat::Test;
use Leat::MySQL;
use Leat::Rig;

for my $kind (Leat::MySQL->kinds) {
my $is_mysql = $kind eq 'mysql';
my $db = Leat::MySQL->new(kind => $kind);
my $n = 0;
my $rig_of = sub { my ($name, %opt) = @_; return Leat::Rig->new($db, "${name}_$kind", %opt) };

scenario "$kind: settings that are wanting are named, and leat check --sql mends them" => sub {
	my $rig = $rig_of->('settings');
	$db->query("SET GLOBAL binlog_row_metadata = '" . ($is_mysql ? 'MINIMAL' : 'NO_LOG') . "'; SET GLOBAL binlog_row_image = 'MINIMAL'");
	my $st = $rig->start->stops_with('source_config');
	like($st->{message}, qr/binlog_row_image is MINIMAL; FULL is needed/, 'the first of them stops it');
	$rig->stop;
	my ($rc, $out) = $rig->leat('check');
	is($rc, 1, 'leat check has findings');
	like($out, qr/binlog_row_image is MINIMAL.*binlog_row_metadata is \w+; FULL is needed/s, 'it has both');
	my ($again, $sql) = $rig->leat('check', '--sql');
	$db->query($sql);
	($rc, $out) = $rig->leat('check');
	is($rc, 0, 'its statements mend them') or diag $out;
	$rig->start->await_running->insert(1)->await_ids(1);
	$rig->stop;
};

my @sessions = (
	['a row without all columns', "SET SESSION binlog_row_image = 'MINIMAL'; UPDATE t SET v = 'x' WHERE id = 1", qr/"\w+\.t": a row has not all columns/],
	['a change as a statement', "SET SESSION binlog_format = 'STATEMENT'; UPDATE t SET v = 'x' WHERE id = 1", qr/a change of table "\w+\.t" is in the server's log as a statement/],
	['an XA transaction', "XA START 'x$kind'; INSERT INTO t VALUES (2, 'x'); XA END 'x$kind'; XA PREPARE 'x$kind'; XA COMMIT 'x$kind'", qr/"\w+\.t" is changed by XA transaction/],
	$is_mysql ? ['partial JSON', "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'; UPDATE j SET v = JSON_SET(v, '\$.a', 2)", qr/binlog_row_value_options is PARTIAL_JSON/] : (),
);
for my $case (@sessions) {
	my ($what, $sql, $want) = @$case;
	scenario "$kind: $what stops it, and what came before is delivered" => sub {
		my $rig = $rig_of->('session' . $n++, sql => "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE j (id int PRIMARY KEY, v json)");
		$rig->start->await_running->insert(1)->await_ids(1);
		$rig->query("INSERT INTO j VALUES (1, '{\"a\": 1, \"long\": \"" . 'x' x 100 . "\"}')");
		my $session = $rig->session;
		$session->query($sql);
		$rig->query("INSERT INTO t VALUES (3, 'after')");
		my $st = $rig->stops_with('source_config');
		like($st->{message}, $want, 'it says what and where');
		is_deeply([$rig->ids], [1], 'nothing behind it is delivered');
		$rig->stop;
	};
}

scenario "$kind: such a change of another table is none of its business" => sub {
	my $rig = $rig_of->('others', sql => 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE hidden (id int PRIMARY KEY, a int, b int)',
		source => 'exclude_tables = { "*.hidden" }');
	$rig->start->await_running->insert(1);
	$rig->session->query("INSERT INTO hidden VALUES (1, 1, 1); SET SESSION binlog_row_image = 'MINIMAL'; UPDATE hidden SET a = 2; DELETE FROM hidden; " .
		"SET SESSION binlog_format = 'STATEMENT'; INSERT INTO hidden VALUES (2, 2, 2); " .
		"XA START 'y$kind'; INSERT INTO hidden VALUES (3, 3, 3); XA END 'y$kind'; XA PREPARE 'y$kind'; XA COMMIT 'y$kind'");
	$rig->insert(2)->await_ids(1, 2);
	$rig->stop;
};

scenario "$kind: purged" => sub {
	my $rig = $rig_of->('purged')->start->await_running->insert(1)->await_ids(1);
	$rig->stop;
	$rig->insert(2);
	$db->purge;
	$rig->insert(3);
	my $st = $rig->start->stops_with('purged');
	$rig->leaves_with_gap($st, 4);
	$rig->stop;
};

scenario "$kind: diverged" => sub {
	my $rig = $rig_of->('diverged')->start->await_running->insert(1 .. 3)->await_ids(1 .. 3);
	$rig->stop;
	$db->query($is_mysql ? 'RESET BINARY LOGS AND GTIDS' : 'RESET MASTER');
	$rig->insert(4);
	my $st = $rig->start->stops_with('diverged');
	$rig->leaves_with_gap($st, 5);
	$rig->stop;
};

scenario "$kind: the other kind of server" => sub {
	my $rig = $rig_of->('kind');
	my $other = $is_mysql ? 'mariadb' : 'mysql';
	spew($rig->conf, slurp($rig->conf) =~ s/type = $kind/type = $other/r);
	my $st = $rig->start->stops_with('wrong_server');
	like($st->{hint}, qr/type to $kind/, 'the hint is what to set');
	$rig->stop;
	my ($rc, $out) = $rig->leat('check');
	is($rc, 1, 'leat check finds it too');
};

scenario "$kind: who is not let in waits" => sub {
	$db->query("CREATE USER poor IDENTIFIED BY 'poor'");
	my $rig = $rig_of->('poor', conninfo => { user => 'poor', password => 'poor' });
	$rig->start->await_said(qr/code=source_refused/);
	like($rig->said, qr/REPLICATION SLAVE/, 'the privilege is named');
	$db->query('GRANT REPLICATION SLAVE ON *.* TO poor');
	$rig->await_running->insert(1)->await_ids(1);
	$rig->stop;
	my $wrong = $rig_of->('password', conninfo => { password => 'wrong' });
	$wrong->start->await_said(qr/Access denied.*code=source_refused/);
	$wrong->stop;
};

scenario "$kind: a position can be chosen" => sub {
	my $rig = $rig_of->('position')->start->await_running->insert(1)->await_ids(1);
	my $gtids = $db->gtids;
	$rig->insert(2, 3)->await_ids(1 .. 3);
	$rig->stop;
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', $rig->name, $gtids);
	isnt($rc, 0, 'one that repeats is refused');
	($rc, $out, $err) = $rig->leat('offsets', 'set', $rig->name, $gtids, '--accept-repeat');
	is($rc, 0, 'and taken by order') or diag $err;
	$rig->start->await(sub { $rig->ids >= 5 }, 'the repeated rows');
	is_deeply([$rig->ids], [1, 2, 3, 2, 3], 'from behind that set of GTIDs');
	$rig->stop;
	($rc, $out) = $rig->leat('drop', $rig->name, '--yes');
};
$db->stop;
}

done_testing;
