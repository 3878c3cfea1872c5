# Leat::Stream: one pipeline from a Postgres database into a log, as tests of the
# source see it.
#
#	my $st = Leat::Stream->new($pg, db => 'shop', source => "tables = ...\n");
#	$st->start;
#	my @ev = $st->changes("INSERT INTO t VALUES (1)");
#
# changes(sql...) runs each text as a psql script and returns what the log holds
# since the last call, parsed, up to a message of ours that is sent behind it.
# Several streams share one agent: Leat::Stream->start_all($a, $b).
package Leat::Stream;
use strict;
use warnings;

use Carp qw(croak);
use JSON::PP;

use Leat::Test ();

my $markers = 0;

# new($pg, name =>, db =>, tables => [...], source => text, pipeline => text)
sub new {
	my ($class, $pg, %opt) = @_;
	my $self = bless { pg => $pg, name => 'shop', db => 'postgres', tables => ['public.*'],
		source => '', pipeline => '', seen => 0, %opt }, $class;
	$self->{log} = "$self->{name}_log";
	return $self;
}

sub sections {
	my ($self) = @_;
	my $conninfo = $self->{pg}->conninfo(dbname => $self->{db});
	my $tables = join ', ', map { '"' . s/(["\\])/\\$1/gr . '"' } @{ $self->{tables} };
	my $path = Leat::Test::tmpdir() . "/log.$self->{name}";
	return <<TXT;
source $self->{name} {
	type = postgres
	conninfo = "$conninfo"
	tables = { $tables }
	$self->{source}
}
log $self->{log} { path = "$path" }
pipeline $self->{name} {
	source = $self->{name}
	sink = $self->{log}
	initial = stream_only
	$self->{pipeline}
}
TXT
}

sub start_all {
	my ($class, @streams) = @_;
	my $conf = Leat::Test::write_conf(join '', map { $_->sections } @streams);
	my $agent = Leat::Test::start_leat('run', '-c', $conf);
	for (@streams) {
		@$_{qw(conf agent)} = ($conf, $agent);
		$_->await('running');
	}
	return $agent;
}

sub start { return ref($_[0])->start_all($_[0]) }

# The pipeline's entry in `leat status`, once its state is the one given.
sub await {
	my ($self, $state) = @_;
	my $entry;
	Leat::Test::poll_until {
		croak "the agent ended:\n" . $self->{agent}->err unless $self->{agent}->is_running;
		my ($rc, $out) = Leat::Test::run_leat('status', '-c', $self->{conf}, '--json');
		return 0 if $rc;
		my $status = JSON::PP->new->utf8->decode($out);
		($entry) = grep { $_->{name} eq $self->{name} } @{ $status->{pipelines} };
		croak "pipeline $self->{name} stopped: $entry->{message}"
			if $state ne 'stopped' && $entry->{state} eq 'stopped';
		$status->{running} && $entry->{state} eq $state;
	} "pipeline $self->{name} $state", 60;
	return $entry;
}

sub session {
	my ($self, %opt) = @_;
	return $self->{pg}->session(dbname => $self->{db}, %opt);
}

sub query {
	my ($self, $sql) = @_;
	$self->{session} = $self->session unless $self->{session} && $self->{session}->is_open;
	return $self->{session}->query($sql);
}

# Lines of the log that were not returned before.  It is read from its beginning:
# a reader that begins in the middle gets the versions of its tables once more.
sub lines {
	my ($self, @options) = @_;
	my ($rc, $out, $err) = Leat::Test::run_leat('log', 'cat', '-c', $self->{conf}, $self->{log},
		@options);
	croak "leat log cat ended with $rc: $err" if $rc;
	my @lines = split /\n/, $out;
	return @lines[$self->{seen} .. $#lines];
}

# Waits for a message sent now; the lines in front of it.
sub new_lines {
	my ($self, @options) = @_;
	my $marker = 'leat-test-marker-' . $markers++;
	$self->query("SELECT pg_logical_emit_message(true, '$marker', '')");
	my (@found, $at);
	Leat::Test::poll_until {
		$self->await('running');
		@found = $self->lines(@options);
		($at) = grep { $found[$_] =~ /"$marker"/ } 0 .. $#found;
		defined $at;
	} 'the marker', 60;
	$self->{seen} += $at + 1;
	return grep { !/"leat-test-marker-\d+"/ } @found[0 .. $at - 1];
}

sub changes {
	my ($self, @sql) = @_;
	$self->query($_) for @sql;
	return map { decode($_) } $self->new_lines;
}

# Numbers beyond 2^53 stay exact.
sub decode { return JSON::PP->new->utf8->allow_bignum->decode($_[0]) }

1;
