# What a broker does not answer on demand: each class of error as the whole agent
# takes it, against librdkafka's mock cluster (t/kafka_peer.c).
#
# That one has no isolation, so rows of a transaction that was given up can be seen;
# what a real broker shows is in t/300_kafka.pl and t/310_kafka_doubt.pl.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Maven;
use Leat::Rig;

need_feature('KAFKA');
Leat::Postgres->need;
skip_or_fail('kafka', 'no kcat') unless Leat::Maven::has_program('kcat');

# Kafka's protocol: kinds of requests, and errors
use constant { PRODUCE => 0, INIT_ID => 22, ADD => 24, END_TXN => 26, MANY => 60 };
my %code = (NOT_LEADER_FOR_PARTITION => 6, MSG_SIZE_TOO_LARGE => 10, COORDINATOR_LOAD_IN_PROGRESS => 14,
	COORDINATOR_NOT_AVAILABLE => 15, NOT_COORDINATOR => 16, NOT_ENOUGH_REPLICAS => 19,
	TOPIC_AUTHORIZATION_FAILED => 29, CLUSTER_AUTHORIZATION_FAILED => 31, OUT_OF_ORDER_SEQUENCE_NUMBER => 45,
	INVALID_PRODUCER_EPOCH => 47, INVALID_TXN_STATE => 48, INVALID_PRODUCER_ID_MAPPING => 49,
	INVALID_TRANSACTION_TIMEOUT => 50, CONCURRENT_TRANSACTIONS => 51,
	TRANSACTIONAL_ID_AUTHORIZATION_FAILED => 53, UNKNOWN_PRODUCER_ID => 59, INVALID_RECORD => 87,
	PRODUCER_FENCED => 90);
my %kind = (PRODUCE, 'Produce', INIT_ID, 'InitProducerId', ADD, 'AddPartitionsToTxn', END_TXN, 'EndTxn');

my $pg = Leat::Postgres->new;
my $mock = Leat::Kafka->peer('mock', 'leat.progress.errors', 'errors_src.public.t', 'errors_src.other');
my $kafka = Leat::Kafka->at($mock->said);
my $id = 0;

my $rig = Leat::Rig->new($pg, 'errors', type => 'kafka', pipeline => 'exit_on_stop = yes',
	sink => 'brokers = "' . $mock->said . "\"\ncreate_topics = no");

sub times_seen {
	my ($id) = @_;
	return scalar grep { $_->{value} =~ /"after":\{"id":$id,/ } $kafka->records('errors_src.public.t');
}

# A row that goes through, and what the agent said meanwhile.
sub row {
	my $at = length $rig->said;
	$rig->insert(++$id);
	$rig->await(sub { times_seen($id) }, "row $id");
	$rig->await_acked;
	return substr $rig->said, $at;
}

# All that is produced fails, or the mock would have half of a transaction.
sub row_after_doubt {
	my ($error) = @_;
	my $at = length $rig->said;
	push_error(PRODUCE, $error, MANY);
	$rig->insert(++$id);
	$rig->await(sub { substr($rig->said, $at) =~ /phase=retrying/ }, 'a doubt');
	$mock->ask('clear ' . PRODUCE);
	$rig->await(sub { times_seen($id) }, "row $id");
	$rig->await_acked;
	return substr $rig->said, $at;
}

sub push_error { $mock->ask("error $_[0] $code{$_[1]} " . ($_[2] || 1)) }

$rig->start->await_running;
unlike(row(), qr/sink_/, 'a row goes through');

for ([ADD, 'CONCURRENT_TRANSACTIONS', 2], [ADD, 'COORDINATOR_NOT_AVAILABLE'], [ADD, 'COORDINATOR_LOAD_IN_PROGRESS'],
	[ADD, 'NOT_COORDINATOR'], [PRODUCE, 'NOT_LEADER_FOR_PARTITION'], [PRODUCE, 'NOT_ENOUGH_REPLICAS']) {
	my ($api, $error, $n) = @$_;
	push_error($api, $error, $n);
	my $said = row();
	ok($said !~ /code=sink_/ && times_seen($id) == 1, "$error to $kind{$api} is the library's own affair") or diag $said;
}

for ([END_TXN, 'COORDINATOR_NOT_AVAILABLE'], [END_TXN, 'NOT_COORDINATOR'], [END_TXN, 'CONCURRENT_TRANSACTIONS'],
	[END_TXN, 'INVALID_TXN_STATE'], [END_TXN, 'INVALID_PRODUCER_EPOCH'], [END_TXN, 'PRODUCER_FENCED'],
	[END_TXN, 'UNKNOWN_PRODUCER_ID'], [END_TXN, 'INVALID_PRODUCER_ID_MAPPING'], [ADD, 'INVALID_TXN_STATE'],
	[ADD, 'PRODUCER_FENCED'], [ADD, 'INVALID_PRODUCER_EPOCH'], [ADD, 'INVALID_PRODUCER_ID_MAPPING'],
	[PRODUCE, 'INVALID_PRODUCER_EPOCH'], [PRODUCE, 'UNKNOWN_PRODUCER_ID'],
	[PRODUCE, 'OUT_OF_ORDER_SEQUENCE_NUMBER'], [PRODUCE, 'INVALID_TXN_STATE']) {
	my ($api, $error) = @$_;
	my $said = $api == PRODUCE ? row_after_doubt($error) : do { push_error($api, $error); row() };
	ok($said =~ /code=sink_doubt/ && $said !~ /code=fenced/, "$error to $kind{$api} is a doubt, which is read back")
		or diag $said;
}

for ([END_TXN, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'], [END_TXN, 'CLUSTER_AUTHORIZATION_FAILED'],
	[ADD, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'], [ADD, 'TOPIC_AUTHORIZATION_FAILED'],
	[PRODUCE, 'TOPIC_AUTHORIZATION_FAILED'], [INIT_ID, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
	[INIT_ID, 'CLUSTER_AUTHORIZATION_FAILED']) {
	my ($api, $error) = @$_;
	push_error($api, $error, MANY);
	# who begins asks for an id again
	push_error(END_TXN, 'INVALID_TXN_STATE') if $api == INIT_ID;
	my $before = $rig->status->{committed};
	$rig->insert(++$id);
	my $st = eval { $rig->await_status('retrying', 'sink_refused') };
	ok($st, "$error to $kind{$api} is a refusal, which is waited out") or diag $@;
	$mock->ask("clear $_") for INIT_ID, ADD, END_TXN, PRODUCE;
	$rig->await(sub { times_seen($id) && $rig->status->{state} eq 'running' }, 'the row');
	$rig->await_acked;
	unlike(row(), qr/code=sink_/, 'when it ends the agent goes on');
}

for ([PRODUCE, 'MSG_SIZE_TOO_LARGE', 8, 'event_rejected'], [PRODUCE, 'INVALID_RECORD', 8, 'event_rejected'],
	[INIT_ID, 'INVALID_TRANSACTION_TIMEOUT', 6, 'sink_config']) {
	my ($api, $error, $exit, $said) = @$_;
	$rig->start->await_running unless $rig->agent->is_running;
	push_error($api, $error, MANY);
	push_error(END_TXN, 'INVALID_TXN_STATE') if $api == INIT_ID;
	$rig->insert(++$id);
	is($rig->agent->wait(60), $exit, "$error to $kind{$api} ends the pipeline");
	like($rig->said, qr/^\S+ error .* code=$said/m, 'which says why');
	$mock->ask("clear $_") for INIT_ID, END_TXN, PRODUCE;
	$rig->start->await_running;
	$rig->await(sub { times_seen($id) }, 'the row');
	unlike(row(), qr/code=sink_/, 'nothing is lost when it is started again');
}

is($rig->stop, 0, 'the agent ends cleanly');
done_testing;
