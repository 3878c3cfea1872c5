# Restarts of agent and server: E96 to E105, E109, E123, E185 and E196 of the
# list of acceptance tests.  Whatever ends, the log goes on with exactly the
# next change; where that cannot be known, the pipeline stops and says so.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;
use Time::HiRes qw(time);

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_replication_slots => 60 });

# A cursor in the middle of a transaction of `rows` rows, left by kill -9.
sub cut_in_transaction {
	my ($rig, $rows) = @_;
	for my $try (1 .. 5) {
		my $from = ($try - 1) * $rows;
		my $had = () = $rig->ids;
		$rig->start->await_running;
		$rig->query("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series($from + 1, $from + $rows) i");
		my $end = time + (is_long() ? 300 : 60);
		until ($rig->status->{cursor} =~ / n=[1-9]/) { last if $rig->ids_at_least($had + $rows) || time > $end }
		$rig->kill9;
		my $have = (() = $rig->ids) - $had;
		return ($from + $rows, $have) if $have > 0 && $have < $rows;
	}
	return;
}

sub Leat::Rig::ids_at_least {
	my ($self, $n) = @_;
	return ($self->status->{seq} || 0) >= $n;
}

scenario 'E96: SIGKILL between any two commits loses and repeats nothing' => sub {
	my $rig = Leat::Rig->new($pg, 'e96');
	my $writer = $rig->session;
	my $n = 0;
	$rig->start->await_running;
	for my $round (1 .. 6) {
		$writer->send(join '', map { "INSERT INTO t VALUES ($_, 'x');" } $n + 1 .. $n + 150);
		my $mark = $rig->seq_of_log;
		poll_until { $rig->seq_of_log > $mark + 20 * ($round - 1) || $writer->is_done } 'some commits';
		$rig->kill9->start;
		$writer->finish;
		$n += 150;
	}
	$rig->await_ids(1 .. $n);
	$rig->is_sound;
	$rig->stop;
};

sub Leat::Rig::seq_of_log {
	my ($self) = @_;
	return $self->status->{seq} || 0;
}

scenario 'E97: SIGKILL in the middle of a big transaction resumes at the next of its changes' => sub {
	my $rig = Leat::Rig->new($pg, 'e97', pipeline => 'queue_size = 1MiB');
	my ($n, $have) = cut_in_transaction($rig, is_long() ? 1_000_000 : 60_000);
	ok($n, 'the log holds a part of the transaction') or return;
	my ($before) = run_leat('log', 'verify', '-c', $rig->conf, $rig->log_name);
	is($before, 0, 'and is sound');
	$rig->start;
	# of a million rows the log is not to be read again and again
	$rig->await(sub { $rig->ids_at_least($n) }, 'the end of the transaction', 300);
	$rig->await_ids(1 .. $n);
	$rig->is_sound;
	$rig->insert($n + 1)->await_ids(1 .. $n + 1);
	$rig->stop;
};

for my $case (['E98', 'after_fsync_before_state', 'a crash between the commit of the sink and the state file'],
	['E99', 'after_state_before_ack', 'a crash between the state file and the feedback']) {
	my ($number, $point, $what) = @$case;
	scenario "$number: $what repeats nothing" => sub {
		plan skip_all => 'built without fault points' unless has_feature('FAULTS');
		my $rig = Leat::Rig->new($pg, lc $number);
		$rig->start->await_running;
		$rig->insert(1, 2)->await_ids(1, 2)->stop;
		$rig->insert(3 .. 6);
		$rig->start({ env => { LEAT_FAULT => "$point:1" } });
		is($rig->agent->wait(60), -9, "it dies at $point");
		my @held = $rig->ids;
		cmp_ok(scalar @held, '>', 2, 'the log already holds more');
		$rig->start->await_running;
		$rig->insert(7)->await_ids(1 .. 7);
		$rig->is_sound;
		$rig->stop;
	};
}

scenario 'E100: a server that crashes and comes back with an older confirmed_flush repeats nothing' => sub {
	my $own = Leat::Postgres->new(name => 'e100pg');
	my $rig = Leat::Rig->new($own, 'e100');
	$rig->start->await_running;
	$rig->insert(1 .. 3)->await_ids(1 .. 3);
	my $lsn = $rig->await_acked;
	$rig->stop;
	$rig->disconnect;
	$own->stop('immediate');
	$own->start;
	is($own->value("SELECT confirmed_flush_lsn < '$lsn' FROM pg_replication_slots"), 't',
		'the slot has fallen back behind what the log holds');
	$rig->start->await_running;
	$rig->insert(4)->await_ids(1 .. 4);
	my $mark = length $rig->said;
	$rig->disconnect;
	$own->stop('immediate');
	$own->start;
	$rig->insert(5)->await_ids(1 .. 5);
	like(substr($rig->said, $mark), qr/code=source_unreachable/, 'and so with an agent that goes on running');
	$rig->is_sound;
	$rig->stop;
	$own->stop('immediate');
};

scenario 'E101: a slot that another client advanced is noticed' => sub {
	my $rig = Leat::Rig->new($pg, 'e101');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->insert(2);
	$rig->query("SELECT pg_replication_slot_advance('leat_e101', pg_current_wal_lsn())");
	$rig->start;
	my $st = $rig->stops_with('slot_advanced');
	is(join(' ', $rig->ids), '1', 'nothing is added to the log');
	$rig->leaves_with_gap($st, 3);
	is(join(' ', $rig->ids), '1 3', 'row 2 is what the gap stands for');
	$rig->stop;
};

scenario 'E102: a server that was restored from an older backup is refused' => sub {
	my $own = Leat::Postgres->new(name => 'e102pg');
	my $rig = Leat::Rig->new($own, 'e102');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->disconnect;
	$own->stop;
	my $data = "$own->{dir}/data";
	is(system('cp', '-a', $data, "$data.backup"), 0, 'a backup is made');
	$own->start;
	$rig->start->await_running;
	$rig->insert(2 .. 50)->await_ids(1 .. 50)->stop;
	$rig->disconnect;
	$own->stop;
	is(system('rm', '-rf', $data) || system('mv', "$data.backup", $data), 0, 'and put back');
	$own->start;
	$rig->start;
	my $st = $rig->stops_with('diverged');
	like($st->{message}, qr{[0-9A-F]+/[0-9A-F]+.*[0-9A-F]+/[0-9A-F]+}, 'both places of the log are named');
	$rig->leaves_with_gap($st, 100);
	$rig->stop;
	$own->stop('immediate');
};

scenario 'E103: another cluster at the same address is refused' => sub {
	my $own = Leat::Postgres->new(name => 'e103pg');
	my $rig = Leat::Rig->new($own, 'e103');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->disconnect;
	$own->stop;
	my $other = Leat::Postgres->new(name => 'e103other', start => 0, fresh => 1);
	$other->{port} = $own->port;
	$other->start;
	$rig->{pg} = $other;
	$rig->make_database(undef, 'CREATE TABLE t (id int PRIMARY KEY, v text)');
	$rig->start;
	my $st = $rig->stops_with('wrong_server');
	is($other->slot('leat_e103'), undef, 'nothing is made on the other server');
	is(join(' ', $rig->ids), '1', 'and nothing is added to the log');
	$rig->leaves_with_gap($st, 2);
	$rig->stop;
	$other->stop('immediate');
};

scenario 'E104: a message outside of a transaction that came last does not come again' => sub {
	my $rig = Leat::Rig->new($pg, 'e104');
	my $messages = sub { grep { $_->{op} eq 'm' } $rig->events };
	for my $end (qw(stop kill9)) {
		my $n = $end eq 'stop' ? 1 : 2;
		$rig->start->await_running;
		$rig->insert(2 * $n - 1)->await_ids(1 .. 2 * $n - 1);
		$rig->query("SELECT pg_logical_emit_message(false, 'test', 'last $end')");
		$rig->query('SELECT pg_switch_wal()');	# else the WAL writer takes its time
		$rig->await(sub { $messages->() == $n }, 'the message');
		$rig->$end;
		$rig->start->await_running;
		$rig->insert(2 * $n)->await_ids(1 .. 2 * $n);
		is(scalar(() = $messages->()), $n, "after $end the message is there once");
		$rig->stop;
	}
	$rig->is_sound;
};

scenario 'E105: of two agents the second stands by and takes over' => sub {
	my $rig = Leat::Rig->new($pg, 'e105');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $text = slurp($rig->conf);
	$text =~ s{^state_dir = .*}{state_dir = "$rig->{dir}/state2"}m;
	my $second = bless { %$rig, confpath => spew("$rig->{dir}/second.conf", $text) }, 'Leat::Rig';
	$second->start->await_said(qr/code=claim_held/);
	is($second->status->{state}, 'standby', 'status says so');
	is($second->status->{code}, 'claim_held', 'and why');
	my $senders = sub { $pg->value("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'leat/e105'
		AND state = 'streaming'") };
	is($senders->(), 1, 'one of them reads');
	$rig->insert(2)->await_ids(1, 2);
	my $mark = $pg->log_mark;
	$rig->stop;
	$second->await_running(30);
	$second->insert(3)->await_ids(1 .. 3);
	is($senders->(), 1, 'still one');
	unlike($pg->log_since($mark), qr/is active for PID/, 'they never met at the slot');
	$second->kill9;
	$rig->start->await_running;
	$rig->insert(4)->await_ids(1 .. 4);
	$rig->is_sound;
	$rig->stop;
};

scenario 'E109: an option that numbers changes otherwise is refused inside a transaction' => sub {
	my $rig = Leat::Rig->new($pg, 'e109', pipeline => 'queue_size = 1MiB');
	my ($n) = cut_in_transaction($rig, 60_000);
	ok($n, 'the log holds a part of a transaction') or return;
	$rig->write(source => 'messages = no')->start;
	my $st = $rig->stops_with('options_changed');
	$rig->stop;
	$rig->write(source => '')->start;
	$rig->await_ids(1 .. $n);
	$rig->is_sound;
	$rig->await_acked;
	$rig->stop;
	$rig->write(source => 'messages = no')->start->await_running;
	$rig->insert($n + 1)->await_ids(1 .. $n + 1);
	$rig->stop;
};

for my $type (qw(stdout null)) {
	scenario "E123: the state of a pipeline to $type is deleted, its slot exists" => sub {
		my $rig = Leat::Rig->new($pg, "e123$type", type => $type);
		$rig->start->await_running;
		$rig->insert(1);
		$rig->await_acked;
		$rig->stop;
		system('rm', '-rf', $rig->state_dir);
		my $confirmed = $rig->slot->{confirmed_flush_lsn};
		$rig->start;
		my $st = $rig->stops_with('slot_exists');
		is($rig->slot->{confirmed_flush_lsn}, $confirmed, 'the slot is not touched');
		$rig->obey_hint($st);
		$rig->start->await_running;
		$rig->stop;
	};
}

scenario 'E123: with a log as sink the state can be lost' => sub {
	my $rig = Leat::Rig->new($pg, 'e123log');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	system('rm', '-rf', $rig->state_dir);
	$rig->insert(2)->start->await_ids(1, 2);
	$rig->is_sound;
	$rig->stop;
	my ($rc, $out) = $rig->leat('schema', 'list', $rig->name);
	like($out, qr/public\.t/, 'the versions of tables are known again');
};

for my $case (['none', 'no table matches', { tables => ['public.nothing_*'] }, ' code=source_config\b', 7],
	['all_excluded', 'all that match are excluded', { source => 'exclude_tables = { "public.*" }' }, ' code=source_config\b', 7],
	['malformed', 'a pattern is malformed', { tables => ['public.t', 'no_schema'] },
		'leat\.conf:\d+:.* is not of the form SCHEMA\.TABLE', 3],
	['bad_exclude', 'a pattern of what is excluded is malformed', { source => 'exclude_tables = { "public.\"t" }' },
		'leat\.conf:\d+:.* lacks a closing quote', 3],
	['no_such', 'the publication does not exist, and is not to be made',
		{ source => "publication = absent\ncreate_publication = no" }, ' code=publication_missing\b', 7],
	['others', 'the publication has other tables only', { source => 'publication = others', tables => ['public.t'] },
		' code=publication_missing\b', 7]) {
	my ($name, $what, $opt, $says, $status) = @$case;
	scenario "E185: where $what nothing is made on the server" => sub {
		my $rig = Leat::Rig->new($pg, "e185_$name", pipeline => 'exit_on_stop = yes', %$opt);
		$rig->query('CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION others FOR TABLE other')
			if $name eq 'others';
		my @before = $rig->query('SELECT pubname FROM pg_publication');
		my ($rc, $out) = $rig->leat('check');
		isnt($rc, 0, 'leat check finds it') or diag $out;
		$rig->start;
		is($rig->agent->wait(30), $status, "the agent ends with $status, as it was told to do") or diag $rig->said;
		like($rig->said, qr/$says/, 'and says why');
		is($rig->slot, undef, 'there is no slot');
		is_deeply([$rig->query('SELECT pubname FROM pg_publication')], \@before, 'and no publication that was not');
	};
}

scenario 'E196: a slot that was dropped and made again by somebody is noticed' => sub {
	my $rig = Leat::Rig->new($pg, 'e196');
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->query("SELECT pg_drop_replication_slot('leat_e196')");
	$rig->insert(2);
	$rig->query("SELECT pg_create_logical_replication_slot('leat_e196', 'pgoutput')");
	$rig->start;
	my $st = $rig->stops_with('slot_advanced');
	$rig->leaves_with_gap($st, 3);
	$rig->stop;
};

done_testing;
