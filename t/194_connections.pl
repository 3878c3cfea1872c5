# The ways to a server: E175 and E190 to E192 of the list of acceptance tests.
use Leat::Test;
use Leat::Certificates;
use Leat::Load;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;
use Time::HiRes qw(time);

Leat::Postgres->need;

# What a log says, whichever pipeline wrote it, and when, and where the server had
# been before.
sub told {
	my ($rig) = @_;
	return map { s/"ts_[mun]s":\d+|"sequence":"[^,]*//gr =~ s/\Q$rig->{name}\E_src/src/gr } $rig->lines;
}

sub is_same_told {
	my ($rig, $other, $what) = @_;
	my (@got, @want);
	$rig->await(sub { @got = told($rig); @want = told($other); @got >= @want && @want }, 'all of it');
	my ($at) = grep { ($got[$_] // '') ne $want[$_] } 0 .. $#want;
	return ok(!defined $at && @got == @want, $what) || diag
		map { substr $_ // 'nothing', 0, 2000 } "event $at is\n ", $got[$at // -1], "\nand not\n ", $want[$at // -1];
}

# --- E192

my $certs = tmpdir('certs');
certificate($certs, 'ca', '/CN=the tests of leat');
certificate($certs, 'server', '/CN=localhost', 'subjectAltName = DNS:localhost');
certificate($certs, 'client', '/CN=guarded');
my $pg = Leat::Postgres->new(start => 0, hba => <<'HBA', conf => { ssl => 'on', map {
local all all trust
hostssl all guarded all cert
host all guarded all reject
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
HBA
	("ssl_$_->[0]_file" => $_->[1]) } (['cert', 'server.crt'], ['key', 'server.key'], ['ca', 'ca.crt']) });
$pg->take_file("$certs/$_") for qw(server.crt server.key ca.crt);
$pg->set_conf(listen_addresses => '127.0.0.1, ::1') if -e '/proc/net/if_inet6'
	&& slurp('/proc/net/if_inet6') =~ /^0{31}1 /m;
$pg->start;
my %tls = (host => 'localhost', hostaddr => '127.0.0.1', user => 'guarded', sslmode => 'verify-full',
	sslrootcert => "$certs/ca.crt", sslcert => "$certs/client.crt", sslkey => "$certs/client.key");
$pg->query('CREATE ROLE guarded LOGIN SUPERUSER');

scenario 'E192: TLS with a client certificate, under a mixed load and with large values' => sub {
	Leat::Load->prepare($pg);
	$pg->query('CREATE TABLE big (id int PRIMARY KEY, v text);
		ALTER TABLE big ALTER v SET STORAGE EXTERNAL');
	my $rig = Leat::Rig->new($pg, 'tls', database => 'postgres', sql => '', conninfo => \%tls);
	my $plain = Leat::Rig->new($pg, 'plain', database => 'postgres', sql => '');
	$_->start->await_running for $rig, $plain;
	is($pg->value("SELECT bool_and(ssl) AND count(*) > 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'leat/tls'"), 't', 'every connection of the pipeline is encrypted');
	my $load = Leat::Load->start($pg, seed => 7, pause => 0.005);
	my $s = $pg->session;
	for my $i (1 .. 5) {
		# no power of two, nor multiple of what a record of TLS holds
		my $n = 16_384 * 2 ** $i + 7 * $i;
		$s->query("INSERT INTO big SELECT 10 * $i + j, repeat(md5(j::text), $n / 16) FROM generate_series(1, 2) j;
			INSERT INTO big SELECT 1000 * $i + j, 'small' FROM generate_series(1, 800) j");
	}
	$s->query("INSERT INTO big SELECT 99, repeat(md5('x'), 700000)");
	my $report = $load->stop;
	cmp_ok(scalar(keys %{ $report->{kinds} }), '>', 5, 'the load was mixed');
	# and now nothing more comes that would push along what got stuck
	$_->await_acked for $rig, $plain;
	is_same_told($rig, $plain, 'the same as over a plain connection');
	my ($value) = map { /"id":99,"v":"(\w+)"/ } $rig->lines('--table', 'public.big');
	is(length($value // ''), 700_000 * 32, 'large values among it');
	unlike($rig->said, qr/code=source_/, 'without a reconnect');
	$_->stop for $rig, $plain;
};

scenario 'E192: a server that is not who it claims, a client that cannot show who it is' => sub {
	my $rig = Leat::Rig->new($pg, 'who', conninfo => { %tls, host => 'elsewhere' });
	$rig->start->await_said(qr/server certificate for "localhost" does not match host name "elsewhere" .*code=source_unreachable/);
	is($rig->status->{state}, 'retrying', 'a name that does not match is refused');
	$rig->stop;
	$rig->write(conninfo => { %tls, sslrootcert => "$certs/client.crt" })->start;
	$rig->await_said(qr/certificate verify failed.* code=source_unreachable/);
	pass('and so is a certificate by somebody else');
	$rig->stop;
	$rig->write(conninfo => { %tls, sslcert => "$certs/none.crt" })->start;
	$rig->await_said(qr/certificate.* code=source_refused/);
	pass('without a certificate of its own the agent is refused, and says so');
	is($rig->slot, undef, 'nothing was made on the server');
	$rig->stop;
	$rig->write(conninfo => \%tls)->start->await_running;
	$rig->insert(1)->await_ids(1)->stop;
};

for my $way (['a unix socket', host => $pg->dir], ['IPv6', host => '::1']) {
	my ($what, @to) = @$way;
	scenario "E192: $what" => sub {
		plan skip_all => 'no IPv6 here' if $what eq 'IPv6'
			&& $pg->value("SHOW listen_addresses") !~ /::1/;
		my $rig = Leat::Rig->new($pg, $what eq 'IPv6' ? 'six' : 'socket', conninfo => { @to });
		my ($rc, $out, $err) = $rig->leat('check');
		is($rc, 0, 'leat check') or diag $out . $err;
		$rig->start->await_running;
		$rig->insert(1 .. 3)->await_ids(1 .. 3);
		my $address = $pg->value("SELECT DISTINCT coalesce(host(client_addr), 'none') FROM pg_stat_activity
			WHERE application_name = 'leat/$rig->{name}'");
		is($address, $what eq 'IPv6' ? '::1' : 'none', 'both connections go that way');
		$rig->restart->insert(4)->await_ids(1 .. 4);
		$rig->stop;
	};
}

# --- E191

scenario 'E191: the name leads to another host, with the same server or another' => sub {
	my $own = Leat::Postgres->new;
	my $dead = free_port();
	my $rig = Leat::Rig->new($own, 'hosts', conninfo => { host => '127.0.0.1,127.0.0.1',
		port => join ',', $dead, $own->port });
	$rig->start->await_running;
	$rig->insert(1)->await_ids(1);
	my $other = Leat::Postgres->new(fresh => 1);
	$other->query('CREATE DATABASE hosts');
	$rig->disconnect;
	$own->stop('immediate');
	$rig->await_status('retrying', 'source_unreachable');
	pass('with no server at either it waits');
	# while it waits, the place that was dead becomes the server's
	my $back = $own->port;
	$own->{port} = $dead;
	$own->start;
	$rig->insert(2)->await_ids(1, 2);
	pass('the other host is found');
	$rig->stop;
	$rig->disconnect;
	$own->stop;
	$rig->write(conninfo => { host => '127.0.0.1,127.0.0.1', port => join ',', $dead, $other->port });
	$rig->start;
	my $st = $rig->stops_with('wrong_server');
	is($other->value('SELECT count(*) FROM pg_replication_slots'), 0, 'nothing is made on a server that is another');
	$own->start;
	$rig->restart->await_running;
	$rig->insert(3)->await_ids(1 .. 3);
	$rig->stop;
};

# --- E190

sub cpu_of {
	my ($pid) = @_;
	my @f = split / /, slurp("/proc/$pid/stat") =~ s/^.*\) //r;
	return ($f[11] + $f[12]) / 100;
}

scenario 'E190: bytes that come one by one' => sub {
	my $proxy = Leat::Proxy->new($pg->port)->dribble;
	my $rig = Leat::Rig->new($pg, 'drops', conninfo => { port => $proxy->port, sslmode => 'disable' }, sql => <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, at timestamptz, b bytea, big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE TABLE whole (id int PRIMARY KEY, v text);
ALTER TABLE whole REPLICA IDENTITY FULL;
SQL
	my $direct = Leat::Rig->new($pg, 'direct', database => 'drops', sql => '');
	$_->start->await_running for $rig, $direct;
	my $start = time;
	my $before = cpu_of($rig->agent->pid);
	$rig->query($_) for <<'SQL' =~ /(.+)\n/g;
INSERT INTO t VALUES (1, 'a', 1.5, '2020-01-01', '\x00ff', repeat('x', 3000)), (2, NULL, 'NaN', 'infinity', '', 'y');
UPDATE t SET v = 'b' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 3;
BEGIN; INSERT INTO whole VALUES (1, 'a'); SAVEPOINT s; INSERT INTO whole VALUES (2, 'b'); ROLLBACK TO s; UPDATE whole SET v = 'c'; DELETE FROM whole; COMMIT;
SELECT pg_logical_emit_message(true, 'in', 'text'), pg_logical_emit_message(false, 'out', 'text');
ALTER TABLE t ADD more int DEFAULT 7; UPDATE t SET more = 8; TRUNCATE t, whole;
INSERT INTO whole SELECT i, 'row ' || i FROM generate_series(1, 40) i;
INSERT INTO t (id) VALUES (99);
SQL
	$direct->await(sub { grep { /"id":99/ } $direct->lines }, 'the last row');
	is_same_told($rig, $direct, 'are the same events');
	my $cpu = cpu_of($rig->agent->pid) - $before;
	cmp_ok($cpu, '<', (time - $start) / 2, 'and the agent does not spin meanwhile');
	unlike($rig->said, qr/code=source_/, 'nor lose its connection');
	$proxy->pass;
	$_->stop for $rig, $direct;
};

# --- E175

for my $ignores ('', 'options,extra_float_digits,replication') {
	scenario 'E175: a pooler in between' . ($ignores && ', which ignores what it does not know') => sub {
		my ($bouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
		Leat::Test::skip_or_fail('pgbouncer', 'no pgbouncer') unless $bouncer;
		my $name = $ignores ? 'pooled2' : 'pooled';
		my $rig = Leat::Rig->new($pg, $name);
		my $port = free_port();
		my $ini = spew("$rig->{dir}/bouncer.ini", <<"INI");
[databases]
* = host=127.0.0.1 port=@{[$pg->port]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
ignore_startup_parameters = $ignores
INI
		# "any" logs everybody in as the user that the database names
		spew($ini, slurp($ini) =~ s/(port=\d+)/$1 user=postgres/r);
		my $p = start_command(Leat::Postgres::as_user(), $bouncer, $ini);
		poll_until { $p->err =~ /process up/ || !$p->is_running } 'the pooler';
		ok($p->is_running, 'a pooler runs') or diag $p->err;
		$rig->write(conninfo => { port => $port });
		my ($rc, $out, $err) = $rig->leat('check');
		isnt($rc, 0, 'leat check finds it') or diag $out;
		like("$out$err", qr/pooler/, 'and names it');
		$rig->start;
		my $st = $rig->await_status('stopped', 'source_config');
		like($st->{hint}, qr/pooler.*direct connection/, 'the pipeline stops and says what to do');
		$rig->stop;
		is($rig->slot, undef, 'nothing was made');
		$p->stop;
		$rig->write(conninfo => {})->start->await_running;
		$rig->insert(1)->await_ids(1)->stop;
	};
}

done_testing;
