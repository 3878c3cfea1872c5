# Leat::Memory: runs of the program in which one allocation fails.
#
#	Leat::Memory->need;
#	my $memory = Leat::Memory->new(own => 1);
#	run_leat({ env => $memory->env(7) }, 'check', ...);
#	$memory->count
#
# own counts only the allocations that leat's own code makes; otherwise those of
# all libraries count too.
package Leat::Memory;
use strict;
use warnings;

use Leat::Test ();

my $files = 0;

sub helper { return "$Leat::Test::BUILDDIR/t/fail_malloc.so" }

# Sanitizers have an allocator of their own.
sub need {
	Leat::Test::skip_or_fail('preload', 'no t/fail_malloc.so') unless -e helper();
	Leat::Test::plan(skip_all => 'a sanitizer has the allocator')
		if Leat::Test::has_sanitizer();
}

sub new {
	my ($class, %opt) = @_;
	return bless { own => $opt{own} ? 1 : 0, file => Leat::Test::tmpdir() . '/malloc.' . $files++ }, $class;
}

# The environment of a run whose nth allocation fails; 0: none does.
sub env {
	my ($self, $nth) = @_;
	Leat::Test::spew($self->{file}, pack 'q3', $nth, $self->{own}, 0);
	return { LD_PRELOAD => helper(), LEAT_TEST_MALLOC => $self->{file} };
}

# How many allocations the last run has made.
sub count {
	my ($self) = @_;
	return (unpack 'q3', Leat::Test::slurp($self->{file}))[2];
}

# At most $most of 1 .. $n, spread evenly; many more in the long form.
sub places {
	my ($n, $most) = @_;
	$most *= 20 if Leat::Test::is_long();
	return 1 .. $n if $n <= $most;
	return map { 1 + int($_ * $n / $most) } 0 .. $most - 1;
}

1;
