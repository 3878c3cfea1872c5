# Leat::Kafka: a throw-away Apache Kafka broker, and a consumer that is not leat.
#
#	Leat::Kafka->need;
#	my $kafka = Leat::Kafka->new(conf => { 'num.partitions' => 3 });
#	print "brokers = ", $kafka->bootstrap;
#	for ($kafka->records('shop.public.t')) { print "$_->{key} $_->{value}\n" }
#	$kafka->kill9;  $kafka->start;
#	my $peer = Leat::Kafka->peer('mock', 'topic');	# t/kafka_peer.c
#	print $peer->said, $peer->ask('slow 100');
#
# One node in one JVM, broker and controller (KRaft), on 127.0.0.1 at free ports.
# It makes no topic by itself.  proxied => 1: a second listener behind a
# Leat::Proxy ($kafka->proxy), at $kafka->proxied.
#
# apart => 1: the controller is a process of its own, which outlives a broker that is
# killed.  Where both are one, a new one of them coordinates transactions before the
# old one's session is over; it then finds partitions without a leader, and Kafka
# 4.3.1 takes these for deleted ones and leaves out the markers of transactions:
# readers of what is committed wait there for ever.
#
# The jars come from Maven (Leat::Maven); Leat::Kafka->fetch gets them, for ./dev.
#
#	LEAT_KAFKA_VERSION  the broker's version (default: 4.3.1)
package Leat::Kafka;
use strict;
use warnings;

use Carp qw(croak);
use IPC::Open2 qw(open2);
use Time::HiRes qw(sleep time);

use Leat::Maven;
use Leat::Process;
use Leat::Proxy;
use Leat::Test ();

use constant { DEFAULT_VERSION => '4.3.1', START => 180 };

my $count = 0;

# --- what the machine has

sub version { return $ENV{LEAT_KAFKA_VERSION} || DEFAULT_VERSION }

sub jars_name { return 'kafka-' . ($_[0] || version()) }

sub need {
	Leat::Test::need_loopback('kafka');
	for my $program (qw(java kcat)) {
		Leat::Test::skip_or_fail('kafka', "no $program") unless Leat::Maven::has_program($program);
	}
	Leat::Test::skip_or_fail('kafka', 'no Kafka ' . version() . ' in ' . Leat::Maven::cache() .
		' (./dev servers kafka fetches it)') unless Leat::Maven::find(jars_name());
	Leat::Test::skip_or_fail('kafka', 'built without the Kafka sink')
		unless Leat::Test::has_feature('KAFKA');
}

# The jars of a version into the cache; returns their directory.
sub fetch {
	my ($class, $version) = @_;
	$version ||= version();
	return Leat::Maven::fetch_jars(jars_name($version), "org.apache.kafka:kafka_2.13:$version",
		"org.apache.kafka:kafka-tools:$version", 'org.slf4j:slf4j-simple:1.7.36');
}

# --- the broker

# new(conf => { name => value }, version => text, proxied => 1, apart => 1,
#	start => 0, jvm => [option, ...], listeners => { NAME => protocol } (port_of NAME),
#	format => [more words for the tool that formats])
sub new {
	my ($class, %opt) = @_;
	my $name = 'kafka' . $count++;
	my $dir = Leat::Test::tmpdir($name);
	my $self = bless { name => $name, dir => $dir, log => "$dir/log",
		version => $opt{version} || version(), conf => $opt{conf} || {}, listeners => $opt{listeners} || {},
		jvm => $opt{jvm} || ['-Xms64m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
		map { $_ => Leat::Test::free_port() } qw(port controller inner) }, $class;
	$self->{proxy} = Leat::Proxy->new($self->{inner}, is_kafka => 1) if $opt{proxied};
	$self->configure($opt{apart} ? ('broker', 'controller') : 'broker,controller');
	my $id = cluster_id();
	for my $roles (@{ $self->{roles} }) {
		$self->java('format', 'kafka.tools.StorageTool', 'format', '-t', $id,
			'-c', "$dir/$roles.properties", @{ $opt{format} || [] })->wait(START) == 0 or croak 'format: ' . $self->log_text;
	}
	$self->{quorum} = $self->java('controller', 'kafka.Kafka', "$dir/controller.properties") if $opt{apart};
	$self->start unless exists $opt{start} && !$opt{start};
	return $self;
}

# One that runs elsewhere, to be read: "127.0.0.1:9092".
sub at {
	my ($class, $bootstrap) = @_;
	return bless { port => $bootstrap =~ s/.*://r }, $class;
}

sub cluster_id {
	return join '', map { ('A' .. 'Z', 'a' .. 'z', 0 .. 9)[rand 62] } 1 .. 22;
}

# One file for each process; the controller alone is node 2.
sub configure {
	my ($self, @roles) = @_;
	$self->{roles} = \@roles;
	my $proxied = $self->{proxy} ? ',PROXY://127.0.0.1:' : '';
	my %conf = (
		'process.roles' => $roles[0], 'node.id' => 1,
		listeners => "PLAINTEXT://127.0.0.1:$self->{port}" . ($proxied && "$proxied$self->{inner}") .
			(@roles == 1 ? ",CONTROLLER://127.0.0.1:$self->{controller}" : ''),
		'advertised.listeners' => "PLAINTEXT://127.0.0.1:$self->{port}" .
			($proxied && $proxied . $self->{proxy}->port),
		'listener.security.protocol.map' => 'PLAINTEXT:PLAINTEXT,PROXY:PLAINTEXT,CONTROLLER:PLAINTEXT',
		'inter.broker.listener.name' => 'PLAINTEXT',
		'controller.listener.names' => 'CONTROLLER',
		'controller.quorum.voters' => scalar(@roles) . "\@127.0.0.1:$self->{controller}",
		'log.dirs' => "$self->{dir}/data",
		'auto.create.topics.enable' => 'false',
		'offsets.topic.replication.factor' => 1, 'offsets.topic.num.partitions' => 1,
		'transaction.state.log.replication.factor' => 1,
		'transaction.state.log.min.isr' => 1, 'transaction.state.log.num.partitions' => 2,
		'transaction.abort.timed.out.transaction.cleanup.interval.ms' => 1000,
		'group.initial.rebalance.delay.ms' => 0,
		'broker.session.timeout.ms' => 3000, 'broker.heartbeat.interval.ms' => 500,
		'log.segment.bytes' => 64 << 20, 'num.network.threads' => 2, 'num.io.threads' => 4,
		%{ $self->{conf} });
	$self->add_listeners(\%conf);
	Leat::Test::spew("$self->{dir}/$roles[0].properties", map { "$_=$conf{$_}\n" } sort keys %conf);
	return if @roles == 1;
	%conf = (%conf, 'process.roles' => $roles[1], 'node.id' => 2, 'log.dirs' => "$self->{dir}/quorum",
		listeners => "CONTROLLER://127.0.0.1:$self->{controller}");
	delete $conf{'advertised.listeners'};
	Leat::Test::spew("$self->{dir}/$roles[1].properties", map { "$_=$conf{$_}\n" } sort keys %conf);
}

# For the next start.
sub set_conf {
	my ($self, %conf) = @_;
	$self->{conf} = { %{ $self->{conf} }, %conf };
	$self->configure(@{ $self->{roles} });
	return $self;
}

sub add_listeners {
	my ($self, $conf) = @_;
	for my $name (sort keys %{ $self->{listeners} }) {
		my $protocol = $self->{listeners}{$name};
		my $port = $self->{at}{$name} ||= Leat::Test::free_port();
		$conf->{$_} .= ",$name://127.0.0.1:$port" for 'listeners', 'advertised.listeners';
		$conf->{'listener.security.protocol.map'} .= ",$name:$protocol";
	}
}

sub java {
	my ($self, $what, @words) = @_;
	return Leat::Test::start_command({ name => "$self->{name}.$what", cwd => $self->{dir},
		out => $self->{log}, err => $self->{log} },
		'java', @{ $self->{jvm} }, '-XX:-UsePerfData',
		'-Djava.awt.headless=true', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
		'-Dorg.slf4j.simpleLogger.showDateTime=true',
		'-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.ReplicationControlManager=info',
		'-cp', Leat::Maven::dir(jars_name($self->{version})) . '/*', @words);
}

sub start {
	my ($self) = @_;
	$self->{process} = $self->java('server', 'kafka.Kafka', "$self->{dir}/$self->{roles}[0].properties");
	my $end = time + START;
	while ($self->{process}->is_running && time < $end) {
		my ($rc, $out) = Leat::Test::run_command('kcat', '-b', $self->bootstrap, '-L', '-m', '2');
		return $self if $rc == 0 && $out =~ /^  broker 1 /m;
		sleep 0.2;
	}
	croak "Kafka did not start:\n" . $self->log_text;
}

sub stop {
	my ($self) = @_;
	$self->{process}->stop('TERM', 60) if $self->is_running;
	$self->{quorum}->stop('TERM', 60) if $self->{quorum};
	return $self;
}

# Where the controller lives on, until it knows.
sub kill9 {
	my ($self) = @_;
	my $fenced = qr/Fencing broker 1 /;
	my $was = () = $self->log_text =~ /$fenced/g;
	$self->{process}->kill9;
	Leat::Test::poll_until { my $n = () = $self->log_text =~ /$fenced/g; $n > $was }
		'the controller to miss the broker' if $self->{quorum};
	return $self;
}
sub is_running { return $_[0]{process} && $_[0]{process}->is_running }

# Takes no signal of a network: it just does nothing until resume.
sub freeze { $_[0]{process}->signal('STOP'); return $_[0] }
sub resume { $_[0]{process}->signal('CONT'); return $_[0] }

sub port { return $_[0]{port} }
sub pid { return $_[0]{process}->pid }
sub bootstrap { return "127.0.0.1:$_[0]{port}" }
sub port_of { return $_[0]{at}{$_[1]} }
sub proxy { return $_[0]{proxy} }
sub proxied { return '127.0.0.1:' . $_[0]{proxy}->port }
sub log_text { return Leat::Process::read_file($_[0]{log}) }

# --- topics, by kcat

sub kcat {
	my ($self, @words) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command('kcat', '-b', $self->bootstrap, @words);
	croak "kcat @words ended with $rc: $err" if $rc;
	return $out;
}

# topic => number of partitions
sub topics {
	my ($self) = @_;
	my $out = $self->kcat('-L');
	my %topics;
	$topics{$1} = $2 while $out =~ /^  topic "([^"]+)" with (\d+) partitions/mg;
	return \%topics;
}

# By the distribution's own tool; kcat makes none.
sub tool {
	my ($self, @words) = @_;
	$self->java('tool', @words)->wait(START) == 0 or croak "@words: " . $self->log_text;
}

sub make_topic {
	my ($self, $name, $partitions, @settings) = @_;
	$self->tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $self->bootstrap,
		'--create', '--topic', $name, '--partitions', $partitions, map { ('--config', $_) } @settings);
}

sub add_partitions {
	my ($self, $name, $partitions) = @_;
	$self->tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $self->bootstrap,
		'--alter', '--topic', $name, '--partitions', $partitions);
}

sub set_topic {
	my ($self, $name, @settings) = @_;
	$self->tool('kafka.admin.ConfigCommand', '--bootstrap-server', $self->bootstrap, '--alter',
		'--entity-type', 'topics', '--entity-name', $name, '--add-config', join ',', @settings);
}

sub remove_topic {
	my ($self, $name) = @_;
	$self->tool('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $self->bootstrap,
		'--delete', '--topic', $name);
	Leat::Test::poll_until { !$self->topics->{$name} } "the end of topic $name";
}

# What a reader of committed records gets of a topic, partition by partition:
# { partition, offset, key, value, headers }, with undef for what is not there.
sub records {
	my ($self, $topic, %opt) = @_;
	my $level = $opt{uncommitted} ? 'read_uncommitted' : 'read_committed';
	my $out = $self->kcat('-C', '-q', '-e', '-u', '-t', $topic, '-o', 'beginning',
		'-X', "isolation.level=$level", '-X', 'check.crcs=true', '-X', 'fetch.wait.max.ms=20',
		'-f', '%p %o %K %S\n%k%s\n%h\n');
	my (@records, $at);
	for ($at = 0; $at < length $out;) {
		my $head = substr $out, $at, index($out, "\n", $at) - $at;
		my ($partition, $offset, $k, $v) = $head =~ /^(\d+) (\d+) (-?\d+) (-?\d+)$/
			or croak "kcat printed $head";
		$at += length($head) + 1;
		my %r = (partition => $partition, offset => $offset, topic => $topic);
		for (['key', $k], ['value', $v]) {
			next if $_->[1] < 0;
			$r{$_->[0]} = substr $out, $at, $_->[1];
			$at += $_->[1];
		}
		$r{headers} = substr $out, $at + 1, index($out, "\n", $at + 1) - $at - 1;
		$at += length($r{headers}) + 2;
		push @records, \%r;
	}
	# in an array, for whoever only counts them
	my @sorted = sort { $a->{partition} <=> $b->{partition} || $a->{offset} <=> $b->{offset} } @records;
	return @sorted;
}

# --- t/kafka_peer.c; it is killed when nobody holds it any more

sub peer {
	my ($class, @words) = @_;
	my $self = bless {}, 'Leat::Kafka::Peer';
	$self->{pid} = open2($self->{out}, $self->{in}, "$Leat::Test::BUILDDIR/t/kafka_peer", @words);
	return $self->hear;
}

package Leat::Kafka::Peer;

sub hear {
	my ($self) = @_;
	my $line = readline $self->{out};
	Carp::croak('kafka_peer ended') unless defined $line;
	chomp($self->{said} = $line);
	return $self;
}

sub said { return $_[0]{said} }

# Dies when it does not go through.
sub ask {
	my ($self, $line) = @_;
	print { $self->{in} } "$line\n";
	$self->{in}->flush;
	Carp::croak("kafka_peer, $line: $self->{said}") if $self->hear->{said} ne 'ok';
	return $self;
}

sub DESTROY {
	my ($self) = @_;
	local $?;
	# others may have inherited the pipe
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
}

1;
