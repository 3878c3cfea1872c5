# ./dev demo ends by itself, shows what it promises and leaves nothing behind.
use Leat::Test;
use Leat::Postgres;

Leat::Postgres->need;
my $tmp = tmpdir('tmp');
chmod 0755, $tmp;
my ($rc, $out, $err) = run_command({ timeout => 300, env => { TMPDIR => $tmp } },
	$^X, "-I$SRCDIR/t/lib", "$SRCDIR/t/demo.pl");
is($rc, 0, 'the demo ends well') or diag "$out$err";
is($err, '', 'and complains of nothing');

my @arrived = $out =~ /^ +<- (.*)/mg;
my %op;
$op{$_}++ for map { /^seq \d+  (\w+) public\.users/ ? $1 : () } @arrived;
is_deeply(\%op, { schema => 2, insert => 4, update => 4, delete => 1 },
	'every change is shown once, and each version of the table') or diag $out;
unlike(join("\n", @arrived), qr/Nobody/, 'a rolled-back row is not shown');
my @seq = map { /^seq (\d+)  (?!schema)/ ? $1 : () } @arrived;
is_deeply(\@seq, [1 .. 9], 'in order, without a hole');
like($out, qr/^ +\$ \Qleat $_\E /m, "leat $_ is shown") for 'check', 'run', 'log tail',
	'schema list', 'status', 'log stat', 'log verify';
like($out, qr/kill -9/, 'the agent is killed in between');
opendir my $d, $tmp or die;
is(join(' ', grep { !/^\./ } readdir $d), '', 'no file is left behind');

done_testing;
