# The commands on a real server: check, status, schema, offsets, drop, and
# several pipelines in one agent.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;
use Time::HiRes qw(time);

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_replication_slots => 60 });
my $json = JSON::PP->new->utf8;

sub psql {
	my ($rig, $sql) = @_;
	return run_command({ stdin => $sql }, Leat::Postgres::bindir() . '/psql', '-X', '-v', 'ON_ERROR_STOP=1',
		'-d', $pg->conninfo(dbname => $rig->{database}));
}

scenario 'check names what is in the way, and --sql mends it' => sub {
	my $rig = Leat::Rig->new($pg, 'check', sql => <<'SQL', source => 'create_publication = no');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE "No Key" (id int, v text);
SQL
	my $before = $pg->value('SELECT count(*) FROM pg_replication_slots');
	my ($rc, $out, $err) = $rig->leat('check');
	is($rc, 1, 'problems make status 1') or diag $out . $err;
	like($out, qr/^error: .*No Key/m, 'the table without an identity');
	like($out, qr/^error: .*publication/m, 'the publication that is not there');
	like($out, qr/^cost: /m, 'what the agent will cost');
	like($out, qr/^\d+ errors, \d+ warnings$/m, 'and a count');
	($rc, $out, $err) = $rig->leat('check', '--json');
	is($rc, 1, 'as JSON with the same status');
	my $doc = $json->decode($out);
	is($doc->{errors}, scalar(grep { $_->{level} eq 'error' } @{ $doc->{findings} }), 'with the findings');
	is((grep { $_->{code} eq 'table_identity' } @{ $doc->{findings} })[0]{level}, 'error', 'and their codes');
	($rc, $out, $err) = $rig->leat('check', '--sql');
	my $sql = $out;
	like($sql, qr/ALTER TABLE "public"\."No Key" REPLICA IDENTITY FULL/, '--sql prints statements');
	like($sql, qr/CREATE PUBLICATION/, 'for all of it');
	my ($psql, $said, $complaint) = psql($rig, $sql);
	is($psql, 0, 'psql executes them as they are') or diag $sql . $complaint;
	($rc, $out, $err) = $rig->leat('check');
	is($rc, 0, 'then nothing is in the way') or diag $out;
	($rc, $out, $err) = $rig->leat('check', '--sql');
	is($out, '', 'and --sql prints nothing');
	is($pg->value('SELECT count(*) FROM pg_replication_slots'), $before, 'check itself changed nothing');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->query('CREATE TABLE later (id int PRIMARY KEY)');
	($rc, $out, $err) = $rig->leat('check', '--sql', 'check');
	like($out, qr/ALTER PUBLICATION .* ADD TABLE "public"\."later"/, 'a table that came later is offered');
	is((psql($rig, $out))[0], 0, 'and added');
	$rig->query('INSERT INTO later VALUES (7)');
	$rig->start;
	$rig->await(sub { $rig->changes('later') }, 'its row');
	$rig->stop;
};

scenario 'check -n reads the conf only' => sub {
	my $rig = Leat::Rig->new($pg, 'parse', conninfo => { port => free_port(), password => 'hidden' });
	my ($rc, $out, $err) = $rig->leat('check', '-n');
	is($rc, 0, 'no server is contacted') or diag $err;
	like($out, qr/initial\s*=\s*"?stream_only/, 'the effective conf is printed');
	unlike($out . $err, qr/hidden/, 'without the secret');
	my $again = spew("$rig->{dir}/again.conf", $out);
	my ($rc2, $out2) = run_leat('check', '-n', '-c', $again);
	is($out2, $out, 'and parses to itself');
};

scenario 'status' => sub {
	my $rig = Leat::Rig->new($pg, 'status');
	my ($rc, $out, $err) = $rig->leat('status');
	is($rc, 0, 'of an agent that never ran');
	like($out, qr/not running/, 'says so');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->await(sub { $rig->status->{events} >= 1 }, 'the event in status');
	($rc, $out, $err) = $rig->leat('status');
	is($rc, 0, 'of a running one');
	like($out, qr/^leat \S+, pid @{[ $rig->agent->pid ]}, since /m, 'names the process');
	like($out, qr/^status: status_src -> status_log: running$/m, 'the pipeline and its state');
	my $doc = status($rig->conf);
	ok($doc->{running}, 'as JSON too');
	my $p = $doc->{pipelines}[0];
	is($p->{state}, 'running', 'with a state');
	is($p->{code}, 'none', 'and no error');
	like($p->{cursor}, qr/^leat1 1 \d+ pg sysid=\d+ /, 'with the committed cursor');
	like($p->{$_}, qr/^\d{4}-\d\d-\d\dT/, "$_ is a time") for qw(since last_commit last_heard);
	my ($orc, $offsets) = $rig->leat('offsets', 'show', 'status', '--json');
	is($orc, 0, 'offsets can be shown meanwhile');
	$rig->stop;
	($rc, $out, $err) = $rig->leat('status');
	like($out, qr/not running/, 'after the end status says so');
	my $off = status($rig->conf);
	ok(!$off->{running}, 'as JSON too');
	is($off->{pipelines}[0]{cursor}, $p->{cursor}, 'and still knows the cursor')
		or diag explain $off;
};

scenario 'schema list, show and diff' => sub {
	my $rig = Leat::Rig->new($pg, 'schema');
	$rig->start->await_running;
	$rig->insert(1);
	$rig->query('ALTER TABLE t ADD COLUMN n numeric(10,2); INSERT INTO t VALUES (2, \'x\', 1.5)');
	$rig->query('ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (3, 2.5)');
	$rig->await_ids(1 .. 3);
	my @versions = map { $_->{schema_change}{version} } grep { $_->{op} eq 'schema' } $rig->events;
	is("@versions", '1 2 3', 'the log has the versions as events');
	for my $when ('while the agent runs', 'afterwards') {
		my ($rc, $out, $err) = $rig->leat('schema', 'list');
		is($rc, 0, "list $when") or diag $err;
		like($out, qr/public\.t/, 'names the table');
		($rc, $out) = $rig->leat('schema', 'list', 'schema', '--json');
		my @list = grep { $_->{table} eq 'public.t' } @{ $json->decode($out) };
		is($list[-1]{version}, 3, 'with its version') or diag $out;
		($rc, $out) = $rig->leat('schema', 'show', 'schema', 'public.t', '2');
		is($rc, 0, 'show');
		like($out, qr/\bn\b.*numeric/, 'has the columns');
		($rc, $out) = $rig->leat('schema', 'show', 'schema', 'public.t', '--json');
		ok(eval { $json->decode($out) }, 'show as JSON');
		($rc, $out) = $rig->leat('schema', 'diff', 'schema', 'public.t', '1', '2');
		is($rc, 0, 'diff');
		like($out, qr/\bn\b/, 'names the column that came');
		unlike($out, qr/\bv\b.*drop/i, 'and only what changed between the two');
		($rc, $out) = $rig->leat('schema', 'diff', 'schema', 'public.t');
		like($out, qr/\bv\b/, 'without versions all changes');
		($rc, $out) = $rig->leat('schema', 'diff', 'schema', 'public.t', '2', '--json');
		is_deeply([map { @$_{qw(table from to)}, @{ $_->{changes} } } @{ $json->decode($out) }],
			['public.t', 2, 3, 'dropped column "v" text'], 'or as JSON');
		$rig->stop if $when =~ /while/;
	}
};

scenario 'offsets set prints its undo, which works' => sub {
	my $rig = Leat::Rig->new($pg, 'undo');
	$rig->start->await_running;
	$rig->insert(1, 2)->await_ids(1, 2)->stop;
	my ($rc, $out, $err) = $rig->leat('offsets', 'show', 'undo', '--json');
	is($rc, 0, 'offsets show');
	my ($was) = @{ $json->decode($out) };
	is($was->{incarnation}, 1, 'has the incarnation');
	cmp_ok($was->{seq}, '>=', 2, 'the seq');
	like($was->{source}, qr/^pg sysid=\d+ tli=1 end=/, 'and the place');
	$rig->insert(3);
	($rc, $out, $err) = $rig->leat('offsets', 'set', 'undo', 'now');
	is($rc, 1, 'leaving changes out has to be said');
	like($err, qr/--accept-gap/, 'and how it is said is told');
	is($rig->slot->{confirmed_flush_lsn} eq '' ? 1 : 0, 0, 'the slot is there');
	my $lsn = $pg->value('SELECT pg_current_wal_lsn()');
	($rc, $out, $err) = $rig->leat('offsets', 'set', 'undo', $lsn, '--accept-gap');
	is($rc, 0, 'a position can be an LSN') or diag $err;
	my ($undo) = $out =~ /^undo: leat (.*)$/m;
	ok($undo, 'the undo is printed') or diag $out;
	like($undo, qr/^offsets set -c '\Q${\ $rig->conf}\E' undo '/, 'with the conf that was named');
	($rc, $out) = $rig->leat('offsets', 'show', 'undo', '--json');
	is($json->decode($out)->[0]{incarnation}, 2, 'a new incarnation has begun');
	my @words = map { s/^'(.*)'$/$1/r } $undo =~ /('[^']*'|\S+)/g;
	($rc, $out, $err) = run_leat(@words);
	is($rc, 0, 'the undo is accepted') or diag $err;
	$rig->start->await_running;
	$rig->await(sub { grep { $_ == 3 } $rig->ids }, 'row 3');
	is(join(' ', $rig->ids), '1 2 3', 'and nothing is missing: the server kept it')
		or diag explain [$rig->events];
	$rig->is_sound;
	$rig->stop;
};

scenario 'offsets set can go back as far as the slot reaches, if repeats are accepted' => sub {
	my $rig = Leat::Rig->new($pg, 'again');
	$rig->start->await_running;
	$rig->insert(1, 2)->await_ids(1, 2)->stop;
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'again', 'slot');
	if ($rc != 0) {
		like($err, qr/--accept-repeat/, 'what would come again has to be accepted');
		($rc, $out, $err) = $rig->leat('offsets', 'set', 'again', 'slot', '--accept-repeat');
	}
	is($rc, 0, 'to where the slot stands') or diag $err;
	$rig->insert(3)->start->await_running;
	$rig->await(sub { grep { $_ == 3 } $rig->ids }, 'row 3');
	$rig->is_sound;
	$rig->stop;
};

scenario 'drop leaves nothing on the server' => sub {
	my $rig = Leat::Rig->new($pg, 'gone');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	my ($rc, $out) = $rig->leat('drop', 'gone');
	is($rc, 0, 'without --yes it only says what it would do');
	ok($rig->slot, 'and does nothing');
	($rc, $out) = $rig->leat('drop', 'gone', '--yes');
	is($rc, 0, 'with --yes it does it');
	is($rig->slot, undef, 'the slot is gone');
	is($rig->query("SELECT count(*) FROM pg_publication WHERE pubname LIKE 'leat%'"), 0, 'the publication too');
	is($rig->query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, 'and the claim');
	ok(!-e $rig->state_dir . '/gone', 'and the state');
	is(join(' ', $rig->ids), '1', 'what the log holds stays');
	($rc) = $rig->leat('drop', 'gone', '--yes');
	is($rc, 0, 'a second time is no error');
};

scenario 'what no pipeline of the conf has is reported, once' => sub {
	my $rig = Leat::Rig->new($pg, 'kept');
	my $left = <<"CONF";
sink out { type = null }
pipeline left { source = kept_src sink = out initial = stream_only }
pipeline reader { source = kept_log sink = out }
CONF
	my $conf = slurp($rig->conf);
	append($rig->conf, $left);
	$rig->start->await_running;
	$rig->await(sub { $pg->slot('leat_left') && -e $rig->log_dir . '/readers/reader' }, 'slot and reader');
	$rig->insert(1)->await_ids(1)->stop;
	spew($rig->conf, $conf);
	my ($rc, $out) = $rig->leat('check');
	is($rc, 0, 'it is no error');
	like($out, qr/^warning: source "kept_src": replication slot "leat_left" .*\nhint: .*pg_drop_replication_slot\('leat_left'\)/m,
		'check names the slot') or diag $out;
	unlike($out, qr/slot "leat_kept" belongs/, 'and not that of a pipeline');
	like($out, qr/^warning: state_dir: state of pipeline "left"/m, 'the state');
	like($out, qr/^warning: log "kept_log": reader "reader"/m, 'and the reader that the log is kept for') or diag $out;
	is(($rig->leat('check', '--sql'))[1], '', 'but offers no statement that would drop it');
	$rig->start->await_running;
	for my $what ('slot "leat_left"', 'state of pipeline "left"', 'reader "reader"') {
		my @said = grep { / code=orphan / && /\Q$what\E/ } split /\n/, $rig->said;
		is(scalar @said, 1, "run says it of the $what") or diag $rig->said;
	}
	my $before = () = $rig->said =~ / code=orphan /g;
	$pg->query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'leat_kept'");
	$rig->await_said(qr/ code=source_unreachable /);
	$rig->insert(2)->await_ids(1, 2);
	my $after = () = $rig->said =~ / code=orphan /g;
	is($after, $before, 'and not again at each connect');
	$pg->query(($rig->said =~ /(SELECT pg_drop_replication_slot\('leat_left'\))/)[0] || 'SELECT 1');
	$rig->stop;
	unlike(($rig->leat('check'))[1], qr/leat_left/, 'the hint mends it');
};

scenario 'drop leaves a publication that is the user\'s own' => sub {
	my $rig = Leat::Rig->new($pg, 'ownpub', source => "publication = mine\ncreate_publication = no");
	$rig->query('CREATE PUBLICATION mine FOR TABLE t');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	my ($rc) = $rig->leat('drop', 'ownpub', '--yes');
	is($rc, 0, 'dropped');
	is($rig->slot, undef, 'the slot is gone');
	is($rig->query("SELECT count(*) FROM pg_publication"), 1, 'the publication is not');
};

scenario 'a log as source of a second pipeline' => sub {
	my $rig = Leat::Rig->new($pg, 'chain');
	append($rig->conf, <<"CONF");
log copy_log { path = "$rig->{dir}/copy" }
pipeline copy { source = chain_log
sink = copy_log
start = earliest
}
sink lines { type = stdout
format = row
}
pipeline print { source = chain_log
sink = lines
start = earliest
}
CONF
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w })->await_running;
	close $w;
	$rig->insert(1 .. 5);
	$rig->query('UPDATE t SET v = NULL WHERE id = 3; DELETE FROM t WHERE id = 4; TRUNCATE t');
	my @ids = map { $_->{leat}{id} } $rig->wait_for_truncate;
	my @copies;
	$rig->await(sub { @copies = eval { events($rig->conf, 'copy_log') }; @copies >= @ids }, 'the copy');
	is_deeply([map { $_->{leat}{id} } @copies], \@ids, 'the copy has the same events, by the same ids');
	is_deeply([map { $_->{source}{name} } @copies], [map { 'chain_src' } @ids], 'and their origin');
	$rig->query('INSERT INTO t VALUES (9)');
	my $printed = '';
	until ($printed =~ /"id":9/) {
		sysread $r, my $bytes, 65536 or last;
		$printed .= $bytes;
	}
	my @rows = json_lines($printed =~ s/[^\n]*\z//r);
	is((grep { ($_->{__op} || '') eq 'c' && $_->{id} == 1 } @rows)[0]{v}, 'v1', 'the printer has rows in format row');
	is($rig->stop, 0, 'all of it stops together');
	$rig->insert(10)->start({ stdout => \*STDERR })->await_running;
	$rig->await(sub { grep { $_->{op} eq 'c' && $_->{after}{id} == 10 } events($rig->conf, 'copy_log') }, 'row 10');
	my %seen;
	$seen{$_->{leat}{id}}++ for events($rig->conf, 'copy_log');
	is_deeply([grep { $seen{$_} > 1 } keys %seen], [], 'after a restart the copy goes on without repeats');
	$rig->stop;
};

sub Leat::Rig::wait_for_truncate {
	my ($self) = @_;
	my @events;
	$self->await(sub { @events = eval { $self->events }; grep { $_->{op} eq 't' } @events }, 'the truncate');
	return @events;
}

scenario 'tables by several patterns' => sub {
	my $rig = Leat::Rig->new($pg, 'patterns', tables => ['public.order_*', 'other.*', 'public."Odd.Name"'],
		source => 'exclude_tables = { "other.secret*" }', sql => <<'SQL');
CREATE SCHEMA other;
CREATE TABLE order_items (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE other.a (id int PRIMARY KEY);
CREATE TABLE other.secret_b (id int PRIMARY KEY);
CREATE TABLE "Odd.Name" (id int PRIMARY KEY);
SQL
	$rig->start->await_running;
	my @tables = ('order_items', 'orders', 'other.a', 'other.secret_b', '"Odd.Name"', 'order_items');
	my $i = 0;
	$rig->query(join '', map { 'INSERT INTO ' . $_ . ' VALUES (' . ++$i . ');' } @tables);
	my @got;
	$rig->await(sub { @got = map { $_->{after}{id} } grep { $_->{op} eq 'c' } eval { $rig->events }; @got >= 4 }, 'the rows');
	is("@got", '1 3 5 6', 'each table that a pattern names, and no other');
	$rig->stop;
};

scenario 'SIGTERM under load commits what is in flight and ends soon' => sub {
	my $rig = Leat::Rig->new($pg, 'load');
	$rig->start->await_running;
	my $s = $rig->session;
	$s->send(join '', map { "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series($_ * 1000 + 1, $_ * 1000 + 1000) i;" } 0 .. 99);
	$rig->await(sub { $rig->status->{events} > 2000 }, 'some load');
	my $start = time;
	is($rig->stop, 0, 'it ends with 0');
	my $took = time - $start;
	cmp_ok($took, '<', 10, sprintf 'within %.1f s', $took);
	my $held = () = $rig->ids;
	my ($rc, $out) = $rig->leat('offsets', 'show', 'load', '--json');
	cmp_ok($json->decode($out)->[0]{seq}, '>=', $held, 'the state knows everything that the log holds');
	$s->finish;
	$rig->start;
	$rig->await_ids(1 .. 100_000);
	$rig->is_sound;
	$rig->stop;
};

scenario 'a second SIGTERM ends at once' => sub {
	my $rig = Leat::Rig->new($pg, 'twice', type => 'stdout', pipeline => 'queue_size = 1MiB');
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w })->await_running;
	close $w;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 10000) i");
	$rig->await(sub { $rig->status->{queue_bytes} > 100_000 }, 'a sink that takes nothing');
	$rig->agent->signal('TERM');
	$rig->await_said(qr/ code=stopping\b/);
	my $wait = time + 1;	# a signal sent twice at once is one request
	poll_until { time > $wait } 'a moment';
	my $start = time;
	$rig->agent->signal('TERM');
	my $status = $rig->agent->wait(10);
	cmp_ok(time - $start, '<', 2, 'at once');
	is($status, 128 + 15, 'and says by what');
	close $r;
};

scenario 'one SIGTERM ends an agent with a blocked sink too' => sub {
	my $rig = Leat::Rig->new($pg, 'once', type => 'stdout', pipeline => 'queue_size = 1MiB');
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w })->await_running;
	close $w;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 10000) i");
	$rig->await(sub { $rig->status->{queue_bytes} > 100_000 }, 'a sink that takes nothing');
	my $start = time;
	$rig->stop(20);
	cmp_ok(time - $start, '<', 10, 'within 10 s');
	close $r;
};

scenario 'sink null' => sub {
	my $rig = Leat::Rig->new($pg, 'null', type => 'null');
	$rig->start->await_running;
	$rig->insert(1 .. 10);
	$rig->await(sub { $rig->status->{events} >= 10 }, 'ten events');
	$rig->await_acked;
	pass('the slot follows');
	is($rig->stop, 0, 'it stops cleanly');
};

done_testing;
