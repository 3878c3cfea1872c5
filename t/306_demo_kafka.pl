# ./dev demo kafka ends by itself, and shows what it promises.
use Leat::Test;
use Leat::Kafka;
use Leat::Postgres;

Leat::Postgres->need;
Leat::Kafka->need;
my ($rc, $out, $err) = run_command({ timeout => 600 }, $^X, "-I$SRCDIR/t/lib", "$SRCDIR/t/demo_kafka.pl");
is($rc, 0, 'the demo ends well') or diag "$out$err";
my @rows = $out =~ /^ +<- shop\.public\.users\[\d\]  (.*)/mg;
is(scalar @rows, 7, 'every change is shown once, and a tombstone') or diag $out;
is($err, '', 'and complains of nothing');
like($out, qr/^ +<- shop\.transaction.* END, 2 records$/m, 'and where transactions end');
unlike(join("\n", @rows), qr/Nobody/, 'a rolled-back row is not shown');
like($out, qr/kill -9/, 'the agent is killed in between');

done_testing;
