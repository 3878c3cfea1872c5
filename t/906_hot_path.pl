# What happens for each column of each change makes no call through a pointer: read
# out of the machine code of the library that was built.
#
# Per change and per column run the decoder of rows, the writer of rows into the
# log, and what they use.  The reader of the log's rows asks for a table once for
# each; it is not looked at.  A jump through a pointer (a call that is the last act of
# a function, or a switch) looks alike in machine code and is not counted.
use Leat::Test;

my %hot = (
	pg_row => ['pg_row_read'],
	pg_types => ['pg_type_value'],
	rowbin => ['rowbin_put'],
	batch => ['batch_add', 'batch_values'],
	arena => ['arena_alloc'],
	utf8 => ['utf8_is_valid'],
	slice => ['slice_to_i64', 'slice_to_u64'],
	value => ['value_eq'],
	buf => ['buf_grow'],
);
my %cold = (rowbin => qr/^rowbin_read|^read_/);
# by way of the table of addresses of shared libraries
my $by_table = qr/\(%rip\)/;
my %indirect = (
	x86_64 => qr/\bcallq?\s+\*(?!.*$by_table)/,
	aarch64 => qr/\bblr\b/,
);

my ($machine) = (run_command('uname', '-m'))[1] =~ /(\S+)/;
plan skip_all => "not known for $machine" unless $indirect{$machine};
my ($rc, $text) = run_command('objdump', '-d', '--no-show-raw-insn', "$BUILDDIR/libleat.a");
plan skip_all => 'no objdump' if $rc;

# { member => { function => [lines] } } of objdump's text
sub functions_of {
	my ($text) = @_;
	my ($member, $function, %found) = ('', '');
	for (split /\n/, $text) {
		if (m{(\w+)\.o:\s+file format}) { $member = $1 }
		elsif (/^[0-9a-f]+ <([\w.]+)>:/) { $found{$member}{ $function = $1 } = [] }
		elsif (/^\s+[0-9a-f]+:\s/) { push @{ $found{$member}{$function} }, $_ }
	}
	return \%found;
}

sub calls_through_pointers {
	my ($found, $member) = @_;
	my @bad;
	for my $function (sort keys %{ $found->{$member} || {} }) {
		next if $cold{$member} && $function =~ $cold{$member};
		push @bad, map { "$member: $function: $_" } grep { $_ =~ $indirect{$machine} } @{ $found->{$member}{$function} };
	}
	return @bad;
}

my $dir = tmpdir('906');
spew("$dir/sample.c", <<'C');
struct ops { int (*get)(int); };
int through(const struct ops *o, int n) { return o->get(n) + 1; }
int direct(int n);
int to(int n) { return direct(n) + 1; }
C
SKIP: {
	skip('no compiler called cc', 1)
		if (run_command('cc', '-O2', '-fPIC', '-c', '-o', "$dir/sample.o", "$dir/sample.c"))[0];
	my @bad = calls_through_pointers(functions_of((run_command('objdump', '-d', '--no-show-raw-insn', "$dir/sample.o"))[1]), 'sample');
	is(join(' ', map { /^sample: (\w+)/ } @bad), 'through', 'a call through a pointer is found, another is none');
}

my $found = functions_of($text);
for my $member (sort keys %hot) {
	is(join(' ', grep { !$found->{$member}{$_} } @{ $hot{$member} }), '', "$member is what runs for each change");
	is(join("\n", calls_through_pointers($found, $member)), '', 'and makes no call through a pointer');
}

done_testing;
