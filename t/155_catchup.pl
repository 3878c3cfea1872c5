# The catch-up gear: what it delivers is what streaming delivers, to the byte,
# and whatever happens in the middle of a chunk costs nothing.
use Leat::Test;
use Leat::Postgres;
use Leat::Load;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { max_prepared_transactions => 10, log_statement => 'all',
	log_replication_commands => 'on' });

# A pipeline that takes up a copy of a slot.  Sources of the same name make the
# same ids.
package Reader {
	use parent -norequire, 'Leat::Rig';

	sub new {
		my ($class, $pg, $name, $base, %opt) = @_;
		my $self = $class->SUPER::new($pg, $name, database => 'postgres', sql => '', %opt);
		$self->{dir} = Leat::Test::tmpdir($name);
		Leat::Test::spew($self->conf, Leat::Test::slurp($self->conf) =~ s/\b${name}_src\b/src/gr);
		$pg->query("SELECT pg_copy_logical_replication_slot('$base', 'leat_$name')");
		my ($rc, $out, $err) = $self->leat('offsets', 'set', $name, 'slot');
		die "offsets set: $err" if $rc;
		return $self;
	}

	# Everything delivered, without what tells when it was read: the time, which
	# is also that of a message outside a transaction, and the place that an idle
	# stream had reached before a transaction.
	sub bytes {
		my ($self) = @_;
		my @lines = $self->lines;
		for (@lines) {
			s/("op":"\w+"),"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+/$1/ or die "no time in $_";
			s/"sequence":"\[\\"\d+\\"/"sequence":"[/ or die "no sequence in $_";
			s/"ts_[mun]s":\d+/"ts":0/g if /"op":"m"/ && /"txId":null/;
		}
		return @lines;
	}

	sub await_end {
		my ($self, $lsn) = @_;
		$self->await(sub { $self->{pg}->value("SELECT confirmed_flush_lsn >= '$lsn'
			FROM pg_replication_slots WHERE slot_name = 'leat_$self->{name}'") eq 't' }, "the end, $lsn", 120);
		return $self;
	}

	sub shifts { return scalar(() = $_[0]->said =~ / code=gear gear=catch-up/g) }
}

sub same_events {
	my ($got, $want, $what) = @_;
	my ($at) = grep { !defined $got->[$_] || !defined $want->[$_] || $got->[$_] ne $want->[$_] }
		0 .. ($#$got > $#$want ? $#$got : $#$want);
	ok(!defined $at, $what) or diag("line $at of " . @$got . ' and ' . @$want . ":\n"
		. ($got->[$at] // 'none') . "\n" . ($want->[$at] // 'none'));
	return !defined $at;
}

my $TINY = "catchup_threshold = 0\ncatchup_temp = 1MiB\n";

scenario 'the two gears deliver the same bytes' => sub {
	Leat::Load->prepare($pg);
	$pg->query(<<'SQL');
CREATE TABLE wide (id int PRIMARY KEY, t text);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us (v text, region text NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
CREATE TABLE bigkey (k text PRIMARY KEY, v text);
ALTER TABLE bigkey ALTER k SET STORAGE EXTERNAL;
CREATE SCHEMA hidden;
CREATE TABLE hidden.h (id int);
CREATE PUBLICATION pub FOR TABLES IN SCHEMA public WITH (publish_via_partition_root);
SELECT pg_create_logical_replication_slot('base', 'pgoutput');
SQL
	my $load = Leat::Load->start($pg, seed => 155, sessions => 4, pause => 0);
	my $file = $pg->dir . '/rows';
	$pg->query(s/FILE/$file/r) for split /^;\n/m, <<'SQL';
INSERT INTO wide SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, 8000) i
;
BEGIN; INSERT INTO wide VALUES (8001, 'kept'); SAVEPOINT a; INSERT INTO wide VALUES (8002, 'gone');
SAVEPOINT b; INSERT INTO wide VALUES (8003, 'gone'); ROLLBACK TO a; INSERT INTO wide VALUES (8004, 'kept');
SAVEPOINT c; UPDATE wide SET id = 9000 WHERE id = 8001; RELEASE c;
SELECT pg_logical_emit_message(true, 'inside', 'x'); SELECT pg_logical_emit_message(false, 'aside', 'y');
ALTER TABLE wide ADD COLUMN n int DEFAULT 7; INSERT INTO wide VALUES (8005, 'new', 1);
ALTER TABLE wide DROP COLUMN n; INSERT INTO wide VALUES (8006, 'old'); COMMIT
;
BEGIN; SELECT pg_logical_emit_message(false, 'lost', 'but sent'); INSERT INTO wide VALUES (8010, 'never'); ROLLBACK
;
SELECT pg_logical_emit_message(false, 'alone', 'z')
;
INSERT INTO part VALUES (1, 'eu', 'a'), (2, 'us', 'b')
;
UPDATE part SET region = 'us' WHERE id = 1
;
INSERT INTO hidden.h SELECT generate_series(1, 1000)
;
BEGIN; TRUNCATE part, wide; INSERT INTO wide VALUES (1, 'after'); COMMIT
;
BEGIN; INSERT INTO wide SELECT i, 'p' FROM generate_series(20000, 20100) i; PREPARE TRANSACTION 'p1'
;
INSERT INTO wide VALUES (3, 'before the prepared')
;
COMMIT PREPARED 'p1'
;
BEGIN; INSERT INTO wide VALUES (30000, 'p2'); PREPARE TRANSACTION 'p2'
;
ROLLBACK PREPARED 'p2'
;
COPY (SELECT i, i::text FROM generate_series(40000, 43000) i) TO 'FILE'
;
COPY wide FROM 'FILE'
;
INSERT INTO bigkey VALUES (repeat('k', 2500), 'a')
;
UPDATE bigkey SET v = 'b'
;
UPDATE bigkey SET k = repeat('l', 2400)
;
CREATE TABLE later (id int PRIMARY KEY, m int[]); INSERT INTO later VALUES (1, '{1,2}')
SQL
	sleep 3;
	$load->stop;
	my $end = $pg->value('SELECT pg_current_wal_flush_lsn()');
	my %reader = map { $_->[0] => Reader->new($pg, $_->[0], 'base', source => "publication = pub\n$_->[1]") }
		(['stream', 'catchup = off'], ['chunks', $TINY]);
	$_->start->await_end($end)->stop for @reader{qw(stream chunks)};
	my @want = $reader{stream}->bytes;
	cmp_ok(scalar @want, '>', 10000, 'there are many events');
	is($reader{stream}->shifts, 0, 'one pipeline has streamed');
	cmp_ok($reader{chunks}->shifts, '>=', 1, 'the other has read chunks');
	same_events([$reader{chunks}->bytes], \@want, 'they say the same');
};

done_testing;
