# Watch: what a process costs, as /proc tells it.
#
# CPU seconds are those of the scheduler's own count (schedstat), in nanoseconds;
# a process that has ended keeps what was seen last, so look often.
package Watch;
use strict;
use warnings;

use Leat::Process;

sub new {
	my ($class, $pid) = @_;
	return bless { pid => $pid, cpu => {} }, $class;
}

# Takes the figures in; false when the process is gone.
sub look {
	my ($self) = @_;
	my $any = 0;
	for my $task (glob "/proc/$self->{pid}/task/*") {
		my ($tid) = $task =~ /(\d+)$/;
		my ($ns) = Leat::Process::read_file("$task/schedstat") =~ /^(\d+)/ or next;
		$self->{cpu}{$tid} = $ns / 1e9;
		$self->{name}{$tid} = Leat::Process::read_file("$task/comm") =~ s/\s+\z//r;
		$any = 1;
	}
	return $any;
}

# { thread's name => CPU seconds }
sub threads {
	my ($self) = @_;
	my %cpu;
	$cpu{ $self->{name}{$_} } += $self->{cpu}{$_} for keys %{ $self->{cpu} };
	return \%cpu;
}

sub cpu {
	my ($self) = @_;
	my $sum = 0;
	$sum += $_ for values %{ $self->{cpu} };
	return $sum;
}

# How often its threads went to sleep by themselves, and so were woken.
sub wakeups {
	my ($self) = @_;
	my $sum = 0;
	for my $status (glob "/proc/$self->{pid}/task/*/status") {
		$sum += $1 if Leat::Process::read_file($status) =~ /^voluntary_ctxt_switches:\s*(\d+)/m;
	}
	return $sum;
}

# VmHWM, VmRSS, RssAnon: KiB
sub memory {
	my ($self, $which) = @_;
	return Leat::Process::read_file("/proc/$self->{pid}/status") =~ /^\Q$which\E:\s*(\d+)/m ? $1 : undef;
}

1;
