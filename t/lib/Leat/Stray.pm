# Leat::Stray: requests of a Kafka client that come late or twice.
#
# A request whose connection broke may still reach the broker, behind those that
# the client sent later by another one; so what was repeated, or given up, can be
# obeyed at a wrong time (KAFKA-17754).  Leat::Proxy gives the client's bytes of one
# connection; which request of which kind is to go astray is told by a wish:
#
#	{ api => 26, n => 1, how => 'late', ms => 500 }
#
#	late   it does not go on, the connection is reset, and it arrives by a
#	       connection of its own that many milliseconds later
#	held   likewise, when the proxy is told to
#	twice  it arrives, is answered to nobody, and goes on as if for the first time
#
# A request is: length 4, kind 2, version 2, correlation id 4, ...
package Leat::Stray;
use strict;
use warnings;

use Errno qw(EINTR);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use constant { END_TXN => 26, ANSWER => 5 };	# a kind; seconds

sub new { return bless { buffer => '', left => 0 }, $_[0] }

# What goes on, and requests that do not.
sub pass {
	my ($self, $bytes, $wish) = @_;
	my ($out, @taken) = ('');
	$self->{buffer} .= $bytes;
	while (length $self->{buffer}) {
		if ($self->{left}) {
			my $piece = substr $self->{buffer}, 0, $self->{left}, '';
			$self->{left} -= length $piece;
			$out .= $piece;
			next;
		}
		last if length $self->{buffer} < 6;
		my ($size, $api) = unpack 'N n', $self->{buffer};
		if ($wish->{n} && $api == $wish->{api}) {
			last if length $self->{buffer} < 4 + $size;
			push @taken, substr $self->{buffer}, 0, 4 + $size, '';
			$wish->{n}--;
			last;
		}
		$self->{left} = 4 + $size;
	}
	return ($out, @taken);
}

# What is behind the last one taken.
sub rest {
	my ($self) = @_;
	my $rest = $self->{buffer};
	$self->{buffer} = '';
	return $rest;
}

# Brings it to the broker; its kind, and the error code that an EndTxn was answered
# with (version 1: length 4, correlation id 4, throttle time 4, error 2), "answered"
# or "none".
sub deliver {
	my ($port, $request) = @_;
	my $api = unpack 'x4 n', $request;
	my $broker = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => ANSWER)
		or return "$api:none";
	syswrite $broker, $request;
	my ($answer, $end) = ('', time + ANSWER);
	my $select = IO::Select->new($broker);
	while (length $answer < 14 && time < $end) {
		next unless $select->can_read(0.1);
		my $n = sysread $broker, $answer, 14 - length $answer, length $answer;
		last unless $n || (!defined $n && $!{EINTR});
	}
	return "$api:none" if length $answer < 14;
	return "$api:" . ($api == END_TXN ? unpack 'x12 n', $answer : 'answered');
}

1;
