# Leat::Process: a child process of a test.
#
# Its stdout and stderr go to files, so it never blocks on the test.  It leads
# a process group of its own; whatever is left of it is killed when the test
# ends.
package Leat::Process;
use strict;
use warnings;

use Carp qw(croak);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my %running;
my $count = 0;
my @handled = qw(INT TERM HUP ALRM PIPE);

# Leat::Process->start({ dir, name, env => {}, stdin => text, cwd,
#	setup => sub, out => file, err => file }, command...)
# setup runs in the child; { setup => sub { ... exit } } without a command is a
# forked Perl program.
sub start {
	my ($class, $opt, @command) = @_;
	my $base = "$opt->{dir}/" . ($opt->{name} || 'process') . '.' . $count++;
	my $self = bless {
		command => "@command",
		out => $opt->{out} || "$base.out",
		err => $opt->{err} || "$base.err",
		in => '/dev/null',
	}, $class;
	if (defined $opt->{stdin}) {
		$self->{in} = "$base.in";
		open my $in, '>', $self->{in} or croak "$self->{in}: $!";
		print $in $opt->{stdin};
		close $in;
	}
	# a signal that comes before the child has handlers of its own must not
	# find the test's
	my $old = POSIX::SigSet->new;
	POSIX::sigprocmask(POSIX::SIG_BLOCK, POSIX::SigSet->new(map { POSIX->can("SIG$_")->() }
		@handled), $old);
	my $pid = fork;
	$self->child($opt, $old, @command) if defined $pid && $pid == 0;
	POSIX::sigprocmask(POSIX::SIG_SETMASK, $old);
	croak "fork: $!" unless defined $pid;
	setpgrp $pid, $pid;	# whoever comes first
	$self->{pid} = $pid;
	$running{$pid} = $self;
	return $self;
}

sub child {
	my ($self, $opt, $mask, @command) = @_;
	alarm 0;
	$SIG{$_} = 'DEFAULT' for @handled;
	POSIX::sigprocmask(POSIX::SIG_SETMASK, $mask);
	setpgrp 0, 0;
	%running = ();
	my $ready = open(STDIN, '<', $self->{in})
		&& open(STDOUT, '>>', $self->{out})
		&& open(STDERR, '>>', $self->{err})
		&& (!$opt->{cwd} || chdir $opt->{cwd});
	unless ($ready) {
		print STDERR "set-up of $self->{command}: $!\n";
		POSIX::_exit(126);
	}
	my $env = $opt->{env} || {};
	for (keys %$env) {
		if (defined $env->{$_}) { $ENV{$_} = $env->{$_} } else { delete $ENV{$_} }
	}
	if ($opt->{setup}) {
		eval { $opt->{setup}->(); 1 } or do { print STDERR $@; POSIX::_exit(125) };
	}
	POSIX::_exit(0) unless @command;
	no warnings 'exec';
	exec { $command[0] } @command or print STDERR "exec $command[0]: $!\n";
	POSIX::_exit(127);
}

sub pid { return $_[0]{pid} }

sub read_file {
	my ($path) = @_;
	open my $f, '<', $path or return '';
	local $/;
	my $text = <$f>;
	return defined $text ? $text : '';
}

sub out { return read_file($_[0]{out}) }
sub err { return read_file($_[0]{err}) }

# Exit status, or minus the signal; undef while it runs.
sub status {
	my ($self) = @_;
	return $self->{status} if defined $self->{status};
	my $got = waitpid $self->{pid}, WNOHANG;
	return undef if $got == 0;
	$self->{status} = $got < 0 ? -1 : ($? & 127) ? -($? & 127) : $? >> 8;
	delete $running{$self->{pid}};
	kill 'KILL', -$self->{pid};
	return $self->{status};
}

sub is_running { return !defined $_[0]->status }

# Waits for the end; past the limit the process is killed and the test dies.
sub wait {
	my ($self, $limit) = @_;
	my $end = time + ($limit || 180);
	my $pause = 0.002;
	while (1) {
		my $status = $self->status;
		return $status if defined $status;
		if (time > $end) {
			$self->kill9;
			croak "still running: $self->{command}\n" . $self->err;
		}
		sleep $pause;
		$pause *= 1.5 if $pause < 0.1;
	}
}

sub signal { kill $_[1], $_[0]{pid}; return $_[0] }

# TERM (or another signal), and the exit status.
sub stop {
	my ($self, $signal, $limit) = @_;
	my $status = $self->status;
	return $status if defined $status;
	$self->signal($signal || 'TERM');
	return $self->wait($limit);
}

sub kill9 {
	my ($self) = @_;
	return $self->stop('KILL', 30);
}

# Removes its output.
sub forget {
	my ($self) = @_;
	unlink $self->{out}, $self->{err};
	unlink $self->{in} unless $self->{in} eq '/dev/null';
}

sub kill_all {
	for my $p (values %running) {
		kill 'KILL', -$p->{pid};
		kill 'KILL', $p->{pid};
		waitpid $p->{pid}, 0;
	}
	%running = ();
}

1;
