# Leat::Lives: what readers of a log saw, who were killed and began again, against
# the events that are in it.
#
#	my $lives = Leat::Lives->new($events);	# what `leat log cat` printed
#	my $why = $lives->wrong({ path => 'life.1', from => 7, is_cut => 1 });
#
# A life is a file of events that must be a piece of the log's without a hole, byte
# for byte: from the first event of seq `from` on, or from where it likes.  is_cut:
# it was killed, so its last line may be a part of one.  is_late: it began in the
# middle, so a version is announced to it before its first row, wherever it came
# into force; those records are not compared, but each row's version must have been
# announced.  A life notes where it ends: is_whole() is true when the lives together
# have all, and leaves_out() tells the first one that begins behind what was seen.
package Leat::Lives;
use strict;
use warnings;

my $announces = qr/^(?=.*"op":"schema").*?"table":"([^"]+)","version":(\d+)/;

sub seq_of { return $_[0] =~ /"seq":(\d+)/ ? $1 : undef }

sub new {
	my ($class, $path) = @_;
	my $self = bless { path => $path, at => [], seq => [], versions => [] }, $class;
	open my $lines, '<:raw', $path or die "$path: $!\n";
	my $at = 0;
	while (my $line = <$lines>) {
		push @{ $self->{at} }, $at;
		push @{ $self->{seq} }, seq_of($line);
		push @{ $self->{versions} }, [$at, $1, $2] if $line =~ $announces;
		$at += length $line;
	}
	$self->{size} = $at;
	return $self;
}

# Where the first event of that seq or above begins.
sub place_of {
	my ($self, $seq) = @_;
	my ($low, $high) = (0, scalar @{ $self->{seq} });
	while ($low < $high) {
		my $middle = int(($low + $high) / 2);
		if ($self->{seq}[$middle] < $seq) { $low = $middle + 1 }
		else { $high = $middle }
	}
	return $low < @{ $self->{at} } ? $self->{at}[$low] : $self->{size};
}

# The next line; without those of versions when the ones known are given.
sub next_event {
	my ($file, $known) = @_;
	while (defined(my $line = <$file>)) {
		return $line unless $known;
		if ($line =~ $announces) {
			$known->{$1} = $2;
			next;
		}
		return $line unless $line =~ /"schema":\{"table":"([^"]+)","version":(\d+)\}/;
		return ($known->{$1} || 0) == $2 ? $line : "version $2 of $1 was not announced: $line";
	}
	return undef;
}

# The seq of the first line of a life, for one that was not told where to begin.
sub first_seq {
	my ($path) = @_;
	open my $file, '<:raw', $path or die "$path: $!\n";
	my $line = <$file>;
	return defined $line && $line =~ /\n\z/ ? seq_of($line) : undef;
}

# What is wrong with a life, as text, or nothing.
sub wrong {
	my ($self, $life) = @_;
	my $from = defined $life->{from} ? $life->{from} : first_seq($life->{path});
	$life->{begin} = $life->{end} = defined $from ? $self->place_of($from) : 0;
	open my $log, '<:raw', $self->{path} or die "$self->{path}: $!\n";
	seek $log, $life->{begin}, 0;
	open my $seen, '<:raw', $life->{path} or die "$life->{path}: $!\n";
	my ($n, @known) = (0, $life->{is_late} ? ({}, {}) : ());
	# the versions in force there were announced before
	%{ $known[0] } = map { @$_[1, 2] } grep { $_->[0] < $life->{begin} } @{ $self->{versions} } if @known;
	while (defined(my $got = next_event($seen, $known[1]))) {
		my $want = next_event($log, $known[0]);
		$want = '' unless defined $want;
		$n++;
		last if $life->{is_cut} && $got !~ /\n\z/ && index($want, $got) == 0;
		return "event $n of $life->{path}:\n in the log $want was seen $got" if $got ne $want;
		$life->{end} = tell $log;
	}
	$life->{seen} = $n;
	return '';
}

# The first life, of lives one after the other, that begins behind what had been
# seen until then; undef when there is none.
sub leaves_out {
	my ($self, @lives) = @_;
	my $reached = 0;
	for my $life (@lives) {
		next if $life->{begin} == $life->{end};
		return $life if $life->{begin} > $reached;
		$reached = $life->{end} if $life->{end} > $reached;
	}
	return undef;
}

sub is_whole {
	my ($self, @lives) = @_;
	return !$self->leaves_out(@lives) && !!grep { $_->{end} == $self->{size} } @lives;
}

1;
