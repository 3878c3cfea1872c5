# MariaDB and MySQL into a log, end to end: what is committed arrives, once and in order,
# whoever is killed meanwhile.
use Leat::Test;
use Leat::MySQL;
use Leat::Rig;

my %gtid = (mariadb => qr/^0-\d+-\d+$/, mysql => qr/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:\d+$/);
for my $kind (Leat::MySQL->kinds) {
my $db = Leat::MySQL->new(kind => $kind);

# The rig's changes as "c 1 v1", "u 1 v1>w", "d 1".
sub brief {
	return map {
		my ($b, $a) = @$_{qw(before after)};
		join ' ', $_->{op}, ($a || $b)->{id}, $_->{op} eq 'u' ? "$b->{v}>$a->{v}" : $_->{op} eq 'c' ? $a->{v} : ()
	} $_[0]->changes('t');
}

scenario "$kind: insert, update and delete arrive with both images" => sub {
	my $rig = Leat::Rig->new($db, "first_$kind")->start->await_running;
	$rig->query("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
	$rig->query("UPDATE t SET v = 'c' WHERE id = 1");
	$rig->query('UPDATE t SET id = 3 WHERE id = 2');
	$rig->query('DELETE FROM t WHERE id = 1');
	$rig->await(sub { brief($rig) >= 6 }, 'the changes');
	is_deeply([brief($rig)], ['c 1 a', 'c 2 b', 'u 1 a>c', 'd 2', 'c 3 b', 'd 1'],
		'in order, a change of the key as a delete and an insert');
	my @ev = $rig->changes('t');
	like($ev[0]{transaction}{id}, $gtid{$kind}, 'a transaction is called by its GTID');
	is($ev[0]{transaction}{id}, $ev[1]{transaction}{id}, 'rows of one statement are of one transaction');
	is($ev[0]{source}{connector}, $kind, 'the connector is named');
	is($ev[0]{source}{schema}, "first_$kind", 'and the database');
	my ($schema) = grep { $_->{op} eq 'schema' } $rig->events;
	ok($schema, 'the table\'s shape comes first');
	$rig->is_sound;
};

scenario "$kind: an agent that is killed goes on where the log ends" => sub {
	my $rig = Leat::Rig->new($db, "killed_$kind")->start->await_running;
	$rig->insert(1 .. 3)->await_count(3);
	$rig->kill9;
	$rig->insert(4 .. 6)->start->await_running;
	$rig->insert(7)->await_ids(1 .. 7);
	$rig->stop;
	$rig->insert(8)->start->await_ids(1 .. 8);
	$rig->is_sound;
};

scenario "$kind: a server that is killed is waited for" => sub {
	my $rig = Leat::Rig->new($db, "server_$kind")->start->await_running;
	$rig->insert(1 .. 3)->await_count(3);
	$rig->disconnect;
	$db->kill9;
	$rig->await_said(qr/code=source_unreachable/);
	$db->start;
	$rig->insert(4 .. 6)->await_ids(1 .. 6);
	$rig->is_sound;
};

scenario "$kind: a second agent of the pipeline stands by" => sub {
	my $rig = Leat::Rig->new($db, "claimed_$kind")->start->await_running;
	my $other = Leat::Rig->new($db, "other_$kind", database => "claimed_$kind", sql => '');
	(my $conf = slurp($other->conf)) =~ s/pipeline other_/pipeline claimed_/;
	spew($other->conf, $conf);
	my $second = start_leat({ name => 'second' }, 'run', '-c', $other->conf);
	poll_until { $second->err =~ /code=claim_held/ } 'the second agent to stand by';
	$rig->insert(1)->await_ids(1);
	$rig->kill9;
	poll_until { $second->err =~ /"claimed_$kind": running code=started/ } 'the second agent to take over';
	$second->stop;
};

$db->stop;
}

done_testing;
