# The catch-up gear: what it delivers is what streaming delivers, to the byte,
# and whatever happens in the middle of a chunk costs nothing.
use Leat::Test;
use Leat::Postgres;
use Leat::Load;
use Leat::Rig;
use Time::HiRes qw(time);

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_prepared_transactions => 10, log_statement => 'all',
	log_replication_commands => 'on' });

# A pipeline that takes up a copy of a slot.  Sources of the same name make the
# same ids.
package Reader {
	use parent -norequire, 'Leat::Rig';

	sub new {
		my ($class, $pg, $name, $base, %opt) = @_;
		my $self = $class->SUPER::new($pg, $name, database => 'postgres', sql => '',
			top => 'log_level = debug', %opt);
		$self->{dir} = Leat::Test::tmpdir($name);
		Leat::Test::spew($self->conf, Leat::Test::slurp($self->conf) =~ s/\b${name}_src\b/src/gr);
		$pg->query("SELECT pg_copy_logical_replication_slot('$base', 'leat_$name')");
		my ($rc, $out, $err) = $self->leat('offsets', 'set', $name, 'slot');
		die "offsets set: $err" if $rc;
		return $self;
	}

	# Everything delivered, without what tells when it was read: the time, which
	# is also that of a message outside a transaction, and the place that an idle
	# stream had reached before a transaction.
	sub bytes {
		my ($self) = @_;
		my @lines = $self->lines;
		for (@lines) {
			s/("op":"\w+"),"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+/$1/ or die "no time in $_";
			s/"sequence":"\[\\"\d+\\"/"sequence":"[/ or die "no sequence in $_";
			s/"ts_[mun]s":\d+/"ts":0/g if /"op":"m"/ && /"txId":null/;
		}
		return @lines;
	}

	sub is_at {
		my ($self, $lsn) = @_;
		return $self->{pg}->value("SELECT confirmed_flush_lsn >= '$lsn'
			FROM pg_replication_slots WHERE slot_name = 'leat_$self->{name}'") eq 't';
	}

	sub await_end {
		my ($self, $lsn) = @_;
		$self->await(sub { $self->is_at($lsn) }, "the end, $lsn", 120);
		return $self;
	}

	sub shifts { return scalar(() = $_[0]->said =~ / code=gear gear=catch-up/g) }
	sub downs { return scalar(() = $_[0]->said =~ / code=gear gear=streaming/g) }
}

sub same_events {
	my ($got, $want, $what) = @_;
	my ($at) = grep { !defined $got->[$_] || !defined $want->[$_] || $got->[$_] ne $want->[$_] }
		0 .. ($#$got > $#$want ? $#$got : $#$want);
	ok(!defined $at, $what) or diag("line $at of " . @$got . ' and ' . @$want . ":\n"
		. ($got->[$at] // 'none') . "\n" . ($want->[$at] // 'none'));
	return !defined $at;
}

my ($end, @want);	# of the slot "base"

# Behind all that was committed: some sessions of the load do not wait for the disk,
# so one that does comes last.
sub the_end {
	$pg->query('CREATE TABLE IF NOT EXISTS the_end (id serial PRIMARY KEY); INSERT INTO the_end DEFAULT VALUES');
	return $pg->value('SELECT pg_current_wal_flush_lsn()');
}

my $TINY = "catchup_threshold = 0\ncatchup_temp = 1MiB\n";

scenario 'the two gears deliver the same bytes' => sub {
	Leat::Load->prepare($pg);
	my $which = Leat::Postgres::major() < 15 ? 'ALL TABLES' : 'TABLES IN SCHEMA public';
	$pg->query(<<"SQL");
CREATE TABLE wide (id int PRIMARY KEY, t text);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us (v text, region text NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
CREATE TABLE bigkey (k text PRIMARY KEY, v text);
ALTER TABLE bigkey ALTER k SET STORAGE EXTERNAL;
CREATE SCHEMA hidden;
CREATE TABLE hidden.h (id int);
CREATE PUBLICATION pub FOR $which WITH (publish_via_partition_root);
SELECT pg_create_logical_replication_slot('base', 'pgoutput');
SQL
	my $load = Leat::Load->start($pg, seed => 155, sessions => 4, pause => 0);
	my $file = $pg->dir . '/rows';
	$pg->query(s/FILE/$file/r) for split /^;\n/m, <<'SQL';
INSERT INTO wide SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, 8000) i
;
BEGIN; INSERT INTO wide VALUES (8001, 'kept'); SAVEPOINT a; INSERT INTO wide VALUES (8002, 'gone');
SAVEPOINT b; INSERT INTO wide VALUES (8003, 'gone'); ROLLBACK TO a; INSERT INTO wide VALUES (8004, 'kept');
SAVEPOINT c; UPDATE wide SET id = 9000 WHERE id = 8001; RELEASE c;
SELECT pg_logical_emit_message(true, 'inside', 'x'); SELECT pg_logical_emit_message(false, 'aside', 'y');
ALTER TABLE wide ADD COLUMN n int DEFAULT 7; INSERT INTO wide VALUES (8005, 'new', 1);
ALTER TABLE wide DROP COLUMN n; INSERT INTO wide VALUES (8006, 'old'); COMMIT
;
BEGIN; SELECT pg_logical_emit_message(false, 'lost', 'but sent'); INSERT INTO wide VALUES (8010, 'never'); ROLLBACK
;
SELECT pg_logical_emit_message(false, 'alone', 'z')
;
INSERT INTO part VALUES (1, 'eu', 'a'), (2, 'us', 'b')
;
UPDATE part SET region = 'us' WHERE id = 1
;
INSERT INTO hidden.h SELECT generate_series(1, 1000)
;
BEGIN; TRUNCATE part, wide; INSERT INTO wide VALUES (1, 'after'); COMMIT
;
BEGIN; INSERT INTO wide SELECT i, 'p' FROM generate_series(20000, 20100) i; PREPARE TRANSACTION 'p1'
;
INSERT INTO wide VALUES (3, 'before the prepared')
;
COMMIT PREPARED 'p1'
;
BEGIN; INSERT INTO wide VALUES (30000, 'p2'); PREPARE TRANSACTION 'p2'
;
ROLLBACK PREPARED 'p2'
;
COPY (SELECT i, i::text FROM generate_series(40000, 43000) i) TO 'FILE'
;
COPY wide FROM 'FILE'
;
INSERT INTO bigkey VALUES (repeat('k', 2500), 'a')
;
UPDATE bigkey SET v = 'b'
;
UPDATE bigkey SET k = repeat('l', 2400)
;
CREATE TABLE later (id int PRIMARY KEY, m int[]); INSERT INTO later VALUES (1, '{1,2}')
SQL
	sleep 3;
	$load->stop;
	$end = the_end();
	my %reader = map { $_->[0] => Reader->new($pg, $_->[0], 'base', source => "publication = pub\n$_->[1]") }
		(['stream', 'catchup = off'], ['chunks', $TINY]);
	$_->start->await_end($end)->stop for @reader{qw(stream chunks)};
	@want = $reader{stream}->bytes;
	cmp_ok(scalar @want, '>', 10000, 'there are many events');
	is($reader{stream}->shifts, 0, 'one pipeline has streamed');
	cmp_ok($reader{chunks}->shifts, '>=', 1, 'the other has read chunks');
	same_events([$reader{chunks}->bytes], \@want, 'they say the same');
};

# Large transactions whole in one chunk, small ones in many chunks.
for (['64MiB', qw(after_read:2 after_ack:1 before_fsync:2 after_read:3 after_ack:1:late gear_switch:1)],
	['1MiB', qw(chunk_advanced:1 after_read:3 chunk_advanced:2 after_ack:1 mid_frame:3 gear_switch:1)]) {
	my ($temp, @faults) = @$_;
	next unless has_feature('FAULTS');
	scenario "killed in the middle of chunks of $temp it goes on behind what it has" => sub {
		my $rig = Reader->new($pg, 'killed_' . lc $temp, 'base', source =>
			"publication = pub\ncatchup_threshold = 0\ncatchup_temp = $temp");
		my ($shifts, $kills) = (0, 0);
		for my $fault (@faults) {
			$rig->start({ env => { LEAT_FAULT => $fault } });
			poll_until { !$rig->agent->is_running || $rig->is_at($end) } "the end at $fault", 60;
			$shifts += $rig->shifts;
			$kills += !$rig->agent->is_running;
			$rig->kill9;
		}
		$rig->start->await_end($end)->stop;
		cmp_ok($kills, '>', 2, 'it was killed some times');
		cmp_ok($shifts, '>', 2, 'while it read chunks');
		same_events([$rig->bytes], \@want, 'they say the same');
	};
}

# It stands still while the server goes on: that puts it behind for certain, and
# its connection stays.  Chunks pay where no more has to be decoded again than is
# new; a slot that is made lets decoding begin anew from there on, which a server
# sees to by itself only every 15 seconds.
scenario 'each time that it stood still for long it shifts up, and down when it is there' => sub {
	my $rig = Reader->new($pg, 'both', 'base', source => "publication = pub\ncatchup_threshold = 4MiB");
	my $load = Leat::Load->start($pg, seed => 156, sessions => 2);
	$pg->query(<<'SQL');
CREATE TABLE pour (id serial PRIMARY KEY, t text);
CREATE PROCEDURE pour(bytes bigint) LANGUAGE plpgsql AS $$
DECLARE
	until pg_lsn := pg_current_wal_lsn() + bytes;
BEGIN
	WHILE pg_current_wal_lsn() < until LOOP
		INSERT INTO pour (t) SELECT repeat('x', 300) FROM generate_series(1, 100);
		COMMIT;
	END LOOP;
END $$;
SQL
	$rig->start;
	my $is_streaming = sub { $rig->downs == $rig->shifts && ($rig->status->{gear} || '') eq 'streaming' };
	my ($sender, $ups, @up, @down);
	for my $round (1 .. 4) {
		$rig->await($is_streaming, "streaming, before round $round", 120);
		my $pid = $pg->value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'leat_both'");
		is($pid, $sender, 'over the same connection') if defined $sender;
		$sender = $pid;
		my $here = $pg->value('SELECT pg_current_wal_lsn()');
		$pg->query("SELECT pg_create_logical_replication_slot('tick', 'pgoutput', true)");
		$pg->query("SELECT pg_drop_replication_slot('tick')");
		$rig->await(sub { $pg->value("SELECT restart_lsn >= '$here' FROM pg_replication_slots
			WHERE slot_name = 'leat_both'") eq 't' }, "restart_lsn near, before round $round");
		$ups = $rig->shifts;
		$rig->agent->signal('STOP');
		my $until = time + 2;	# a backlog is looked for every second
		$pg->query('CALL pour(16 * 1024 * 1024)');
		poll_until { time > $until } 'two seconds';
		$rig->agent->signal('CONT');
		$rig->await(sub { $rig->shifts > $ups }, "the shift up of round $round");
		push @up, $rig->shifts - $ups;
	}
	$load->stop;
	$rig->await($is_streaming, 'streaming, at the end', 120);
	my $now = the_end();
	$rig->await_end($now);
	cmp_ok($rig->shifts, '>=', 4, 'it shifted up each time');
	is($rig->downs, $rig->shifts, 'and down again');
	is($rig->status->{state}, 'running', 'it runs');
	unlike($rig->said, qr/ code=source_unreachable/, 'and its connection has lived through it');
	$rig->stop;
	my $stream = Reader->new($pg, 'streamed', 'base', source => "publication = pub\ncatchup = off");
	$stream->start->await_end($now);
	is($stream->status->{gear}, 'streaming', 'that of another one is streaming');
	$stream->stop;
	same_events([$rig->bytes], [$stream->bytes], 'they say the same');
};

scenario 'after a crash of the server the slot stands before the cursor' => sub {
	my $own = Leat::Postgres->new;
	my $rig = Leat::Rig->new($own, 'crashed', source => $TINY, top => 'log_level = debug');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->await_acked;
	$rig->stop;
	$own->query('CHECKPOINT');
	$rig->query("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(2, 3000) i");
	$rig->query("SELECT pg_logical_emit_message(false, 'alone', 'last')");
	# no commit flushes it, and what is not flushed does not outlive the crash
	poll_until {
		$own->value('SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()') eq 't';
	} 'the message on the disk';
	$rig->start->await_acked;
	like($rig->said, qr/gear=catch-up/, 'a backlog is read in chunks');
	my $was = $rig->slot->{confirmed_flush_lsn};
	$rig->stop;
	$rig->disconnect;
	$own->stop('immediate');
	$own->start;
	is($own->value("SELECT confirmed_flush_lsn < '$was' FROM pg_replication_slots"), 't', 'the slot has fallen back');
	$rig->insert(3001 .. 3010)->start->await_ids(1 .. 3010);
	like($rig->said, qr/gear=catch-up/, 'what is new is read in chunks too');
	is(scalar(grep { $_->{op} eq 'm' } $rig->events), 1, 'a message outside of transactions comes once');
	$rig->is_sound;
	$rig->stop;
};

sub ordinary_role {
	my ($server, $name) = @_;
	$server->query("CREATE ROLE $name LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO $name;
		GRANT ALL ON SCHEMA public TO $name");
}

scenario 'a transaction that is too large is streamed' => sub {
	my $own = Leat::Postgres->new(conf => { logical_decoding_work_mem => '64kB' });
	ordinary_role($own, 'ordinary');
	my %rig;
	for my $user (qw(postgres ordinary)) {
		$own->query("CREATE DATABASE by_$user OWNER $user");
		$rig{$user} = Leat::Rig->new($own, "by_$user", database => "by_$user", sql => '', conninfo => { user => $user },
			top => 'log_level = debug',
			source => "catchup_threshold = 0\ncatchup_temp = 64MiB\ncatchup_memory = 64KiB", log => 'compression = 0');
		$own->session(dbname => "by_$user", user => $user)->query('CREATE TABLE t (id int PRIMARY KEY, v text)');
		$rig{$user}->start->await_running;
		$rig{$user}->insert(1)->await_ids(1)->await_acked;
		$rig{$user}->stop;
	}
	# little of the log and much to decode; less to decode than the result
	my $file = $own->dir . '/rows';
	$own->query("COPY (SELECT i FROM generate_series(2, 800000) i) TO '$file'");
	$rig{ordinary}->query("COPY t (id) FROM '$file'");
	$rig{postgres}->query("INSERT INTO t SELECT i, repeat('x', 100000) FROM generate_series(2, 1500) i");
	for my $rig (values %rig) {
		$rig->start->await_acked(120);
	}
	like($rig{postgres}->said, qr/streaming for a while: .*temp_file_limit/, 'the server enforces the limit for a role that may set it');
	like($rig{ordinary}->said, qr/streaming for a while: a chunk is larger than catchup_temp/, 'and it is watched for others');
	for my $rig (values %rig) {
		is(scalar($rig->ids), $rig->query('SELECT count(*) FROM t'), 'every row is there');
		$rig->is_sound;
		unlike($rig->said =~ s/^.* code=orphan.*//mgr, qr/ (?:error|warning) /, 'and no trouble');
		$rig->stop;
	}
};

scenario 'a role that lacks a right streams' => sub {
	my $own = Leat::Postgres->new;
	ordinary_role($own, 'poor');
	$own->query('REVOKE EXECUTE ON FUNCTION pg_logical_slot_peek_binary_changes FROM PUBLIC');
	$own->session(user => 'poor')->query('CREATE TABLE t (id int PRIMARY KEY, v text)');
	my $rig = Leat::Rig->new($own, 'poor', database => 'postgres', sql => '', conninfo => { user => 'poor' }, source => $TINY,
		top => 'log_level = debug');
	my ($rc, $out) = $rig->leat('check');
	like($out, qr/may not execute the functions that catchup needs/, 'check says so');
	($rc, $out) = $rig->leat('check', '--sql');
	my ($grant) = $out =~ /^(GRANT EXECUTE .*)$/m;
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->insert(2 .. 5)->start->await_ids(1 .. 5);
	is(scalar(() = $rig->said =~ / warning .* code=gear gear=streaming/g), 1, 'one warning');
	is($rig->status->{gear}, 'streaming', 'and it streams');
	$rig->stop;
	$own->query($grant);
	($rc, $out) = $rig->leat('check');
	unlike($out, qr/may not execute/, 'the statement of check --sql mends it');
	$rig->insert(6 .. 9)->start->await_ids(1 .. 9)->await_said(qr/gear=catch-up/);
	unlike($rig->said, qr/ warning /, 'without a warning');
	$rig->stop;
};

scenario 'a server can stop while a chunk is read, or waits for a blocked sink' => sub {
	my $own = Leat::Postgres->new;
	my $rig = Leat::Rig->new($own, 'stops', type => 'stdout', pipeline => 'queue_size = 1MiB',
		source => "catchup_threshold = 0");
	$rig->start->await_running;
	$rig->stop;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 40000) i");
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w });
	close $w;
	$rig->await(sub { ($rig->status->{queue_bytes} || 0) > 512 << 10 }, 'a full queue');
	is($rig->status->{gear}, 'catch-up', 'it reads a chunk');
	$rig->disconnect;
	ok(defined $own->stop('fast', 60), 'the server stops');
	$own->start;
	spew("$rig->{dir}/out", '');
	my $cat = start_command({ name => 'drain', out => "$rig->{dir}/out", setup => sub {
		open STDIN, '<&', $r or die "stdin: $!";
	} }, 'cat');
	close $r;
	$rig->await(sub { slurp("$rig->{dir}/out") =~ /"id":40000,.*\n/ }, 'the last row', 60);
	my %seen = map { $_ => 1 } slurp("$rig->{dir}/out") =~ /"after":\{"id":(\d+)/g;
	is(scalar keys %seen, 40000, 'afterwards every row arrives');
	$rig->stop;
};

scenario 'a walsender that is frozen in the middle of a result is given up' => sub {
	my $own = Leat::Postgres->new(conf => { wal_sender_timeout => '2s' });
	my $rig = Leat::Rig->new($own, 'frozen', type => 'stdout', pipeline => 'queue_size = 1MiB',
		source => 'catchup_threshold = 0');
	$rig->start->await_running;
	$rig->stop;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i");
	pipe my $r, my $w or die "pipe: $!";
	$rig->start({ stdout => $w });
	close $w;
	$rig->await(sub { ($rig->status->{queue_bytes} || 0) > 512 << 10 }, 'a full queue');
	my $pid = $own->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'");
	kill 'STOP', $pid;
	spew("$rig->{dir}/out", '');
	my $cat = start_command({ name => 'drain', out => "$rig->{dir}/out", setup => sub {
		open STDIN, '<&', $r or die "stdin: $!";
	} }, 'cat');
	close $r;
	$rig->await_said(qr/nothing was heard from the server/);
	kill 'CONT', $pid;
	$rig->await(sub { slurp("$rig->{dir}/out") =~ /"id":40000,.*\n/ }, 'the last row', 60);
	my %seen = map { $_ => 1 } slurp("$rig->{dir}/out") =~ /"after":\{"id":(\d+)/g;
	is(scalar keys %seen, 40000, 'when it wakes up every row arrives');
	$rig->stop;
};

scenario 'what stops streaming stops it as well, at the same place' => sub {
	my $own = Leat::Postgres->new;
	my $rig = Leat::Rig->new($own, 'missing', source => $TINY);
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->insert(2 .. 4);
	$rig->query('DROP PUBLICATION leat_missing');
	$rig->insert(5);
	$rig->query('CREATE PUBLICATION leat_missing FOR TABLE t WITH (publish_via_partition_root)');
	$rig->insert(6)->start;
	my $st = $rig->await_status('stopped');
	like($st->{code}, qr/^(?:poisoned|publication_missing)$/, 'it has the name that streaming has for it');
	like($rig->said, qr/gear=catch-up.*gear=streaming/s, 'it was found in a chunk, and left to streaming');
	is_deeply([$rig->ids], [1 .. 4], 'what came before is delivered');
};

done_testing;
