# Leat::Witness: what the database itself says that it did under Leat::Load, for
# Leat::Ledger.
#
#	my $n = read_history($ledger, $pg);	# changes
#	read_wal($ledger, $pg, $from);		# $from: an LSN
#	my @wrong = $ledger->check($lines, final_rows($pg));
package Leat::Witness;
use strict;
use warnings;

use Exporter qw(import);

use Leat::Load;
use Leat::Postgres;
use Leat::Test ();

our @EXPORT = qw(psql_lines read_history read_wal final_rows);

# A query's rows as lines: tabs between columns, \N for null.
sub psql_lines {
	my ($pg, $name, $sql) = @_;
	my $out = Leat::Test::tmpdir() . "/witness.$name";
	unlink $out;
	my $p = Leat::Test::start_command({ name => 'psql', out => $out }, Leat::Postgres::bindir() . '/psql',
		'-X', '-q', '-A', '-t', '-F', "\t", '-P', 'null=\N', '-d', $pg->conninfo, '-c', $sql);
	die 'psql: ' . $p->err if $p->wait(120);
	open my $lines, '<', $out or die "$out: $!";
	return $lines;
}

sub read_history {
	my ($ledger, $pg) = @_;
	my $n = 0;
	my $lines = psql_lines($pg, 'history', 'SELECT n, xid, op, tab, old, new FROM ledger.history');
	while (my $line = <$lines>) {
		chomp $line;
		$ledger->history(map { $_ eq '\N' ? undef : $_ } split /\t/, $line, -1);
		$n++;
	}
	return $n;
}

# Commit records and messages, from the write-ahead log itself.
sub read_wal {
	my ($ledger, $pg, $from) = @_;
	my $dump = Leat::Test::start_command({ name => 'waldump' }, Leat::Postgres::bindir() . '/pg_waldump',
		'-p', "$pg->{data}/pg_wal", '-r', 'Transaction', '-r', 'LogicalMessage', '-s', $from);
	$dump->wait(120);	# it ends with an error where the log does
	open my $lines, '<', $dump->{out} or die $!;
	$ledger->read_waldump($lines);
	$dump->forget;
}

sub final_rows {
	my ($pg) = @_;
	my %final;
	for my $table (keys %Leat::Load::tables) {
		my $rows = psql_lines($pg, 'final', "SELECT to_jsonb(t) FROM $table t");
		$final{$table} = [map { chomp; $_ } <$rows>];
	}
	return \%final;
}

1;
