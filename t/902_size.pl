# No function past 100 lines, no file past 700: look for the second job in it.
use Leat::Test;
use Leat::Tree qw(tree_files c_files read_tree code_only);

use constant { FUNCTION_LINES => 100, FILE_LINES => 700 };

# [name, first line, lines] of each function: a brace at the outermost level
# behind a parameter list.
sub functions_of {
	my ($text) = @_;
	my $code = code_only($text);
	my ($depth, $line, $head_line, $head, $at, $name, @found) = (0, 1, 1, '');
	for my $token ($code =~ /(\n|[{}]|[^\n{}]+)/g) {
		if ($token eq "\n") {
			$line++;
			$head .= ' ' if $depth == 0;
		} elsif ($token eq '{') {
			if ($depth++ == 0) {
				($name) = $head =~ /(\w+)\s*\(.*\)\s*(?:__attribute__.*)?$/ ? $1 : undef;
				$at = $head_line;
			}
		} elsif ($token eq '}') {
			if (--$depth == 0) {
				push @found, [$name, $at, $line - $at + 1] if defined $name;
				$head = '';
			}
		} elsif ($depth == 0) {
			for my $part (split /(;)/, $token) {
				$head = '', next if $part eq ';';
				$head_line = $line if $head !~ /\S/;
				$head .= $part;
			}
		}
	}
	die "braces do not match\n" if $depth;
	return @found;
}

my $sample = <<'C';
struct x { int a; };
#define M(x) do { \
	x; } while (0)
/* { not code } */
static const char *const s[] = { "{", "}" };
extern int declared(int a);
static int one(int a,
	       int b)
{
	if (a) { return '{'; }
	return b;
}
enum { A };
int two(void) { return 0; }
C
is_deeply([functions_of($sample)], [['one', 7, 6], ['two', 14, 1]],
	'functions are found, with their first line and length');
is((functions_of("int f(void)\n{\n" . "\tg();\n" x 98 . "}\n"))[0][2], 101, 'a long one is measured');

my @large;
my ($longest, $functions) = (['', 0], 0);
for my $file (c_files()) {
	my @found = eval { functions_of(read_tree($file)) };
	push @large, "$file: $@" if $@;
	$functions += @found;
	for (@found) {
		my ($name, $at, $lines) = @$_;
		$longest = ["$file:$at: $name", $lines] if $lines > $longest->[1];
		push @large, "$file:$at: $name has $lines lines" if $lines > FUNCTION_LINES;
	}
}
cmp_ok($functions, '>', 50, 'the tree has functions');
is(join("\n", @large), '', 'no function has more than ' . FUNCTION_LINES . ' lines');
note "longest: $longest->[0], $longest->[1] lines";

my @long = grep { $_->[1] > FILE_LINES } map { [$_, read_tree($_) =~ tr/\n//] }
	grep { m{(?:\.(?:c|h|def|pl|pm|am|ac|sh)|^dev|^\.ci/run)$} } tree_files();
is(join("\n", map { "$_->[0]: $_->[1] lines" } @long), '', 'no file has more than ' . FILE_LINES . ' lines');

done_testing;
