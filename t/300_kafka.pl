# The Kafka sink on a real broker: what a reader of committed records gets.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Rig;
use JSON::PP;

Leat::Postgres->need;
Leat::Kafka->need;
my $pg = Leat::Postgres->new(conf => { max_replication_slots => 60 });
my $kafka = Leat::Kafka->new;
my $json = JSON::PP->new;

# A rig into Kafka; `kafka` are lines of the sink's section.
sub rig {
	my ($name, %opt) = @_;
	my $lines = delete $opt{kafka} || '';
	return Leat::Rig->new($pg, $name, type => 'kafka',
		sink => 'brokers = "' . $kafka->bootstrap . "\"\n$lines", %opt);
}

sub has_topic { return $kafka->topics->{$_[0]} }

sub records {
	my ($topic) = @_;
	my @records = has_topic($topic) ? $kafka->records($topic) : ();
	return @records;
}

# Column id of each row of a topic, deletes as -id, in order of seq.
sub ids {
	my ($topic) = @_;
	my @rows = map { $json->decode($_->{value}) } grep { defined $_->{value} } records($topic);
	return map { $_->{after} ? $_->{after}{id} : -$_->{before}{id} }
		sort { $a->{leat}{seq} <=> $b->{leat}{seq} || $a->{op} cmp $b->{op} || 0 } @rows;
}

sub await_ids {
	my ($rig, $topic, @ids) = @_;
	my @got;
	$rig->await(sub { @got = ids($topic); @got >= @ids }, scalar(@ids) . " rows in $topic");
	is("@got", "@ids", 'the topic has exactly the rows that were committed')
		or diag $rig->said;
}

scenario 'rows, keys and partitions' => sub {
	my $rig = rig('shop', kafka => 'partitions = 3', sql => <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE keyless (id int, v text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
SQL
	$rig->start->await_running;
	$rig->query(join '', map { "INSERT INTO t VALUES ($_, 'a'); UPDATE t SET v = 'b' WHERE id = $_;\n" } 1 .. 30);
	$rig->query("INSERT INTO keyless SELECT i FROM generate_series(1, 30) i");
	$rig->query("UPDATE keyless SET v = 'x' WHERE id = 7; DELETE FROM keyless WHERE id = 8;");
	$rig->query('DELETE FROM t WHERE id = 3; UPDATE t SET id = 40 WHERE id = 4; TRUNCATE keyless');
	$rig->query("SELECT pg_logical_emit_message(true, 'note', 'hello')");
	$rig->await(sub { grep { $_->{value} =~ /"op":"m"/ } records('shop_src.other') }, 'the message');

	my @rows = records('shop_src.public.t');
	my (%partition, %order);
	for (@rows) {
		$partition{$_->{key}}{$_->{partition}} = 1;
		push @{ $order{$_->{key}} }, defined $_->{value} ? $json->decode($_->{value})->{op} : 'tombstone';
	}
	is(has_topic('shop_src.public.t'), 3, 'a topic is made with the partitions that were asked for');
	is(scalar(keys %order), 31, 'one key for each row');
	ok(!(grep { keys %$_ != 1 } values %partition), 'a key stays in its partition');
	cmp_ok(scalar(keys %{ { map { $_->{partition} => 1 } @rows } }), '==', 3, 'all partitions are used');
	is("@{ $order{'{\"id\":1}'} }", 'c u', 'the changes of a key come in order');
	is("@{ $order{'{\"id\":3}'} }", 'c u d tombstone', 'a delete is followed by a tombstone');
	is("@{ $order{'{\"id\":4}'} } @{ $order{'{\"id\":40}'} }", 'c u d tombstone c',
		'a change of key is a delete and an insert');
	is(join(' ', sort map { $_->{headers} } grep { length $_->{headers} } @rows),
		'__debezium.newkey={"id":40} __debezium.newkey={"id":40} __debezium.oldkey={"id":4}',
		'each of the two names the other\'s key, the tombstone too, as Debezium does');

	my @keyless = records('shop_src.public.keyless');
	ok(!(grep { defined $_->{key} } @keyless), 'rows of a table without a key have none');
	is(scalar(keys %{ { map { $_->{partition} => 1 } @keyless } }), 1, 'but one partition');
	is(join(' ', map { my $r = $json->decode($_->{value}); $r->{op} } @keyless), 'c ' x 30 . 'u d',
		'and keep their order');
	is(join(' ', sort map { $json->decode($_->{value})->{op} } records('shop_src.other')),
		'm schema schema t', 'what is no row goes to a topic of its own');
	is(has_topic('shop_src.other'), 1, 'of one partition');
	is($rig->stop, 0, 'the agent ends cleanly');
};

scenario 'one topic for all tables, without tombstones, flat rows' => sub {
	my $rig = rig('flat', kafka => "topic = \"all.{pipeline}\"\ntombstones = no\nformat = row",
		sql => 'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)');
	$rig->start->await_running;
	$rig->query('INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); DELETE FROM a');
	$rig->await(sub { records('all.flat') >= 3 }, 'three records');
	my @rows = map { $json->decode($_->{value}) } records('all.flat');
	is(join(' ', map { "$_->{__op} $_->{__table}" } @rows), 'c public.a c public.b d public.a', 'are all there');
	$rig->stop;
};

scenario 'a lost state directory' => sub {
	my $rig = rig('lost');
	$rig->start->await_running;
	$rig->insert(1 .. 20);
	await_ids($rig, 'lost_src.public.t', 1 .. 20);
	my ($seen) = map { $_->{value} } records('lost_src.public.t');
	for (1 .. 3) {
		$rig->kill9;
		system 'rm', '-rf', $rig->state_dir;
		$rig->start->await_running;
		$rig->insert(20 + $_);
	}
	await_ids($rig, 'lost_src.public.t', 1 .. 23);
	$rig->query('ALTER TABLE t ADD COLUMN w int');
	$rig->query('INSERT INTO t VALUES (30)');
	await_ids($rig, 'lost_src.public.t', 1 .. 23, 30);
	my ($version) = map { $json->decode($_->{value})->{leat}{schema}{version} } (records('lost_src.public.t'))[-1];
	is($version, 2, 'the versions of a table are known from the topic');
	$rig->stop;
};

scenario 'a second agent' => sub {
	my $rig = rig('second');
	$rig->start->await_running;
	$rig->insert(1 .. 3);
	await_ids($rig, 'second_src.public.t', 1 .. 3);
	my $conf = slurp($rig->conf) =~ s{/state"}{/state2"}r;
	my $other = start_leat({ name => 'second' }, 'run', '-c', spew($rig->dir . '/second.conf', $conf));
	poll_until { $other->err =~ /standby|claim_held/ } 'the second agent to stand by';
	$rig->insert(4 .. 6);
	await_ids($rig, 'second_src.public.t', 1 .. 6);
	$rig->kill9;
	$rig->insert(7);
	poll_until { scalar(ids('second_src.public.t')) >= 7 } 'the second one to take over';
	is(join(' ', ids('second_src.public.t')), '1 2 3 4 5 6 7', 'stands by, and takes over');
	is($other->stop, 0, 'and ends cleanly') or diag $other->err;
};

scenario 'somebody else takes the pipeline over' => sub {
	my $rig = rig('fence', pipeline => 'exit_on_stop = yes');
	$rig->start->await_running;
	$rig->insert(1 .. 3);
	await_ids($rig, 'fence_src.public.t', 1 .. 3);
	# no claim is in the way of an agent that reads another database
	$pg->query('CREATE DATABASE fence2');
	$pg->session(dbname => 'fence2')->query('CREATE TABLE t (id int PRIMARY KEY, v text)');
	my $conf = slurp($rig->conf) =~ s{/state"}{/state2"}r =~ s{dbname=fence\b}{dbname=fence2}r;
	my $other = start_leat({ name => 'foreign' }, 'run', '-c', spew($rig->dir . '/foreign.conf', $conf));
	poll_until { !$other->is_running || $other->err =~ / error / } 'the other agent to be there';
	$rig->insert(4);
	is($rig->agent->wait(60), 10, 'ends the first one with the exit status of its own');
	like($rig->said, qr/another agent .* code=fenced/, 'which says why');
	is(join(' ', ids('fence_src.public.t')), '1 2 3', 'and has written nothing more');
	$other->stop;
};

# The end of what readers of committed records may see, and of all there is.
sub is_decided {
	my ($topic) = @_;
	my @ends = map { $kafka->kcat('-Q', '-t', "$topic:0:-1", '-X', "isolation.level=$_") =~ /offset (\d+)/ }
		qw(read_committed read_uncommitted);
	return $ends[0] == $ends[1];
}

scenario 'a transaction that outlives its own timeout' => sub {
	my $rig = rig('late', kafka => 'transaction_timeout = 3s', pipeline => 'commit_interval = 800ms');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 'late_src.public.t', 1);
	my $n = 1;
	poll_until {
		$rig->insert(++$n);
		poll_until { $kafka->records('late_src.public.t', uncommitted => 1) >= $n } 'the row', 20;
		$rig->agent->signal('STOP');
		is_decided('late_src.public.t') ? $rig->agent->signal('CONT') && 0 : 1
	} 'a transaction to be open';
	poll_until { is_decided('late_src.public.t') } 'the broker to end it';
	$rig->agent->signal('CONT');
	$rig->insert($n + 1);
	await_ids($rig, 'late_src.public.t', 1 .. $n + 1);
	like($rig->said, qr/code=sink_doubt/, 'is noticed');
	unlike($rig->said, qr/code=fenced/, 'and not taken for another agent');
	is($rig->stop, 0, 'the agent goes on');
};

scenario 'a broker that is killed' => sub {
	my $rig = rig('broker');
	$rig->start->await_running;
	$rig->insert(1 .. 50);
	await_ids($rig, 'broker_src.public.t', 1 .. 50);
	$kafka->kill9;
	$rig->insert(51 .. 100);
	$kafka->start;
	await_ids($rig, 'broker_src.public.t', 1 .. 100);
	is($rig->stop(90), 0, 'costs nothing') or diag $rig->said;
};

scenario 'a commit in doubt' => sub {
	plan skip_all => 'built without fault points' unless has_feature('FAULTS');
	my $rig = rig('doubt');
	my $n = 0;
	for my $fault (qw(kafka_commit kafka_committed)) {
		$rig->start({ env => { LEAT_FAULT => "$fault:4:error" } })->await_running;
		$rig->insert(++$n), await_ids($rig, 'doubt_src.public.t', 1 .. $n) for 1 .. 5;
		$rig->await_said(qr/code=sink_doubt/);
		is($rig->stop, 0, "$fault is read back, and costs nothing");
	}
};

scenario 'topics that leat may not make' => sub {
	my $rig = rig('strict', kafka => 'create_topics = no', pipeline => 'exit_on_stop = yes');
	$rig->start->await_status('retrying', 'topic_missing');
	$kafka->make_topic('leat.progress.strict', 1, 'cleanup.policy=compact');
	$rig->await_running;
	$rig->insert(1);
	$rig->await_status('retrying', 'topic_missing');
	$kafka->make_topic('strict_src.other', 1);
	$kafka->make_topic('strict_src.public.t', 2);
	await_ids($rig, 'strict_src.public.t', 1);
	ok(1, 'are waited for');
	$rig->stop;
	my ($rc, $out) = $rig->leat('check');
	is($rc, 0, 'check is content with them') or diag $out;
};

scenario 'a table without a topic, while a transaction is open' => sub {
	my $rig = rig('wait', kafka => 'create_topics = no', pipeline => 'commit_interval = 8s',
		sql => 'CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)');
	$kafka->make_topic('leat.progress.wait', 1, 'cleanup.policy=compact');
	$kafka->make_topic($_, 1) for qw(wait_src.other wait_src.public.a);
	$rig->start->await_running;
	$rig->query('INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)');
	$rig->await_status('retrying', 'topic_missing');
	is(join(' ', ids('wait_src.public.a')), 1, 'what came before is committed by then');
	ok(is_decided('wait_src.public.a'), 'and no transaction waits for the topic');
	$kafka->make_topic('wait_src.public.b', 1);
	await_ids($rig, 'wait_src.public.b', 1);

	$rig->query("BEGIN; INSERT INTO a SELECT i, repeat('x', 500) FROM generate_series(2, 5001) i; INSERT INTO c VALUES (1); COMMIT");
	$rig->await_status('retrying', 'topic_missing');
	poll_until { is_decided('wait_src.public.a') } 'no transaction to be open';
	is(join(' ', ids('wait_src.public.a')), 1, 'of a transaction that needs the topic nothing is seen');
	$kafka->make_topic('wait_src.public.c', 1);
	await_ids($rig, 'wait_src.public.c', 1);
	is(scalar(ids('wait_src.public.a')), 5001, 'and then all');
	$rig->stop;
};

scenario 'another number of partitions' => sub {
	my $rig = rig('grown', pipeline => 'exit_on_stop = yes');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 'grown_src.public.t', 1);
	$rig->stop;
	$kafka->add_partitions('grown_src.public.t', 4);
	$rig->start;
	$rig->insert(2);
	is($rig->agent->wait(60), 6, 'stops the pipeline');
	like($rig->said, qr/has 4 partitions, and had 1.* code=partitions_changed/, 'which says why');
	$rig->write(sink => $rig->{sink} . "\non_partition_change = continue");
	$rig->start->await_running;
	await_ids($rig, 'grown_src.public.t', 1, 2);
	$rig->stop;
};

scenario 'two tables that would share a topic' => sub {
	my $rig = rig('share', kafka => 'topic = "{source}.{table}"', pipeline => 'exit_on_stop = yes', tables => ['*.*'],
		sql => 'CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (id int PRIMARY KEY); CREATE TABLE b.t (id int PRIMARY KEY)');
	$rig->start->await_running;
	$rig->query('INSERT INTO a.t VALUES (1)');
	await_ids($rig, 'share_src.t', 1);
	$rig->restart->await_running;
	$rig->query('INSERT INTO b.t VALUES (2)');
	is($rig->agent->wait(60), 6, 'stop the pipeline');
	like($rig->said, qr/"a\.t" and "b\.t" would share topic "share_src\.t"/, 'which says so');
	is(join(' ', ids('share_src.t')), 1, 'and writes nothing of it');
};

scenario 'a record that is too large' => sub {
	my $rig = rig('large', pipeline => 'exit_on_stop = yes', kafka => 'properties = { "message.max.bytes=10000" }');
	$rig->start->await_running;
	$rig->insert(1);
	$rig->query("INSERT INTO t VALUES (2, repeat('x', 20000))");
	is($rig->agent->wait(60), 8, 'is rejected');
	like($rig->said, qr{event "large_src/1/[0-9A-F]+/1": a record of \d+ bytes for topic "large_src\.public\.t"}, 'by name');
	$rig->write(sink => 'brokers = "' . $kafka->bootstrap . '"');
	$rig->start->await_running;
	await_ids($rig, 'large_src.public.t', 1, 2);
	$rig->stop;
};

scenario 'a large transaction' => sub {
	my $rig = rig('whole', pipeline => 'queue_size = 64MiB');
	$rig->start->await_running;
	$rig->insert(0);
	await_ids($rig, 'whole_src.public.t', 0);
	my %seen = (scalar(records('whole_src.public.t')) => 1);
	$rig->query("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i");
	poll_until { my $n = records('whole_src.public.t'); $seen{$n} = 1; $n > 20000 } 'all of it';
	delete $seen{1};
	is(join(' ', keys %seen), '20001', 'is seen whole or not at all');
	unlike(join('', map { $_->{value} } records('leat.progress.whole')), qr/open_transaction/, 'in one commit');
	$rig->stop;
	$rig->write(pipeline => 'queue_size = 1MiB');
	$rig->start->await_running;
	$rig->query("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(20001, 30000) i");
	poll_until { records('whole_src.public.t') > 30000 } 'one that is larger than a commit';
	my ($part) = map { $_->{value} =~ /open_transaction (\S+)/ } records('leat.progress.whole');
	my ($row) = grep { $_->{value} =~ /"id":25000/ } records('whole_src.public.t');
	is($part, $json->decode($row->{value})->{transaction}{id}, 'says of each part to what it belongs');
	unlike((records('leat.progress.whole'))[-1]{value}, qr/open_transaction/, 'and when it is whole');
	$rig->stop;
};

scenario 'a large transaction that comes through a log' => sub {
	my $rig = Leat::Rig->new($pg, 'via', top => <<"CONF");
sink via_sink { type = kafka
brokers = "${\$kafka->bootstrap}"
}
pipeline via_copy { source = via_log
sink = via_sink
start = earliest
queue_size = 64MiB
}
CONF
	$rig->start->await_running;
	$rig->insert(0);
	await_ids($rig, 'via_src.public.t', 0);
	my @commits = $rig->status->{commits};
	$rig->query("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i");
	my %seen;
	poll_until { my $n = records('via_src.public.t'); $seen{$n} = 1; $n > 20000 } 'all of it';
	push @commits, $rig->status->{commits};
	cmp_ok($commits[1] - $commits[0], '>', 2, 'is in the log in parts') or diag explain \@commits;
	delete $seen{1};
	is(join(' ', keys %seen), '20001', 'and is seen whole or not at all in Kafka');
	unlike(join('', map { $_->{value} } records('leat.progress.via_copy')), qr/open_transaction/, 'in one commit');
	$rig->stop;
};

sub payloads { return map { $json->decode($_->{value}) } grep { defined $_->{value} } records(@_) }

# BEGIN and END records of a topic as text, counts sorted.
sub transactions {
	my ($topic) = @_;
	return map { my $r = $_;
		"$r->{status} $r->{id}" . (defined $r->{event_count} ? " $r->{event_count}" : '') .
		join '', map { " $_->{data_collection}=$_->{event_count}" }
			sort { $a->{data_collection} cmp $b->{data_collection} } @{ $r->{data_collections} || [] }
	} payloads($topic);
}

scenario 'where transactions begin and end' => sub {
	plan skip_all => 'built without fault points' unless has_feature('FAULTS');
	my $rig = rig('bounds', kafka => 'transaction_topic = "{source}.transaction"', pipeline => 'queue_size = 1MiB',
		sql => 'CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY)');
	$rig->start->await_running;
	$rig->query("BEGIN; INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1); UPDATE a SET id = 3 WHERE id = 2; COMMIT");
	$rig->query('INSERT INTO b VALUES (2)');
	my @said;
	$rig->await(sub { @said = transactions('bounds_src.transaction'); @said >= 4 }, 'two transactions');
	my @id = map { $_->{transaction}{id} } (payloads('bounds_src.public.b'))[0, 1];
	is_deeply(\@said, ["BEGIN $id[0]", "END $id[0] 5 public.a=4 public.b=1", "BEGIN $id[1]", "END $id[1] 1 public.b=1"],
		'is told with the number of records in each topic') or diag explain \@said;
	my ($first) = records('bounds_src.transaction');
	is($first->{key}, "{\"id\":\"$id[0]\"}", 'under its id');
	like($first->{value}, qr/^\{"status":"BEGIN","id":"[\d:]+","event_count":null,"data_collections":null,"ts_ms":\d+\}$/,
		'as Debezium does');

	is($rig->stop, 0, 'a large one waits for its agent');
	$rig->query("INSERT INTO a SELECT i, repeat('x', 300) FROM generate_series(10, 30009) i");
	$rig->start({ env => { LEAT_FAULT => 'kafka_committed:4:kill' } });
	is($rig->agent->wait(60), -9, 'which dies') or diag $rig->said;
	like((records('leat.progress.bounds'))[-1]{value}, qr/^open_transaction /m, 'with a part of it committed');
	my $part = grep { defined $_->{value} } records('bounds_src.public.a');
	cmp_ok($part, '<', 30000, 'and not all');
	system 'rm', '-rf', $rig->state_dir;
	$rig->start->await_running;
	$rig->await(sub { @said = transactions('bounds_src.transaction'); @said >= 6 }, 'its end', 120);
	my ($id) = (records('bounds_src.public.a'))[-1]{value} =~ /"transaction":\{"id":"([^"]+)"/;
	is_deeply([@said[4 .. $#said]], ["BEGIN $id", "END $id 30000 public.a=30000"],
		'and its successor counts on') or diag explain \@said;
	$rig->query('DELETE FROM b WHERE id = 1');
	$rig->await(sub { @said = transactions('bounds_src.transaction'); @said >= 8 }, 'one more');
	like($said[7], qr/^END \S+ 1 public\.b=1$/, 'a tombstone is no event');
	$rig->stop;
};

scenario 'heartbeats' => sub {
	my $rig = rig('beat', kafka => "heartbeat_interval = 300ms\nschemas = yes");
	$rig->start->await_running;
	my @beats;
	$rig->await(sub { @beats = records('__debezium-heartbeat.beat_src'); @beats >= 3 }, 'heartbeats of an idle pipeline');
	my ($key, $value) = map { $json->decode($beats[0]{$_}) } qw(key value);
	is($key->{payload}{serverName}, 'beat_src', 'say whose they are');
	cmp_ok($value->{payload}{ts_ms}, '>', 1e12, 'and when they were written');
	is($value->{schema}{name}, 'io.debezium.connector.common.Heartbeat', 'as Debezium does');
	$rig->insert(1);
	$rig->await(sub { records('beat_src.public.t') >= 1 }, 'a row');
	is($rig->stop, 0, 'the agent ends cleanly');
};

scenario 'a topic for new versions of tables' => sub {
	my $rig = rig('shapes', kafka => 'schema_topic = "{source}"',
		sql => 'CREATE TABLE t (id int PRIMARY KEY, price numeric(10,2) NOT NULL)');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1, 2); ALTER TABLE t ADD COLUMN w varchar(7)');
	$rig->query('INSERT INTO t VALUES (2, 3)');
	my @shapes;
	$rig->await(sub { @shapes = payloads('shapes_src'); @shapes >= 2 }, 'two versions');
	is(join(' ', map { $_->{tableChanges}[0]{type} } @shapes), 'CREATE ALTER', 'has them');
	my $table = $shapes[1]{tableChanges}[0];
	is($table->{id}, '"shapes"."public"."t"', 'by name');
	is_deeply($table->{table}{primaryKeyColumnNames}, ['id'], 'with their key');
	is(join(' ', map { my $c = $_; join ',', map { defined $_ ? $_ : '-' } @$c{qw(name jdbcType typeName length scale position)} }
		@{ $table->{table}{columns} }), 'id,4,int4,-,-,1 price,2,numeric,10,2,2 w,12,varchar,7,-,3', 'and columns');
	is($shapes[1]{source}{table}, 't', 'and where they come from');
	ok(!has_topic('shapes_src.other'), 'and nothing is elsewhere');
	$rig->stop;
};

scenario 'a compacted topic' => sub {
	my $rig = rig('compact', kafka => 'cleanup_policy = compact', pipeline => 'exit_on_stop = yes', sql =>
		'CREATE TABLE small (id int PRIMARY KEY, v varchar(20), n numeric(10,2)); CREATE TABLE "Big" (id int PRIMARY KEY, v text);
		CREATE TABLE made (id int); ALTER TABLE made REPLICA IDENTITY FULL');
	like(($rig->leat('check'))[1], qr/REPLICA IDENTITY FULL, as topics are compacted/, 'check says what it asks of tables');
	$rig->start->await_running;
	$rig->query("INSERT INTO small VALUES (1, 'x', 1)");
	await_ids($rig, 'compact_src.public.small', 1);
	$rig->query('INSERT INTO "Big" VALUES (1, \'x\')');
	is($rig->agent->wait(60), 6, 'refuses a table whose updates may leave out values');
	my ($hint) = $rig->said =~ /hint="(ALTER TABLE [^;]*);/ or diag $rig->said;
	$hint =~ s/\\"/"/g;
	like($rig->said, qr/code=table_partial/, 'by name');
	is(join(' ', ids('compact_src.public.Big')), '', 'and has written nothing of it');
	$rig->query($hint);
	$rig->write(sink => $rig->{sink} . "\npartial_rows = yes");
	$rig->start->await_running;
	$rig->query('INSERT INTO "Big" VALUES (2, \'x\')');
	await_ids($rig, 'compact_src.public.Big', 1, 2);
	$rig->stop;
	$rig->write(sink => $rig->{sink} =~ s/partial_rows = yes//r);
	$rig->start->await_running;
	$rig->query('INSERT INTO "Big" VALUES (3, \'x\')');
	await_ids($rig, 'compact_src.public.Big', 1, 2, 3);
	ok($rig->agent->is_running, 'and takes it when the hint was followed');
	$kafka->make_topic('compact_src.public.made', 1, 'cleanup.policy=compact');
	$rig->write(sink => $rig->{sink} =~ s/cleanup_policy = compact//r);
	$rig->restart->await_running;
	$rig->query('INSERT INTO made VALUES (1)');
	is($rig->agent->wait(60), 6, 'what a topic is counts, not what is asked for');
	like($rig->said, qr/"public\.made" has no key, and topic "compact_src\.public\.made" is compacted/, 'a row without a key is refused');
};

scenario 'at least once' => sub {
	my $rig = rig('least', kafka => 'delivery = at_least_once');
	$rig->start->await_running;
	$rig->insert(1 .. 10);
	await_ids($rig, 'least_src.public.t', 1 .. 10);
	$rig->kill9;
	system 'rm', '-rf', $rig->state_dir;
	$rig->insert(11 .. 20);
	$rig->start->await_running;
	poll_until { grep { $_ == 20 } ids('least_src.public.t') } 'the last row';
	my %seen = map { $_ => 1 } ids('least_src.public.t');
	is(join(' ', sort { $a <=> $b } keys %seen), join(' ', 1 .. 20), 'loses nothing');
	$rig->stop;
};

scenario 'a topic that somebody has removed' => sub {
	my $rig = rig('removed', kafka => 'partitions = 2');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 'removed_src.public.t', 1);
	$rig->stop;
	$kafka->remove_topic('removed_src.public.t');
	$rig->start->await_running;
	$rig->insert(2);
	await_ids($rig, 'removed_src.public.t', 2);
	is(has_topic('removed_src.public.t'), 2, 'is made again as it was');
	$rig->stop;
};

scenario 'brokers that nobody reaches' => sub {
	my $port = free_port();
	my $rig = rig('nobody')->write(sink => "brokers = \"127.0.0.1:$port\"", pipeline => 'give_up_after = 1s  exit_on_stop = yes');
	my ($rc, $out) = $rig->leat('check');
	is($rc, 6, 'check says so by its exit status');
	like($out, qr/^error: .*sink "nobody_sink": 127\.0\.0\.1:$port/m, 'and by name') or diag $out;
	$rig->start;
	is($rig->agent->wait(60), 6, 'a pipeline that may give up does');
};

scenario 'drop' => sub {
	my $rig = rig('gone');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 'gone_src.public.t', 1);
	$rig->stop;
	my ($rc, $out, $err) = $rig->leat('drop', 'gone', '--yes');
	is($rc, 0, 'goes through') or diag $err;
	poll_until { !has_topic('leat.progress.gone') } 'the progress topic to be gone';
	ok(has_topic('gone_src.public.t'), 'the data stay');
};

$kafka->stop;
done_testing;
