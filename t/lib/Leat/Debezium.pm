# Leat::Debezium: Kafka Connect with Debezium's connector for PostgreSQL, as its
# users run it: one distributed worker, exactly once unless told otherwise.
#
#	Leat::Debezium->need;
#	my $connect = Leat::Debezium->new($kafka, 'old');
#	$connect->start->create('shop', $pg, 'topic.prefix' => 'shop');
#	$connect->await_task('shop');
#	$connect->stop;
#
# What a worker knows (connectors, offsets) is in topics named after it: one that
# is started again goes on.  TUNED are the settings with which it was fastest of
# those that were tried (jvm => [...] for the virtual machine's).
#
# Connect and connector come from Maven (Leat::Maven); ./dev bench and ./dev soak
# fetch them.
package Leat::Debezium;
use strict;
use warnings;

use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP;

use Leat::Kafka;
use Leat::Maven;
use Leat::Test ();

use constant { CONNECT => '4.3.0', CONNECTOR => '3.6.1.Final', START => 180 };
use constant TUNED => (
	'max.batch.size' => 16384, 'max.queue.size' => 65536, 'poll.interval.ms' => 5,
	'statistics.metrics.enabled' => 'false', 'extended.headers.enabled' => 'false',
	'producer.override.compression.type' => 'lz4', 'producer.override.linger.ms' => 2,
	'producer.override.batch.size' => 262144, 'producer.override.buffer.memory' => 134217728,
	'producer.override.max.request.size' => 4194304);
use constant TUNED_JVM => ('-Xms1g', '-Xmx2g', '-XX:+UseParallelGC');

sub connect_name { return 'connect-' . CONNECT }
sub connector_name { return 'debezium-postgres-' . CONNECTOR }

sub fetch {
	my @dirs = (
		Leat::Maven::fetch_jars(connect_name(), map({ "org.apache.kafka:$_:" . CONNECT } qw(connect-runtime
			connect-json)), 'org.slf4j:slf4j-simple:1.7.36'),
		Leat::Maven::fetch_archive(connector_name(), 'io.debezium:debezium-connector-postgres:' . CONNECTOR
			. ':tar.gz:plugin'));
	return @dirs;
}

sub need {
	Leat::Kafka->need;
	for my $name (connect_name(), connector_name()) {
		Leat::Test::skip_or_fail('debezium', "no $name in " . Leat::Maven::cache()
			. ' (./dev bench fetches it)') unless Leat::Maven::find($name);
	}
}

# new($kafka, name, exactly_once => 0, jvm => [...])
sub new {
	my ($class, $kafka, $name, %opt) = @_;
	return bless { kafka => $kafka, name => $name, dir => Leat::Test::tmpdir("connect_$name"),
		exactly_once => exists $opt{exactly_once} ? $opt{exactly_once} : 1,
		jvm => $opt{jvm} || ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'] }, $class;
}

sub write_conf {
	my ($self) = @_;
	my %conf = (
		'bootstrap.servers' => $self->{kafka}->bootstrap, 'group.id' => "connect-$self->{name}",
		'exactly.once.source.support' => $self->{exactly_once} ? 'enabled' : 'disabled',
		map({ ("$_.converter" => 'org.apache.kafka.connect.json.JsonConverter',
			"$_.converter.schemas.enable" => 'false') } qw(key value)),
		map({ ("$_.storage.topic" => "connect-$self->{name}-$_", "$_.storage.replication.factor" => 1) }
			qw(config offset status)),
		'offset.storage.partitions' => 1, 'status.storage.partitions' => 1,
		listeners => "http://127.0.0.1:$self->{port}", 'rest.advertised.host.name' => '127.0.0.1',
		'plugin.path' => Leat::Maven::dir(connector_name()), 'plugin.discovery' => 'service_load');
	return Leat::Test::spew("$self->{dir}/worker.properties", map { "$_=$conf{$_}\n" } sort keys %conf);
}

sub start {
	my ($self) = @_;
	$self->{port} = Leat::Test::free_port();
	$self->{process} = Leat::Test::start_command({ name => "connect_$self->{name}", cwd => $self->{dir} },
		Leat::Maven::java(), @{ $self->{jvm} }, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
		'-cp', Leat::Maven::dir(connect_name()) . '/*',
		'org.apache.kafka.connect.cli.ConnectDistributed', $self->write_conf);
	return $self;
}

sub pid { return $_[0]{process}->pid }
sub is_running { return $_[0]{process} && $_[0]{process}->is_running }
sub log_text { return $_[0]{process}->out . $_[0]{process}->err }

sub stop {
	my ($self) = @_;
	$self->{process}->stop('TERM', START) if $self->is_running;
	return $self;
}

sub kill9 { $_[0]{process}->kill9; return $_[0] }

# --- its REST interface

# The answer, decoded; undef while the worker is not ready for the request.
sub ask {
	my ($self, $method, $path, $body) = @_;
	croak "Connect ended:\n" . $self->log_text unless $self->is_running;
	my %content = $body ? (content => JSON::PP->new->utf8->encode($body),
		headers => { 'Content-Type' => 'application/json' }) : ();
	my $r = HTTP::Tiny->new(timeout => 60)->request($method, "http://127.0.0.1:$self->{port}$path", \%content);
	# 409: its group is being sorted out; 599: not there yet
	return undef if $r->{status} =~ /^(?:404|409|500|599)$/;
	croak "$method $path: $r->{status} $r->{content}" unless $r->{success};
	return length $r->{content} ? JSON::PP->new->utf8->decode($r->{content}) : {};
}

sub request {
	my ($self, @request) = @_;
	return Leat::Test::poll_until { $self->ask(@request) } "Connect's answer to @request[0, 1]", START;
}

# create(name, $pg, setting => value, ...): topics PREFIX.schema.table, slot and
# publication as the settings say.
sub create {
	my ($self, $name, $pg, %config) = @_;
	$self->request('PUT', "/connectors/$name/config", {
		'connector.class' => 'io.debezium.connector.postgresql.PostgresConnector', 'tasks.max' => 1,
		'exactly.once.support' => $self->{exactly_once} ? 'required' : 'requested',
		'database.hostname' => '127.0.0.1', 'database.port' => '' . $pg->port, 'database.user' => 'postgres',
		'database.password' => 'x', 'database.dbname' => 'postgres', 'topic.prefix' => $name,
		'plugin.name' => 'pgoutput', 'slot.name' => $name, 'publication.name' => $name,
		'publication.autocreate.mode' => 'filtered', %config });
	return $self;
}

# The state of the connector's one task: RUNNING, STOPPED, FAILED...; '' before there is any.
sub task_state {
	my ($self, $name) = @_;
	my $status = $self->ask('GET', "/connectors/$name/status") or return '';
	my ($task) = @{ $status->{tasks} };
	croak "Debezium failed: $task->{trace}" if $task && $task->{state} eq 'FAILED';
	return $task ? $task->{state} : $status->{connector}{state} eq 'STOPPED' ? 'STOPPED' : '';
}

sub await_task {
	my ($self, $name, $state) = @_;
	$state ||= 'RUNNING';
	Leat::Test::poll_until { $self->task_state($name) eq $state } "connector $name to be $state", START;
	return $self;
}

sub stop_connector {
	my ($self, $name) = @_;
	$self->request('PUT', "/connectors/$name/stop");
	return $self->await_task($name, 'STOPPED');
}

sub resume_connector {
	my ($self, $name) = @_;
	$self->request('PUT', "/connectors/$name/resume");
	return $self;
}

# What it has stored of its place: the offset of its one partition, or undef.
sub offset {
	my ($self, $name) = @_;
	my $found = $self->ask('GET', "/connectors/$name/offsets") or return undef;
	return $found->{offsets}[0] ? $found->{offsets}[0]{offset} : undef;
}

1;
