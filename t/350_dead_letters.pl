# What a sink can never take: on_reject, and what people do with dead letters.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;
use JSON::PP;

Leat::Postgres->need;
my $pg = Leat::Postgres->new;
my $json = JSON::PP->new->utf8;

# A rig whose standard output goes on in one file.  A numeric NaN cannot be written
# as Debezium's precise decimal, but as a text.
sub precise { return "format = debezium\nschemas = yes\n" }
sub lenient { return precise() . 'decimal = string' }

sub stdout_rig {
	my ($name, %opt) = @_;
	return Leat::Rig->new($pg, $name, type => 'stdout', sink => precise(),
		sql => 'CREATE TABLE t (id int PRIMARY KEY, v numeric)',
		pipeline => 'on_reject = dead_letter', %opt);
}

sub start {
	my ($rig) = @_;
	return $rig->start({ out => $rig->dir . '/stdout' })->await_running;
}

# The payloads of rows on standard output.
sub printed {
	my ($rig) = @_;
	my $path = $rig->dir . '/stdout';
	return grep { $_->{op} =~ /^[cud]$/ } map { $json->decode($_)->{payload} }
		-e $path ? grep { /\}$/ } split /\n/, slurp($path) : ();
}

sub ids { return map { $_->{after} ? $_->{after}{id} : -$_->{before}{id} } printed($_[0]) }

sub await_ids {
	my ($rig, @want) = @_;
	my @got;
	$rig->await(sub { @got = ids($rig); @got >= @want }, scalar(@want) . ' rows on standard output');
	is("@got", "@want", 'what the sink can take is there, in order') or diag $rig->said;
}

sub letters {
	my ($rig) = @_;
	my ($rc, $out, $err) = $rig->leat('dlq', 'list', '--json', $rig->name);
	is($rc, 0, 'dlq list') or diag $err;
	return @{ $json->decode($out) };
}

# "id state" of each letter, by its key.
sub kept {
	my ($rig) = @_;
	return join ' ', map { "$_->{key} $_->{state}" } letters($rig);
}

sub await_letters {
	my ($rig, $n) = @_;
	$rig->await(sub { ($rig->status->{dead_letters} || 0) >= $n }, "$n dead letters");
}

sub dlq {
	my ($rig, $verb, @words) = @_;
	return $rig->leat('dlq', $verb, $rig->name, @words);
}

scenario 'block' => sub {
	my $rig = Leat::Rig->new($pg, 'block', log => 'max_event_size = 64KiB', pipeline => 'exit_on_stop = yes');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	$rig->query("INSERT INTO t VALUES (2, repeat('x', 200000))");
	$rig->insert(3);
	is($rig->agent->wait(60), 8, 'ends with the exit status of its own') or diag $rig->said;
	my ($said) = grep { / code=event_rejected / } split /\n/, $rig->said;
	like($said, qr{event "block_src/1/[0-9A-F]+/1": event of 2\d+ bytes is larger than max_event_size}, 'names the event and why');
	like($said, qr/number 2 of the pipeline, op insert, table \\?"public\.t/, 'and which it is');
	like($said, qr{Raise max_event_size of the log\..*leat dlq show block block_src/1/[0-9A-F]+/1.*on_reject = dead_letter}, 'and what to do');
	my ($letter) = letters($rig);
	is("$letter->{key} $letter->{state}", '{"id":2} blocking', 'what blocks is listed, with its key');
	my ($rc, $out, $err) = dlq($rig, 'show', $letter->{id});
	is($rc, 0, 'and shown') or diag $err;
	is($json->decode($out)->{after}{v}, 'x' x 200000, 'as a whole');
	($rc, $out, $err) = dlq($rig, 'retry', $letter->{id});
	is($rc, 1, 'it is not to be delivered apart');
	like($err, qr/whenever the pipeline starts/, 'but when the pipeline starts');
	$rig->write(log => 'max_event_size = 1MiB')->start->await_running;
	$rig->await_ids(1 .. 3);
	is(join(' ', letters($rig)), '', 'then nothing is kept of it');
	$rig->stop;
};

scenario 'one event that blocks is left out by order' => sub {
	my $rig = stdout_rig('order', pipeline => 'exit_on_stop = yes');
	start($rig);
	$rig->query("INSERT INTO t VALUES (1, 'NaN'), (2, 2); INSERT INTO t VALUES (3, 'NaN')");
	is($rig->agent->wait(60), 8, 'the pipeline stops');
	my ($letter) = letters($rig);
	my ($rc, $out, $err) = dlq($rig, 'drop', $letter->{id}, '--count', 1);
	is($out, "dropped 1 dead letter\n", 'what blocks is dropped') or diag $err;
	$rig->start({ out => $rig->dir . '/stdout' });
	is($rig->agent->wait(60), 8, 'the next one blocks');
	await_ids($rig, 2) if grep { $_ == 2 } ids($rig);
	is(kept($rig), '{"id":3} blocking', 'and not the same again');
	$rig->write(sink => lenient());
	start($rig);
	$rig->await(sub { grep { $_ == 3 } ids($rig) }, 'what was not dropped');
	is($rig->stop, 0, 'the agent ends cleanly');
};

scenario 'a dead letter' => sub {
	my $rig = stdout_rig('dead');
	start($rig);
	$rig->query("INSERT INTO t VALUES (1, 1); INSERT INTO t VALUES (2, 'NaN'), (3, 3); INSERT INTO t VALUES (4, 4)");
	await_ids($rig, 1, 3, 4);
	await_letters($rig, 1);
	like($rig->said, qr/warning .*put aside as a dead letter: .*table "public\.t".* code=dead_letter event=\S+ op=insert seq=2/,
		'each is told of') or diag $rig->said;
	unlike($rig->said, qr/NaN/, 'without what the row holds');
	my ($letter) = letters($rig);
	is("@$letter{qw(key state table op seq tries)}", '{"id":2} dead public.t insert 2 1', 'and listed') or diag explain $letter;
	like($letter->{reason}, qr/column "v": a value of type numeric cannot be carried/, 'with the reason');
	my ($rc, $out, $err) = $rig->leat('dlq', 'list', $rig->name);
	like($out, qr/^\Q$letter->{id}\E: dead, insert of public\.t \{"id":2\}, seq 2, \d+ bytes\n  since .*\n  reason .*column "v"/m, 'for people, too');
	($rc, $out) = $rig->leat('status');
	like($out, qr/^  dead letters 1$/m, 'status says how many');
	for (['debezium' => sub { $_[0]{after}{v} }], ['row' => sub { $_[0]{v} }], ['cloudevents' => sub { $_[0]{data}{after}{v} }]) {
		my ($format, $value) = @$_;
		($rc, $out, $err) = dlq($rig, 'show', '--format', $format, $letter->{id});
		is($value->($json->decode($out)), 'NaN', "it is shown as $format") or diag $out, $err;
	}

	($rc, $out, $err) = dlq($rig, 'retry', $letter->{id});
	is($rc, 1, 'the sink rejects it again');
	like($err, qr/rejected 1 dead letter again: .*column "v"/, 'which is said');
	is((letters($rig))[0]{tries}, 2, 'and counted');

	# its table gets another shape meanwhile
	$rig->query('ALTER TABLE t ADD COLUMN w int; INSERT INTO t VALUES (5, 5, 5)');
	await_ids($rig, 1, 3, 4, 5);
	$rig->stop;
	($rc, $out, $err) = dlq($rig, 'retry', $letter->{id});
	is($rc, 1, 'without an agent it waits');
	like($err, qr/1 dead letter will be delivered when pipeline "dead" can: no agent runs it\nhint: Start it/, 'for one to start');
	$rig->write(sink => lenient());
	start($rig);
	await_ids($rig, 1, 3, 4, 5, 2);
	my ($again) = grep { $_->{op} eq 'c' && $_->{after}{id} == 2 } printed($rig);
	is("$again->{leat}{id} $again->{leat}{seq} $again->{leat}{schema}{version} $again->{after}{v}",
		"$letter->{id} 2 1 NaN", 'it is delivered with its id, its seq and the shape it had');
	$rig->await(sub { !$rig->status->{dead_letters} }, 'the letter to be gone');
	is(join(' ', letters($rig)), '', 'and is kept no more');
	$rig->stop;
};

scenario 'all of them, while the agent runs' => sub {
	my $rig = stdout_rig('all');
	start($rig);
	$rig->query("INSERT INTO t VALUES ($_, 'NaN')") for 1 .. 5;
	await_letters($rig, 5);
	$rig->stop;
	$rig->write(sink => lenient());
	start($rig);
	my ($rc, $out, $err) = dlq($rig, 'retry', '--all');
	is($rc, 0, 'are delivered') or diag $err;
	is($out, "delivered 5 dead letters\n", 'which is said');
	await_ids($rig, 1 .. 5);
	($rc, $out, $err) = dlq($rig, 'retry', '--all');
	is($rc, 1, 'then there are none');
	like($err, qr/no dead letter that can be delivered/, 'which is said');
	$rig->stop;
};

scenario 'later events of the same key' => sub {
	my $rig = stdout_rig('later', tables => ['public.*'], sql => <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v numeric);
CREATE TABLE other (id int PRIMARY KEY, v numeric);
CREATE TABLE keyless (id int, v numeric);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE cut (id int PRIMARY KEY, v numeric);
CREATE TABLE moved (id int PRIMARY KEY, v numeric);
CREATE TABLE rekeyed (id int PRIMARY KEY, v numeric, k int NOT NULL DEFAULT 1);
SQL
	start($rig);
	$rig->query("INSERT INTO t SELECT i, 'NaN' FROM generate_series(1, 4) i");
	$rig->query("INSERT INTO $_ VALUES (1, 'NaN')") for qw(other keyless cut moved rekeyed);
	$rig->query("INSERT INTO moved VALUES (2, 'NaN')");
	await_letters($rig, 10);
	$rig->query('UPDATE t SET v = 2 WHERE id = 2');	# a later one of the key
	$rig->query("UPDATE t SET v = 'Infinity' WHERE id = 3");	# is rejected itself
	$rig->query('UPDATE t SET id = 40, v = 4 WHERE id = 4');	# from the key to another
	$rig->query('INSERT INTO keyless VALUES (2, 2)');	# no key: any row
	$rig->query('TRUNCATE cut');
	$rig->query('UPDATE moved SET id = 20, v = 1 WHERE id = 2');
	$rig->query('ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (k, id); INSERT INTO rekeyed VALUES (2, 2, 2)');
	$rig->query('INSERT INTO other VALUES (2, 2)');
	$rig->await(sub { grep { $_ == 2 && 1 } ids($rig) }, 'what follows');
	$rig->await(sub { my @o = grep { $_->{source}{table} eq 'other' } printed($rig); @o }, 'the last one');
	my %state = map { ("$_->{table} $_->{key}" . ($_->{op} eq 'insert' ? '' : " $_->{op}") => $_->{state}) }
		map { $_->{key} = '-' unless defined $_->{key}; $_ } letters($rig);
	my %want = ('public.t {"id":1}' => 'dead', 'public.t {"id":2}' => 'superseded', 'public.t {"id":3}' => 'dead',
		'public.t {"id":3} update' => 'dead', 'public.t {"id":4}' => 'superseded', 'public.other {"id":1}' => 'dead',
		'public.keyless -' => 'superseded', 'public.cut {"id":1}' => 'superseded', 'public.moved {"id":1}' => 'dead',
		'public.moved {"id":2}' => 'superseded', 'public.rekeyed {"id":1}' => 'superseded');
	is_deeply(\%state, \%want, 'a letter is superseded by them, and by nothing else') or diag explain \%state;

	my ($gone) = grep { $_->{table} eq 'public.t' && $_->{key} eq '{"id":2}' } letters($rig);
	my ($rc, $out, $err) = dlq($rig, 'retry', $gone->{id});
	is($rc, 1, 'it is not delivered any more');
	like($err, qr/a later event of its key was delivered: \Q$gone->{superseded_by}\E/, 'by whom is said');
	# of two letters of one key the later one first: the other one is too late then
	$rig->stop;
	$rig->write(sink => lenient());
	start($rig);
	my @three = grep { $_->{table} eq 'public.t' && $_->{key} eq '{"id":3}' } letters($rig);
	($rc, $out, $err) = dlq($rig, 'retry', $three[1]{id});
	is($rc, 0, 'the later of two is delivered') or diag $err;
	($rc, $out, $err) = dlq($rig, 'retry', $three[0]{id});
	is($rc, 1, 'then the earlier one is not');
	($rc, $out, $err) = dlq($rig, 'retry', '--all');
	is($out, "delivered 3 dead letters\n", 'all the others are') or diag $err;
	is(scalar(letters($rig)), 7, 'what is superseded stays, to be looked at');
	$rig->stop;
};

scenario 'a log' => sub {
	my $rig = Leat::Rig->new($pg, 'inlog', log => 'max_event_size = 64KiB', pipeline => 'on_reject = dead_letter');
	$rig->start->await_running;
	$rig->insert(1);
	$rig->query("INSERT INTO t VALUES (2, repeat('x', 200000))");
	await_letters($rig, 1);
	$rig->restart->await_running;
	is(kept($rig), '{"id":2} dead', 'keeps it as long as nothing follows');
	$rig->write(log => 'max_event_size = 1MiB')->restart->await_running;
	my ($rc, $out, $err) = dlq($rig, 'retry', '--all');
	is($rc, 0, 'and takes it then') or diag $err;
	$rig->await_ids(1, 2);
	$rig->write(log => 'max_event_size = 64KiB')->restart->await_running;
	$rig->query("INSERT INTO t VALUES (3, repeat('x', 200000))");
	$rig->insert(4)->await_ids(1, 2, 4);
	await_letters($rig, 1);
	is(kept($rig), '{"id":3} superseded', 'it is in order of seq: whatever follows comes later');
	is($rig->stop, 0, 'the agent ends cleanly');
	($rc) = $rig->leat('log', 'verify', $rig->log_name);
	is($rc, 0, 'the log is sound');
};

scenario 'a gap by order' => sub {
	my $rig = Leat::Rig->new($pg, 'gap', log => 'max_event_size = 64KiB', pipeline => 'on_reject = dead_letter');
	$rig->start->await_running;
	$rig->query("INSERT INTO t VALUES (1, repeat('x', 200000))");
	await_letters($rig, 1);
	is($rig->stop, 0, 'the agent ends cleanly');
	is(kept($rig), '{"id":1} dead', 'a letter is the last there is');
	$rig->insert(2);
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'gap', 'now', '--accept-gap');
	is($rc, 0, 'the pipeline is put elsewhere') or diag $err;
	$rig->start->await_running;
	$rig->await(sub { kept($rig) =~ /superseded/ }, 'the letter to be superseded');
	($rc, $out, $err) = $rig->leat('dlq', 'list', 'gap');
	like($out, qr/superseded   the sink has gone on without this state/, 'by what nobody has looked at');
	$rig->insert(3)->await_ids(3)->stop;
};

scenario 'skip' => sub {
	my $rig = stdout_rig('skip', pipeline => 'on_reject = skip');
	start($rig);
	$rig->query("INSERT INTO t VALUES ($_, 'NaN')") for 1 .. 20;
	$rig->query('INSERT INTO t VALUES (21, 21)');
	await_ids($rig, 21);
	$rig->await(sub { ($rig->status->{skipped} || 0) == 20 }, 'the count in status');
	like($rig->said, qr/warning .*left out: .*column "v".* code=event_skipped event=skip_src\S+/, 'the first is told of');
	is($rig->stop, 0, 'the agent ends cleanly');
	my ($told) = $rig->said =~ /(\d+) more events were left out/;
	my $lines = () = $rig->said =~ /left out: .* code=event_skipped/g;
	is($lines + ($told || 0), 20, 'the others are counted in the messages') or diag $rig->said;
	my ($rc, $out) = $rig->leat('status');
	like($out, qr/^  left out     20$/m, 'the count outlives the agent');
	is(join(' ', letters($rig)), '', 'nothing is kept');
};

# The most memory that the agent has had, in MiB.
sub peak {
	my ($rig) = @_;
	my ($kib) = slurp('/proc/' . $rig->agent->pid . '/status') =~ /^VmHWM:\s+(\d+) kB/m;
	return $kib >> 10;
}

scenario 'a large value' => sub {
	my %peak;
	for my $how ('skip', 'dead_letter') {
		my $rig = Leat::Rig->new($pg, "large_$how", log => 'max_event_size = 64KiB', pipeline => "on_reject = $how");
		$rig->start->await_running;
		$rig->query("INSERT INTO t VALUES (1, repeat('x', 64 << 20))");
		$rig->insert(2)->await_ids(2);
		$rig->await(sub { my $st = $rig->status; $st->{skipped} + $st->{dead_letters} == 1 }, 'the event');
		$peak{$how} = peak($rig);
		is($rig->stop, 0, "$how: the agent ends cleanly");
		next if $how eq 'skip';
		my ($letter) = letters($rig);
		cmp_ok($letter->{bytes}, '>', 64 << 20, 'is kept');
		my ($rc, $out) = dlq($rig, 'show', '--format', 'row', $letter->{id});
		is(length(($out =~ /"v":"(x+)"/)[0] || ''), 64 << 20, 'as a whole');
		dlq($rig, 'drop', '--all', '--count', 1);
		cmp_ok(-s $rig->state_dir . "/large_$how/dead_letters.db", '<', 10 << 20, 'and gives its room back');
	}
	note "at most $peak{skip} MiB when it is left out, $peak{dead_letter} MiB when it is kept";
	cmp_ok($peak{dead_letter}, '<', $peak{skip} + 20, 'without being in memory twice') unless has_sanitizer();
};

scenario 'no more room' => sub {
	my $rig = stdout_rig('room', pipeline => "on_reject = dead_letter\ndead_letter_max = 2\nexit_on_stop = yes");
	start($rig);
	$rig->query("INSERT INTO t VALUES ($_, 'NaN')") for 1 .. 3;
	is($rig->agent->wait(60), 8, 'blocks the pipeline') or diag $rig->said;
	like($rig->said, qr{event "room_src/\S+": there is no room for another dead letter \(2, \d+ bytes\): .*column "v".* code=event_rejected}, 'which is said');
	like($rig->said, qr/leat dlq list room`, or raise dead_letter_max or dead_letter_size/, 'with what to do');
	is(kept($rig), '{"id":1} pending {"id":2} pending', 'what was put aside before waits for its commit');
	my ($rc, $out, $err) = dlq($rig, 'drop', '--all');
	is($rc, 0, 'drop without a count only says what it would do');
	like($out, qr/^would drop 2 dead letters .*\n.*: leat dlq drop -c \S+ room --all --count 2$/m, 'and how to do it');
	($rc, $out, $err) = dlq($rig, 'drop', '--all', '--count', 3);
	is($rc, 1, 'another number than there are');
	like($err, qr/there are 2 dead letters, not 3: nothing was dropped/, 'drops none');
	my ($first, $second) = letters($rig);
	($rc, $out, $err) = dlq($rig, 'drop', $first->{id}, '--count', 1);
	is($out, "dropped 1 dead letter\n", 'one can be dropped') or diag $err;
	is(kept($rig), '{"id":2} pending', 'and only that is gone');
	start($rig);
	await_letters($rig, 2);
	is(kept($rig), '{"id":2} dead {"id":3} dead', 'with room the pipeline goes on');
	like($rig->said, qr/left out: it was dropped code=event_skipped event=\Q$first->{id}\E/, 'what was dropped does not come back');
	($rc, $out, $err) = dlq($rig, 'drop', '--all', '--count', 2);
	is($out, "dropped 2 dead letters\n", 'they can be dropped while the agent runs') or diag $err;
	is($rig->stop, 0, 'which it survives');
};

done_testing;
