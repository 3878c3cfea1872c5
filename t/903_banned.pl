# What the style rules out, found by its text.
use Leat::Test;
use Leat::Tree qw(c_files tree_files read_tree code_only);

my @banned = (
	[qr/\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca|setjmp|longjmp)\s*\(/,
		'is banned'],
	[qr/\btypedef\s+(?:struct|union|enum)\b(?!.*\()/, 'hides a struct'],
	[qr/__attribute__\s*\(\(constructor/, 'is a constructor'],
	[qr/\bvoid\s*\*\s*data\b/, 'passes what nobody can check'],
);
my @layout = (
	[qr/[ \t]+$/, 'ends in white space'],
	[qr/^ {8}/, 'is indented by spaces'],
	[qr/^\s*\/\//, 'is a comment of the other kind'],
);

sub faults_of {
	my ($file, $text, $code) = @_;
	my @faults;
	for my $check ([$code, \@banned], [$text, \@layout]) {
		my $line = 0;
		for (split /\n/, $check->[0], -1) {
			$line++;
			for my $rule (@{ $check->[1] }) {
				push @faults, "$file:$line: $rule->[1]: $_" if $_ =~ $rule->[0];
			}
		}
	}
	return @faults;
}

for my $bad ('strcpy(a, b);', 'x = atoi (s);', 'typedef struct x x;', 'char *p = alloca(n);',
	"int a; ", '        int a;', '// x') {
	is(scalar faults_of('x.c', $bad, code_only($bad)), 1, "'$bad' is found");
}
for my $good ('snprintf(a, n, b);', '/* strcpy(a, b) */', 'err_set(e, "sprintf(x)");', 'my_gets(x);',
	'typedef struct table *find(void *arg);') {
	is(scalar(my @none = faults_of('x.c', $good, code_only($good))), 0, "'$good' is not");
}

my @faults;
for my $file (c_files()) {
	my $text = read_tree($file);
	push @faults, faults_of($file, $text, code_only($text));
}
is(join("\n", @faults), '', 'nothing of the tree is ruled out');

my @spaces = map { my $f = $_; map { "$f: $_" } grep { /[ \t]$/ } split /\n/, read_tree($f) }
	grep { m{\.(?:pl|pm|am|ac|def|md|[1-8]|in)$|^dev$|^README} && !m{^t/golden/} } tree_files();
is(join("\n", @spaces), '', 'no line of the other files ends in white space');

# The compiler looks for variable-length arrays.
like(read_tree('configure.ac'), qr/-Wvla\b/, 'the build warns of variable-length arrays');

# A function that a shared library has under the same name would be called by that
# library: the linker exports it for it.
my ($rc, $symbols) = run_command('nm', '-D', '--defined-only', $LEAT);
SKIP: {
	skip('no nm, or a program that has a sanitizer in it', 1) if $rc || $symbols =~ /__(?:asan|tsan)_init/;
	is(join(' ', $symbols =~ /^\S+ T (\w+)/mg), '', "no function's name is taken from a library's");
}

done_testing;
