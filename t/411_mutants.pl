# t/410_power.pl would notice: with a sync left out, or the acknowledgement before
# the commit, it fails.  (Each sync by itself: t/unit/power.c.)
use Leat::Test;
use Leat::Postgres;

plan skip_all => 'a long test (./dev soak)' unless is_long();
need_feature('FAULTS');
Leat::Postgres->need;

my %mutations = (
	'nosync:write_commit' => 'the sync of a commit',
	'nosyncdir:make_segment' => 'the sync of the directory behind a new segment',
	'ack_first' => 'the order of commit and acknowledgement',
);

for my $mutation (sort keys %mutations) {
	my ($rc, $out, $err) = run_command({ timeout => 1800, env => { LEAT_POWER_MUTATE => $mutation,
		LEAT_POWER_LOSSES => 200, LEAT_TEST_LONG => undef } }, $^X, "-I$SRCDIR/t/lib", "$SRCDIR/t/410_power.pl");
	my ($after) = $err =~ /, after (\d+) losses/;
	ok($rc != 0 && $out =~ /^not ok \d+ - (?:it never stops for good|the log holds|standard output has all)/m,
		"$mutations{$mutation} is missed" . (defined $after ? ", after $after losses" : ''))
		or diag "status $rc\n$out$err";
}

done_testing;
