# Records that Kafka never takes: put aside, and delivered when it does.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Rig;
use JSON::PP;

Leat::Postgres->need;
Leat::Kafka->need;
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new;
my $json = JSON::PP->new->utf8;

sub rig {
	my ($name, $lines) = @_;
	return Leat::Rig->new($pg, $name, type => 'kafka', sink => sink($lines),
		pipeline => 'on_reject = dead_letter', tables => ['public.t']);
}

sub sink { return 'brokers = "' . $kafka->bootstrap . "\"\n" . ($_[0] || '') }

# Of what a reader of committed records gets: "id op" of each row, as it lies there.
sub rows {
	my ($topic) = @_;
	return () unless $kafka->topics->{$topic};
	return map { my $r = $json->decode($_->{value}); ($r->{after} || $r->{before})->{id} . " $r->{op}" }
		grep { defined $_->{value} } $kafka->records($topic);
}

sub await_rows {
	my ($rig, $topic, @want) = @_;
	my @got;
	$rig->await(sub { @got = rows($topic); @got >= @want }, scalar(@want) . " rows in $topic", 120);
	is(join(', ', @got), join(', ', @want), 'the topic has what it takes, once, in order') or diag $rig->said;
}

sub letters {
	my ($rig) = @_;
	my ($rc, $out, $err) = $rig->leat('dlq', 'list', '--json', $rig->name);
	is($rc, 0, 'dlq list') or diag $err;
	return @{ $json->decode($out) };
}

sub kept { return join ' ', map { "$_->{key} $_->{state}" } letters($_[0]) }

# Text that no compression makes small.
sub noise { return "(SELECT string_agg(md5(i::text || $_[0]), '') FROM generate_series(1, 1000) i)" }

scenario 'larger than this client may send' => sub {
	my $rig = rig('client', 'properties = { "message.max.bytes=10000" }');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2, ' . noise(2) . '), (3, NULL); INSERT INTO t VALUES (4)');
	await_rows($rig, 'client_src.public.t', '1 c', '3 c', '4 c');
	is(kept($rig), '{"id":2} dead', 'the rest is a dead letter');
	like((letters($rig))[0]{reason}, qr/a record of \d+ bytes for topic "client_src\.public\.t" is larger than message\.max\.bytes \(10000\)/, 'with the reason');
	$rig->stop;
	$rig->write(sink => sink())->start->await_running;
	my ($rc, $out, $err) = $rig->leat('dlq', 'retry', 'client', '--all');
	is($rc, 0, 'it is delivered when it may be sent') or diag $err;
	await_rows($rig, 'client_src.public.t', '1 c', '3 c', '4 c', '2 c');
	my @at = map { $json->decode($_->{value})->{leat}{seq} } $kafka->records('client_src.public.t');
	is("@at", '1 3 4 2', 'with the seq that it had');
	$rig->insert(5);
	await_rows($rig, 'client_src.public.t', '1 c', '3 c', '4 c', '2 c', '5 c');
	is($rig->stop, 0, 'and the pipeline goes on');
};

scenario 'larger than the brokers take' => sub {
	my $rig = rig('broker');
	$kafka->make_topic('broker_src.public.t', 1, 'max.message.bytes=10000');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2, ' . noise(2) . '), (3, NULL); INSERT INTO t VALUES (4, ' . noise(4) . ')');
	$rig->insert(5);
	await_rows($rig, 'broker_src.public.t', '1 c', '3 c', '5 c');
	$rig->await(sub { $rig->status->{dead_letters} == 2 }, 'two dead letters');
	is(kept($rig), '{"id":2} dead {"id":4} dead', 'those that are, and none that came with them');
	like((letters($rig))[0]{reason}, qr/seq 2, topic "broker_src\.public\.t": .*MSG_SIZE_TOO_LARGE/, 'with the reason');
	my ($rc, $out, $err) = $rig->leat('dlq', 'retry', 'broker', '--all');
	is($rc, 1, 'the brokers refuse them again');
	like($err, qr/rejected 2 dead letters again: .*MSG_SIZE_TOO_LARGE/, 'which is said') or diag $rig->said;
	is(join(' ', map { $_->{tries} } letters($rig)), '2 2', 'and counted');
	$rig->query('UPDATE t SET v = NULL WHERE id = 4');
	await_rows($rig, 'broker_src.public.t', '1 c', '3 c', '5 c', '4 u');
	$kafka->set_topic('broker_src.public.t', 'max.message.bytes=1000000');
	($rc, $out, $err) = $rig->leat('dlq', 'retry', 'broker', '--all');
	is($out, "delivered 1 dead letter\n", 'until they take it') or diag $err;
	await_rows($rig, 'broker_src.public.t', '1 c', '3 c', '5 c', '4 u', '2 c');
	is(kept($rig), '{"id":4} superseded', 'but for what has a later event');
	is($rig->stop, 0, 'the agent ends cleanly');
};

scenario 'block, by a broker' => sub {
	my $rig = rig('halt')->write(pipeline => 'exit_on_stop = yes');
	$kafka->make_topic('halt_src.public.t', 1, 'max.message.bytes=10000');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2, ' . noise(2) . ')');
	is($rig->agent->wait(120), 8, 'ends with the exit status of its own') or diag $rig->said;
	like($rig->said, qr{event "halt_src/1/[0-9A-F]+/1": .*seq 2.*MSG_SIZE_TOO_LARGE.* code=event_rejected}, 'and the name of the event');
	is(kept($rig), '{"id":2} blocking', 'which can be looked at');
};

scenario 'a lost state directory' => sub {
	my $rig = rig('gone', 'properties = { "message.max.bytes=10000" }');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1, NULL), (2, ' . noise(2) . '), (3, NULL)');
	await_rows($rig, 'gone_src.public.t', '1 c', '3 c');
	$rig->kill9;
	my $saved = $rig->dir . '/saved';
	rename $rig->state_dir, $saved or die $!;
	$rig->start->await_running;
	$rig->insert(4);
	await_rows($rig, 'gone_src.public.t', '1 c', '3 c', '4 c');
	is(kept($rig), '', 'takes the dead letters with it');
	is($rig->stop, 0, 'the agent ends cleanly');
	system 'rm', '-rf', $rig->state_dir;
	rename $saved, $rig->state_dir or die $!;
	$rig->start->await_running;
	is(kept($rig), '{"id":2} superseded', 'one that comes back does not know what was delivered without it');
	$rig->stop;
};

$kafka->stop;
done_testing;
