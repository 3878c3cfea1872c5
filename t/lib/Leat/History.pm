# Leat::History: what a throw-away server says it did, for a ledger.
#
#	my $history = Leat::History->new($pg, $name);	# names its files
#	... the load of Leat::Load ...
#	my @wrong = $history->check($events);		# of `leat log cat`
#
# new() comes before the load: the write-ahead log is read from there on.
package Leat::History;
use strict;
use warnings;

use Leat::Ledger;
use Leat::Load;
use Leat::Postgres;
use Leat::Test ();

sub new {
	my ($class, $pg, $name) = @_;
	return bless { pg => $pg, name => $name, changes => 0,
		from => $pg->query('SELECT pg_current_wal_lsn()') }, $class;
}

# Lines of psql, columns apart by tabs.
sub lines {
	my ($self, $what, $sql) = @_;
	my $out = Leat::Test::tmpdir() . "/$self->{name}.$what";
	unlink $out;
	my $p = Leat::Test::start_command({ name => 'psql', out => $out }, Leat::Postgres::bindir() . '/psql',
		'-X', '-q', '-A', '-t', '-F', "\t", '-P', 'null=\N', '-d', $self->{pg}->conninfo, '-c', $sql);
	die 'psql: ' . $p->err if $p->wait(120);
	open my $lines, '<', $out or die "$out: $!";
	return $lines;
}

sub read_history {
	my ($self, $ledger) = @_;
	my $lines = $self->lines('history', 'SELECT n, xid, op, tab, old, new FROM ledger.history');
	while (my $line = <$lines>) {
		chomp $line;
		$ledger->history(map { $_ eq '\N' ? undef : $_ } split /\t/, $line, -1);
		$self->{changes}++;
	}
}

sub read_wal {
	my ($self, $ledger) = @_;
	my $dump = Leat::Test::start_command({ name => 'waldump' }, Leat::Postgres::bindir() . '/pg_waldump',
		'-p', "$self->{pg}{data}/pg_wal", '-r', 'Transaction', '-r', 'LogicalMessage', '-s', $self->{from});
	$dump->wait(120);	# it ends with an error where the log does
	open my $lines, '<', $dump->{out} or die $!;
	$ledger->read_waldump($lines);
	$dump->forget;
}

sub final_rows {
	my ($self) = @_;
	my %final;
	for my $table (keys %Leat::Load::tables) {
		my $rows = $self->lines('final', "SELECT to_jsonb(t) FROM $table t");
		$final{$table} = [map { chomp; $_ } <$rows>];
	}
	return \%final;
}

# What is wrong with a file of events; and the ledger.
sub check {
	my ($self, $events) = @_;
	my $ledger = $self->{ledger} = Leat::Ledger->new(source => 'shop', tables => \%Leat::Load::tables);
	$self->read_history($ledger);
	$self->read_wal($ledger);
	open my $lines, '<', $events or die "$events: $!";
	return $ledger->check($lines, $self->final_rows);
}

sub ledger { return $_[0]{ledger} }

1;
