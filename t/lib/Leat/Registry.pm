# Leat::Registry: a throw-away schema registry (Apicurio, by its API in the way of
# Confluent's), and readers of Avro that are not leat.
#
#	Leat::Registry->need;
#	my $registry = Leat::Registry->new;
#	print "registry = { \"", $registry->url, "\" }\n";
#	$registry->ask('PUT', '/config/shop.public.t-value', { compatibility => 'NONE' });
#	for (Leat::Registry::decoded('confluent', $kafka, $registry, $topic)) { $_->{value}{after} }
#
# Schemas are in a file of its directory and survive kill9; without WRITE_DELAY=0
# the last second of them would not (forgetful => 1).  new(front => [...]) puts
# t/registry_front.py before it: TLS, and whoever does not log in is turned away.
#
# Apicurio comes from Maven and the readers (fastavro, confluent-kafka) from PyPI,
# once, into the cache (Leat::Registry->fetch, for ./dev).
package Leat::Registry;
use strict;
use warnings;

use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP;

use Leat::Kafka;
use Leat::Maven;
use Leat::Test ();

use constant { VERSION => '2.6.13.Final', START => 180 };
use constant READERS => ('fastavro==1.13.1', 'confluent-kafka[avro,schemaregistry]==2.16.1');

my $count = 0;
my $json = JSON::PP->new->utf8->canonical;

sub in_cache { return 'apicurio-' . VERSION }
sub python { return Leat::Maven::cache() . '/avro-readers/bin/python' }

sub need {
	Leat::Kafka->need;
	Leat::Test::skip_or_fail('registry', 'no schema registry, or no readers of Avro, in ' . Leat::Maven::cache() .
		' (./dev servers registry fetches them)') unless Leat::Maven::find(in_cache()) && -x python();
}

sub run {
	my (@words) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command({ timeout => 900 }, @words);
	croak "@words ended with $rc: $out$err" if $rc;
}

sub fetch {
	my $dir = Leat::Maven::fetch_archive(in_cache(), 'io.apicurio:apicurio-registry-app:' . VERSION . ':tar.gz:all');
	unless (-x python()) {
		my $venv = Leat::Maven::cache() . '/avro-readers';
		run('python3', '-m', 'venv', "$venv.new");
		run("$venv.new/bin/python", '-m', 'pip', 'install', '-q', READERS);
		rename "$venv.new", $venv or croak "$venv: $!";
	}
	return $dir;
}

# --- the registry

sub new {
	my ($class, %opt) = @_;
	my $name = 'registry' . $count++;
	my $self = bless { name => $name, dir => Leat::Test::tmpdir($name), port => Leat::Test::free_port(),
		%opt }, $class;
	$self->start;
	$self->ask('PUT', '/config', { compatibility => 'BACKWARD' });	# as Confluent's is
	$self->start_front(@{ $opt{front} }) if $opt{front};
	return $self;
}

sub start {
	my ($self) = @_;
	my $delay = $self->{forgetful} ? '' : ';WRITE_DELAY=0';
	$self->{process} = Leat::Test::start_command({ name => $self->{name}, cwd => $self->{dir},
		out => "$self->{dir}/log", err => "$self->{dir}/log" }, 'java', '-Xmx256m', '-XX:+UseSerialGC',
		'-XX:TieredStopAtLevel=1', '-Dquarkus.http.host=127.0.0.1', "-Dquarkus.http.port=$self->{port}",
		'-Dquarkus.http.access-log.enabled=false', '-Dquarkus.datasource.jdbc.initial-size=1',
		'-Dquarkus.datasource.jdbc.min-size=1', "-Dquarkus.datasource.jdbc.url=jdbc:h2:file:$self->{dir}/db$delay",
		'-jar', Leat::Maven::find(in_cache()) . '/apicurio-registry-app-' . VERSION . '-runner.jar');
	Leat::Test::poll_until {
		croak 'the registry ended: ' . Leat::Process::read_file("$self->{dir}/log")
			unless $self->{process}->is_running;
		eval { $self->ask('GET', '/subjects'); 1 };
	} 'the registry', START;
	return $self;
}

# TLS with a certificate of an authority of its own; user and password, or a token.
sub start_front {
	my ($self, %how) = @_;
	$self->{front_port} = Leat::Test::free_port();
	my @words = map { ("--$_", $how{$_}) } sort keys %how;
	$self->{front} = Leat::Test::start_command({ name => "$self->{name}.front" }, python(),
		"$Leat::Test::SRCDIR/t/registry_front.py", @words, $self->{front_port}, $self->{port});
	Leat::Test::poll_until { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{front_port}") } 'the front';
}

sub stop { $_[0]{process}->stop('TERM', 60) if $_[0]{process}->is_running; return $_[0] }
sub kill9 { $_[0]{process}->kill9; return $_[0] }
sub url { return "http://127.0.0.1:$_[0]{port}/apis/ccompat/v7" }
sub front_url { return "https://127.0.0.1:$_[0]{front_port}/apis/ccompat/v7" }

sub ask {
	my ($self, $method, $path, $body) = @_;
	my $answer = HTTP::Tiny->new(timeout => 30)->request($method, $self->url . $path, {
		headers => { 'Content-Type' => 'application/vnd.schemaregistry.v1+json' },
		defined $body ? (content => $json->encode($body)) : () });
	croak "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return length $answer->{content} ? $json->decode($answer->{content}) : undef;
}

sub versions { return @{ $_[0]->ask('GET', "/subjects/$_[1]/versions") } }
sub schema { return $json->decode($_[0]->ask('GET', "/subjects/$_[1]/versions/latest")->{schema}) }

# --- what others read: { key, value, offset } of each record of a topic, whose
# bytes are base64 and decimals are texts

sub decoded {
	my ($reader, $kafka, $registry, $topic) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command({ timeout => 180 }, python(),
		"$Leat::Test::SRCDIR/t/avro_read.py", $reader, $kafka->bootstrap, $registry->url, $topic);
	croak "$reader ended with $rc: $err" if $rc;
	my $exact = JSON::PP->new->utf8->allow_bignum;
	return map { $exact->decode($_) } split /\n/, $out;
}

1;
