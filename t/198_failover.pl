# A primary and its standby change places: E127, E129, E131 and E133 of the list of
# acceptance tests, as far as one that does not synchronise slots can show them.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;

Leat::Postgres->need;

# A primary with a pipeline that has delivered row 1, and a standby of it.
sub pair {
	my ($name) = @_;
	my $primary = Leat::Postgres->new(name => "${name}_a");
	my $rig = Leat::Rig->new($primary, $name);
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
	$rig->disconnect;
	my $standby = $primary->standby("${name}_b");
	return ($rig, $primary, $standby);
}

sub caught_up {
	my ($primary, $standby) = @_;
	my $lsn = $primary->value('SELECT pg_current_wal_flush_lsn()');
	poll_until { $standby->value("SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' } 'the standby';
}

sub promote {
	my ($standby) = @_;
	is($standby->value('SELECT pg_promote()'), 't', 'the standby is promoted');
	delete $standby->{session};
	$standby->query('CHECKPOINT');
}

scenario 'E129: a server that is a standby still is waited for' => sub {
	my ($rig, $primary, $standby) = pair('waits');
	$rig->write(conninfo => { port => $standby->port })->start;
	my $st = $rig->await_status('retrying', 'source_refused');
	like($st->{message}, qr/standby, not promoted yet/, 'and so it is said');
	like($st->{hint}, qr/target_session_attrs=read-write/, 'with what finds the primary');
	my ($rc, $out) = $rig->leat('check');
	is($rc, 1, 'leat check says so too');
	like($out, qr/standby/, 'by its name');
	$rig->stop;
	# of two hosts the primary is found
	$rig->write(conninfo => { host => '127.0.0.1,127.0.0.1', port => join(',', $standby->port, $primary->port),
		target_session_attrs => 'read-write' });
	$rig->start->await_running;
	$rig->insert(2)->await_ids(1, 2);
	$rig->stop;
	$_->stop('immediate') for $standby, $primary;
};

scenario 'E127: the new primary lacks what was delivered' => sub {
	my ($rig, $primary, $standby) = pair('ahead');
	caught_up($primary, $standby);
	$standby->set_conf(primary_conninfo => '')->reload;	# it is cut off
	poll_until { $primary->value('SELECT count(*) FROM pg_stat_replication') == 0 } 'the end of its replication';
	$rig->start->await_running;
	$rig->insert(2, 3)->await_ids(1 .. 3);
	$rig->await_acked;
	$rig->write(conninfo => { host => '127.0.0.1,127.0.0.1', port => join(',', $primary->port, $standby->port) });
	$rig->restart->await_running;
	$rig->disconnect;
	$primary->kill9;
	promote($standby);
	my $st = $rig->stops_with('diverged', 90);
	like($st->{message}, qr{delivered.* [0-9A-F]+/[0-9A-F]+|[0-9A-F]+/[0-9A-F]+ have been delivered.*timeline 1 at [0-9A-F]+/[0-9A-F]+},
		'what was delivered and where the timelines part are named');
	is($standby->value('SELECT count(*) FROM pg_replication_slots'), 0, 'nothing is made on the new primary');
	is(join(' ', $rig->ids), '1 2 3', 'and nothing is added to the log');
	$rig->{pg} = $standby;
	$rig->leaves_with_gap($st, 10);
	is(join(' ', $rig->ids), '1 2 3 10', 'after the operator\'s word it goes on there');

	# E131, with the state that this has left
	$rig->stop;
	$rig->disconnect;
	$primary->start;
	$rig->write(conninfo => { port => $primary->port })->start;
	$st = $rig->stops_with('wrong_server');
	like($st->{message}, qr/timeline 1\b.*timeline 2\b/, 'E131: the old primary at its old address is refused, by its lower timeline');
	is(join(' ', $rig->ids), '1 2 3 10', 'nothing of it is in the log');
	$rig->stop;
	$rig->write(conninfo => { port => $standby->port })->start->await_running;
	$rig->insert(11)->await_ids(1 .. 3, 10, 11);
	$rig->is_sound;
	$rig->stop;
	$rig->disconnect;
	$_->stop('immediate') for $standby, $primary;
};

scenario 'E133: the new primary has everything but the slot' => sub {
	my ($rig, $primary, $standby) = pair('bare');
	$rig->start->await_running;
	$rig->insert(2)->await_ids(1, 2);
	$rig->await_acked;
	$rig->stop;
	$rig->insert(3);
	caught_up($primary, $standby);
	$rig->disconnect;
	$primary->kill9;
	promote($standby);
	$rig->{pg} = $standby;
	$rig->write(conninfo => {})->start;
	my $st = $rig->stops_with('slot_lost');
	is(join(' ', $rig->ids), '1 2', 'it does not go on in silence: row 3 would be missing');
	$rig->leaves_with_gap($st, 4);
	is(join(' ', $rig->ids), '1 2 4', 'after the operator\'s word it does, behind a gap');
	$rig->stop;
	$rig->disconnect;
	$standby->stop('immediate');
};

done_testing;
