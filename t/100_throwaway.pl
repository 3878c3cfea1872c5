# Throw-away servers and the proxy do what the tests of leat rely on.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { log_statement => 'all' });
is($pg->query('SHOW wal_level'), 'logical', 'a server starts, ready for logical decoding');
is($pg->query('SHOW listen_addresses'), '127.0.0.1', 'on loopback only');
is_deeply([$pg->rows("VALUES (1, 'a'), (2, NULL)")], [['1', 'a'], ['2', '']], 'rows come back');
is($pg->query("SELECT '\x{e4}\x{20ac}'"), "\x{e4}\x{20ac}", 'text goes there and back');
like($pg->error_of('SELECT 1/0'), qr/22012.*division by zero/, 'an error comes with its SQLSTATE');
is($pg->query('SELECT 1'), 1, 'and the next query works');

$pg->query('CREATE TABLE t (id int PRIMARY KEY)');
my $s = $pg->session(application_name => 'tester');
my $mark = $pg->log_mark;
$s->query('BEGIN; INSERT INTO t VALUES (1)');
is($pg->query('SELECT count(*) FROM t'), 0, 'a session keeps its transaction to itself');
$s->query('COMMIT');
is($pg->query('SELECT count(*) FROM t'), 1, 'until it commits');
is_deeply([$pg->statements($mark, 'tester')], ['BEGIN', 'INSERT INTO t VALUES (1)', 'COMMIT'],
	'the server\'s log tells who said what') or diag $pg->log_since($mark);

my $t = $pg->session;
$s->query('BEGIN; LOCK t');
$t->send('INSERT INTO t VALUES (2)');
poll_until { $pg->query('SELECT count(*) FROM pg_locks WHERE NOT granted') } 'the lock wait';
ok(!$t->is_done, 'a statement can be left waiting');
$s->query('ROLLBACK');
$t->finish;
is($pg->query('SELECT count(*) FROM t'), 2, 'and finished later');

for my $mode (qw(fast immediate)) {
	$pg->stop($mode);
	ok(!$pg->is_running, "$mode stop");
	$pg->start;
	is($pg->query('SELECT count(*) FROM t'), 2, 'the data are there after it');
}
$pg->kill9->start;
is($pg->query('SELECT count(*) FROM t'), 2, 'and after kill -9 of the whole server');
$pg->set_conf(work_mem => '5MB')->reload;
is($pg->query('SHOW work_mem'), '5MB', 'settings can be changed');
$pg->query("SELECT pg_create_logical_replication_slot('x', 'pgoutput')");
is($pg->slot('x')->{plugin}, 'pgoutput', 'a slot can be looked at');
is($pg->slot('y'), undef, 'or be missing');

my $other = Leat::Postgres->new;
isnt($other->value('SELECT system_identifier FROM pg_control_system()'), '', 'a second server runs beside it');

# the proxy
my $proxy = Leat::Proxy->new($pg->port);
my $p = $pg->session(port => $proxy->port);
is($p->query('SELECT 42'), 42, 'the proxy passes bytes');
is($p->query('SELECT length(repeat(\'x\', 3000000))'), 3000000, 'and many queries');
is(length $p->query('SELECT repeat(\'x\', 3000000)'), 3000000, 'and many bytes');
is($proxy->count->{open}, 1, 'it counts connections');
ok($proxy->count->{down} > 3000000, 'and bytes');
$proxy->stall;
$p->send('SELECT 43');
my $before = $proxy->count->{up};
ok(!$p->is_done, 'a stalled proxy moves nothing');
$proxy->pass;
is($p->finish, 43, 'and all of it afterwards');
$proxy->swallow;
$p->send('SELECT 44');
poll_until { $proxy->count->{up} > $before + 5 } 'the bytes';
ok(!$p->is_done, 'a swallowing proxy answers nothing');
$proxy->cut;
ok(!eval { $p->finish; 1 }, 'a cut ends the connection');
$proxy->pass;
for my $how (qw(reset refuse)) {
	$p = $pg->session(port => $proxy->port);
	is($p->query('SELECT 45'), 45, 'a new connection works');
	$proxy->$how;
	ok(!eval { $p->query('SELECT 46'); 1 }, "$how ends it");
}
$p = $pg->session(port => $proxy->port);
ok(!eval { $p->query('SELECT 47'); 1 }, 'refused connections fail');
$proxy->pass->cut_after(100_000);
$p = $pg->session(port => $proxy->port);
ok(!eval { $p->query('SELECT repeat(\'x\', 200000)'); 1 }, 'a connection can be cut after so many bytes');

done_testing;
