# What a DBA is promised (leat-sources(7), STATEMENTS and SESSIONS): the
# statements, the connections, the locks and the writes of a pipeline's whole
# life, as the server saw them.
use Leat::Test;
use Leat::Postgres;
use Leat::Manual qw(page sections blocks);
use Leat::Rig;
use Leat::Tree qw(tree_files);
use Time::HiRes qw(time);

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { log_statement => 'all', log_replication_commands => 'on',
	log_connections => 'on' });

# One form for a statement of the log and for one of the manual: names, numbers
# and lists of names do not matter.
sub form {
	my ($sql) = @_;
	$sql =~ s/'(?:[^']|'')*'/'x'/g;
	$sql =~ s/"(?:[^"]|"")*"/"x"/g;
	$sql =~ s/"x"(?:\."x")?(?:, "x"(?:\."x")?)*/"x"/g;
	$sql =~ s{\b[0-9A-F]+/[0-9A-F]+\b}{LSN}g;
	$sql =~ s/(?<![\w\$])-?\d+\b/N/g;
	$sql =~ s/\s+/ /g;
	$sql =~ s/^ | ?;? ?$//g;
	return $sql;
}
is(form("SELECT  \$1, -12, '0/16E9BB8', 0/16E9BB8 FROM \"a\".\"b\", \"c\".\"d\" ;"),
	q{SELECT $1, N, 'x', LSN FROM "x"}, 'statements are compared by their form');

my %listed;
if (grep { $_ eq 'man/leat-sources.7' } tree_files()) {
	my %text = map { $_->[0] => $_->[1] } sections(page('leat-sources.7'));
	for my $block (map { $_->[1] } map { blocks($_) } grep { defined } @text{'STATEMENTS', 'Statements'}) {
		$listed{form($_)} = 0 for grep { /\S/ } split /;\s*$/m, $block;
	}
}

# Everything that leat's own sessions asked since the mark: [backend, statement].
sub statements {
	my ($mark) = @_;
	my $text = $pg->log_since($mark);
	my @found;
	while ($text =~ /^\S+ \S+ \S+ \[(\d+)\] user=\S* db=\S* app=leat\/\S* LOG:  (?:statement|execute [^:]*|received replication command): (.*(?:\n\t.*)*)/mg) {
		my ($pid, $sql) = ($1, $2);
		$sql =~ s/\n\t/\n/g;
		push @found, [$pid, $sql];
	}
	return @found;
}

# --- a whole life

my $mark = $pg->log_mark;
my $rig = Leat::Rig->new($pg, 'life', sql => <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE "Other One" (id int PRIMARY KEY, m mood);
SQL

my (%most, %locks);
# What leat has on the server at this moment.
sub look {
	my %now;
	for ($pg->rows("SELECT backend_type, count(*) FROM pg_stat_activity WHERE application_name = 'leat/life' GROUP BY 1")) {
		$most{$_->[0]} = $_->[1] if $_->[1] > ($most{$_->[0]} || 0);
	}
	for ($pg->rows("SELECT l.locktype, l.mode, l.relation FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE a.application_name = 'leat/life'")) {
		$locks{"$_->[0] $_->[1]"}++;
	}
	return 1;
}

my ($rc, $out, $err) = $rig->leat('check');
is($rc, 0, 'check') or diag $out . $err;
($rc) = $rig->leat('check', '--sql');
# the slot has to wait for this one
my $open = $rig->session;
$open->query('BEGIN; INSERT INTO t VALUES (0)');
$rig->start;
$rig->await(sub { look() && $pg->query("SELECT count(*) FROM pg_replication_slots") }, 'the slot');
$rig->await_said(qr/waits for open transactions/, 20);
$open->query('COMMIT');
$rig->await_running;
%locks = ();	# making the publication and the slot was before
my $running = $pg->log_mark;
$rig->insert(1)->await_count(1);
my $s = $rig->session;
for my $i (2 .. 12) {
	$s->send("INSERT INTO t (id, v) VALUES ($i, 'x'); ALTER TABLE t ADD COLUMN c$i int;
		INSERT INTO \"Other One\" VALUES ($i, 'ok'); UPDATE t SET v = 'y' WHERE id = $i");
	look() until $s->is_done;
	$s->finish;
}
$rig->query('TRUNCATE "Other One"; DELETE FROM t WHERE id = 3');
$rig->query("SELECT pg_logical_emit_message(true, 'a', 'b')");
$rig->await(sub { look() && grep { $_->{op} eq 'm' } $rig->events }, 'all of it');
is_deeply([grep { !/^(?:relation|virtualxid|advisory) / } keys %locks], [], 'while it runs: no lock of an unusual kind');
is_deeply([grep { /^relation / && !/AccessShareLock/ } keys %locks], [], 'and none on a relation above ACCESS SHARE');

# a conflicting lock does not hold it up
my $locker = $rig->session;
$locker->query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
$rig->query(q{INSERT INTO "Other One" VALUES (100, 'sad')});
$rig->await(sub { grep { ($_->{after} || {})->{id} && $_->{after}{id} == 100 } $rig->changes }, 'a row of another table');
$rig->restart;
# from 16 on pg_get_publication_tables() opens each of them
my $waits = Leat::Postgres::major() >= 16;
if ($waits) { $rig->await_said(qr/ code=source_refused .*conflicting lock/, 20) } else { $rig->await_running(20) }
pass('a table under ACCESS EXCLUSIVE lock is no hindrance, or is named as one');
$locker->query('ROLLBACK');
$rig->await_running(30) if $waits;

# a standby, a reconnect, a stop, an offset, a drop
my $second = spew("$rig->{dir}/second.conf", slurp($rig->conf) =~ s{^state_dir = .*}{state_dir = "$rig->{dir}/second"}mr);
my $standby = start_leat('run', '-c', $second);
$rig->await(sub { $standby->err =~ / code=claim_held\b/ }, 'the standby');
$standby->stop;
$pg->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leat/life'");
$rig->query('ALTER TABLE t ADD COLUMN after_all int; INSERT INTO t (id) VALUES (200)');
$rig->await(sub { look() && grep { ($_->{after} || {})->{id} && $_->{after}{id} == 200 } $rig->changes }, 'row 200');
$rig->stop;
$rig->insert_life(201);
($rc, $out, $err) = $rig->leat('offsets', 'set', 'life', 'now', '--accept-gap');
is($rc, 0, 'offsets set') or diag $err;
$rig->start->await_running;
$rig->stop;
($rc, $out, $err) = $rig->leat('drop', 'life', '--yes');
is($rc, 0, 'drop') or diag $err;

sub Leat::Rig::insert_life {
	my ($self, $id) = @_;
	$self->query("INSERT INTO t (id) VALUES ($id)");
}

# a backlog that is read in chunks
my $far = Leat::Rig->new($pg, 'far', source => 'catchup_threshold = 0');
$far->start->await_running;
$far->insert(1)->await_ids(1)->stop;
$far->insert(2 .. 20)->start->await_ids(1 .. 20)->await_said(qr/ code=gear gear=catch-up/);
$far->await_acked;
$far->stop;

my @all = statements($mark);
cmp_ok(scalar @all, '>', 20, 'the server\'s log has leat\'s statements');
my %unlisted;
for (@all) {
	my $form = form($_->[1]);
	if (exists $listed{$form}) { $listed{$form}++ } else { $unlisted{$form} = $_->[1] }
}
is(join("\n\n", map { $unlisted{$_} } sort keys %unlisted), '', 'every one of them is in leat-sources(7)');
note("listed, but not seen in this life: $_") for grep { !$listed{$_} } sort keys %listed;

cmp_ok($most{walsender} || 0, '==', 1, 'one replication connection');
cmp_ok($most{'client backend'} || 0, '<=', 1, 'at most one side connection');
my @starts = map { $_->[1] } grep { $_->[1] =~ /^START_REPLICATION/ } @all;
is_deeply([grep { !/ \(proto_version '1', publication_names '[^']*', messages 'true'\)$/ } @starts], [],
	'E178: it is asked for nothing that PostgreSQL 14 does not know') or diag explain \@starts;
cmp_ok(scalar @starts, '>', 2, 'whenever a stream begins');
my @writes = grep { $_->[1] =~ /^\s*(?:INSERT|UPDATE|DELETE|TRUNCATE|LOCK|ALTER|GRANT|VACUUM)\b/i } @all;
is_deeply(\@writes, [], 'nothing is written to a table');
my @made = grep { $_->[1] =~ /^\s*(?:CREATE|DROP) /i } statements($running);
is_deeply([grep { $_->[1] !~ /PUBLICATION/ } @made], [], 'publication and slot are all that is ever made');
my %first;
$first{$_->[0]} ||= $_->[1] for @all;
is_deeply([grep { !/default_transaction_read_only/i } values %first], [], 'every session begins by making itself read only');

# --- an idle pipeline

scenario 'E200: an idle pipeline' => sub {
	my $idle = Leat::Rig->new($pg, 'idle');
	$idle->start->await_running;
	$idle->insert(1)->await_ids(1);
	$idle->await_acked;
	my $from = $pg->log_mark;
	my $xid = $pg->value("SELECT pg_current_xact_id()::text::bigint");
	my $wal = $pg->value('SELECT pg_current_wal_insert_lsn()');
	my $end = time + 21;
	poll_until { time > $end } 'some time';
	is($pg->value("SELECT pg_current_xact_id()::text::bigint") - $xid, 1, 'writes nothing: no transaction id was taken');
	cmp_ok($pg->value("SELECT pg_current_wal_insert_lsn() - '$wal'"), '<', 64 << 10,
		'so the log of the server does not grow by it');
	my @asked = statements($from);
	cmp_ok(scalar @asked, '<=', 3, 'asks at most once in 10 s') or diag explain \@asked;
	cmp_ok(scalar @asked, '>=', 1, 'but does keep an eye on its slot');
	$idle->stop;
};

scenario 'lock_timeout' => sub {
	my $blocked = Leat::Rig->new($pg, 'blocked');
	my $s = $blocked->session;
	$s->query('BEGIN; LOCK TABLE pg_catalog.pg_publication IN ACCESS EXCLUSIVE MODE');
	my $start = time;
	$blocked->start->await_said(qr/ code=source_refused\b/, 20);
	cmp_ok(time - $start, '<', 6, 'it does not wait for a lock longer than a moment');
	like($blocked->said, qr/lock/, 'and says what is in the way');
	$s->query('ROLLBACK');
	$blocked->await_running(30);
	$blocked->insert(1)->await_ids(1)->stop;
};

done_testing;
