# The command line: every command explains itself, wrong words end with 2, and
# the forms that scripts hold on to are there.
use Leat::Test;

my $usage = 2;
my ($rc, $out, $err) = run_leat('--help');
is($rc, 0, 'leat --help ends with 0');
is($err, '', 'and writes nothing to stderr');
my @commands = $out =~ /^  ([a-z]+) +\S/mg;
is_deeply([sort @commands], [sort qw(run check status log schema offsets dlq drop version)],
	'it lists the commands');

($rc, $out, $err) = run_leat();
is($rc, $usage, 'no command is a mistake');
is($out, '', 'that prints nothing to stdout');
like($err, qr/^usage: leat /m, 'but the usage to stderr');

for my $command (@commands) {
	($rc, $out, $err) = run_leat($command, '--help');
	is($rc, 0, "leat $command --help ends with 0") or diag $err;
	like($out, qr/^usage: leat $command\b/, 'and begins with the usage');
	like($out, qr/^  -c, --conf FILE /m, 'and shows the common option');
	($rc, $out, $err) = run_leat($command, '--no-such-option');
	is($rc, $usage, "leat $command --no-such-option ends with 2");
	like($err, qr/no-such-option/, 'and names the option');
}

# --- wrong words

my $conf = write_conf("log l { path = \"" . tmpdir() . "/l\" }\n");
for my $words (['rum'], ['--no-such'], ['-c'], ['run', 'fast'], ['status', 'x'], ['version', 'x'],
	['log'], ['log', 'eat'], ['log', 'cat'], ['log', 'cat', 'l', 'l', 'l'], ['log', 'cat', 'l', '--format', 'xml'],
	['log', 'cat', 'l', '--format', 'row,schemas=yes'], ['log', 'cat', 'l', '--format', 'debezium,shape=round'],
	['log', 'cat', 'l', '--format', 'debezium,time=late'], ['log', 'cat', 'l', '--format'], ['log', 'cat', 'l', '--from', 'here'], ['schema'], ['schema', 'draw'],
	['schema', 'diff'], ['offsets'], ['offsets', 'get'], ['offsets', 'set'], ['drop'], ['dlq'], ['dlq', 'list'], ['dlq', 'show', 'p'], ['dlq', 'eat', 'p'], ['dlq', 'drop', 'p', '--count', 'x'],
	['check', '--json', '--sql']) {
	my @words = @$words;
	splice @words, 1, 0, '-c', $conf if @words > 1;
	($rc, $out, $err) = run_leat({ env => { LEAT_CONF => $conf } }, @words);
	is($rc, $usage, "leat @$words ends with 2") or diag "$out$err";
	like($err, qr/\S/, 'and says why');
	is($out, '', 'and prints nothing');
}
for my $words (['-c'], ['run', '--conf'], ['log', 'cat', 'l', '--from'], ['log', 'cat', 'l', '-n']) {
	($rc, $out, $err) = run_leat(@$words);
	like($err, qr/option "$words->[-1]" needs a value/, "leat @$words tells what lacks a value");
}
for my $words (['status', 'x', '--foo'], ['log', 'cat', 'l', '--foo'], ['log', 'cat', 'l', '-x'], ['--foo']) {
	($rc, $out, $err) = run_leat(@$words);
	like($err, qr/unknown option: "$words->[-1]"/, "leat @$words names what is not known");
}
($rc, $out, $err) = run_leat('log', 'stat', '--from', 'seq:1', 'l');
like($err, qr/"log stat" has no option "from"/, 'an option of another word is told');
($rc, $out, $err) = run_leat('--json', 'status');
like($err, qr/behind a command/, 'where an option of a command stands is told');
($rc, $out, $err) = run_leat('rum');
like($err, qr/"rum" is not a command/, 'an unknown command is named');
like($err, qr/^hint: /m, 'with a hint');

# --- the conf

($rc, $out, $err) = run_leat('status', '-c', tmpdir() . '/none.conf');
is($rc, 3, 'a conf that is not there ends with 3');
like($err, qr{/none\.conf}, 'and is named');
($rc, $out, $err) = run_leat({ env => { LEAT_CONF => $conf } }, '-n');
is($rc, 0, 'LEAT_CONF names the conf') or diag $err;
($rc, my $given) = run_leat('-n', '-c', $conf);
is($given, $out, 'so does -c');
like($out, qr/^state_dir = /m, '-n prints the conf');

# --- what it is

($rc, $out, $err) = run_leat('version');
is($rc, 0, 'leat version ends with 0');
my ($version) = slurp("$BUILDDIR/config.h") =~ /^#define PACKAGE_VERSION "(.*)"/m;
like($out, qr/^leat \Q$version\E\b/, 'and prints the version');
my $has_pg = has_feature('POSTGRES');
ok($has_pg ? $out =~ /\bpostgres\b/ : $out !~ /\bpostgres\b/, 'and the sources that are built in');
like($out, qr/\b$_\b/, "and the sink $_") for qw(log stdout null);
is((run_leat('--version'))[1], $out, '--version is the same');

my ($doc) = json_lines((run_leat('version', '--json'))[1]);
is($doc->{version}, $version, 'version --json has the version');
ok((grep { $_ eq 'log' } @{ $doc->{sinks} }), 'and the sinks');

# --- where the conf may be named

for my $form (['-c', $conf], ["-c$conf"], ['--conf', $conf], ["--conf=$conf"]) {
	for my $words ([@$form, 'log', 'stat', 'l'], ['log', @$form, 'stat', 'l'], ['log', 'stat', 'l', @$form]) {
		($rc, $out, $err) = run_leat(@$words);
		is($rc, 9, "@$words reads the conf") or diag $err;
	}
}
like($err, qr/no log at.*\nhint: Start the pipeline/, 'a log that nobody has written is told, and what to do');

# --- forms that do not change

my @forms = (
	['check', '-n', '-c', $conf],
	['status', '-c', $conf, '--json'],
	['log', 'verify', '-c', $conf, 'l'],
	['log', 'cat', '-c', $conf, 'l', '--format', 'debezium'],
	['log', 'cat', '-c', $conf, 'l', '--format', 'debezium,schemas=yes,decimal=string,unavailable=x'],
	['log', 'cat', '-c', $conf, 'l', '--format', 'row', '--from', 'seq:1', '--to', 'seq:2', '--table', 'public.*'],
	['offsets', 'show', '-c', $conf, '--json'],
);
for my $form (@forms) {
	($rc, $out, $err) = run_leat(@$form);
	my @shown = map { $_ eq $conf ? 'FILE' : $_ } @$form;
	isnt($rc, $usage, "leat @shown is a form that is understood") or diag $err;
}
($rc, $out, $err) = run_leat('check', '-n', '-c', $conf);
is($rc, 0, 'check -n accepts a good conf') or diag $err;
spew("$conf.bad", slurp($conf), "retention = 7d\n");
($rc, $out, $err) = run_leat('check', '-n', '-c', "$conf.bad");
is($rc, 3, 'check -n ends with 3 for a bad one');
like($err, qr/^\Q$conf\E\.bad:\d+:\d+: /m, 'and says where');
($rc, $out) = run_leat('status', '-c', $conf, '--json');
is($rc, 0, 'status works while no agent runs');
is_deeply((json_lines($out))[0]{pipelines}, [], 'and says so in JSON');

# --- a stdout that cannot be written to

SKIP: {
	skip('no /dev/full', 1) unless -c '/dev/full';
	my $p = start_leat({ out => '/dev/full' }, 'version');
	isnt($p->wait, 0, 'output that cannot be written is a failure');
}

done_testing;
