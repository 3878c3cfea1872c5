# The conf: t/golden/conf/CASE.conf makes CASE.out (the effective conf) or
# CASE.err (what is wrong with it).  LEAT_TEST_UPDATE=1 writes them anew.
use Leat::Test;
use POSIX qw(mkfifo);

my $golden = "$SRCDIR/t/golden/conf";
my $cat = "$BUILDDIR/t/conf_cat";
my %env = (LEAT_T_SET => 'set', LEAT_T_EMPTY => '', LEAT_T_SECRET => 'hunter2',
	LEAT_T_UNSET => undef, LEAT_T_UNSET_TOO => undef);

# Without the times of what the agent notes, and without this build's folders.
sub cat {
	my ($dir, @files) = @_;
	my $opts = ref $files[-1] ? pop @files : {};
	my ($rc, $out, $err) = run_command({ %$opts, env => \%env },
		'sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', $dir, $cat, @files);
	$err =~ s/^\d{4}-\d\d-\d\dT\S+ //mg;
	$out =~ s{"[^"]*(/lib/leat(?:/leat\.sock)?")$}{"LOCALSTATEDIR$1}mg;
	return ($rc, $out, $err);
}

my $secrets = '';
opendir my $d, $golden or die "$golden: $!";
for my $file (sort grep { /\.conf$/ } readdir $d) {
	my ($case) = $file =~ /^(.*)\.conf$/;
	my ($rc, $out, $err) = cat($golden, $file);
	my %got = (out => $out, err => $err);
	$secrets .= $out . $err;
	is($rc, $out eq '' ? 3 : 0, "$case: " . ($out eq '' ? 'is refused' : 'is read, and prints as itself'))
		or diag($err);
	for my $kind (qw(out err)) {
		my $path = "$golden/$case.$kind";
		if ($ENV{LEAT_TEST_UPDATE}) {
			unlink $path;
			spew($path, $got{$kind}) if $got{$kind} ne '';
		}
		my $want = -e $path ? slurp($path) : '';
		is($got{$kind}, $want, "$case: " . ($kind eq 'out' ? 'what took effect' : 'what is wrong'))
			if $want ne '' || $got{$kind} ne '';
	}
}
ok($secrets !~ /hun\W*ter2/, 'no secret is shown, in the clear, in a conninfo or from a variable');

my ($rc, $out, $err);
for my $bad (qw(string_open string_open_single trap_comment list_end include_syntax trap_escape_digits all)) {
	($rc, $out) = cat($golden, "$bad.conf", 'full.conf', "$bad.conf", 'full.conf');
	is($out, slurp("$golden/full.out") x 2, "a conf is read the same after $bad");
}

# --- files that are none

my $dir = tmpdir();
($rc, $out, $err) = cat($dir, 'nowhere.conf');
is($err, "leat: could not open conf \"nowhere.conf\": No such file or directory\n"
	. "hint: Say which file is the conf: -c FILE, or LEAT_CONF in the environment.\n", 'a missing conf is told by its name');
($rc, $out, $err) = cat($dir, '.');
like($err, qr/^leat: could not read conf "\.": Is a directory$/m, 'a directory is no conf');
($rc, $out, $err) = run_command({ stdin => "log_level = debug\n" }, $cat, '/dev/stdin');
like($out, qr/^log_level = debug$/m, 'a pipe is one');

mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
spew("$dir/fifo.conf", "include(fifo)\n");
($rc, $out, $err) = cat($dir, 'fifo.conf', { timeout => 20 });
is($err, "fifo.conf:1:1: included file is not a regular file: \"fifo\"\n", 'but is not waited for in an include');

# --- folders

mkdir "$dir/[a]";
spew("$dir/[a]/main.conf", "include(\"*.inc\")\n");
spew("$dir/[a]/$_.inc", "log $_ { path = \"/$_\" }\n") for qw(b a c);
mkdir "$dir/a";
spew("$dir/a/x.inc", "log wrong { path = \"/x\" }\n");
spew("$dir/[a]/.hidden.inc", "not a conf at all\n");
($rc, $out, $err) = cat($dir, '[a]/main.conf');
is(join(' ', $out =~ /^log (\w+)/mg), 'a b c', 'a glob is sorted, and a folder\'s name stands for itself');
spew("$dir/top.conf", "include(\"$dir/[a-z]/x.inc\")\n");
($rc, $out, $err) = cat('/', "$dir/top.conf");
like($out, qr/^log wrong/m, 'an absolute glob is one');

# --- by the program itself

for my $conf (glob("$SRCDIR/conf/examples/*.conf"), "$SRCDIR/conf/leat.conf.example") {
	my ($name) = $conf =~ m{([^/]+)$};
	next if $name =~ /kafka/ && !has_feature('KAFKA');
	next if $name =~ /mariadb/ && !has_feature('MYSQL');
	my ($rc, $out, $err) = run_leat('-n', '-c', $conf);
	is($rc, 0, "leat -n reads $name") or diag($err);
	my ($again, $printed) = run_leat('-n', '-c', spew("$dir/printed.conf", $out));
	is($printed, $out, 'and what it prints of it');
}
($rc, $out, $err) = run_leat('-n', '-c', spew("$dir/bad.conf", "log_level = debgu\n"));
is($rc, 3, 'a conf that is none has its exit status');
like($err, qr/^\Q$dir\E\/bad\.conf:1:1: .*did you mean "debug"\?$/m, 'and its place');
is($out, '', 'and prints nothing else');

# --- much of it

spew("$dir/large.conf", '#' x 1048577);
($rc, $out, $err) = cat($dir, 'large.conf');
is($err, "leat: could not read conf \"large.conf\": File too large\n", 'a file has a limit');
spew("$dir/sections.conf", map { "log l$_ { path = \"/$_\" }\n" } 1 .. 1001);
($rc, $out, $err) = cat($dir, 'sections.conf');
is($err, "sections.conf:1001:1: more than 1000 sections\n", 'and so has the number of sections');
spew("$dir/errors.conf", map { "x$_ = 1\n" } 1 .. 5000);
($rc, $out, $err) = cat($dir, 'errors.conf');
my @lines = split /\n/, $err;
is(scalar @lines, 1001, 'a thousand errors are told');
is($lines[-1], 'leat: too many errors, the rest is not shown', 'and that there are more');
spew("$dir/wide.conf", "include(\"w*.inc\")\n");
spew("$dir/w$_.inc", "\n") for 1 .. 1000;
($rc, $out, $err) = cat($dir, 'wide.conf');
is($err, "wide.conf:1:1: more than 1000 files\n", 'files are counted too');

done_testing;
