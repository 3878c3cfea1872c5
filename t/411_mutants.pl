# t/410_power.pl and t/450_kafka_letters_crash.pl would notice: with a sync left out,
# the acknowledgement before the commit, a letter that is not named, they fail.
# (Each sync by itself: t/unit/power.c.)
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

# The same of dead letters, and t/450_kafka_letters_crash.pl.
my %letters = (
	letter_unnamed => 'that a commit names the letter it delivers',
	letter_blind => 'that later events of a key are looked for',
);
for my $mutation (has_feature('KAFKA') ? sort keys %letters : ()) {
	my ($rc, $out, $err) = run_command({ timeout => 1800, env => { LEAT_LETTERS_MUTATE => $mutation, LEAT_TEST_LONG => undef } },
		$^X, "-I$SRCDIR/t/lib", "$SRCDIR/t/450_kafka_letters_crash.pl");
	ok($rc != 0 && $out =~ /^ +not ok \d+ - each event is in a topic/m, "$letters{$mutation} is missed")
		or diag "status $rc\n$out$err";
}

done_testing;
