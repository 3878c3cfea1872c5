# Avro through a real schema registry (Apicurio), read by readers that are not leat.
use Leat::Test;
use Leat::Postgres;
use Leat::Kafka;
use Leat::Registry;
use Leat::Rig;
use JSON::PP;

Leat::Postgres->need;
Leat::Registry->need;
my $pg = Leat::Postgres->new;
my $kafka = Leat::Kafka->new;
my $registry = Leat::Registry->new;
my $json = JSON::PP->new->allow_bignum;

# A rig that writes Avro; `sink` are more lines of its sink.
sub rig {
	my ($name, %opt) = @_;
	my $lines = delete $opt{sink} || "registry = { \"${\ $registry->url}\" }";
	return Leat::Rig->new($pg, $name, type => 'kafka', %opt,
		sink => 'brokers = "' . $kafka->bootstrap . "\"\nformat = avro\n$lines");
}

sub count { return $kafka->topics->{$_[0]} ? scalar(my @records = $kafka->records($_[0])) : 0 }

sub await_count {
	my ($rig, $topic, $n) = @_;
	$rig->await(sub { count($topic) >= $n }, "$n records in $topic");
}

sub decoded { return Leat::Registry::decoded($_[0], $kafka, $registry, $_[1]) }

# Numbers and booleans as text.
sub plain {
	my ($v) = @_;
	return { map { $_ => plain($v->{$_}) } keys %$v } if ref $v eq 'HASH';
	return [map { plain($_) } @$v] if ref $v eq 'ARRAY';
	return defined $v ? JSON::PP::is_bool($v) ? $v ? 1 : 0 : "$v" : undef;
}

scenario 'every value, by two readers' => sub {
	my $rig = rig('avro', sql => <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'so so');
CREATE TABLE t (id int PRIMARY KEY, big bigint, n numeric(12,2), ts timestamp, tz timestamptz, d date, b bytea,
	a int[], words text[], e mood, j jsonb, f float8, r real, bo bool, p point, u uuid, s smallint, "odd name" text);
ALTER TABLE t REPLICA IDENTITY FULL;
SQL
	my $other = Leat::Rig->new($pg, 'plain', database => 'avro', sql => '', type => 'kafka',
		sink => 'brokers = "' . $kafka->bootstrap . "\"\nschemas = yes  decimal = string");
	$_->start->await_running for $rig, $other;
	$rig->query(<<'SQL');
INSERT INTO t VALUES (1, 9223372036854775807, -1234567890.12, '2024-02-29 12:34:56.789', '2024-02-29 12:00+02', '1969-12-31',
	'\x00ff10', '{1,NULL,-3}', '{"a,b",NULL,""}', 'so so', '{"k": [1]}', 0.1, 1.5, true, '(1.5,-2)',
	'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', -7, 'x');
INSERT INTO t (id) VALUES (2);
UPDATE t SET n = 0.01, e = 'sad' WHERE id = 2;
UPDATE t SET id = 3 WHERE id = 2;
DELETE FROM t WHERE id = 1;
SQL
	await_count($rig, 'avro_src.public.t', 8);
	await_count($other, 'plain_src.public.t', 8);
	my @json = map { { key => $_->{key} && $json->decode($_->{key})->{payload},
		value => $_->{value} && $json->decode($_->{value})->{payload} } } $kafka->records('plain_src.public.t');
	for my $reader (qw(fastavro confluent)) {
		my @got = decoded($reader, 'avro_src.public.t');
		is(scalar @got, scalar @json, "$reader reads as many records as there are in JSON");
		for my $i (0 .. $#json) {
			my ($x, $y) = map { plain($_->[$i]) } \@got, \@json;
			$_ && ($_->{odd_name} = delete $_->{'odd name'}) for map { @{ $y->{value} || {} }{qw(before after)} } 1;
			is_deeply($x->{key}, $y->{key}, "record $i: the key");
			is_deeply($x->{value}{$_}, $y->{value}{$_}, $_) for qw(before after op transaction);
			is_deeply([@{ $x->{value}{source} || {} }{qw(lsn txId table ts_us)}],
				[@{ $y->{value}{source} || {} }{qw(lsn txId table ts_us)}], 'where it is from');
		}
	}
	my $schema = $registry->schema('avro_src.public.t-value');
	is("$schema->{namespace}.$schema->{name}", 'avro_src.public.t.Envelope', 'the record is named as Debezium names it');
	$_->stop for $rig, $other;
};

scenario 'columns come, go and grow' => sub {
	my $rig = rig('grow', sql => 'CREATE TABLE t (id int PRIMARY KEY, v text, s smallint)');
	$rig->start->await_running;
	my $n = 0;
	my @sql = ('', 'ALTER TABLE t ADD w int', 'ALTER TABLE t DROP v', 'ALTER TABLE t ALTER s TYPE bigint',
		'ALTER TABLE t RENAME w TO x');
	for (@sql) {
		$rig->query($_) if length;
		$rig->query('INSERT INTO t VALUES (' . ++$n . ')');
		await_count($rig, 'grow_src.public.t', $n);
	}
	is(scalar($registry->versions('grow_src.public.t-value')), 5, 'each is a version that goes together with the last one');
	is(scalar($registry->versions('grow_src.public.t-key')), 1, 'the key stays');
	my @rows = map { $_->{value}{after} } decoded('confluent', 'grow_src.public.t');
	is_deeply([map { join ' ', sort keys %$_ } @rows], ['id s v', 'id s v w', 'id s w', 'id s w', 'id s x'],
		'each record has the columns of its time');
	my ($w) = grep { $_->{name} eq 'x' }
		@{ (grep { ref } @{ $registry->schema('grow_src.public.t-value')->{fields}[0]{type} })[0]{fields} };
	ok($w && exists $w->{default} && !defined $w->{default}, 'a field that came has the default null');
	$rig->stop;
};

scenario 'a subject that refuses' => sub {
	my $rig = rig('refuse');
	$rig->start->await_running;
	$rig->insert(1);
	await_count($rig, 'refuse_src.public.t', 1);
	$rig->query('ALTER TABLE t ALTER v TYPE int USING 1; INSERT INTO t VALUES (2, 5)');
	my $st = $rig->await_status('retrying', 'schema_refused');
	like($st->{message}, qr/subject "refuse_src\.public\.t-value"/, 'is named');
	like($st->{message}, qr/: .+/, 'with the registry\'s reason');
	like($st->{hint}, qr{PUT .*/config/refuse_src\.public\.t-value}, 'and what can be done');
	is(count('refuse_src.public.t'), 1, 'nothing is written meanwhile');
	# a subject's NONE is for Apicurio the same as none of its own: the global one counts
	$registry->ask('PUT', '/config', { compatibility => 'NONE' });
	$rig->await(sub { count('refuse_src.public.t') >= 2 }, 'the row behind the change', 180);
	$registry->ask('PUT', '/config', { compatibility => 'BACKWARD' });
	is((decoded('fastavro', 'refuse_src.public.t'))[1]{value}{after}{v}, 5, 'and the pipeline goes on by itself when that is done');
	is($rig->stop, 0, 'the agent ends cleanly');
};

scenario 'a registry that is away' => sub {
	my $rig = rig('away');
	$rig->start->await_running;
	$rig->insert(1);
	await_count($rig, 'away_src.public.t', 1);
	$registry->kill9;
	$rig->insert(2);
	await_count($rig, 'away_src.public.t', 2);
	ok(1, 'is not missed for a table whose schema is known');
	$rig->query('CREATE TABLE u (id int PRIMARY KEY); ALTER PUBLICATION leat_away ADD TABLE u; INSERT INTO u VALUES (7)');
	$rig->await_status('retrying', 'sink_unreachable');
	$rig->insert(3);
	is(count('away_src.public.t'), 2, 'but blocks what comes behind a new one');
	$registry->start;
	await_count($rig, 'away_src.public.t', 3);
	is((decoded('confluent', 'away_src.public.u'))[0]{value}{after}{id}, 7, 'until it is back');
	$rig->stop;
};

scenario 'a registry that has lost its schemas' => sub {
	my $rig = rig('lost');
	$rig->start->await_running;
	$rig->insert(1);
	await_count($rig, 'lost_src.public.t', 1);
	$rig->stop;
	$registry->kill9;
	unlink glob "$registry->{dir}/db*";
	$registry->start;
	ok(!eval { decoded('fastavro', 'lost_src.public.t'); 1 }, 'answers 404 for an id in a record');
	$registry->ask('POST', "/subjects/s$_/versions", { schema => '{"type":"record","name":"S","fields":[{"name":"f' .
		$_ . '","type":"int"}]}' }) for 1 .. 3;
	$rig->start->await_running;
	$rig->insert(2);
	await_count($rig, 'lost_src.public.t', 2);
	my ($row) = map { substr $_->{value}, 0, 5 } (($kafka->records('lost_src.public.t'))[1]);
	my $schema = $json->decode($registry->ask('GET', '/schemas/ids/' . unpack('xN', $row))->{schema});
	is($schema->{name}, 'Envelope', 'gets them again from an agent that is started, under the ids that it gives now');
	$rig->stop;
};

scenario 'TLS and logins' => sub {
	my $dir = tmpdir('tls');
	my $openssl = sub {
		my ($rc, $out, $err) = run_command({ cwd => $dir }, 'openssl', @_);
		die "openssl @_: $err" if $rc;
	};
	$openssl->('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', 2);
	$openssl->('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'csr', '-subj', '/CN=registry',
		'-addext', 'subjectAltName=IP:127.0.0.1');
	$openssl->('x509', '-req', '-in', 'csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', 2,
		'-copy_extensions', 'copy', '-out', 'cert.pem');
	my %tls = (cert => "$dir/cert.pem", key => "$dir/key.pem");
	spew("$dir/word", 'open sesame');
	my $n = 0;
	for (['basic', { user => 'ali', password => 'open sesame' }, "registry_user = ali  registry_password = \"file:$dir/word\""],
		['bearer', { token => 'open sesame' }, "registry_token = \"file:$dir/word\""],
		['certificate', { 'client-ca' => "$dir/ca.pem" }, "registry_cert = \"$dir/cert.pem\"  registry_key = \"$dir/key.pem\""]) {
		my ($how, $front, $lines) = @$_;
		$registry->start_front(%tls, %$front);
		my $url = "registry = { \"${\ $registry->front_url}\" }";
		my $rig = rig("login_$how", sink => "$url  registry_ca = \"$dir/ca.pem\"  $lines");
		$rig->start->await_running;
		$rig->insert(++$n);
		await_count($rig, "login_${how}_src.public.t", 1);
		ok(1, "$how over TLS, by an authority of its own");
		$rig->stop;
		my $base = 'brokers = "' . $kafka->bootstrap . "\"\nformat = avro\n$url";
		$rig->write(sink => "$base  $lines");
		my ($rc, $out) = $rig->leat('check');
		like($out, qr/certificate/i, 'without that authority it is refused');
		$rig->write(sink => "$base  registry_ca = \"$dir/ca.pem\"");
		($rc, $out) = $rig->leat('check');
		like($out, $how eq 'certificate' ? qr/did not answer/ : qr/does not let us in: status 401: who are you\?/,
			'so is who does not log in') or diag $out;
		$registry->{front}->kill9;
	}
};

$registry->stop;
done_testing;
