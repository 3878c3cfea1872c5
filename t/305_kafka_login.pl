# How the Kafka sink gets in: SASL, TLS, and what it says when it does not.
#
# librdkafka before 2.6.1 does SCRAM in a way that brokers from 4.0 on refuse; then
# it is that refusal that is tested.
use Leat::Test;
use Leat::Certificates;
use Leat::Kafka;
use Leat::Postgres;
use Leat::Rig;

Leat::Postgres->need;
Leat::Kafka->need;
my $certs = tmpdir('certs');
certificate($certs, 'ca', '/CN=the tests of leat');
certificate($certs, 'server', '/CN=127.0.0.1', 'subjectAltName = DNS:127.0.0.1, IP:127.0.0.1');
certificate($certs, 'client', '/CN=leat');
spew("$certs/server.pem", map { slurp("$certs/server.$_") } qw(key crt));
my $stranger = tmpdir('stranger');
certificate($stranger, 'ca', '/CN=somebody else');

my $scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new(listeners => { SECURED => 'SASL_SSL', GUARDED => 'SSL', PLAIN => 'SASL_PLAINTEXT' },
	format => [map { ('--add-scram', "$_=[name=leat,password=one-two]") } qw(SCRAM-SHA-256 SCRAM-SHA-512)],
	conf => {
		'ssl.keystore.type' => 'PEM', 'ssl.keystore.location' => "$certs/server.pem",
		'ssl.truststore.type' => 'PEM', 'ssl.truststore.location' => "$certs/ca.crt",
		'listener.name.guarded.ssl.client.auth' => 'required',
		map { my $l = "listener.name.$_"; (
			"$l.sasl.enabled.mechanisms" => 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
			"$l.plain.sasl.jaas.config" => plain('one-two'),
			"$l.scram-sha-256.sasl.jaas.config" => $scram, "$l.scram-sha-512.sasl.jaas.config" => $scram,
		) } qw(secured plain) });

sub plain { return 'org.apache.kafka.common.security.plain.PlainLoginModule required user_leat="' . shift() . '";' }

# Of what the agent says of itself, and of the broker.
sub has_scram {
	my ($rig) = @_;
	my ($library) = ($rig->leat('check'))[1] =~ /librdkafka (\d[\d.]*)/;
	my $number = sub { my @n = (split(/\./, $_[0]), 0, 0); return ($n[0] * 1000 + $n[1]) * 1000 + $n[2] };
	return $number->($library) >= 2_006_001 || $number->(Leat::Kafka::version()) < 4_000_000;
}

sub rig {
	my ($name, $lines, %opt) = @_;
	my $rig = Leat::Rig->new($pg, $name, type => 'kafka', %opt);
	spew($rig->dir . '/password', "one-two\n");
	return login($rig, $lines);
}

# The sink's section anew.
sub login {
	my ($rig, $lines, $host) = @_;
	my %of = (mechanism => 'PLAIN', at => 'SECURED', ca => "$certs/ca.crt", tls => 'verify-full',
		host => '127.0.0.1', more => '', %$lines);
	my $sasl = $of{at} eq 'GUARDED' ? '' :
		"sasl_mechanism = $of{mechanism}\nsasl_user = leat\nsasl_password = \"file:$rig->{dir}/password\"\n";
	return $rig->write(sink => "brokers = \"$of{host}:" . $kafka->port_of($of{at}) . "\"\n$sasl$of{more}\n" .
		"tls = $of{tls}\n" . ($of{tls} eq 'off' ? '' : "tls_ca = \"$of{ca}\"\n"));
}

sub await_row {
	my ($rig, $id) = @_;
	my $topic = "$rig->{name}_src.public.t";
	$rig->await(sub { grep { ($_->{value} // '') =~ /"after":\{"id":$id,/ }
		$kafka->topics->{$topic} ? $kafka->records($topic) : () }, "row $id");
	return ok(1, "row $id arrives");
}

sub is_let_in {
	my ($rig, $what) = @_;
	my ($rc, $out) = $rig->leat('check');
	like($out, qr/1 broker answers/, "$what: leat gets in") or diag $out;
	return $rc;
}

# What check says, and what a pipeline that keeps trying says.
sub is_kept_out {
	my ($rig, $why, $hint, $what) = @_;
	my ($rc, $out) = $rig->leat('check');
	is($rc, 6, "$what: check says so by its exit status");
	like($out, $why, 'and why');
	like($out, $hint, 'and what to look at') or diag $out;
	unlike($out . ($rig->agent ? $rig->said : ''), qr/one-two|two-three/, 'and not the password');
}

scenario 'each way to say who one is' => sub {
	my $rig = rig('ways', {});
	is_let_in($rig, 'PLAIN');
	login($rig, { tls => 'off', at => 'PLAIN' });
	is_let_in($rig, 'PLAIN without TLS');
	my $has_scram = has_scram($rig);
	for my $mechanism (qw(SCRAM-SHA-256 SCRAM-SHA-512)) {
		login($rig, { mechanism => $mechanism });
		$has_scram ? is_let_in($rig, $mechanism) : is_kept_out($rig, qr/refused the login: .*$mechanism/,
			qr/librdkafka 2\.6\.1 and later/, "$mechanism, which this librdkafka cannot do");
	}
	login($rig, { $has_scram ? (mechanism => 'SCRAM-SHA-512') : () })->start->await_running;
	$rig->insert(1);
	await_row($rig, 1);
	is($rig->stop, 0, 'and it ends cleanly');
};

scenario 'a wrong password' => sub {
	my $rig = rig('wrong', {});
	spew("$rig->{dir}/password", 'two-three');
	is_kept_out($rig, qr/refused the login: .*[Aa]uthentication/, qr/sasl_user and sasl_password/, 'PLAIN');
	login($rig, { mechanism => 'SCRAM-SHA-256' });
	is_kept_out($rig, qr/refused the login: .*[Aa]uthentication/, qr/sasl_user and sasl_password/, 'SCRAM');
	login($rig, {})->start->await_status('retrying', 'sink_refused');
	spew("$rig->{dir}/password", 'one-two');
	$rig->await_running;
	$rig->insert(1);
	await_row($rig, 1);
	$rig->stop;
};

scenario 'a certificate that nobody vouches for' => sub {
	my $rig = rig('certs', { ca => "$stranger/ca.crt" });
	is_kept_out($rig, qr/refused the login: .*certificate verify failed/, qr/tls_ca/, 'another authority');
	login($rig, { ca => "$stranger/ca.crt", tls => 'require' });
	is_let_in($rig, 'tls = require looks at none');
	login($rig, { host => 'localhost' });
	is_kept_out($rig, qr/refused the login: .*verify failed/, qr/brokers the hosts that stand in them/, 'another name');
	login($rig, { host => 'localhost', tls => 'verify-ca' });
	is_let_in($rig, 'tls = verify-ca looks at none');
};

scenario 'a certificate of the client\'s' => sub {
	my $rig = rig('client', { at => 'GUARDED' });
	is(($rig->leat('check'))[0], 6, 'without one leat stays outside');
	login($rig, { at => 'GUARDED', more => "tls_cert = \"$certs/client.crt\"\ntls_key = \"$certs/client.key\"" });
	is_let_in($rig, 'one by the right authority');
};

scenario 'a password that is changed while the agent runs' => sub {
	my $rig = rig('rotated', {});
	$rig->start->await_running;
	$rig->insert(1);
	await_row($rig, 1);
	$kafka->stop->set_conf('listener.name.secured.plain.sasl.jaas.config' => plain('two-three'))->start;
	$rig->insert(2);
	$rig->await_status('retrying', 'sink_refused', 120);
	spew("$rig->{dir}/password", 'two-three');
	await_row($rig, $_) for 1, 2;
	unlike($rig->said, qr/one-two|two-three/, 'no password is logged');
	is($rig->stop, 0, 'and the agent goes on');
};

$kafka->stop;
done_testing;
