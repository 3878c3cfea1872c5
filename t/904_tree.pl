# The tree holds what it should, all of it is distributed, and nothing in it
# belongs to one machine.
use Leat::Test;
use Leat::Tree qw(tree_files read_tree);

my @files = tree_files();
my %is_file = map { $_ => 1 } @files;

# --- nothing of one machine

# Hosts that may stand in a URL.  Everything else is somebody's own.
my @hosts = (qr/(?:\w+\.)*example\.(?:com|org|net)/, qr/localhost|127\.0\.0\.1|\[::1\]/,
	qr/www\.apache\.org/, qr/www\.postgresql\.org/, qr/debezium\.io/, qr/www\.freedesktop\.org/,
	qr/json-schema\.org/, qr/cloudevents\.io/, qr/\$\{?\w+\}?/,
	qr/[\w%]+/);
# written so that they do not match themselves
my @machine = (
	[qr~(?<![\w.)}])/(?:wor[k]|roo[t]|hom[e]/\w+|mn[t]|Use[r]s)/\w~, 'is a path of one machine'],
	[qr{/tmp/bas[h]_jobs}, 'is a path of one machine'],
	[qr{-----BEGI[N] [A-Z ]*PRIVATE KEY}, 'is a secret'],
	[qr{\b(?:AKI[A]|gh[p]_|glpa[t]-|xox[b]-)\w{8,}}, 'is a secret'],
	[qr{://[^/\s"'@]+:[^/\s"'@]+@(?!127\.0\.0\.1|localhost)}, 'has a password in a URL'],
	[qr{[Pp]roxy-Authorizatio[n]}, 'is a secret'],
);

sub faults_of {
	my ($file, $text) = @_;
	my ($line, @faults) = (0);
	for (split /\n/, $text) {
		$line++;
		for my $rule (@machine) {
			push @faults, "$file:$line: $rule->[1]: $_" if $_ =~ $rule->[0];
		}
		while (m{\b(?:https?|ftp)://(?:[^/\s"'<>@]*@)?([^/\s"'<>:)]*)}g) {
			my $host = $1;
			push @faults, "$file:$line: the host \"$host\" is not one that may be named: $_"
				unless grep { $host =~ /^$_$/ } @hosts;
		}
	}
	return @faults;
}

my $http = 'http:/';
is(scalar faults_of('x', "$http/mirror.internal/debian"), 1, 'a host of somebody\'s own is found');
is(scalar faults_of('x', 'cd /wor' . 'k/leat'), 1, 'so is a path');
is(scalar(my @none = faults_of('x', "$http/www.example.com/x /usr/lib/x src/work/y")), 0,
	'examples are not');
my @faults = map { faults_of($_, read_tree($_)) }
	grep { -T "$SRCDIR/$_" && $_ ne 'COPYING' } @files;
is(join("\n", @faults), '', 'no file names a registry, a machine\'s path or a secret');

# --- one header per .c

my %without_header = map { $_ => 1 } qw(agent/main.c);
my @lonely;
for my $file (grep { /\.c$/ && !m{^t/|^bench/} } @files) {
	(my $header = $file) =~ s/\.c$/.h/;
	next if $is_file{$header} || $without_header{$file};
	# plug-ins and commands are known by one line of a table
	my ($layer, $name) = $file =~ m{^(\w+)/(\w+)\.c$};
	next if $layer =~ /^(?:sources|sinks|transforms)$/
		&& $is_file{"$layer/registry.h"} && read_tree("$layer/registry.h") =~ /\b\Q$name\E_\w+/;
	next if $layer eq 'agent' && $name =~ /^cmd_(\w+)$/;
	push @lonely, $file;
}
is("@lonely", '', 'every .c has its header or a line in a table');

# --- the build knows every file

my $makefile = read_tree('Makefile.am');
$makefile =~ s/^\s*#.*$//mg;
my %named = map { $_ => 1 } $makefile =~ m{([\w.\-/]+)}g;
my @unknown = grep {
	my $file = $_;
	my $dir = $file;
	my $known = $named{$file};
	$known ||= $named{$dir} while !$known && $dir =~ s{/[^/]*$}{};
	!$known
} grep { !m{^(?:\.gitignore|Makefile\.am|configure\.ac)$} } @files;
# a test's own file must be named itself, or it would not run
push @unknown, grep { m{^t/\d\d\d_\w+\.pl$} && !$named{$_} } @files;
push @unknown, grep { m{^t/unit/(\w+)\.c$} && !$named{"t/unit/$1.t"} } @files;
is(join("\n", @unknown), '', 'Makefile.am names every file and every test');

my %kinds = (0 => 'FAST_TESTS', 9 => 'FAST_TESTS', map { $_ => 'SERVER_TESTS' } 1 .. 4);
my @misplaced;
for my $test (grep { m{^t/\d\d\d_\w+\.pl$} } @files) {
	my ($digit) = $test =~ m{^t/(\d)};
	my $kind = $kinds{$digit};
	push @misplaced, $test
		unless $kind && $makefile =~ /^$kind \+?=(?:[^\n]*\\\n)*[^\n]*\Q$test\E\b/m;
}
is("@misplaced", '', 'a test\'s number says whether it needs a server');

done_testing;
