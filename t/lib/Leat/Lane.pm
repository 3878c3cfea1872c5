# Leat::Lane: a process that is started and killed again and again, by a plan.
#
#	my $lane = Leat::Lane->new(name => 'victim', begin => sub { process },
#		next => sub { a step, or nothing at the end }, ended => sub { ... });
#	while (grep { $_->turn } @lanes) { ... }
#
# A step is one life, and tells how it ends:
#	{ after => 0.3 }                  by kill -9, so many seconds later
#	{ point => 'mid_frame', at => 2 } at a fault point; begin gives it that fault
# and if it likes:
#	ready => sub   the seconds begin when this is true
#	during => sub  called in each turn
#	then => sub    called instead of the kill -9; the process has ended then
#	process        one that runs already
# begin and ended get lane and step.  A process that ends in any other way ends the
# test, unless may_end => sub says that it may.
package Leat::Lane;
use strict;
use warnings;

use Carp qw(croak);
use Time::HiRes qw(time);

# Seconds until a fault point was missed, and until a process should be ready.
use constant { REACH => 20, READY => 120 };

sub new {
	my ($class, %opt) = @_;
	return bless { kills => 0, hits => {}, missed => [], %opt }, $class;
}

sub begin {
	my ($self) = @_;
	my $step = $self->{step} = $self->{next}->($self) or return undef;
	$self->{started} = time;
	$self->{clock} = undef;
	$self->{process} = $step->{process} || $self->{begin}->($self, $step);
	return $step;
}

sub end {
	my ($self) = @_;
	my $step = delete $self->{step};
	$self->{ended}->($self, $step) if $self->{ended};
	%$step = ();	# what it calls may refer to it
	return 1;
}

# True while there is more to do.
sub turn {
	my ($self) = @_;
	my $step = $self->{step} || $self->begin or return 0;
	my $process = $self->{process};
	my $status = $process->status;
	if (defined $status) {
		if ($status == -9 && $step->{point}) {
			$self->{hits}{ $step->{point} }++;
			$self->{kills}++;
		} elsif (!$self->{may_end} || !$self->{may_end}->($process)) {
			croak "$self->{name} ended with $status: " . $process->err;
		}
		return $self->end;
	}
	$step->{during}->() if $step->{during};
	if (!$self->{clock}) {
		croak "$self->{name} is not ready: " . $process->err if time > $self->{started} + READY;
		return 1 if $step->{ready} && !$step->{ready}->();
		$self->{clock} = time;
	}
	return 1 if time < $self->{clock} + ($step->{point} ? REACH : $step->{after});
	push @{ $self->{missed} }, "$step->{point}:$step->{at}" if $step->{point};
	if ($step->{then}) {
		$step->{then}->();
	} else {
		$process->kill9;
		$self->{kills}++;
	}
	return $self->end;
}

1;
