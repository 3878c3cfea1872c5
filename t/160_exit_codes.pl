# Every exit code of the program (A4), each produced.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new;

# The exit status of `leat run` with a pipeline that is to end it.
sub ends_with {
	my ($rig, $status, $what) = @_;
	$rig->start;
	my $got = $rig->agent->wait(60);
	return is($got, $status, $what) || diag $rig->said;
}

my $rig = Leat::Rig->new($pg, 'codes', pipeline => "exit_on_stop = yes\ngive_up_after = 1s");
my ($rc, $out, $err);

# 0
($rc) = run_leat('version');
is($rc, 0, '0: version');
($rc) = $rig->leat('check', '-n');
is($rc, 0, '0: a conf that parses');
($rc, $out) = $rig->leat('check');
is($rc, 0, '0: check finds nothing in the way') or diag $out;
$rig->start->await_running;
$rig->insert(1)->await_ids(1);
is($rig->stop, 0, '0: run, stopped by SIGTERM');
for my $command (qw(run check status log schema offsets dlq drop version)) {
	($rc, $out, $err) = run_leat($command, '--help');
	is($rc, 0, "0: leat $command --help");
	like($out, qr/^usage: leat $command\b/, 'which goes to stdout');
}

# 1
($rc, $out, $err) = $rig->leat('log', 'stat', 'codes_log');
is($rc, 0, '0: log stat');
($rc, $out, $err) = $rig->leat('schema', 'show', 'codes', 'public.no_such');
is($rc, 1, '1: a command that cannot do what it was asked');
{
	my $bad = Leat::Rig->new($pg, 'bad', sql => 'CREATE TABLE t (id int)');
	($rc, $out, $err) = $bad->leat('check');
	is($rc, 1, '1: check found problems') or diag $out . $err;
	like($out, qr/^error: /m, 'and names them');
}

# 2
for my $words ([], ['no-such-command'], ['run', '--no-such-option'], ['run', 'word'], ['drop'],
	['offsets', 'set', 'codes'], ['log', 'frobnicate']) {
	my @words = @$words;
	splice @words, 1, 0, '-c', $rig->conf if @words;
	($rc, $out, $err) = run_leat(@words);
	is($rc, 2, '2: leat ' . join ' ', @$words) or diag $err;
}
($rc, $out, $err) = $rig->leat('drop', 'no_such_pipeline');
is($rc, 2, '2: a pipeline that the conf does not have');
like($err, qr/codes/, 'the ones it has are named');

# 3
for my $case (['a syntax error', 'pipeline {'], ['an unknown option', "no_such_option = 1\n"],
	['a sink that is not there', "pipeline p { source = a\nsink = b\n}\n"]) {
	my $conf = write_conf($case->[1]);
	for my $command ('run', 'check', 'status') {
		($rc, $out, $err) = run_leat($command, '-c', $conf);
		is($rc, 3, "3: $command with $case->[0]");
		like($err, qr/^\Q$conf\E:\d+:\d+: /, 'which has a line and a column');
	}
}
($rc) = run_leat('run', '-c', tmpdir() . '/no-such.conf');
is($rc, 3, '3: a conf that is not there');

# 4
$rig->start->await_running;
my $second = start_leat('run', '-c', $rig->conf);
is($second->wait(30), 4, '4: the state is held by another agent');
like($second->err, qr/another agent/, 'which is explained');
($rc, $out, $err) = $rig->leat('offsets', 'set', 'codes', 'now', '--accept-gap');
is($rc, 4, '4: an offset is not set while the pipeline runs') or diag $err;
($rc, $out, $err) = $rig->leat('drop', 'codes', '--yes');
is($rc, 4, '4: nor is it dropped') or diag $err;
{
	my $text = slurp($rig->conf);
	$text =~ s{^state_dir = .*}{state_dir = "$rig->{dir}/elsewhere"}m;
	my $other = spew("$rig->{dir}/elsewhere.conf", $text);
	($rc, $out, $err) = run_leat('offsets', '-c', $other, 'set', 'codes', 'now', '--accept-gap');
	is($rc, 4, '4: nor while an agent elsewhere has the claim') or diag $err;
	my $p = start_leat('run', '-c', $other);
	poll_until { $p->err =~ / code=claim_held\b/ } 'the standby';
	ok($p->is_running, 'a second agent waits for the claim');
	is($p->stop, 0, 'and ends cleanly');
}
$rig->stop;

# 5
my $gone = Leat::Rig->new($pg, 'gone', pipeline => "exit_on_stop = yes\ngive_up_after = 1s",
	conninfo => { port => free_port() });
ends_with($gone, 5, '5: the source cannot be reached, and give_up_after is over');
like($gone->said, qr/ code=source_unreachable\b/, 'which is logged');
($rc, $out, $err) = $gone->leat('check');
is($rc, 5, '5: check cannot reach the source');

# 6
{
	my $blocked = Leat::Rig->new($pg, 'blocked', type => 'stdout', pipeline => 'exit_on_stop = yes');
	pipe my $r, my $w or die "pipe: $!";
	close $r;
	$blocked->start({ stdout => $w })->await_running;
	$blocked->insert(1);
	is($blocked->agent->wait(60), 6, '6: the sink is gone') or diag $blocked->said;
	like($blocked->said, qr/ code=sink_closed\b/, 'which is logged');
}

# 7
$pg->query("SELECT pg_drop_replication_slot('leat_codes')");
ends_with($rig, 7, '7: the stream cannot be resumed');

for my $case (['sslmode=lax', 'sslmode'], ['target_session_attrs=some', 'target_session_attrs']) {
	my ($keyword, $value) = split /=/, $case->[0];
	my $bad = Leat::Rig->new($pg, 'bad_' . $keyword, pipeline => 'exit_on_stop = yes',
		conninfo => { $keyword => $value });
	ends_with($bad, 7, "7: a conninfo with $case->[0]");
	like($bad->said, qr/invalid $keyword value.*code=source_config/, 'which is what it complains of');
}

# 8
my $big = Leat::Rig->new($pg, 'big', log => 'max_event_size = 64KiB',
	pipeline => "exit_on_stop = yes\non_reject = block");
$big->start->await_running;
$big->insert(1)->await_ids(1);
$big->query("INSERT INTO t VALUES (2, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 5000) i))");
$big->query('INSERT INTO t VALUES (3)');
is($big->agent->wait(60), 8, '8: an event that the sink can never take') or diag $big->said;
like($big->said, qr{ code=event_rejected\b}, 'which is logged');
like($big->said, qr{big_src/1/[0-9A-F]+/1\b}, 'with the event\'s id');
is(join(' ', $big->ids), '1', 'and nothing behind it is delivered');
$big->write(log => 'max_event_size = 1MiB')->start;
$big->await_ids(1 .. 3)->stop;

# 9
{
	my $torn = Leat::Rig->new($pg, 'torn', pipeline => 'exit_on_stop = yes');
	$torn->start->await_running;
	$torn->insert(1)->await_ids(1)->stop;
	spew($torn->state_dir . '/torn/state.db', 'this is not a database' x 1000);
	unlink glob $torn->state_dir . '/torn/state.db-*';
	ends_with($torn, 9, '9: the state is no state');
	like($torn->said, qr/ code=state_corrupt\b/, 'which is logged');
}

# 10
{
	my $moved = Leat::Rig->new($pg, 'moved', pipeline => 'exit_on_stop = yes');
	$moved->start->await_running;
	$moved->insert(1)->await_ids(1);
	rename $moved->log_dir, "$moved->{dir}/old" or die;
	mkdir $moved->log_dir;
	$moved->insert(2);
	is($moved->agent->wait(60), 10, '10: the log is no longer ours') or diag $moved->said;
	like($moved->said, qr/ code=fenced\b/, 'which is logged');
}

# and a pipeline that stops without exit_on_stop
$rig->write(pipeline => '')->start;
$rig->await_status('stopped', 'slot_lost');
ok($rig->agent->is_running, 'without exit_on_stop the agent goes on');
is($rig->stop, 0, 'and ends with 0');

done_testing;
