# Leat::Rig: one pipeline under test: a database of its own on a throw-away
# server, a conf, an agent.
#
#	my $rig = Leat::Rig->new($pg, 'e101', source => 'messages = yes');
#	$rig->start->insert(1 .. 3)->await_ids(1 .. 3);
#	$rig->stop;
#
# Sections of the conf are named after the rig: NAME_src, NAME_log or NAME_sink,
# and the pipeline NAME.  `source`, `log`, `sink`, `pipeline` and `top` are
# lines put into them; write() with others makes the conf anew.
#
# scenario 'name' => sub { ... } is a subtest whose death is a failure of its
# own and not the end of the test; what it started is ended with it.
package Leat::Rig;
use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use JSON::PP;
use Test::More ();
use Time::HiRes qw(time);

use Leat::Process;
use Leat::Test ();

our @EXPORT = qw(scenario);
our @agents;	# started in the scenario at hand

# A scenario is run if its name has the word in LEAT_TEST_ONLY.
sub scenario {
	my ($name, $code) = @_;
	return if defined $ENV{LEAT_TEST_ONLY} && index($name, $ENV{LEAT_TEST_ONLY}) < 0;
	Test::More::subtest($name, sub {
		local @agents;
		my $good = eval { $code->(); 1 };
		my $why = $@;
		$_->kill9 for grep { $_->is_running } @agents;
		Test::More::fail("the scenario goes through") || Test::More::diag($why) unless $good;
	});
}

# new($pg, name, sql => text, database => name, sink => 'log' | 'stdout' |
#	'null', conninfo => { port => n }, tables => [...], lines of sections)
sub new {
	my ($class, $pg, $name, %opt) = @_;
	my $self = bless { pg => $pg, name => $name, dir => Leat::Test::tmpdir($name),
		database => $opt{database} || $name, type => 'log', log => '', source => '',
		pipeline => '', top => '', sink => '', conninfo => {} }, $class;
	$self->{schema} = $pg->schema_of($self->{database});
	$self->{tables} = ["$self->{schema}.*"];
	$self->{confpath} = "$self->{dir}/leat.conf";
	$self->{type} = delete $opt{type} if $opt{type};
	my $sql = delete $opt{sql};
	$self->make_database($opt{database}, defined $sql ? $sql :
		'CREATE TABLE t (id int PRIMARY KEY, v text)');
	return $self->write(%opt);
}

sub make_database {
	my ($self, $given, $sql) = @_;
	$self->{pg}->create_database($self->{name}) unless $given;
	$self->query($sql) if length $sql;
}

sub write {
	my ($self, %opt) = @_;
	$self->{$_} = $opt{$_} for keys %opt;
	my ($name, $dir) = @$self{qw(name dir)};
	my $server = $self->{pg}->source_conf($self->{database}, $self->{conninfo});
	my $tables = join ', ', map { '"' . s/(["\\])/\\$1/gr . '"' } @{ $self->{tables} };
	my $to = $self->{type} eq 'log' ? "${name}_log" : "${name}_sink";
	my $destination = $self->{type} eq 'log'
		? "log $to {\npath = \"$dir/log\"\n$self->{log}\n}\n"
		: "sink $to {\ntype = $self->{type}\n$self->{sink}\n}\n";
	Leat::Test::spew($self->{confpath}, <<"CONF");
state_dir = "$dir/state"
$self->{top}
source ${name}_src {
${server}tables = { $tables }
$self->{source}
}
$destination
pipeline $name {
source = ${name}_src
sink = $to
initial = stream_only
$self->{pipeline}
}
CONF
	return $self;
}

sub conf { return $_[0]{confpath} }
sub name { return $_[0]{name} }
sub dir { return $_[0]{dir} }
sub state_dir { return "$_[0]{dir}/state" }
sub log_dir { return "$_[0]{dir}/log" }
sub log_name { return "$_[0]{name}_log" }
sub slot { return $_[0]{pg}->slot("leat_$_[0]{name}") }

# --- the database

sub session {
	my ($self, %opt) = @_;
	return $self->{pg}->session(dbname => $self->{database}, %opt);
}

sub query {
	my ($self, $sql) = @_;
	$self->{session} = $self->session unless $self->{session} && $self->{session}->is_open;
	return $self->{session}->query($sql);
}

# One transaction for each id.
sub insert {
	my ($self, @ids) = @_;
	$self->query(join '', map { "INSERT INTO t VALUES ($_, 'v$_');\n" } @ids);
	return $self;
}

# Before the server stops or a database is dropped.
sub disconnect {
	my ($self) = @_;
	delete $self->{session};
	return $self;
}

# --- the agent

# start({ env => {}, stdout => handle })
sub start {
	my ($self, $opt) = @_;
	my %opt = (name => $self->{name}, %{ $opt || {} });
	if (my $to = delete $opt{stdout}) {
		$opt{setup} = sub { open STDOUT, '>&', $to or die "stdout: $!" };
	}
	$self->{agent} = Leat::Test::start_leat(\%opt, 'run', '-c', $self->conf);
	push @agents, $self->{agent};
	return $self;
}

sub agent { return $_[0]{agent} }
# What the agent has logged since it was started.
sub said { return $_[0]{agent}->err }

sub stop {
	my ($self, $limit) = @_;
	return $self->{agent}->stop('TERM', $limit || 30);
}

sub kill9 {
	my ($self) = @_;
	$self->{agent}->kill9;
	return $self;
}

sub restart {
	my ($self) = @_;
	$self->stop;
	return $self->start;
}

sub leat {
	my ($self, @words) = @_;
	my $command = shift @words;
	return Leat::Test::run_leat($command, '-c', $self->conf, @words);
}

# --- waiting

sub fail_with_log {
	my ($self, $what) = @_;
	croak "$what; the agent said:\n" . ($self->{agent} ? $self->said : '(no agent)');
}

# Until the condition holds; dies with the agent's log if the agent ends.
sub await {
	my ($self, $condition, $what, $limit) = @_;
	my $good = eval {
		Leat::Test::poll_until {
			$condition->() || ($self->{agent} && !$self->{agent}->is_running
				&& ($condition->() || die "the agent ended\n"))
		} $what, $limit || 60;
	};
	$self->fail_with_log("$what: $@") unless $good;
	return $good;
}

sub await_said {
	my ($self, $pattern, $limit) = @_;
	$self->await(sub { $self->said =~ $pattern }, "the log line $pattern", $limit);
	return $self;
}

sub await_running {
	my ($self, $limit) = @_;
	return $self->await_said(qr/\Q"$self->{name}"\E: running code=started/, $limit);
}

# The pipeline's part of `leat status`.
sub status {
	my ($self) = @_;
	my ($found) = grep { $_->{name} eq $self->{name} } @{ Leat::Test::status($self->conf)->{pipelines} };
	return $found;
}

sub await_status {
	my ($self, $state, $code, $limit) = @_;
	my $found;
	$self->await(sub {
		$found = $self->status;
		$found->{state} eq $state && (!defined $code || $found->{code} eq $code)
	}, "state $state" . (defined $code ? " for $code" : ''), $limit);
	return $found;
}

# --- the log

sub events {
	my ($self, @options) = @_;
	return Leat::Test::events($self->conf, $self->log_name, @options);
}

# Rows only, of one table or of all.
sub changes {
	my ($self, $table) = @_;
	return () unless -d $self->log_dir;
	return grep { $_->{op} =~ /^[cud]$/ && (!defined $table || $_->{source}{table} eq $table) }
		$self->events;
}

# The same text unparsed: JSON::PP takes its time, and there may be many lines.
sub lines {
	my ($self, @options) = @_;
	return () unless -d $self->log_dir;
	my ($rc, $out, $err) = $self->leat('log', 'cat', @options, $self->log_name);
	croak "leat log cat ended with $rc: $err" if $rc;
	return split /\n/, $out;
}

# Column id, which is the first one, of each change of table t.
sub ids {
	my ($self) = @_;
	return map { /"op":"[cud]"/ && /^\{"before":(?:null|\{"id":(\d+).*?\}),"after":(?:null|\{"id":(\d+))/
		? (defined $2 ? $2 : $1) : () } $self->lines('--table', "$self->{schema}.t");
}

sub await_count {
	my ($self, $n, $limit) = @_;
	my @ids;
	$self->await(sub { @ids = $self->ids; @ids >= $n }, "$n events in the log", $limit);
	return @ids;
}

sub await_ids {
	my ($self, @ids) = @_;
	my @got = $self->await_count(scalar @ids);
	Test::More::is("@got", "@ids", 'the log has exactly the rows that were committed, in order')
		or Test::More::diag($self->{agent} ? $self->said : '');
	return $self;
}

# The slot has been told of everything that the server has now.
sub await_acked {
	my ($self, $limit) = @_;
	my $lsn = $self->{pg}->value('SELECT pg_current_wal_flush_lsn()');
	$self->await(sub {
		$self->{pg}->value("SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots
			WHERE slot_name = 'leat_$self->{name}'") eq 't'
	}, "confirmed_flush at $lsn", $limit);
	return $lsn;
}

# No id twice, seq strictly increasing, and ordinals of a transaction without
# gaps: the shape that every log must have, whatever happened.
sub is_sound {
	my ($self, $what) = @_;
	my (%seen, %ordinal, @bad);
	my ($seq, $is_after_gap) = (0, 0);
	for my $line ($self->lines) {
		my ($op) = $line =~ /"op":"(\w+)"/;
		my ($id, $run, $at) = $line =~ m{"leat":\{"id":"([^"/]*/(\d+)/[^"]*)","seq":(\d+)} or do {
			push @bad, "no id in $line";
			next;
		};
		push @bad, "$id comes twice" if $seen{$id}++;
		next if $op eq 'schema';
		my $is_second = $id =~ m{/i$};	# of a key change
		push @bad, "$id has seq $at after $seq" if $at < $seq || ($at == $seq && !$is_second);
		$seq = $at;
		$is_after_gap = 1 if $op eq 'gap';
		my ($txn, $order) = $line =~ /"transaction":\{"id":"([^"]+)","total_order":(\d+)/ or next;
		push @bad, "$id is not next in its transaction"
			if $order != ($ordinal{"$run $txn"} || 0) + 1 && !$is_second && !$is_after_gap;
		$is_after_gap = 0;
		$ordinal{"$run $txn"} = $order;
	}
	$#bad = 20 if @bad > 20;
	return Test::More::is_deeply(\@bad, [], $what || 'no id comes twice, seq grows, ordinals have no gaps');
}

# --- states that somebody has to leave

# The command in a hint, as words behind `leat`.
sub command_of {
	my ($hint) = @_;
	return () unless defined $hint && $hint =~ /\bleat (\w+[^`";]*?)(?:[`";]|\.?\s*$|\. )/;
	return split ' ', $1;
}

# The pipeline stops with the code, in log line, status and exit status alike.
sub stops_with {
	my ($self, $code, $limit) = @_;
	my $st = $self->await_status('stopped', undef, $limit);
	Test::More::is($st->{code}, $code, "it stops as $code") or Test::More::diag($self->said);
	Test::More::like($self->said, qr/^\S+ error pipeline "\Q$self->{name}\E": .* code=$code\b/m,
		'the log line has the code');
	Test::More::ok(length($st->{message} || ''), 'status says why');
	Test::More::ok(length($st->{hint} || ''), 'and gives a hint') or Test::More::diag(explain_text($st));
	return $st;
}

sub explain_text { return JSON::PP->new->canonical->pretty->encode($_[0]) }

# Runs the command of the hint while the agent, with the pipeline stopped in it,
# is gone; returns what it printed.
sub obey_hint {
	my ($self, $st) = @_;
	my @words = command_of($st->{hint});
	Test::More::ok(scalar @words, 'the hint is a command') or Test::More::diag($st->{hint});
	$self->{agent}->stop if $self->{agent} && $self->{agent}->is_running;
	my ($rc, $out, $err) = $self->leat(@words);
	Test::More::is($rc, 0, "leat @words") or Test::More::diag($out . $err);
	return $out;
}

# obey_hint, then the pipeline runs on, behind a gap that its consumers see.
sub leaves_with_gap {
	my ($self, $st, $id) = @_;
	my $before = $self->type_is_log ? [$self->events] : [];
	$self->obey_hint($st);
	$self->start->await_running;
	$self->insert($id);
	$self->await(sub { grep { $_ == $id } $self->ids }, "row $id");
	my @after = $self->events;
	my @new = @after[scalar(@$before) .. $#after];
	my ($gap) = grep { $_->{op} eq 'gap' } @new;
	Test::More::ok($gap, 'the log says that changes are missing') or Test::More::diag(explain_text(\@new));
	Test::More::ok(length($gap->{gap}{to} || ''), 'and where the stream goes on') if $gap;
	my ($row) = grep { $_->{op} eq 'c' && $_->{after}{id} == $id } @new;
	my ($was) = map { incarnation_of($_) } grep { $_->{op} eq 'c' } reverse @$before;
	Test::More::cmp_ok(incarnation_of($row), '>', $was || 0, 'ids are of a new incarnation');
	$self->is_sound;
	return $self;
}

sub type_is_log { return $_[0]{type} eq 'log' }

sub incarnation_of {
	my ($ev) = @_;
	return $ev->{leat}{id} =~ m{^[^/]*/(\d+)/} ? $1 : 0;
}

1;
