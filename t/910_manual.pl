# The manual is correct mdoc, and says what the sources say: every option, every
# command, every condition, every field, no more and no less.
use Leat::Test;
use Leat::Tree qw(tree_files read_tree c_files);
use Leat::Manual qw(pages page sections items blocks prose);

my @pages = pages();
my %is_page = map { $_ => 1 } @pages;
my @missing = grep { !$is_page{$_} } qw(leat.conf.5 leat-log.1 leat-sources.7);
push @missing, 'agent/cmd_log.c' unless grep { $_ eq 'agent/cmd_log.c' } tree_files();

# What is in one list only, as lines that a person can act on.
sub differences {
	my ($have, $said, $where) = @_;
	my %have = map { $_ => 1 } @$have;
	my %said = map { $_ => 1 } @$said;
	return join '', map({ "$_ is not in $where\n" } grep { !$said{$_} } sort keys %have),
		map({ "$_ is in $where, but does not exist\n" } grep { !$have{$_} } sort keys %said);
}
is(differences(['a', 'b'], ['b', 'c'], 'x'), "a is not in x\nc is in x, but does not exist\n",
	'what is on one side only is found');

# --- mdoc

sub lint {
	my ($file) = @_;
	my ($rc, $out, $err) = run_command('mandoc', '-T', 'lint', '-W', 'all', $file);
	return $out . join '', grep { !/outdated mandoc\.db/ } split /^/m, $err;
}

my $has_mandoc = grep { -x "$_/mandoc" } split /:/, $ENV{PATH};
my $needs_mandoc = grep { $_ eq 'mandoc' } split /[\s,]+/, $ENV{LEAT_TEST_REQUIRE} || '';
SKIP: {
	skip('no mandoc', 2) unless $has_mandoc || $needs_mandoc;
	like(lint(spew(tmpdir() . '/bad.1', ".Dd x\n.Nm bad\n")), qr/bad\.1:\d+/, 'mandoc finds faults');
	my $faults = join '', map { lint("$SRCDIR/man/$_") } @pages;
	$faults =~ s/^.*referenced manual not found.*\n//mg; # looked at below
	is($faults, '', 'mandoc finds none in any page');
}

my %elsewhere = map { $_ => 1 } qw(systemd.1 sd_notify.3 fdatasync.2 ulimit.1 psql.1 jq.1 kcat.1);
my @dangling;
for my $page (@pages) {
	my $text = page($page);
	while ($text =~ /\bXr (\S+) (\d)/g) {
		push @dangling, "$page: $1($2)\n" unless $is_page{"$1.$2"} || $elsewhere{"$1.$2"};
	}
}
TODO: {
	local $TODO = "@missing to be written" if @missing;
	is(join('', @dangling), '', 'a page that is referred to exists');
}

my ($installed) = join(' ', read_tree('Makefile.am') =~ /^dist_man_MANS \+?=((?:.*\\\n)*.*)$/mg);
is(differences([map { "man/$_" } @pages], [grep { m{/} } split /[\s\\]+/, $installed], 'dist_man_MANS'),
	'', 'every page is installed');

# --- conditions

my %kind = (INFO => 'logged', RETRY => 'passes', STOP => 'stops');
my (@codes, %exits);
my $def = read_tree('base/codes.def');
while ($def =~ /^CODE\((\w+), (\d+), (\w+), "(.*)"\)$/mg) {
	push @codes, "$1 Pq $kind{$3}" . ($2 ? ", exit $2" : '') . ": $4";
	$exits{$2} = 1;
}
ok(@codes > 40, 'codes.def is read');

my %leat = map { $_->[0] => $_->[1] } sections(page('leat.1'));
my @said;
for (items($leat{DIAGNOSTICS})) {
	my ($head, $body) = ($_->[0], prose($_->[1]));
	my ($sentence) = $body =~ /^(.*?\.)(?: |$)/;
	push @said, "$1: $sentence" if $head =~ /^Ic (.*)$/;
}
is(differences(\@codes, \@said, 'leat(1) DIAGNOSTICS'), '',
	'every condition is in the manual with its sentence, its kind and its exit status');
is(differences([keys %exits], [map { $_->[0] } grep { $_->[0] =~ /^\d+$/ } items($leat{'EXIT STATUS'})],
	'leat(1) EXIT STATUS'), '', 'so is every exit status');

# --- commands

my (@commands, @flags);
for my $file (grep { m{^agent/cmd_\w+\.c$} } c_files()) {
	push @commands, read_tree($file) =~ /^const struct command \w+ = \{\n\t\.name = "(\w+)"/mg;
}
ok(@commands > 5, 'the tables of commands are read');
TODO: {
local $TODO = "@missing to be written" if @missing;
is(differences(\@commands, [map { $_->[0] =~ /^(?:Xo$|Cm (\w+))/ && $1 ? $1 : () }
	items($leat{DESCRIPTION})], 'leat(1)'), '', 'every command is in the manual');
}
my $options = join ' ', map { page($_) } grep { /^leat(?:-log|-dlq)?\.1$/ } @pages;
for my $file (grep { m{^agent/(?:cli|cmd_\w+)\.c$} } c_files()) {
	push @flags, read_tree($file) =~ /^\t\{"([\w-]+)", (?:no|required)_argument/mg;
}
ok(@flags > 5, 'the tables of command line options are read');
is(join(' ', grep { $options !~ /\bFl -\Q$_\E\b/ } @flags), '', 'every command line option, too');

my @unknown;
for my $page (@pages) {
	for (page($page) =~ /^(?:\.Cm|\.Dl)? ?leat ((?:-\S+ (?:\S+ )?)?\w+)/mg) {
		my ($word) = /(\w+)$/;
		push @unknown, "$page: leat $word\n"
			unless grep { $_ eq $word } @commands or /^-/;
	}
}
TODO: {
	local $TODO = "@missing to be written" if @missing;
	is(join('', @unknown), '', 'no page speaks of a command that does not exist');
}

# --- options of the conf

my @opts;
for my $file (grep { !m{^t/} } c_files()) {
	my $text = read_tree($file);
	while ($text =~ /^(?:static )?const struct opt \w+\[\] = \{(.*?)^\};/msg) {
		push @opts, $1 =~ /\{\s*(?:\.name = )?"(\w+)",/g;
	}
	# rows that several tables share
	push @opts, /\{\s*\.name = "(\w+)",/g for $text =~ /^#define \w+_OPTS\((?:.*\\\n)*.*$/mg;
}
ok(@opts > 0, 'the tables of options are read');
SKIP: {
	skip('leat.conf(5) is not there yet', 1) unless $is_page{'leat.conf.5'};
	is(differences(\@opts, [map { $_->[0] =~ /^Ic (\w+)/ ? $1 : () } items(page('leat.conf.5'))],
		'leat.conf(5)'), '', 'every option is in the manual');
}

# --- examples

my @confs = map { [$_, read_tree($_)] } grep { m{^conf/.*\.conf(?:\.example)?$} } tree_files();
ok(@confs > 0, 'there are examples of confs');
for my $page (@pages) {
	push @confs, map { ["$page:$_->[0]", $_->[1]] }
		grep { $_->[1] =~ /^\s*pipeline\s+\S+\s*\{/m } blocks(page($page));
}
for (@confs) {
	my ($name, $text) = @$_;
	SKIP: {
		skip('built without the Kafka sink', 1) if $text =~ /type\s*=\s*kafka/ && !has_feature('KAFKA');
		skip('built without the MySQL source', 1)
			if $text =~ /type\s*=\s*(?:mysql|mariadb)/ && !has_feature('MYSQL');
		my ($rc, $out, $err) = run_leat('-n', '-c', write_conf($text));
		is($rc, 0, "the conf in $name is one") or diag($err);
	}
}

# --- the envelope

my $json = JSON::PP->new->utf8;
my (%fields, @broken);
sub names_of {
	my ($v) = @_;
	if (ref $v eq 'HASH') {
		for (keys %$v) {
			$fields{$_} = 1;
			names_of($v->{$_}) unless /^(?:before|after)$/;
		}
	} elsif (ref $v eq 'ARRAY') {
		names_of($_) for @$v;
	}
}
for my $golden (grep { m{^t/golden/encode/} } tree_files()) {
	for (split /\n/, read_tree($golden)) {
		my ($format, $key, $value) = split /\t/;
		my $doc = $json->decode($value);
		# names inside of a schema are Kafka Connect's
		$doc->{schema} = undef if $format eq 'schemas';
		# a row's columns are nobody's fields
		delete @$doc{grep { !/^__/ || /^__\w+_$/ } keys %$doc} if $format eq 'row';
		names_of($doc);
	}
}
my $envelope = page('leat-envelope.7');
my @fields = map { s/^\.(?:It )?Ic //r =~ /(\w+)/g }
	$envelope =~ /^\.(?:It )?Ic .*$/mg;
ok(keys %fields > 40, 'the golden records are read');
is(differences([keys %fields], \@fields, 'leat-envelope(7)'), '', 'every field of a record is in the manual');

for (blocks($envelope)) {
	my ($line, $text) = @$_;
	next if $text =~ /\.\.\./;
	# documents are broken into lines that begin with a blank
	for my $doc (split /\n(?! )/, $text) {
		push @broken, "line $line: $@" unless eval { $json->decode($doc) };
	}
}
is(join('', @broken), '', 'the whole records that the manual shows are JSON');

my @types = read_tree('schema/type.h') =~ /\bTYPE\([A-Z]\w*, "(\w+)"/g;
my %sections = map { $_->[0] => $_->[1] } sections($envelope);
is(differences(\@types, [map { $_->[0] =~ /^(\w+) Ta/ ? $1 : () } items($sections{VALUES})],
	'leat-envelope(7) VALUES'), '', 'every type is in the manual');

done_testing;
