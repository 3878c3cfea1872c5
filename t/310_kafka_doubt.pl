# The Kafka sink where it cannot know by itself what is true: requests that arrive
# late, another agent, a progress topic that somebody else has meddled with.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Rig;

Leat::Postgres->need;
Leat::Kafka->need;
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new(proxied => 1);
use constant END_TXN => 26;

# brokers => where; kafka => lines of the sink's section
sub rig {
	my ($name, %opt) = @_;
	my $brokers = delete $opt{brokers} || $kafka->bootstrap;
	my $lines = delete $opt{kafka} || '';
	return Leat::Rig->new($pg, $name, type => 'kafka', pipeline => 'exit_on_stop = yes',
		sink => "brokers = \"$brokers\"\n$lines", %opt);
}

sub ids {
	my ($rig, %opt) = @_;
	my $topic = $rig->name . '_src.public.t';
	return () unless $kafka->topics->{$topic};
	return map { $_->{value} =~ /"after":\{"id":(\d+)/ ? $1 : () } $kafka->records($topic, %opt);
}

sub await_ids {
	my ($rig, @ids) = @_;
	my @got;
	$rig->await(sub { @got = ids($rig); @got >= @ids }, scalar(@ids) . ' rows');
	is("@got", "@ids", 'the topic has exactly the rows that were committed') or diag $rig->said;
}

sub progress { return 'leat.progress.' . $_[0]->name }
sub cursor_of { return (grep { $_->{key} eq 'cursor' } $kafka->records(progress($_[0])))[-1]{value} }

# The same pipeline, by an agent elsewhere.
sub second_conf {
	my ($rig, $brokers) = @_;
	my $conf = slurp($rig->conf) =~ s{/state"}{/state2"}r =~ s{brokers = "[^"]*"}{brokers = "$brokers"}r;
	return spew($rig->dir . '/second.conf', $conf);
}

# --- requests that arrive late

# An EndTxn goes astray, and arrives when the next transaction is open; what that
# one is made of by then, for a reader.
sub late_end {
	my ($rig, $env) = @_;
	$rig->start({ env => $env })->await_running;
	$rig->insert(1);
	await_ids($rig, 1);
	$kafka->proxy->stray(END_TXN, 1, 'held');
	$rig->insert(2);
	await_ids($rig, 1, 2);
	$rig->insert(3);
	$rig->await(sub { ids($rig, uncommitted => 1) >= 3 }, 'the third row');
	my $before = cursor_of($rig);
	is(scalar(my @committed = ids($rig)), 2, 'a transaction is open');
	$kafka->proxy->release;
	return $before;
}

my $slow = "commit_interval = 2s\nexit_on_stop = yes";
scenario 'the end of a transaction that arrives in the next one' => sub {
	my $rig = rig('late', brokers => $kafka->proxied, pipeline => $slow);
	my $before = late_end($rig);
	like(join(' ', $kafka->proxy->answers), qr/26:(?:47|90)$/, 'is turned away: the producer is another one by then');
	if (cursor_of($rig) eq $before) {
		is(join(' ', ids($rig)), '1 2', 'and ends nothing');
	}
	await_ids($rig, 1 .. 3);
	like($rig->said, qr/a commit took 2 requests and \d+ ms code=sink_doubt/, 'as it was counted');
	is($rig->stop, 0, 'the agent goes on');
};

scenario 'the same where requests are not counted' => sub {
	plan skip_all => 'built without fault points' unless has_feature('FAULTS');
	my $rig = rig('trusting', brokers => $kafka->proxied, pipeline => $slow);
	my $before = late_end($rig, { LEAT_MUTATE => 'trust_ends' });
	like(join(' ', $kafka->proxy->answers), qr/26:0$/, 'the broker obeys it');
	my @ids = ids($rig);
	is("@ids " . (cursor_of($rig) eq $before ? 'old' : 'new'), '1 2 3 old', 'and shows half a transaction');
	$rig->insert(4);
	$rig->await(sub { grep { $_ == 4 } ids($rig) }, 'the fourth row');
	isnt(join(' ', ids($rig)), '1 2 3 4', 'so that rows come twice: this test can tell');
	$rig->stop;
};

# --- two agents

scenario 'an agent that has lost its claim without knowing' => sub {
	my $rig = rig('unaware', brokers => $kafka->proxied, kafka => 'transaction_timeout = 60s', pipeline => $slow);
	$rig->start->await_running;
	$rig->insert(1 .. 3);
	await_ids($rig, 1 .. 3);
	$rig->insert(4);
	$rig->await(sub { ids($rig, uncommitted => 1) >= 4 }, 'the fourth row');
	$kafka->proxy->stall;
	$pg->query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'leat_unaware'");
	my $second = start_leat({ name => 'second' }, 'run', '-c', second_conf($rig, $kafka->bootstrap));
	poll_until { $second->err =~ /running code=started/ } 'the second agent to take over';
	$rig->insert(5);
	poll_until { ids($rig) >= 5 } 'its rows';
	$kafka->proxy->pass;
	is($rig->agent->wait(90), 10, 'ends with the exit status of its own');
	like($rig->said, qr/another agent .* code=fenced/, 'which says why');
	$rig->insert(6);
	poll_until { ids($rig) >= 6 } 'more rows';
	is(join(' ', ids($rig)), '1 2 3 4 5 6', 'and nothing comes twice');
	is($second->stop, 0, 'the second one goes on') or diag $second->err;
};

# --- a progress topic that is not as it was left

sub is_behind {
	my ($rig, $what) = @_;
	is($rig->agent->wait(90), 9, "$what: stops the pipeline");
	like($rig->said, qr/code=sink_behind/, 'because acknowledged data are gone');
	like($rig->said, qr/`leat offsets set \S+ slot --accept-gap`/, 'with the command that leaves the state');
}

scenario 'a progress topic that was deleted while the agent runs' => sub {
	my $rig = rig('deleted');
	$rig->start->await_running;
	$rig->insert(1 .. 3);
	await_ids($rig, 1 .. 3);
	poll_until { $rig->await_acked; 1 } 'the acknowledgement';
	$kafka->remove_topic(progress($rig));
	$rig->insert(4);
	is_behind($rig, 'at once');
	$rig->start;
	is_behind($rig, 'after a new start');
	my ($rc, $out, $err) = $rig->leat('offsets', 'set', 'deleted', 'slot', '--accept-gap');
	is($rc, 0, 'the command goes through') or diag $out . $err;
	$rig->start->await_running;
	$rig->insert(5);
	$rig->await(sub { grep { $_ == 5 } ids($rig) }, 'a row behind the gap');
	$rig->stop;
	like(join('', map { $_->{value} } $kafka->records('deleted_src.other')), qr/"op":"gap"/, 'and the gap is said');
};

scenario 'a progress topic that was made anew while the agent is away' => sub {
	my $rig = rig('anew');
	$rig->start->await_running;
	$rig->insert(1 .. 3);
	await_ids($rig, 1 .. 3);
	$rig->stop;
	$kafka->remove_topic(progress($rig));
	$kafka->make_topic(progress($rig), 1, 'cleanup.policy=compact');
	$rig->start;
	is_behind($rig, 'at the start');
	is(join(' ', ids($rig)), '1 2 3', 'nothing is written');
};

scenario 'a progress topic whose records were deleted' => sub {
	plan skip_all => 'built without fault points' unless has_feature('FAULTS');
	my $rig = rig('cut', kafka => 'create_topics = no');
	$kafka->make_topic($_->[0], 1, @$_[1 .. $#$_]) for [progress($rig), 'cleanup.policy=delete'], ['cut_src.public.t'], ['cut_src.other'];
	$rig->start({ env => { LEAT_FAULT => 'kafka_committed:8:error' } })->await_running;
	$rig->insert(1);
	await_ids($rig, 1);
	spew($rig->dir . '/cut.json', '{"version":1,"partitions":[{"topic":"' . progress($rig) . '","partition":0,"offset":-1}]}');
	my $n = 1;
	# the commits behind the deletion put a new cursor there, until one is in doubt
	poll_until {
		$rig->insert(++$n) if $rig->agent->is_running;
		$kafka->tool('org.apache.kafka.tools.DeleteRecordsCommand', '--bootstrap-server', $kafka->bootstrap,
			'--offset-json-file', $rig->dir . '/cut.json') if $n == 3;
		$rig->said =~ /code=sink_doubt/ || !$rig->agent->is_running
	} 'a doubt';
	$rig->await(sub { ids($rig) >= $n }, 'all rows');
	is(join(' ', ids($rig)), join(' ', 1 .. $n), 'does no harm while newer ones follow');
	$rig->stop;
	$kafka->tool('org.apache.kafka.tools.DeleteRecordsCommand', '--bootstrap-server', $kafka->bootstrap,
		'--offset-json-file', $rig->dir . '/cut.json');
	$rig->start;
	is_behind($rig, 'the last one gone');
};

scenario 'somebody else\'s transaction that is open there' => sub {
	my $rig = rig('foreign');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 1);
	$rig->stop;
	my $peer = Leat::Kafka->peer('txn', $kafka->bootstrap, 'stranger', progress($rig), 'begin', "agent elsewhere");
	is($peer->said, 'open', 'a transaction is open');
	$rig->start;
	my $st = $rig->await_status('retrying', 'sink_unreachable');
	like($st->{message}, qr/another producer \(agent elsewhere\) has a transaction open at offset \d+/, 'is waited for by name');
	is(join(' ', ids($rig)), '1', 'and nothing is written meanwhile');
	$peer->ask('abort');
	$rig->await_running;
	$rig->insert(2);
	await_ids($rig, 1, 2);
	$rig->stop;
};

scenario 'a doubt while what was acknowledged is not shown yet' => sub {
	plan skip_all => 'built without fault points' unless has_feature('FAULTS');
	my $rig = rig('hidden');
	$rig->start({ env => { LEAT_FAULT => 'kafka_committed:9:error' } })->await_running;
	my $n = 1;
	$rig->insert(1);
	await_ids($rig, 1);
	# from here on nobody sees what is committed to the progress topic
	my $peer = Leat::Kafka->peer('txn', $kafka->bootstrap, 'hider', progress($rig), 'begin', "agent elsewhere");
	poll_until {
		$rig->insert(++$n);
		poll_until { ids($rig) >= $n || $rig->said =~ /code=sink_doubt/ } "row $n";
		$rig->said =~ /code=sink_doubt/
	} 'a doubt';
	cmp_ok($n, '>', 2, 'some commits are hidden');
	$rig->await_said(qr/another producer \(agent elsewhere\) has a transaction open/);
	$peer->ask('abort');
	await_ids($rig, 1 .. $n);
	unlike($rig->said, qr/code=sink_behind/, 'is not taken for a loss');
	is($rig->stop, 0, 'and costs nothing');
};

scenario 'one that nobody ends' => sub {
	my $rig = rig('orphan');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 1);
	$rig->stop;
	# it is killed at once
	Leat::Kafka->peer('txn', $kafka->bootstrap, 'orphan', progress($rig), 'begin', "agent nowhere");
	$rig->start;
	my $st = $rig->await_status('retrying', 'sink_unreachable');
	my ($words) = $st->{hint} =~ /`kafka-transactions\.sh (.*?)`/;
	ok($words, 'has a hint with a command');
	$kafka->tool('org.apache.kafka.tools.TransactionsCommand', split / /, $words);
	$rig->await_running;
	$rig->insert(2);
	await_ids($rig, 1, 2);
	$rig->stop;
};

scenario 'somebody else\'s record that is committed there' => sub {
	my $rig = rig('junk');
	$rig->start->await_running;
	$rig->insert(1);
	await_ids($rig, 1);
	$rig->stop;
	Leat::Kafka->peer('txn', $kafka->bootstrap, 'stranger', progress($rig), 'what', 'is this')->ask('commit');
	$rig->start;
	is($rig->agent->wait(60), 6, 'stops the pipeline');
	like($rig->said, qr/the progress topic has a record "what" that cannot be read/, 'which names it');
};

$kafka->stop;
done_testing;
