# on_schema_change: tables that change their shape, and pipelines that may not
# follow.
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new;

my $setup = <<'SQL';
CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n numeric(6,2), small smallint);
CREATE TABLE other (id int PRIMARY KEY);
SQL

# kind => what a DBA does, and the message's part
my %changes = (
	add_column => ['ALTER TABLE t ADD w int', 'added column "w" int4'],
	drop_column => ['ALTER TABLE t DROP v', 'dropped column "v" varchar\(10\)'],
	rename_column => ['ALTER TABLE t RENAME v TO w', 'renamed column "v" to "w"'],
	widen_type => ['ALTER TABLE t ALTER small TYPE bigint', 'changed type of column "small" from int2 to int8'],
	change_type => ['ALTER TABLE t ALTER v TYPE char(10)', 'changed type of column "v" from varchar\(10\) to char\(10\)'],
	change_key => ['ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id, small)',
		'column "small" is not null now.*column "small" joined the primary key'],
	replace_table => ['DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n numeric(6,2), small smallint);
		ALTER PUBLICATION leat_PIPELINE ADD TABLE t', 'the table was created anew'],
);

for my $kind (sort keys %changes) {
	my ($sql, $said) = @{ $changes{$kind} };
	scenario "$kind is paused at, and nothing else" => sub {
		my $rig = Leat::Rig->new($pg, $kind, sql => $setup,
			pipeline => "on_schema_change = { \"default=fail\", \"$kind=pause\" }");
		$rig->start->await_running;
		$rig->query('INSERT INTO t (id, small) VALUES (1, 1)');
		$rig->await_ids(1);	# what the catalog says of it is asked then
		$rig->query('BEGIN; INSERT INTO t (id, small) VALUES (2, 2); ' . $sql =~ s/PIPELINE/$kind/r .
			'; INSERT INTO t (id, small) VALUES (3, 3); COMMIT');
		$rig->query('INSERT INTO other VALUES (4)');
		my $st = $rig->stops_with('schema_stopped');
		like($st->{message}, qr/table "public\.t" has changed \($kind\): $said/, 'which names table, kind and change');
		is(join(' ', $rig->ids), '1 2', 'everything before it is delivered, and nothing behind');
		$rig->restart->await_status('stopped', 'schema_stopped');
		like($rig->obey_hint($st), qr/^table "public\.t": $said/m, 'what is accepted is printed');
		my ($rc, $out, $err) = $rig->leat('schema', 'accept', $kind);
		is($rc, 1, 'once') or diag $out . $err;
		$rig->start->await_running;
		$rig->await_ids(1, 2, 3);
		$rig->await(sub { $rig->changes('other') }, 'the other table');
		$rig->is_sound;
		($rc, $out, $err) = $rig->leat('schema', 'accept', $kind);
		is($rc, 4, 'nothing is accepted beneath a running pipeline') or diag $out . $err;
		is($rig->stop, 0, 'and the pipeline goes on');
	};
}

scenario 'fail lasts until the conf says otherwise' => sub {
	my $rig = Leat::Rig->new($pg, 'fail', sql => $setup, pipeline => 'on_schema_change = { "drop_column=fail" }  exit_on_stop = yes');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1); ALTER TABLE t ADD w int; INSERT INTO t VALUES (2)');
	$rig->query('ALTER TABLE t DROP v; INSERT INTO t VALUES (3)');
	is($rig->agent->wait(60), 7, 'the exit status says that somebody has to decide');
	like($rig->said, qr/code=schema_stopped/, 'the log says why');
	like($rig->said, qr/drop_column=evolve in on_schema_change lets such changes pass/, 'and how to go on');
	$rig->write(pipeline => 'on_schema_change = { "drop_column=evolve" }');
	$rig->start->await_running;
	$rig->await_ids(1, 2, 3);
	$rig->stop;
};

scenario 'what was accepted is not accepted for ever' => sub {
	my $rig = Leat::Rig->new($pg, 'twice', sql => $setup, pipeline => 'on_schema_change = { "add_column=pause" }');
	$rig->start->await_running;
	$rig->query('INSERT INTO t VALUES (1); ALTER TABLE t ADD w int; INSERT INTO t VALUES (2)');
	$rig->obey_hint($rig->stops_with('schema_stopped'));
	$rig->start->await_running;
	$rig->await_ids(1, 2);
	$rig->query('ALTER TABLE t DROP w; INSERT INTO t VALUES (3); ALTER TABLE t ADD w int; INSERT INTO t VALUES (4)');
	$rig->obey_hint($rig->stops_with('schema_stopped'));
	is(join(' ', $rig->ids), '1 2 3', 'the same change is asked for again');
	$rig->start->await_running;
	$rig->await_ids(1 .. 4);
	$rig->stop;
};

scenario 'a policy that is none' => sub {
	my $rig = Leat::Rig->new($pg, 'none');
	for (['"drop=pause"', qr/"drop=pause" is not kind=policy/], ['"drop_column"', qr/is not kind=policy/],
		['"default=stop"', qr/is not kind=policy/], ['"default=pause", "default=fail"', qr/second policy of its kind/]) {
		$rig->write(pipeline => "on_schema_change = { $_->[0] }");
		my ($rc, $out, $err) = $rig->leat('check', '-n');
		is($rc, 3, "$_->[0] is refused");
		like($err . $out, $_->[1], 'by name');
	}
};

done_testing;
