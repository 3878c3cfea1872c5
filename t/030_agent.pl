# The agent without any server: a log that nobody writes is read into nothing.
# What it does when state or control socket are not as they should be.
use Leat::Test;

my $state = tmpdir() . '/state';

sub conf {
	my ($extra, $top) = @_;
	return write_conf(($top || '') . <<"CONF");
log l { path = "@{[tmpdir()]}/l" }
sink nothing { type = null }
pipeline p { source = l sink = nothing $extra }
CONF
}

sub pipeline {
	my ($st) = grep { $_->{name} eq 'p' } @{ status($_[0])->{pipelines} };
	return $st;
}

# --- the state

mkdir $state;
mkdir "$state/p";
spew("$state/p/state.db", 'this is not a database at all' x 100);
my $conf = conf('exit_on_stop = yes');
my ($rc, $out, $err) = run_leat({ timeout => 30 }, 'run', '-c', $conf);
is($rc, 9, 'a state that cannot be read ends an agent that is to end with its pipeline');
is(scalar(my @said = $err =~ /code=state_corrupt/g), 1, 'it is said once') or diag $err;
like($err, qr/ agent: stopped code=stopped status=9$/m, 'the last line has the exit status') or diag $err;
like($err, qr/hint=".*remove the files/, 'with what mends it') or diag $err;

$conf = conf('');
my $agent = start_leat('run', '-c', $conf);
poll_until { eval { pipeline($conf)->{state} eq 'stopped' } } 'the pipeline to stop';
is(pipeline($conf)->{code}, 'state_corrupt', 'without exit_on_stop the agent lives on and tells');
$agent->stop;
is($agent->wait, 0, 'and stops cleanly');
unlink "$state/p/state.db";

rmdir "$state/p" or system('rm', '-r', "$state/p");
spew("$state/p", '');
$agent = start_leat('run', '-c', $conf);
poll_until { eval { pipeline($conf)->{state} eq 'retrying' } } 'the pipeline to retry';
is(pipeline($conf)->{code}, 'state_failed', 'a state that cannot be made is a state of the pipeline');
like(pipeline($conf)->{hint}, qr{must be able to write to "\Q$state\E/p"}, 'with a hint');
unlink "$state/p";
poll_until { pipeline($conf)->{code} ne 'state_failed' } 'the pipeline to go on';
pass('that passes by itself');
$agent->stop;

spew(tmpdir() . '/file', '');
$conf = conf('', 'state_dir = "' . tmpdir() . "/file/state\"\n");
($rc, $out, $err) = run_leat('run', '-c', $conf);
is($rc, 9, 'without a place for any state the agent ends');
like($err, qr/^hint: .*must be able to write/m, 'and says what it needs') or diag $err;

spew(tmpdir() . '/file', 'no directory');
my $odd = write_conf("state_dir = \"" . tmpdir() . "/file\"\n");
($rc, $out, $err) = run_leat('run', '-c', $odd);
is($rc, 9, 'a state_dir that is a file is told') or diag $err;
like($err, qr{could not create directory "[^"]*/file": File exists}, 'by its name');

# --- the control socket

my $socket = tmpdir() . '/precious';
spew($socket, 'work of years');
$conf = conf('', "control_socket = \"$socket\"\n");
($rc, $out, $err) = run_leat('run', '-c', $conf);
is($rc, 3, 'a control_socket that is a file is a mistake in the conf') or diag $err;
is(slurp($socket), 'work of years', 'and the file is not touched');
like($err, qr/^hint: /m, 'the hint says what to do') or diag $err;

$socket = tmpdir() . '/stale';
$conf = conf('', "control_socket = \"$socket\"\n");
$agent = start_leat('run', '-c', $conf);
poll_until { eval { status($conf)->{running} } } 'the agent';
$agent->kill9;
ok(-S $socket, 'a killed agent leaves its socket');
$agent = start_leat('run', '-c', $conf);
poll_until { eval { status($conf)->{running} } } 'the next agent';
pass('which is no obstacle to the next one');
my $second = start_leat('run', '-c', $conf);
is($second->wait, 4, 'a second agent at the same socket ends with 4');
like($second->err, qr/another agent uses state_dir/, 'and says why');
my $apart = write_conf("state_dir = \"" . tmpdir() . "/apart\"\ncontrol_socket = \"$socket\"\n");
$second = start_leat('run', '-c', $apart);
is($second->wait, 4, 'so does one with a state of its own');
like($second->err, qr/another agent answers/, 'as only one can have the socket');
my $beside = write_conf("state_dir = \"$state\"\ncontrol_socket = \"" . tmpdir() . "/beside\"\n");
$second = start_leat('run', '-c', $beside);
is($second->wait, 4, 'and one with other pipelines in the same state_dir');
is(status($conf)->{pid}, $agent->pid, 'the first one still answers');
# nobody, unless that is what we are
my @other = $> == 0 ? ($^X, '-e', '($), $>) = (65534, 65534); $> || exit 1; exec @ARGV') : ();
chmod 0, $socket;
SKIP: {
	skip 'nobody cannot run this leat', 4 if (run_command(@other, $LEAT, 'version'))[0] != 0;
	($rc, $out, $err) = run_command(@other, $LEAT, 'status', '-c', $conf);
	is($rc, 1, 'an agent that one may not ask is not one that does not run') or diag $out;
	like($err, qr/Permission denied.*^hint: /ms, 'and who may is said');
	# its owner may, unless nobody may
	chmod $> == 0 ? 0700 : 0, $state;
	($rc, $out, $err) = run_command(@other, $LEAT, 'offsets', 'show', '-c', $conf);
	is($rc, 9, 'nor is a state that one may not read one that does not exist') or diag $out;
	like($err, qr/Permission denied.*^hint: /ms, 'which is said, too');
}
chmod 0700, $state;
chmod 0660, $socket;
$agent->stop;
$agent->wait;
ok(!-e $socket, 'an agent that stops takes its socket away');

# --- standard streams that are closed

$conf = conf('');
$agent = start_command({ name => 'leat' }, 'sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', $LEAT, 'run', '-c', $conf);
poll_until { eval { pipeline($conf)->{state} eq 'retrying' } } 'the pipeline to say something';
$agent->stop;
$agent->wait;
is(join('', map { slurp($_) } glob("$state/p/lock " . tmpdir() . '/l/readers/*')), '',
	'without standard streams no file gets the log lines');

done_testing();
