# Leat::Load: many kinds of transactions at once, and a history of them.
#
#	Leat::Load->prepare($pg);	# tables, and schema "ledger" with the history
#	my $load = Leat::Load->start($pg, seed => 1, sessions => 4, pause => 0.03);
#	...
#	my $report = $load->stop;	# { kinds => {}, errors => { SQLSTATE => n },
#					#   synced => { content => 1 }, unsynced => {} }
#
# A process of its own with some sessions that each run one transaction after
# another.  The history is written by triggers, in the transaction that makes the
# change, so it says what the database says; its `n` counts in execution order.
# The sessions live through restarts of the server.  Each second one does not wait
# for the disk (synchronous_commit = off), so a restart may take back what it was
# told to be committed: the report has the messages whose commit was acknowledged.
package Leat::Load;
use strict;
use warnings;

use Carp qw(croak);
use Time::HiRes qw(sleep time);

use Leat::Postgres::Session;
use Leat::Process;
use Leat::Test ();

# As Leat::Ledger wants them.
our %tables = (
	item => { key => ['id'] },
	whole => { key => ['id'], identity => 'full' },
	coded => { key => ['code'], identity => 'index' },
	pair => { key => ['a', 'b'] },
	account => { key => ['id'], mean => { balance => 100 } },
);

my $schema = <<'SQL';
CREATE TABLE item (id int PRIMARY KEY, name text, n int, price numeric(12,2), ok bool,
	at timestamp DEFAULT clock_timestamp(), bio text);
CREATE TABLE whole (id int PRIMARY KEY, name text, n int, bio text);
CREATE TABLE coded (n int, code text NOT NULL UNIQUE, name text);
CREATE TABLE pair (a int, b int, n int, PRIMARY KEY (a, b));
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
ALTER TABLE item ALTER bio SET STORAGE EXTERNAL;
ALTER TABLE whole ALTER bio SET STORAGE EXTERNAL;
ALTER TABLE whole REPLICA IDENTITY FULL;
ALTER TABLE coded REPLICA IDENTITY USING INDEX coded_code_key;

CREATE SCHEMA ledger;
CREATE SEQUENCE ledger.tick;
CREATE SEQUENCE ledger.columns;
CREATE TABLE ledger.history (n bigint, xid bigint, op text, tab text, old jsonb, new jsonb);

CREATE FUNCTION ledger.record(op text, what jsonb, tab text = NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO ledger.history VALUES (nextval('ledger.tick'), txid_current(), op, tab, NULL, what)
$$;
CREATE FUNCTION ledger.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.history VALUES (nextval('ledger.tick'), txid_current(), TG_OP,
		TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
	RETURN NULL;
END $$;
CREATE FUNCTION ledger.say(prefix text, content text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_logical_emit_message(true, prefix, content);
	PERFORM ledger.record('MESSAGE', jsonb_build_object('prefix', prefix, 'content', content));
END $$;
CREATE FUNCTION ledger.wipe(VARIADIC tables text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'TRUNCATE ' || array_to_string(tables, ', ');
	PERFORM ledger.record('TRUNCATE', jsonb_build_object('tables', tables));
END $$;
-- adds a column or drops one; a name is never used again
CREATE FUNCTION ledger.shape(tab text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	extra text[];
	col text := 'x' || nextval('ledger.columns');
	val int := CASE WHEN random() < 0.5 THEN floor(random() * 1000)::int END;
BEGIN
	-- first, or another session drops the column that was chosen
	EXECUTE format('LOCK TABLE %I', tab);
	extra := ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = tab::regclass
		AND attname ~ '^x[0-9]' AND NOT attisdropped ORDER BY random());
	IF cardinality(extra) > 3 OR cardinality(extra) > random() * 6 THEN
		EXECUTE format('ALTER TABLE %I DROP COLUMN %I', tab, extra[1]);
	ELSE
		EXECUTE format('ALTER TABLE %I ADD COLUMN %I int DEFAULT %L', tab, col, val);
		PERFORM ledger.record('DDL', jsonb_build_object('column', col, 'default', val), tab);
	END IF;
END $$;
CREATE FUNCTION ledger.retype(tab text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	was regtype := (SELECT atttypid FROM pg_attribute WHERE attrelid = tab::regclass
		AND attname = 'n');
BEGIN
	EXECUTE format('ALTER TABLE %I ALTER n TYPE %s', tab,
		CASE was WHEN 'int'::regtype THEN 'bigint' ELSE 'int' END);
END $$;
SQL

sub prepare {
	my ($class, $pg) = @_;
	$pg->query($schema);
	$pg->query("CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON $_ " .
		'FOR EACH ROW EXECUTE FUNCTION ledger.note()') for sort keys %tables;
}

# --- the transactions

my ($next_id, $session_base, @recent);

sub new_id {
	my $id = $session_base + $next_id++;
	push @recent, $id;
	shift @recent if @recent > 200;
	return $id;
}

# Any session's.
sub old_id { return @recent ? $recent[rand @recent] : 1 }
sub some { return 1 + int rand $_[0] }

sub text {
	my ($n) = @_;
	return join ' ', map { (qw(one two three), "\x{e4}\x{20ac}", '"q"', "it''s", '\\', '{}', 'null')[rand 9] } 1 .. $n;
}

# Longer than TOAST leaves in the row, and not compressible.
sub long {
	return join '', map { sprintf '%08x', rand 2 ** 32 } 1 .. 280 + rand 200;
}

sub insert {
	my ($table, $id) = @_;
	$id = new_id() unless defined $id;
	return "INSERT INTO item (id, name, n, price, ok) VALUES ($id, '" . text(2) .
		"', " . some(1000) . ', ' . some(10000) . " / 7.0, random() < 0.5);\n" if $table eq 'item';
	return "INSERT INTO whole (id, name, n) VALUES ($id, '" . text(3) . "', NULL);\n" if $table eq 'whole';
	return "INSERT INTO coded VALUES (" . some(9) . ", 'c$id', '" . text(1) . "');\n" if $table eq 'coded';
	return "INSERT INTO pair VALUES ($id, " . some(5) . ", 0);\n";
}

sub any_table { return (qw(item item item whole coded pair))[rand 6] }

sub change {
	my $id = old_id();
	return (
		sub { "UPDATE item SET n = n % 1000 + 1, name = '" . text(2) . "' WHERE id = $id;\n" },
		sub { "UPDATE whole SET name = '" . text(1) . "' WHERE id = $id;\n" },
		sub { "UPDATE coded SET n = n % 1000 + 1 WHERE code = 'c$id';\n" },
		sub { "UPDATE pair SET n = n + 1 WHERE a = $id;\n" },
		sub { "UPDATE item SET name = NULL, ok = NOT ok WHERE id = $id;\n" },
	)[rand 5]->();
}

sub remove {
	my $id = old_id();
	return "DELETE FROM " . ("item WHERE id = $id", "whole WHERE id = $id", "coded WHERE code = 'c$id'",
		"pair WHERE a = $id")[rand 4] . ";\n";
}

sub changes { return join '', map { (\&change, \&change, \&remove, sub { insert(any_table()) })[rand 4]->() } 1 .. $_[0] }

sub many {
	my $n = 2 + some(20);
	my $first = new_id();
	$next_id += $n;
	return "INSERT INTO item (id, name, n) SELECT g, 'm' || g, g % 50 FROM generate_series($first, $first + $n) g;\n"
		if rand() < 0.5;
	return "INSERT INTO whole (id, name, n) SELECT g, 'm' || g, g % 50 FROM generate_series($first, $first + $n) g;\n";
}

sub copy {
	my $rows = join '', map { new_id() . "\tcopied\\t$_\t$_\t1.50\tt\n" } 1 .. 5 + rand 50;
	# psql goes on with what it has read behind the data at the next statement
	return "COPY item (id, name, n, price, ok) FROM STDIN;\n$rows\\.\nSELECT;\n";
}

# Some hundred kilobytes: a transaction that leat has to cut.
sub large {
	my $first = new_id();
	my $n = 500 + int rand 500;
	$next_id += $n;
	my $range = "BETWEEN $first AND $first + $n";
	return "BEGIN;\n" . insert('whole') .
		"INSERT INTO item (id, name, n) SELECT g, repeat(md5(g::text), 10), 1 FROM generate_series($first, $first + $n) g;\n" .
		"SAVEPOINT s;\nDELETE FROM item WHERE id $range AND id % 3 = 0;\nROLLBACK TO s;\n" .
		"UPDATE item SET n = 2 WHERE id $range;\nDELETE FROM item WHERE id $range AND id % 2 = 0;\nCOMMIT;\n";
}

# One for another session; rows from first on are its own.
sub large_of {
	($session_base, $next_id) = (@_, 0);
	return large();
}

my $said = 0;
sub message { return "SELECT ledger.say('note', 'm$session_base.${\ $said++} " . text(2) . "');\n" }

# Who gets an answer has been promised this.
my $promised;
sub promise {
	$promised = "p$session_base." . $said++;
	return "SELECT ledger.say('promise', '$promised');\n";
}

sub beacon {
	my ($inside) = @_;
	my $emit = "SELECT pg_logical_emit_message(false, 'beacon', 'b$session_base.${\ $said++}');\n";
	return $inside ? "BEGIN;\n$inside$emit" . (rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . ";\n" : $emit;
}

sub move_key {
	my ($id, $to) = (old_id(), new_id());
	return (
		"UPDATE item SET id = $to WHERE id = $id;\n",
		"UPDATE whole SET id = $to, name = 'moved' WHERE id = $id;\n",
		"UPDATE coded SET code = 'c$to' WHERE code = 'c$id';\n",
		"UPDATE pair SET b = b + 10 WHERE a = $id;\n",
		"UPDATE pair SET a = -a WHERE a IN ($id, $id + 1, $id + 2);\n",
	)[rand 5];
}

sub toast {
	my ($id, $to) = (new_id(), new_id());
	my $table = (qw(item whole))[rand 2];
	return "INSERT INTO $table (id, name, bio) VALUES ($id, 'long', '" . long() . "');\n" .
		"UPDATE $table SET n = 1 WHERE id = $id;\n" .
		(rand() < 0.5 ? "UPDATE $table SET id = $to WHERE id = $id;\n" : '') .
		(rand() < 0.3 ? "UPDATE $table SET bio = '" . long() . "' WHERE id = $to;\n" : '') .
		"UPDATE $table SET name = 'still long' WHERE id IN ($id, $to);\n";
}

# A slot that begins makes the server note which transactions run: from there on
# decoding can begin anew, which it notes by itself only every 15 seconds.
sub tick {
	my $slot = "tick_$session_base";
	return "SELECT pg_create_logical_replication_slot('$slot', 'pgoutput', true);\n" .
		"SELECT pg_drop_replication_slot('$slot');\n";
}

sub transfer {
	my ($a, $b) = (some(10), some(10));
	return "BEGIN;\nINSERT INTO account SELECT g, 100 FROM generate_series(1, 10) g ON CONFLICT DO NOTHING;\n" .
		"UPDATE account SET balance = balance - 1 WHERE id = $a;\n" .
		"UPDATE account SET balance = balance + 1 WHERE id = $b;\nCOMMIT;\n";
}

sub savepoints {
	return "BEGIN;\n" . insert(any_table()) . "SAVEPOINT a;\n" . changes(3) .
		"SAVEPOINT b;\n" . insert(any_table()) . message() . "ROLLBACK TO a;\n" . changes(2) .
		"SAVEPOINT c;\n" . many() . "RELEASE c;\n" . change() . "COMMIT;\n";
}

sub ddl {
	my $table = (qw(item item whole))[rand 3];
	return "SELECT ledger.@{[(qw(shape shape shape retype))[rand 4]]}('$table');\n";
}

sub ddl_inside {
	return "BEGIN;\n" . insert('item') . "SELECT ledger.shape('item');\n" . insert('item') . change() .
		"SELECT ledger.shape('item');\n" . copy() . (rand() < 0.3 ? 'ROLLBACK' : 'COMMIT') . ";\n";
}

my @kinds = (
	[single => 20, sub { (sub { insert(any_table()) }, \&change, \&change, \&remove)[rand 4]->() }],
	[multi_row => 6, \&many],
	[multi_row_change => 6, sub { (rand() < 0.7 ? 'UPDATE item SET n = n % 1000 + 1' : 'DELETE FROM item') .
		" WHERE id BETWEEN ${\ ($session_base + $next_id - 25)} AND ${\ ($session_base + $next_id)};\n" }],
	[several => 8, sub { "BEGIN;\n" . changes(6) . "COMMIT;\n" }],
	[copy => 6, \&copy],
	[savepoint => 8, \&savepoints],
	[rollback => 5, sub { "BEGIN;\n" . changes(4) . message() . "ROLLBACK;\n" }],
	[message => 4, \&message],
	[promise => 12, \&promise],
	[message_inside => 4, sub { "BEGIN;\n" . message() . change() . message() . insert('item') . "COMMIT;\n" }],
	[beacon => 3, sub { beacon() }],
	[beacon_inside => 3, sub { beacon(insert('item')) }],
	[key_change => 6, \&move_key],
	[toast => 6, \&toast],
	[transfer => 8, \&transfer],
	[ddl => 3, \&ddl],
	[ddl_inside => 3, \&ddl_inside],
	[truncate => 1, sub { "SELECT ledger.wipe(" . ("'item'", "'whole', 'coded'", "'pair'")[rand 3] . ");\n" }],
	[truncate_inside => 1, sub { "BEGIN;\n" . insert('pair') . "SELECT ledger.wipe('pair', 'coded');\n" .
		insert('pair') . (rand() < 0.3 ? 'ROLLBACK' : 'COMMIT') . ";\n" }],
	[large => 0.15, \&large],
	[tick => 4, \&tick],
);

sub choose {
	my $total = 0;
	$total += $_->[1] for @kinds;
	my $at = rand $total;
	for (@kinds) {
		return $_ if ($at -= $_->[1]) < 0;
	}
	return $kinds[0];
}

# --- the process

# sessions, and between two transactions of one on average so many seconds
sub start {
	my ($class, $pg, %opt) = @_;
	my $self = bless { dir => Leat::Test::tmpdir(), name => 'load', pg => $pg,
		sessions => 4, pause => 0.03, seed => 1, %opt }, $class;
	$self->{$_} = "$self->{dir}/$self->{name}.$_" for qw(end report);
	$self->{process} = Leat::Process->start({ dir => $self->{dir}, name => $self->{name},
		setup => sub { $self->run } });
	return $self;
}

sub stop {
	my ($self) = @_;
	Leat::Test::spew($self->{end}, '');
	my $status = $self->{process}->wait(60);
	croak "the load ended with $status: " . $self->{process}->err if $status;
	my %report = (kinds => {}, errors => {}, synced => {}, unsynced => {}, texts => '');
	for (split /\n/, Leat::Test::slurp($self->{report})) {
		my ($what, $name, $n) = split / /, $_, 3;
		if ($what eq 'text') { $report{texts} .= "$name $n\n" } else { $report{$what}{$name} = $n }
	}
	return \%report;
}

sub run {
	my ($self) = @_;
	srand $self->{seed};
	my @slots = map { { base => $_ * 10_000_000, next => 1, due => 0,
		commit => $_ % 2 ? 'on' : 'off' } } 1 .. $self->{sessions};
	until (-e $self->{end}) {
		$self->turn($_) for @slots;
		sleep 0.004;
	}
	for my $slot (grep { $_->{busy} } @slots) {
		$self->end_of($slot);
	}
	Leat::Test::spew($self->{report}, (map { "kinds $_ $self->{kinds}{$_}\n" } sort keys %{ $self->{kinds} }),
		(map { "errors $_ $self->{errors}{$_}\n" } sort keys %{ $self->{errors} }),
		@{ $self->{kept} || [] },
		map { s/\s+/ /gr . "\n" } map { "text $_" } @{ $self->{texts} || [] });
}

# Starts a transaction where one is due, ends one that is done.
sub turn {
	my ($self, $slot) = @_;
	return if $slot->{due} > time;
	$slot->{session} = undef if $slot->{session} && !$slot->{busy} && !$slot->{session}->is_open;
	$slot->{session} ||= Leat::Postgres::Session->new(Leat::Postgres::bindir() . '/psql',
		$self->{pg}->conninfo(application_name => 'load',
			options => "'-c lock_timeout=3s -c synchronous_commit=$slot->{commit}'"));
	if ($slot->{busy}) {
		$self->end_of($slot) if $slot->{session}->is_done;
		return;
	}
	($session_base, $next_id) = @$slot{qw(base next)};
	my ($kind, undef, $make) = @{ choose() };
	undef $promised;
	my $sql = $make->();
	@$slot{qw(next promise)} = ($next_id, $promised);
	$slot->{busy} = $kind;
	$slot->{session}->send($sql);
}

sub end_of {
	my ($self, $slot) = @_;
	my $kind = delete $slot->{busy};
	$slot->{due} = time + rand 2 * $self->{pause};
	if (eval { $slot->{session}->finish(30); 1 }) {
		$self->{kinds}{$kind}++;
		push @{ $self->{kept} }, ($slot->{commit} eq 'on' ? 'synced' : 'unsynced') . " $slot->{promise} 1\n"
			if $slot->{promise};
		return;
	}
	my $error = $@;
	my ($state) = $error =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5}):/;
	$state = 'away' if !defined $state && $error =~ /connection|server closed|terminat|refused|psql: $/i;
	$self->{errors}{ $state || 'unknown' }++;
	push @{ $self->{texts} }, "$kind: $error" if @{ $self->{texts} || [] } < 50;
	$slot->{session} = undef;
	$slot->{due} = time + 0.05;
}

1;
