# Every state that a pipeline stops in: its code in the log line and in
# `leat status --json`, a hint that is a command, and the command leaves the
# state, with a gap event in the log wherever changes may be missing.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_replication_slots => 60 }, hba => <<'HBA');
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
host all barred 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
HBA

# A rig that has delivered row 1, its agent stopped.
sub delivered {
	my ($name, %opt) = @_;
	my $rig = Leat::Rig->new(delete $opt{pg} || $pg, $name, %opt);
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	return $rig;
}

scenario 'slot_lost: the slot was dropped' => sub {
	my $rig = delivered('gone');
	$pg->query("SELECT pg_drop_replication_slot('leat_gone')");
	$rig->insert(2)->start;
	$rig->leaves_with_gap($rig->stops_with('slot_lost'), 3);
	is(join(' ', $rig->ids), '1 3', 'row 2 is what the gap stands for');
	$rig->stop;
};

scenario 'slot_lost: the slot was dropped while the agent ran' => sub {
	my $rig = delivered('dropped');
	$rig->start->await_running;
	my $s = $rig->session;
	poll_until {
		$pg->query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
			WHERE slot_name = 'leat_dropped' AND active_pid IS NOT NULL");
		eval { $rig->session->query("SELECT pg_drop_replication_slot('leat_dropped')"); 1 };
	} 'a moment without a reader';
	$rig->leaves_with_gap($rig->stops_with('slot_lost'), 2);
	$rig->stop;
};

scenario 'E177: slot_lost: the server invalidated the slot' => sub {
	my $own = Leat::Postgres->new(conf => { max_slot_wal_keep_size => '1MB',
		min_wal_size => '32MB', max_wal_size => '32MB' });
	my $rig = delivered('invalid', pg => $own);
	for my $i (1 .. 60) {
		$own->query('SELECT pg_switch_wal(); CHECKPOINT');
		last if $rig->slot->{wal_status} eq 'lost';
		$own->query("CREATE TABLE noise$i AS SELECT i FROM generate_series(1, 1000) i");
	}
	is($rig->slot->{wal_status}, 'lost', 'the server gave the slot up');
	$rig->start;
	$rig->leaves_with_gap($rig->stops_with('slot_lost'), 3);
	$rig->stop;
};

scenario 'E177: slot_lost: the server invalidated the slot while it was read' => sub {
	my $own = Leat::Postgres->new(conf => { max_slot_wal_keep_size => '1MB',
		min_wal_size => '32MB', max_wal_size => '32MB' });
	my $rig = delivered('late', pg => $own);
	$rig->start->await_running;
	# restart_lsn cannot pass an open transaction
	my $open = $rig->session;
	$open->query('BEGIN; INSERT INTO t VALUES (2)');
	for my $i (1 .. 60) {
		$own->query('SELECT pg_switch_wal(); CHECKPOINT');
		last if $rig->slot->{wal_status} eq 'lost';
		$own->query("CREATE TABLE noise$i AS SELECT i FROM generate_series(1, 1000) i");
	}
	is($rig->slot->{wal_status}, 'lost', 'the server gave the slot up and ended the connection');
	my $st = $rig->stops_with('slot_lost', 90);
	$open->query('ROLLBACK');
	$rig->leaves_with_gap($st, 3);
	$rig->stop;
};

scenario 'E176: a slot that is not what the pipeline needs' => sub {
	my %make = (plugin => "pg_create_logical_replication_slot('leat_%s', 'test_decoding')",
		phases => "pg_create_logical_replication_slot('leat_%s', 'pgoutput', false, true)",
		passing => "pg_create_logical_replication_slot('leat_%s', 'pgoutput', true)",
		astray => "pg_create_logical_replication_slot('leat_%s', 'pgoutput')");
	my %says = (plugin => qr/test_decoding/, phases => qr/two phases/, passing => qr/is temporary/,
		astray => qr/belongs to another database/);
	for my $kind (sort keys %make) {
		my $rig = delivered($kind);
		$pg->query("SELECT pg_drop_replication_slot('leat_$kind')");
		($kind eq 'astray' ? $pg : $rig)->query('SELECT ' . sprintf $make{$kind}, $kind);
		$rig->start;
		my $st = $rig->stops_with('slot_lost');
		like($st->{message}, $says{$kind}, "$kind: what is wrong with it is said");
		ok($rig->slot, 'it is left alone');
		$rig->stop;
		my ($rc) = $rig->leat('drop', $kind, '--yes');
		isnt($rc, 0, 'even by leat drop');
		($kind eq 'passing' ? $rig : $pg)->query("SELECT pg_drop_replication_slot('leat_$kind')");
		$rig->leaves_with_gap($st, 5);
		$rig->stop;
	}
};

scenario 'slot_lost: a slot of the name belongs to somebody else' => sub {
	my $rig = delivered('foreign');
	$pg->query("SELECT pg_drop_replication_slot('leat_foreign')");
	$pg->query("SELECT pg_create_physical_replication_slot('leat_foreign')");
	$rig->start;
	$rig->stops_with('slot_lost');
	$rig->stop;
	$pg->query("SELECT pg_drop_replication_slot('leat_foreign')");
};

scenario 'E203: slot_exists: a slot of the name was there before the pipeline' => sub {
	my $rig = Leat::Rig->new($pg, 'before');
	$rig->query("CREATE PUBLICATION leat_before FOR TABLE t");
	$rig->query("SELECT pg_create_logical_replication_slot('leat_before', 'pgoutput')");
	$rig->insert(0);
	$rig->start;
	my $st = $rig->stops_with('slot_exists');
	my $confirmed = $rig->slot->{confirmed_flush_lsn};
	like($rig->obey_hint($st), qr{stands at \Q$confirmed\E; changes before that are not covered},
		'taken up, it is said from where on changes are covered');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(0, 1);
	$rig->stop;
};

# PostgreSQL 18 does not fail there; it skips the changes and warns.
my $unpublished = Leat::Postgres::major() >= 18 ? 'publication_missing' : 'poisoned';

scenario 'E173: poisoned: the publication was dropped and made again, with a change between' => sub {
	for my $case (['poison1', 1], ['poison2', 0]) {
		my ($name, $is_running) = @$case;
		my $rig = delivered($name);
		$rig->start->await_running if $is_running;
		$rig->query("BEGIN; DROP PUBLICATION leat_$name; INSERT INTO t VALUES (2);
			CREATE PUBLICATION leat_$name FOR TABLE t; COMMIT");
		$rig->start unless $is_running;
		my $st = $rig->stops_with($unpublished);
		like("$st->{message} " . ($st->{detail} || ''), qr{[0-9A-F]+/[0-9A-F]+}, 'the place in the log is named');
		is(join(' ', $rig->ids), '1', 'nothing is added to the log');
		$rig->leaves_with_gap($st, 3);
		$rig->stop;
	}
};

scenario 'E173: publication_missing: dropped while the agent was away' => sub {
	my $rig = delivered('nopub');
	$rig->query('DROP PUBLICATION leat_nopub');
	$rig->start;
	my $st = $rig->stops_with('publication_missing');
	$rig->query('CREATE PUBLICATION leat_nopub FOR TABLE t');
	$rig->restart->await_running;
	$rig->insert(2)->await_ids(1, 2)->stop;
};

scenario 'poisoned: the publication was dropped while the agent ran' => sub {
	my $rig = delivered('unpub');
	$rig->start->await_running;
	$rig->query('DROP PUBLICATION leat_unpub; INSERT INTO t VALUES (2)');
	my $st = $rig->stops_with($unpublished);
	is(join(' ', $rig->ids), '1', 'nothing is added to the log');
	$rig->obey_hint($st);
	$rig->start->stops_with('publication_missing');
	$rig->query('CREATE PUBLICATION leat_unpub FOR TABLE t');
	$rig->restart->await_running;
	$rig->insert(3)->await_ids(1, 3);
	ok((grep { $_->{op} eq 'gap' } $rig->events), 'behind a gap');
	$rig->stop;
};

scenario 'unpublished: a table that matches and is not in the publication' => sub {
	my $rig = delivered('later');
	$rig->query('CREATE TABLE later (id int PRIMARY KEY)');
	$rig->start->await_running;
	my ($statement) = $rig->said =~ / code=unpublished .*hint="(ALTER PUBLICATION (?:[^"\\]|\\.)*)"/m;
	ok($statement, 'is said, with the statement that adds it') or diag $rig->said;
	$rig->query($statement =~ s/\\"/"/gr);
	$rig->query('INSERT INTO later VALUES (1)');
	$rig->await(sub { $rig->changes('later') }, 'its row');
	$rig->stop;
};

scenario 'slot_at_risk: the server is about to give the slot up' => sub {
	my $own = Leat::Postgres->new(conf => { max_slot_wal_keep_size => '48MB',
		min_wal_size => '32MB', max_wal_size => '32MB' });
	pipe my $r, my $w or die "pipe: $!";
	my $rig = Leat::Rig->new($own, 'risk', type => 'stdout', pipeline => 'queue_size = 1MiB');
	$rig->start({ stdout => $w })->await_running;
	close $w;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i");
	$rig->await(sub { $rig->status->{queue_bytes} > 512 << 10 }, 'a sink that takes nothing');
	# in small steps: a whole segment more could be one too many
	for my $i (1 .. 100) {
		my ($safe) = $own->value('SELECT safe_wal_size FROM pg_replication_slots');
		last if $safe < 12 << 20;
		$own->query("CREATE TABLE noise$i AS SELECT repeat('x', 500) FROM generate_series(1, 2000)");
	}
	$rig->await_said(qr/ code=slot_at_risk .*wal_status=/, 30);
	pass('is said while there is still time');
	close $r;
};

scenario 'publication_missing: not to be created' => sub {
	my $rig = Leat::Rig->new($pg, 'nocreate', source => 'create_publication = no');
	$rig->start;
	my $st = $rig->stops_with('publication_missing');
	is($rig->slot, undef, 'no slot is made before');
	$rig->stop;
	like($st->{hint}, qr/CREATE PUBLICATION .*/, 'the hint is the statement');
	$rig->query($1) if $st->{hint} =~ /(CREATE PUBLICATION .*?)\.?$/;
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
};

scenario 'table_identity: publishing a table would make its updates fail' => sub {
	my $rig = Leat::Rig->new($pg, 'identity', sql => 'CREATE TABLE t (id int, v text)');
	$rig->start;
	my $st = $rig->stops_with('table_identity');
	is($pg->value("SELECT count(*) FROM pg_publication WHERE pubname = 'leat_identity'"), 0,
		'nothing is published');
	is($rig->slot, undef, 'no slot is made');
	$rig->query('INSERT INTO t VALUES (0); UPDATE t SET v = \'x\'; DELETE FROM t');
	pass('and the application is not hurt');
	like($st->{hint}, qr/ALTER TABLE .* REPLICA IDENTITY FULL/, 'the hint is the statement');
	$rig->query($1) if $st->{hint} =~ /(ALTER TABLE .* REPLICA IDENTITY FULL)/;
	$rig->restart->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->query('UPDATE t SET v = NULL WHERE id = 1');
	$rig->await_ids(1, 1)->stop;
};

scenario 'table_identity, unpublished: so many tables that no hint has room for the statement' => sub {
	my $names = sub { map { sprintf "%s_%s_%02d", $_[0], 'n' x 40, $_ } 1 .. 60 };
	my $rig = Leat::Rig->new($pg, 'many', sql => join '', map { "CREATE TABLE $_ (id int);\n" } $names->('bare'));
	my $mend = sub {
		my ($rc, $sql) = $rig->leat('check', '--sql');
		$rig->query($sql);
	};
	$rig->start;
	my $st = $rig->stops_with('table_identity');
	like($st->{hint}, qr/`leat check --sql` prints the statements\.$/, 'names the command that prints them');
	$rig->stop;
	$mend->();
	$rig->start->await_running;
	$rig->query(join '', map { "CREATE TABLE $_ (id int PRIMARY KEY);\n" } $names->('later'));
	$rig->restart->await_running;
	my ($line) = grep { / code=unpublished / } split /\n/, $rig->said;
	like($line, qr/hint="`leat check --sql` prints the statement\."/, 'so does the line about those that are not published');
	cmp_ok(length $line, '<', 2000, 'which comes at each connect, and is short');
	$mend->();
	my ($rc, $out) = $rig->leat('check');
	unlike($out, qr/not in publication/, 'and it mends that, too');
	$rig->stop;
};

scenario 'E172: source_config: wal_level is not logical' => sub {
	my $own = Leat::Postgres->new(conf => { wal_level => 'replica' });
	my $rig = Leat::Rig->new($own, 'level');
	$rig->start;
	my $st = $rig->stops_with('source_config');
	like("$st->{message} $st->{hint}", qr/wal_level/, 'the setting is named');
	$rig->disconnect;
	$own->set_conf(wal_level => 'logical')->restart;
	$rig->restart->await_running;
	$rig->insert(1)->await_ids(1)->stop;
};

scenario 'E171, E174: source_refused: a login that the server does not want' => sub {
	$pg->query("CREATE ROLE guarded LOGIN REPLICATION PASSWORD 'right'; CREATE ROLE plain LOGIN");
	my $rig = Leat::Rig->new($pg, 'refused', sql => <<'SQL', conninfo => { user => 'guarded' }, source => 'password = "wrong"');
CREATE TABLE t (id int PRIMARY KEY, v text);
ALTER TABLE t OWNER TO guarded;
SQL
	$rig->query('GRANT CREATE ON DATABASE refused TO guarded; GRANT USAGE ON SCHEMA public TO guarded');
	$rig->start->await_said(qr/ code=source_refused\b/);
	my $st = $rig->status;
	is($st->{state}, 'retrying', 'a wrong password may be mended: the agent tries again');
	is($st->{code}, 'source_refused', 'status says why');
	like($st->{message}, qr/password authentication failed/, 'in the server\'s words');
	like($rig->said . JSON::PP->new->encode($st), qr/\A(?!.*wrong)/s, 'and never shows the password');
	cmp_ok(scalar(() = $rig->said =~ / code=source_refused\b/g), '<', 3, 'one line, however often it fails');
	$rig->stop;
	$rig->write(source => "password = \"file:$rig->{dir}/secret\"");
	spew("$rig->{dir}/secret", "right\n");
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;

	$rig = Leat::Rig->new($pg, 'unprivileged', conninfo => { user => 'plain' });
	$rig->start->await_said(qr/ code=source_refused\b/);
	like($rig->status->{hint}, qr/ALTER ROLE .*REPLICATION/, 'a role without REPLICATION: the hint is the statement');
	$rig->query('ALTER ROLE plain SUPERUSER');
	$rig->await_running;
	pass('and the agent goes on by itself');
	$rig->stop;

	$rig = Leat::Rig->new($pg, 'nodb', sql => '', conninfo => { dbname => 'no_such' });
	$rig->start->await_said(qr/ code=source_refused\b/);
	like($rig->status->{message}, qr/no_such/, 'a database that is missing is named');
	$rig->stop;

	$pg->query('CREATE ROLE barred LOGIN REPLICATION');
	$rig = Leat::Rig->new($pg, 'barred', sql => '', conninfo => { user => 'barred' });
	$rig->start->await_said(qr/ code=source_refused\b/);
	like($rig->status->{message}, qr/pg_hba\.conf rejects connection/, 'a line of pg_hba.conf that rejects: in the server\'s words');
	like($rig->status->{hint}, qr/ordinary database line/, 'and which lines count');
	$rig->stop;
};

scenario 'E184: a server that is too old' => sub {
	my $proxy = Leat::Proxy->new($pg->port)->alter(1000, 'old');
	my $rig = Leat::Rig->new($pg, 'aged', conninfo => { port => $proxy->port });
	my ($rc, $out) = $rig->leat('check');
	is($rc, 1, 'leat check finds it');
	like($out, qr/PostgreSQL 13/, 'and names it');
	$rig->start;
	my $st = $rig->stops_with('source_config');
	like($st->{message}, qr/PostgreSQL 13; 14 or later is needed/, 'the pipeline stops for it');
	is($rig->slot, undef, 'before anything is made');
	$rig->stop;
};

scenario 'E172: no slot is left' => sub {
	my $own = Leat::Postgres->new(conf => { max_replication_slots => 1 });
	my $rig = Leat::Rig->new($own, 'full');
	$own->query("SELECT pg_create_physical_replication_slot('somebody')");
	$rig->start;
	my $st = $rig->stops_with('source_config');
	like($st->{hint}, qr/max_replication_slots/, 'the setting is named');
	$own->query("SELECT pg_drop_replication_slot('somebody')");
	$rig->restart->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->disconnect;
	$own->set_conf(max_wal_senders => 1, max_replication_slots => 5)->restart;
	$rig->start->await_running;
	my $second = Leat::Rig->new($own, 'nosender');
	$second->start->await_said(qr/ code=source_refused\b/);
	like($second->status->{hint}, qr/max_wal_senders/, 'no walsender is left: the setting is named');
	$rig->stop;
	$second->await_running(30);
	pass('and it goes on by itself when there is one');
	$second->stop;
};

scenario 'source_unreachable: passes by itself' => sub {
	my $own = Leat::Postgres->new(start => 0);
	my $rig = delivered('away');
	my $port = $pg->port;
	$rig->write(conninfo => { port => $own->port });
	$rig->start->await_said(qr/ code=source_unreachable\b/);
	is($rig->status->{state}, 'retrying', 'status says so');
	$rig->stop;
};

scenario 'value_invalid: text that is not of the server\'s encoding' => sub {
	$pg->query("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
	my $rig = Leat::Rig->new($pg, 'invalid_text', database => 'ascii');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->query("SET client_encoding = 'SQL_ASCII'; INSERT INTO t VALUES (2, E'\\xff\\xfe')");
	my $st = $rig->stops_with('value_invalid');
	unlike($rig->said, qr/\xff/, 'the value is not in the log line');
	$rig->leaves_with_gap($st, 3);
	$rig->stop;
	# what came before it is not lost with it, in the same batch and transaction
	$rig->insert(4, 5);
	$rig->query("BEGIN; SET client_encoding = 'SQL_ASCII'; INSERT INTO t VALUES (6, 'good'), (7, E'\\xff'), (8, 'behind'); COMMIT");
	$rig->start;
	$st = $rig->stops_with('value_invalid');
	is(join(' ', $rig->ids), '1 3 4 5 6', 'what came before is delivered');
	$rig->leaves_with_gap($st, 9);
	$rig->stop;
};

scenario 'wrong_server: the pipeline is given a source of another kind' => sub {
	my $rig = Leat::Rig->new($pg, 'kind', type => 'null');
	append($rig->conf, "log other { path = \"$rig->{dir}/other\" }\n"
		. "pipeline fill { source = kind_src sink = other initial = stream_only }\n");
	my $before = slurp($rig->conf);
	$rig->start->await_running;
	$rig->await(sub { $pg->slot('leat_fill') }, 'the other slot');
	$rig->insert(1);
	$rig->await(sub { eval { events($rig->conf, 'other') } }, 'row 1 in the other log');
	$rig->stop;
	for my $conf ($before =~ s/source = kind_src\n/source = other\n/r, $before) {
		spew($rig->conf, $conf);
		$rig->start;
		my $st = $rig->stops_with('wrong_server');
		like($st->{message}, qr/another kind of source/, 'and why');
		$rig->stop;
		my ($rc) = $rig->leat('offsets', 'set', 'kind', 'now');
		is($rc, 1, 'that what comes next is not what came before has to be accepted');
		$rig->obey_hint($st);
		$rig->start->await_running;
		$rig->stop;
	}
};

# --- what the sink is compared with

scenario 'incarnation: the state is that of another life of the pipeline' => sub {
	my $rig = delivered('lives');
	system('cp', '-a', $rig->state_dir, "$rig->{dir}/old_state");
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'lives', 'now', '--accept-gap');
	is($rc, 0, 'an offset is set') or diag $err;
	system('rm', '-rf', $rig->state_dir);
	system('mv', "$rig->{dir}/old_state", $rig->state_dir);
	$rig->start;
	my $st = $rig->stops_with('incarnation');
	like($st->{hint}, qr/remove .*directory/, 'the hint names what to remove');
	$rig->stop;
	system('rm', '-rf', $rig->state_dir . '/lives');
	$rig->start->await_running;
	$rig->insert(2);
	$rig->await(sub { grep { $_ == 2 } $rig->ids }, 'row 2');
	$rig->is_sound;
	$rig->stop;
};

for my $how ('restored from a backup', 'removed') {
	scenario "sink_behind: the log was $how" => sub {
		my $name = $how eq 'removed' ? 'behind2' : 'behind1';
		my $rig = delivered($name);
		system('cp', '-a', $rig->log_dir, "$rig->{dir}/backup");
		$rig->start->await_running;
		$rig->insert(2)->await_ids(1, 2)->stop;
		system('rm', '-rf', $rig->log_dir);
		system('mv', "$rig->{dir}/backup", $rig->log_dir) if $how ne 'removed';
		$rig->start;
		my $st = $rig->stops_with('sink_behind');
		$rig->leaves_with_gap($st, 3);
		unlike(join(' ', $rig->ids), qr/2/, 'row 2 is what the gap stands for');
		$rig->stop;
	};
}

# Turns over one byte.
sub damage {
	my ($path, $at) = @_;
	open my $f, '+<', $path or die "$path: $!";
	seek $f, $at, 0;
	read $f, my $byte, 1;
	seek $f, $at, 0;
	print $f chr(ord($byte) ^ 0x55);
	close $f or die;
}

scenario 'log_corrupt: a byte that had been durable is another' => sub {
	my $rig = delivered('damaged');
	$rig->start->await_running;
	$rig->insert(2 .. 5)->await_ids(1 .. 5)->stop;
	my ($segment) = sort glob $rig->log_dir . '/*.log';
	system('cp', '-a', $segment, "$rig->{dir}/good");
	my $text = slurp($segment);
	my $frame = index $text, 'LEFR', index($text, 'LEFR', 64) + 4;
	damage($segment, $frame + 64);
	my ($rc, $out, $err) = $rig->leat('log', 'verify', $rig->log_name);
	is($rc, 9, 'leat log verify finds a damaged body');
	like($out . $err, qr/offset $frame\b/, 'and says where');
	($rc) = $rig->leat('log', 'cat', $rig->log_name);
	is($rc, 9, 'nor is it printed as an event');
	system('cp', '-a', "$rig->{dir}/good", $segment);
	damage($segment, $frame + 8);
	$rig->start;
	my $st = $rig->await_status('stopped');
	is($st->{code}, 'log_corrupt', 'the pipeline stops');
	like($rig->said, qr/ code=log_corrupt\b/, 'the log line has the code');
	$rig->stop;
	($rc) = $rig->leat('log', 'verify', $rig->log_name);
	is($rc, 9, 'leat log verify says so too');
	system('cp', '-a', "$rig->{dir}/good", $segment);
	$rig->start->await_running;
	$rig->insert(6)->await_ids(1 .. 6)->stop;
};

scenario 'log_wrong: the directory holds something else' => sub {
	my $rig = Leat::Rig->new($pg, 'wronglog');
	mkdir $rig->log_dir;
	my $file = spew($rig->log_dir . '/letter.txt', "Dear Sir\n");
	$rig->start;
	$rig->stops_with('log_wrong');
	is(slurp($file), "Dear Sir\n", 'nothing is touched');
	is($rig->slot, undef, 'nor is a slot made');
	$rig->stop;
	unlink $file;
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
};

scenario 'fenced: the log was replaced under the agent\'s feet' => sub {
	my $rig = delivered('fenced');
	$rig->start->await_running;
	$rig->insert(2)->await_ids(1, 2);
	rename $rig->log_dir, "$rig->{dir}/moved" or die;
	system('cp', '-a', "$rig->{dir}/moved", $rig->log_dir);
	$rig->insert(3);
	my $st = $rig->await_status('stopped');
	is($st->{code}, 'fenced', 'the pipeline stops instead of writing into what nobody reads');
	like($rig->said, qr/ code=fenced\b/, 'the log line has the code');
	$rig->stop;
	$rig->start->await_running;
	$rig->await_ids(1 .. 3)->stop;
};

BEGIN {
	package Leat::Rig::Copy;
	our @ISA = ('Leat::Rig');
	sub log_dir { return "$_[0]{dir}/copy" }
	sub log_name { return 'copy_log' }
	sub leaves_with_gap_of {
		my ($self, $from, $st, $id) = @_;
		$self->obey_hint($st);
		$self->start->await_running;
		$from->insert($id);
		$self->await(sub { grep { $_ == $id } $self->ids }, "row $id");
		main::ok((grep { $_->{op} eq 'gap' } $self->events), 'the copy says that changes are missing');
		$self->is_sound;
	}
}

scenario 'purged: a log as source no longer has what comes next' => sub {
	my $rig = Leat::Rig->new($pg, 'purge', sql => 'CREATE TABLE t (id int PRIMARY KEY, v text);
		ALTER TABLE t ALTER v SET STORAGE EXTERNAL',
		log => "segment_size = 1MiB\nretention_size = 4MiB\ncompression = 0");
	my $copy = "$rig->{dir}/copy.conf";
	spew($copy, <<"CONF");
state_dir = "$rig->{dir}/state_copy"
log purge_log { path = "$rig->{dir}/log" }
log copy_log { path = "$rig->{dir}/copy" }
pipeline copy {
source = purge_log
sink = copy_log
start = earliest
}
CONF
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $reader = bless { %$rig, name => 'copy', confpath => $copy, dir => $rig->{dir} }, 'Leat::Rig::Copy';
	$reader->start->await_running;
	$reader->await_ids(1)->stop;
	$rig->query("INSERT INTO t SELECT i, (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 100) j)
		FROM generate_series(2, 5000) i");
	$rig->await_said(qr/ code=retention\b/);
	$rig->await_acked;
	$reader->start;
	my $st = $reader->stops_with('purged');
	$reader->leaves_with_gap_of($rig, $st, 9000);
	$reader->stop;
	$rig->stop;
};

scenario 'a pipeline that stops leaves the agent and its neighbours alone' => sub {
	my $rig = delivered('sick');
	my $well = Leat::Rig->new($pg, 'well');
	$well->start->await_running->stop;
	$rig->query("SELECT pg_drop_replication_slot('leat_sick')");
	my $text = slurp($well->conf);
	$text =~ s/^state_dir.*\n//;
	append($rig->conf, $text);
	$rig->start;
	$rig->stops_with('slot_lost');
	$well->insert(1);
	$rig->await(sub { grep { $_->{op} eq 'c' } events($rig->conf, 'well_log') }, 'the neighbour\'s row');
	ok($rig->agent->is_running, 'the agent runs');
	my ($other) = grep { $_->{name} eq 'well' } @{ status($rig->conf)->{pipelines} };
	is($other->{state}, 'running', 'and so does the other pipeline');
	is($rig->stop, 0, 'it ends cleanly');
};

done_testing;
