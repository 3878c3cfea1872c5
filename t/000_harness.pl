# The tests' own library: what it promises is checked before it is leaned on.
use Leat::Test;

my ($rc, $out, $err) = run_command('sh', '-c', 'echo out; echo err >&2; exit 3');
is($rc, 3, 'a command\'s exit status comes back');
is($out, "out\n", 'and its stdout');
is($err, "err\n", 'and its stderr, apart');

($rc, $out) = run_command({ stdin => "a\nb\n", env => { X => 7, HOME => undef } },
	'sh', '-c', 'cat; echo $X${HOME-none}');
is($out, "a\nb\n7none\n", 'stdin and environment are the ones given');

my $p = start_command('sh', '-c', 'echo ready; exec sleep 600');
poll_until { $p->out =~ /ready/ } 'the first line of output';
ok($p->is_running, 'a process goes on in the background');
is($p->stop('TERM'), -15, 'a signal that ended a process is told from a status');
$p = start_command('sh', '-c', 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done');
poll_until { $p->out =~ /ready/ } 'the trap';
is($p->stop, 5, 'a process that ends itself on a signal returns its status');

my $inherited = grep {
	my $child = Leat::Process->start({ dir => tmpdir(), setup => sub { sleep 600 } });
	$child->signal('TERM')->wait(60) != -15;
} 1 .. 100;
is($inherited, 0, 'a child that is stopped at once does not run the test\'s own handler');

ok(!eval { run_command({ timeout => 1 }, 'sleep', '600'); 1 },
	'a command past its limit makes the test die');
like($@, qr/still running: sleep 600/, 'and the message names it');
ok(!eval { poll_until { 0 } 'the impossible', 0.2; 1 }, 'so does a poll past its limit');

my $dir = tmpdir();
ok(-d $dir, 'the test has a directory');
is_deeply([json_lines(qq({"a":1}\n{"a":"\xc3\xa4"}\n))], [{ a => 1 }, { a => "\x{e4}" }],
	'lines of JSON are parsed as UTF-8');
my $conf = write_conf("log l { path = \"$dir/l\" }\n");
like(slurp($conf), qr/^state_dir = "\Q$dir\E\/state"$/m, 'a conf gets a state directory');

# how tests of tests end
sub inner {
	my ($text, %env) = @_;
	return run_command({ env => { LEAT_TEST_REQUIRE => undef, %env } }, $^X, "-I$SRCDIR/t/lib", '-e', "use Leat::Test; $text");
}
($rc, $out, $err) = inner('print "# in ", tmpdir(), "\n"; ok(0, "x"); done_testing;');
my ($kept) = $err =~ /^# kept: (\S+)$/m;
ok($rc != 0 && $kept && -d $kept, 'a failed test keeps its directory and says where');
rmdir $kept if $kept;
($rc, $out, $err) = inner('print "# in ", tmpdir(), "\n"; ok(1, "x"); done_testing;');
ok($rc == 0 && $out =~ /# in (\S+)/ && !-e $1, 'a passed one removes it');
($rc, $out) = inner('skip_or_fail("postgres", "none here");');
ok($rc == 0 && $out =~ /^1\.\.0 # SKIP none here/m, 'what is missing skips a test');
($rc, $out) = inner('skip_or_fail("postgres", "none here");', LEAT_TEST_REQUIRE => 'x,postgres');
ok($rc != 0 && $out =~ /^not ok 1 - postgres is there/m, 'and fails it where it is required');
($rc, $out, $err) = inner('my $p = start_command("sleep", "600"); print "# pid ", $p->pid, "\n"; die;');
my ($pid) = $out =~ /# pid (\d+)/;
ok($pid && !kill(0, $pid), 'a test that dies leaves no process behind');
File::Path::remove_tree($1) if $err =~ /^# kept: (\S+)$/m;

done_testing;
