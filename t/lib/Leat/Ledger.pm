# Leat::Ledger: what a database says it did, against what leat printed.
#
#	my $ledger = Leat::Ledger->new(source => 'shop', tables => {
#		item => { key => ['id'] },			# DEFAULT
#		whole => { key => ['id'], identity => 'full' },
#		coded => { key => ['code'], identity => 'index' },
#		account => { key => ['id'], mean => { balance => 100 } } });
#	$ledger->history($n, $xid, $op, $table, $old, $new);		# any order
#	$ledger->read_waldump(\*LINES);	# commits, messages outside of transactions
#	my @wrong = $ledger->check(\*LINES, $final);
#
# It knows two things only, both the database's own: the history table, which
# triggers fill in the transaction that makes the change, so that what was rolled
# back is not in it, nor what a restart has taken back; and the write-ahead log,
# as pg_waldump shows it.  From these it
# makes the one sequence of records that is right, and holds the lines of
# `leat log cat --format debezium` against it (leat-envelope(7)):
#
#	none lost, none repeated, none that was not committed, commit order;
#	ids, ordinals without a hole, seq one more per change;
#	images by the table's replica identity, columns by its version's record;
#	the order of each key's changes; and all of them, applied to empty tables,
#	make the tables that the database has in the end ($final), and one whose
#	`mean` is what was said at the end of each transaction.
#
# Ops of the history: INSERT UPDATE DELETE (old and new row), TRUNCATE
# ({"tables":[...]}), MESSAGE ({"prefix":...,"content":...}), DDL
# ({"column":...,"default":...}: what rows that were there have in a new column).
package Leat::Ledger;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(sum);
use MIME::Base64 qw(decode_base64);
use Time::Local qw(timegm);

our @EXPORT_OK = qw(decode_json_text is_same_stream);

# What is printed of one kind of fault; the rest is counted.
use constant MOST_OF_A_KIND => 8;

# --- JSON, with numbers as the text that was sent (and a quarter of the time that
# JSON::PP needs)

my %escape = (n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");
our $json;

sub unescape {
	my ($text) = @_;
	return $text if index($text, '\\') < 0;
	$text =~ s/\\(?:u([0-9a-fA-F]{4})|(.))/
		defined $1 ? chr hex $1 : exists $escape{$2} ? $escape{$2} : $2/gse;
	return $text;
}

sub json_value {
	return unescape($1) if $json =~ /\G\s*"((?:[^"\\]+|\\.)*)"/gcs;
	return $1 if $json =~ /\G\s*(-?[0-9][0-9.eE+\-]*|true|false)/gc;
	return undef if $json =~ /\G\s*null/gc;
	if ($json =~ /\G\s*\{/gc) {
		my %object;
		return \%object if $json =~ /\G\s*\}/gc;
		while (1) {
			$json =~ /\G\s*"((?:[^"\\]+|\\.)*)"\s*:/gcs or die 'no member';
			my $name = unescape($1);
			die "\"$name\" twice" if exists $object{$name};
			$object{$name} = json_value();
			next if $json =~ /\G\s*,/gc;
			$json =~ /\G\s*\}/gc or die 'no end of an object';
			return \%object;
		}
	}
	if ($json =~ /\G\s*\[/gc) {
		my @array;
		return \@array if $json =~ /\G\s*\]/gc;
		while (1) {
			push @array, json_value();
			next if $json =~ /\G\s*,/gc;
			$json =~ /\G\s*\]/gc or die 'no end of an array';
			return \@array;
		}
	}
	die 'no value';
}

# Dies when the text is not one JSON value.
sub decode_json_text {
	local $json = $_[0];
	pos($json) = 0;
	my $value = eval { json_value() };
	my $why = $@;
	$why = 'more behind the end' if !$why && $json !~ /\G\s*\z/gc;
	die 'not JSON (' . (split / at /, $why)[0] . ") at byte " . (pos $json) . ": $json\n" if $why;
	return $value;
}

# --- what happened

sub new {
	my ($class, %opt) = @_;
	return bless { source => 'shop', incarnation => 1, schema => 'public',
		%opt, by_xid => {}, beacons => [], defaults => {}, commits => [] }, $class;
}

sub history {
	my ($self, $n, $xid, $op, $table, $old, $new) = @_;
	my %change = (n => $n, xid => $xid, op => $op, table => $table, old => $old, new => $new);
	if ($op eq 'DDL') {
		my $ddl = decode_json_text($new);
		$self->{defaults}{$table}{$ddl->{column}} = $ddl->{default};
	} else {
		push @{ $self->{by_xid}{$xid} }, \%change;
	}
}

# pg_waldump -r Transaction -r LogicalMessage
sub read_waldump {
	my ($self, $lines) = @_;
	while (<$lines>) {
		my ($size, $xid, $lsn, $what) = m{len \(rec/tot\):\s+\d+/\s*(\d+), tx:\s+(\d+), lsn: ([0-9A-F/]+),.*? desc: (.*)}
			or next;
		if ($what =~ /^COMMIT (\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)\.(\d{6}) UTC/) {
			push @{ $self->{commits} }, { xid => $xid, lsn => lsn($lsn),
				us => timegm($6, $5, $4, $3, $2 - 1, $1) * 1_000_000 + $7 };
		} elsif ($what =~ /^MESSAGE non-transactional, prefix "(.*?)"; payload \(\d+ bytes\): ([0-9A-F ]*)/) {
			push @{ $self->{beacons} }, { op => 'MESSAGE', lsn => end_of_record(lsn($lsn), $size),
				prefix => $1, content => pack 'H*', $2 =~ tr/ //dr };
		}
	}
}

# Where the record ends that begins there: each page has a header, the first one
# of a file a longer one.
use constant { PAGE => 8192, WAL_FILE => 16 << 20 };
sub end_of_record {
	my ($at, $size) = @_;
	for (my $left = ($size + 7) & ~7;;) {
		my $room = PAGE - $at % PAGE;
		return $at + $left if $left <= $room;
		$left -= $room;
		$at += $room;
		$at += $at % WAL_FILE ? 24 : 40;
	}
}

# "16/B374D848" as a number
sub lsn {
	my ($high, $low) = $_[0] =~ m{^([0-9A-Fa-f]+)/([0-9A-Fa-f]+)$} or die "no LSN: $_[0]\n";
	return hex($high) * 2 ** 32 + hex $low;
}

sub count { return scalar @{ $_[0]{expected} } }
sub transactions { return $_[0]{transactions} }

# The records in the order in which they are right.
sub expect {
	my ($self) = @_;
	my @units = map { { %$_, at => $_->{lsn}, changes => $self->{by_xid}{$_->{xid}} } }
		grep { $self->{by_xid}{$_->{xid}} } @{ $self->{commits} };
	$self->{transactions} = @units;
	push @units, map { { at => $_->{lsn}, lsn => $_->{lsn}, beacon => $_ } } @{ $self->{beacons} };
	# a message that ends where a commit begins stands before it
	@units = sort { $a->{at} <=> $b->{at} || defined $b->{beacon} <=> defined $a->{beacon} } @units;
	my %committed = map { $_->{xid} => 1 } @{ $self->{commits} };
	for my $xid (grep { !$committed{$_} } keys %{ $self->{by_xid} }) {
		die "transaction $xid is in the history and has no commit record\n";
	}
	$self->{expected} = [];
	$self->expect_unit($_) for @units;
	$self->{index} = { map { $self->{expected}[$_]{id} => $_ } 0 .. $#{ $self->{expected} } };
}

sub expect_unit {
	my ($self, $unit) = @_;
	my $prefix = sprintf '%s/%d/%X', $self->{source}, $self->{incarnation}, $unit->{lsn};
	if (my $beacon = $unit->{beacon}) {
		push @{ $self->{expected} }, { id => "$prefix/0", op => 'm', change => $beacon };
		return;
	}
	my %op = (INSERT => 'c', UPDATE => 'u', DELETE => 'd', TRUNCATE => 't', MESSAGE => 'm');
	my ($ordinal, %of_table) = (0);
	for my $change (sort { $a->{n} <=> $b->{n} } @{ $unit->{changes} }) {
		my $op = $op{$change->{op}} or die "no such op in the history: $change->{op}\n";
		my %record = (op => $op, change => $change, unit => $unit, ordinal => ++$ordinal);
		$record{of_table} = ++$of_table{$change->{table}} if $op =~ /[cud]/;
		if ($op eq 't') {
			$of_table{$_}++ for @{ decode_json_text($change->{new})->{tables} };
		}
		push @{ $self->{expected} }, $op eq 'u' && $self->moves_key($change)
			? ({ %record, id => "$prefix/$ordinal/d", op => 'd' },
				{ %record, id => "$prefix/$ordinal/i", op => 'c' })
			: { %record, id => "$prefix/$ordinal" };
	}
}

sub key_of {
	my ($self, $table, $row) = @_;
	return join "\0", map { defined $row->{$_} ? $row->{$_} : '' } @{ $self->{tables}{$table}{key} };
}

sub moves_key {
	my ($self, $change) = @_;
	return $self->key_of($change->{table}, decode_json_text($change->{old}))
		ne $self->key_of($change->{table}, decode_json_text($change->{new}));
}

# --- what was printed

sub wrong {
	my ($self, $kind, $text) = @_;
	my $n = ++$self->{faults}{$kind};
	push @{ $self->{wrong} }, "$kind: $text" if $n <= MOST_OF_A_KIND;
}

# The list of what is wrong; empty when nothing is.  $final: table => [rows as
# JSON texts], or undef.
sub check {
	my ($self, $lines, $final) = @_;
	$self->{$_} = {} for qw(faults seen versions state last_n);
	$self->{$_} = [] for qw(wrong got);
	$self->{seq} = $self->{place} = $self->{unit} = undef;
	$self->expect;
	my $number = 0;
	while (my $line = <$lines>) {
		$number++;
		chomp $line;
		my $ev = eval { decode_json_text($line) };
		if ($ev) {
			$self->{at} = "line $number, " . ($ev->{leat}{id} || 'no id');
			$self->event($ev);
		} else {
			$self->wrong('unreadable', "line $number: $@");
		}
	}
	$self->wrong('schema', 'a version at the end that no row follows') if $self->{announced};
	$self->check_means;
	$self->check_lost;
	$self->check_final($final) if $final;
	for my $kind (sort keys %{ $self->{faults} }) {
		my $more = $self->{faults}{$kind} - MOST_OF_A_KIND;
		push @{ $self->{wrong} }, "$kind: $more more" if $more > 0;
	}
	return @{ $self->{wrong} };
}

sub event {
	my ($self, $ev) = @_;
	my $id = $ev->{leat}{id};
	return $self->schema_event($ev) if $ev->{op} eq 'schema';
	$self->check_seq($ev);
	if ($self->{seen}{$id}++) {
		return $self->wrong('repeated', "$self->{at}, after " . $self->before);
	}
	my $place = $self->{index}{$id};
	unless (defined $place) {
		return $self->wrong('never committed', "$self->{at} ($ev->{op}), after " . $self->before);
	}
	$self->wrong('order', "$self->{at} comes after " . $self->before)
		if defined $self->{place} && $place < $self->{place};
	$self->{place} = $place;
	push @{ $self->{got} }, $id;
	my $want = $self->{expected}[$place];
	$self->check_means if $self->{unit} && $self->{unit} != ($want->{unit} || 0);
	$self->{unit} = $want->{unit};
	return $self->wrong('op', "$self->{at}: $ev->{op}, not $want->{op}") if $ev->{op} ne $want->{op};
	$self->check_provenance($ev, $want);
	if ($ev->{op} eq 'm') { $self->check_message($ev, $want) }
	elsif ($ev->{op} eq 't') { $self->truncate($ev, $want) }
	else { $self->row($ev, $want) }
}

sub before {
	my ($self) = @_;
	my $got = $self->{got};
	return @$got ? join(' ', @$got[($#$got > 1 ? $#$got - 2 : 0) .. $#$got]) : 'nothing';
}

# One more per change; the two records of a key change share one.
sub check_seq {
	my ($self, $ev) = @_;
	my $seq = $ev->{leat}{seq};
	my $last = $self->{seq};
	$self->{seq} = $seq;
	$self->wrong('schema', "$self->{at} is not the row that a version was announced for")
		if $self->{announced} && $self->{announced}{seq} != $seq;
	delete $self->{announced};
	return unless defined $last;
	my $want = $ev->{leat}{id} =~ m{/i$} ? $last : $last + 1;
	$self->wrong('seq', "$self->{at}: seq $seq follows $last") if $seq != $want;
}

sub check_provenance {
	my ($self, $ev, $want) = @_;
	my $source = $ev->{source};
	my ($unit, $change) = @$want{qw(unit change)};
	my %is = (name => $source->{name}, schema => $source->{schema}, table => $source->{table});
	my $table = defined $change->{table} ? $change->{table} : '';
	$table = decode_json_text($change->{new})->{tables}[0] if $ev->{op} eq 't';
	my %should = (name => $self->{source}, schema => length $table ? $self->{schema} : '',
		table => $table);
	if ($unit) {
		my $transaction = $ev->{transaction} || {};
		%is = (%is, transaction => $transaction->{id}, ordinal => $transaction->{total_order},
			txId => $source->{txId}, committed => $source->{ts_us});
		%should = (%should, transaction => "$unit->{xid}:$unit->{lsn}",
			ordinal => $want->{ordinal}, txId => $unit->{xid}, committed => $unit->{us});
		delete @should{qw(table schema)} if $ev->{op} eq 't';
		if ($want->{of_table}) {
			$is{of_table} = $transaction->{data_collection_order};
			$should{of_table} = $want->{of_table};
		}
	}
	for my $what (sort keys %should) {
		$self->wrong('provenance', "$self->{at}: $what is " . show($is{$what}) . ', not ' .
			show($should{$what})) unless same($is{$what}, $should{$what});
	}
}

sub same {
	my ($a, $b) = @_;
	return defined $a ? defined $b && $a eq $b : !defined $b;
}

sub show {
	my ($value) = @_;
	return 'null' unless defined $value;
	return '{' . join(', ', map { "$_: " . show($value->{$_}) } sort keys %$value) . '}'
		if ref $value eq 'HASH';
	return '[' . join(', ', map { show($_) } @$value) . ']' if ref $value;
	return length $value > 60 ? substr($value, 0, 50) . '... (' . length($value) . ')' : $value;
}

sub check_message {
	my ($self, $ev, $want) = @_;
	my $said = $want->{unit} ? decode_json_text($want->{change}{new}) : $want->{change};
	my $content = decode_base64($ev->{message}{content});
	$self->wrong('message', "$self->{at}: $ev->{message}{prefix} $content, not " . show($said))
		unless $ev->{message}{prefix} eq $said->{prefix} && $content eq $said->{content};
	$self->wrong('message', "$self->{at} has a transaction")
		if !$want->{unit} && defined $ev->{transaction};
}

# A version's record stands directly before its first row and comes once.
sub schema_event {
	my ($self, $ev) = @_;
	my $change = $ev->{schema_change};
	my ($table, $version) = @$change{qw(table version)};
	my $last = ($self->{versions}{$table} || {})->{version};
	$self->wrong('schema', "$self->{at}: version $version follows " . show($last) .
		', says ' . show($change->{previous})) unless same($change->{previous}, $last);
	$self->wrong('schema', "$self->{at}: the same version twice")
		if defined $last && $last == $version;
	$self->{versions}{$table} = { version => $version,
		columns => join(',', sort map { $_->{name} } @{ $change->{columns} }) };
	# a truncate may announce several
	$self->{announced} = { seq => $ev->{leat}{seq} };
}

sub check_version {
	my ($self, $ev, $columns) = @_;
	my $schema = $ev->{leat}{schema};
	my $known = $self->{versions}{$schema->{table}} || { version => 0 };
	return $self->wrong('schema', "$self->{at}: version $schema->{version} is not the announced " .
		show($known->{version})) unless $known->{version} == $schema->{version};
	return unless defined $columns;
	$self->wrong('schema', "$self->{at}: columns $columns, announced $known->{columns}")
		unless $columns eq $known->{columns};
}

sub check_image {
	my ($self, $what, $is, $should) = @_;
	return if !defined $is && !defined $should;
	if (!defined $is || !defined $should) {
		return $self->wrong('image', "$self->{at}: $what is " . show($is) . ', not ' . show($should));
	}
	my %all = (%$is, %$should);
	for my $column (sort keys %all) {
		next if exists $is->{$column} && exists $should->{$column}
			&& same($is->{$column}, $should->{$column});
		$self->wrong('image', "$self->{at}: $what.$column is " .
			(exists $is->{$column} ? show($is->{$column}) : 'not there') . ', not ' .
			(exists $should->{$column} ? show($should->{$column}) : 'there'));
	}
}

sub row {
	my ($self, $ev, $want) = @_;
	my $change = $want->{change};
	my $table = $change->{table};
	my $old = defined $change->{old} ? decode_json_text($change->{old}) : undef;
	my $new = defined $change->{new} ? decode_json_text($change->{new}) : undef;
	my $identity = $self->{tables}{$table}{identity} || 'default';
	my $before = !$old || $ev->{op} eq 'c' ? undef : $identity eq 'full' ? $old
		: $ev->{op} eq 'd' ? { map { $_ => $old->{$_} } @{ $self->{tables}{$table}{key} } } : undef;
	$self->check_image('before', $ev->{before}, $before);
	my $after = $ev->{op} eq 'd' ? undef : { %$new };
	my @unchanged = @{ $ev->{leat}{unchanged} || [] };
	for my $column (@unchanged) {
		$self->wrong('image', "$self->{at}: $column has changed")
			unless $old && $after && same($old->{$column}, delete $after->{$column});
	}
	$self->check_image('after', $ev->{after}, $after);
	$self->check_version($ev, $new && $ev->{op} ne 'd'
		? join(',', sort keys %{ $ev->{after} || {} }, @unchanged) : undef);
	$self->apply($ev, $table, $old, $new, \@unchanged);
	my $key = $table . "\0" . $self->key_of($table, $ev->{op} eq 'd' ? $old : $new);
	my $last = $self->{last_n}{$key};
	$self->wrong('order of a key', "$self->{at}: change $change->{n} after $last")
		if defined $last && $last > $change->{n};
	$self->{last_n}{$key} = $change->{n};
}

# --- the tables that the events make

sub apply {
	my ($self, $ev, $table, $old, $new, $unchanged) = @_;
	my $rows = $self->{state}{$table} ||= {};
	my $was;
	# the key of what was there is in `before`, or is that of `after`
	if ($ev->{op} eq 'd') {
		$self->{moved} = delete $rows->{ $self->key_of($table, $ev->{before} || {}) };
		return;
	}
	my $key = $self->key_of($table, $ev->{after} || {});
	$was = $ev->{leat}{id} =~ m{/i$} ? $self->{moved} : $rows->{$key};
	$rows->{$key} = { %{ $ev->{after} || {} },
		map { $_ => ($was || {})->{$_} } @$unchanged };
}

sub truncate {
	my ($self, $ev, $want) = @_;
	my $tables = decode_json_text($want->{change}{new})->{tables};
	my $is = join ',', sort @{ $ev->{leat}{truncate}{tables} };
	my $should = join ',', sort map { "$self->{schema}.$_" } @$tables;
	$self->wrong('truncate', "$self->{at}: $is, not $should") if $is ne $should;
	$self->check_version($ev);
	$self->{state}{$_} = {} for @$tables;
}

# What transactions only move about is all there whenever one is over.
sub check_means {
	my ($self) = @_;
	for my $table (sort grep { $self->{tables}{$_}{mean} } keys %{ $self->{tables} }) {
		my ($column, $mean) = %{ $self->{tables}{$table}{mean} };
		my @rows = values %{ $self->{state}{$table} || {} };
		my $sum = sum(0, map { $_->{$column} } @rows);
		$self->wrong('sum', "before $self->{at}: $column of $table is $sum in " . @rows . ' rows')
			if $sum != $mean * @rows;
	}
}

sub check_lost {
	my ($self) = @_;
	my $last = 'nothing';
	for my $record (@{ $self->{expected} }) {
		my $id = $record->{id};
		if ($self->{seen}{$id}) { $last = $id }
		else { $self->wrong('lost', "$id ($record->{change}{op}), the one before it that is there: $last") }
	}
}

sub check_final {
	my ($self, $final) = @_;
	for my $table (sort keys %{ $self->{tables} }) {
		my %rows = map { my $row = decode_json_text($_); $self->key_of($table, $row) => $row }
			@{ $final->{$table} };
		my $state = $self->{state}{$table} || {};
		for my $key (sort keys %{ { %rows, %$state } }) {
			my ($is, $should) = ($state->{$key}, $rows{$key});
			$self->{at} = "table $table, key " . join(',', split /\0/, $key);
			if (!$is || !$should) {
				$self->wrong('final state', "$self->{at}: " . ($is ? 'is gone in the database'
					: 'is not made by the events'));
				next;
			}
			for my $column (sort keys %$should) {
				my $value = exists $is->{$column} ? $is->{$column}
					: $self->{defaults}{$table}{$column};
				$self->wrong('final state', "$self->{at}: $column is " . show($value) .
					', in the database ' . show($should->{$column}))
					unless same($value, $should->{$column});
			}
		}
	}
}

# --- two logs of the same changes

# Without what depends on when leat read it.
sub timeless {
	my ($line) = @_;
	$line =~ s/("op":"\w+"),"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+/$1/;
	# keep-alives move the place before a transaction
	$line =~ s/"sequence":"\[[^,]*,/"sequence":"[,/;
	# nobody's clock but leat's knows when a lone message was written
	$line =~ s/"ts_ms":\d+|"ts_us":\d+|"ts_ns":\d+/0/g if $line =~ /"transaction":null.*"op":"m"/;
	return $line;
}

# The first difference between two files of events, as text, or nothing.
# places => 1: same events, but seq and versions may differ, and the second may
# begin later.
sub is_same_stream {
	my ($first, $second, %opt) = @_;
	open my $a, '<', $first or die "$first: $!\n";
	open my $b, '<', $second or die "$second: $!\n";
	my ($started, $before, $n) = (!$opt{places}, 'the beginning', 0);
	my $next = sub {
		my ($file) = @_;
		while (defined(my $line = <$file>)) {
			chomp $line;
			next if $opt{places} && $line =~ /"op":"schema"/;
			$line = timeless($line);
			if ($opt{places}) {
				$line =~ s/"seq":\d+/"seq":0/;
				$line =~ s/"version":\d+\}/"version":0}/;
			}
			return $line;
		}
		return undef;
	};
	my $y = $next->($b);
	return 'the second is empty' unless defined $y;
	while (defined(my $x = $next->($a))) {
		unless ($started) {
			next if id_of($x) ne id_of($y);
			$started = 1;
		}
		return "behind $before:\n  $x\n  " . (defined $y ? $y : 'its end') unless same($x, $y);
		$before = id_of($x);
		$n++;
		$y = $next->($b);
	}
	return 'the second begins with ' . id_of($y) . ', which the first does not have' unless $started;
	return "behind $before the second goes on:\n  $y" if defined $y;
	return '';
}

sub id_of {
	my ($line) = @_;
	return $line =~ /"leat":\{"id":"([^"]+)"/ ? $1 : $line;
}

1;
