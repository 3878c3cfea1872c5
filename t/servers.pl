# ./dev servers: a throw-away Postgres, until Ctrl-C.
use Leat::Test;
use Leat::Postgres;

alarm 0;
my $pg = Leat::Postgres->new(conf => { log_statement => 'all' });
my $conninfo = $pg->conninfo;
print <<TXT;

Postgres on 127.0.0.1, port ${\ $pg->port}, wal_level = logical

  psql '$conninfo'

  source pg { type = postgres  conninfo = "$conninfo" }

Its log: ${\ $pg->logfile}
Ctrl-C stops and removes it.
TXT
my $end = eval { $pg->{process}->wait(1e9); 1 } ? 'the server ended by itself' : 'stopped';
$pg->stop if $pg->is_running;
print "\n$end\n";
