# ./dev servers [mariadb|mysql|kafka]: a throw-away Postgres or other server, until
# Ctrl-C.
use Leat::Test;
use Leat::Kafka;
use Leat::MySQL;
use Leat::Postgres;

sub postgres {
	my $pg = Leat::Postgres->new(conf => { log_statement => 'all' });
	my $conninfo = $pg->conninfo;
	return ($pg, $pg->logfile, <<TXT);
Postgres on 127.0.0.1, port ${\ $pg->port}, wal_level = logical

  psql '$conninfo'

  source pg { type = postgres  conninfo = "$conninfo" }
TXT
}

sub mysql {
	my ($kind) = @_;
	my $db = Leat::MySQL->new(kind => $kind, conf => { 'general-log' => 1 });
	my $port = $db->port;
	return ($db, $db->logfile, <<TXT);
$kind on 127.0.0.1, port $port, with a binlog as leat needs it

  mariadb -h 127.0.0.1 -P $port -u root

  source db { type = $kind  port = $port  user = leat  password = leat  tables = { "*.*" } }
TXT
}

sub kafka {
	my $kafka = Leat::Kafka->new;
	my $brokers = $kafka->bootstrap;
	return ($kafka, $kafka->{log}, <<TXT);
Kafka ${\ Leat::Kafka::version()} on 127.0.0.1, port ${\ $kafka->port}

  kcat -b $brokers -L
  kcat -b $brokers -C -t TOPIC

  sink lake { type = kafka  brokers = "$brokers" }
TXT
}

alarm 0;
my %start = (kafka => \&kafka, mariadb => \&mysql, mysql => \&mysql);
my ($server, $log, $text) = ($start{$ARGV[0] || ''} || \&postgres)->(@ARGV);
print "\n$text\nIts log: $log\nCtrl-C stops and removes it.\n";
my $end = eval { $server->{process}->wait(1e9); 1 } ? 'the server ended by itself' : 'stopped';
$server->stop if $server->is_running;
print "\n$end\n";
