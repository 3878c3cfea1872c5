# Leat::Meddler: what a walsender says, altered on its way.
#
# Leat::Proxy gives it the server's bytes of one connection.  Everything passes,
# until the stream of replication has begun and a change is to be altered:
#
#	garbage    its bytes are others
#	truncated  its second half is missing
#	kind       it is of no kind that there is
#	frame      it is in a frame of no kind that there is
#	long       its frame claims to have 1 GiB
#	short      its frame claims to be shorter than it is
#	greedy     its frame claims to be longer than it is
#	tiny       its frame claims to be shorter than a length
#	unknown    a message of no known type stands before it
#	error      the server's error, of class XX, stands before it
#	ready      as if the server waited for a command
#	done       as if the server had ended the stream
#
# or, at the beginning:
#
#	old        the server is PostgreSQL 13
#
# The server's messages are: type 1, length 4 (itself included), text.
package Leat::Meddler;
use strict;
use warnings;

sub new { return bless { buffer => '', is_streaming => 0 }, $_[0] }

# The server's bytes as the client is to see them; *count is how many changes are
# still to be altered.
sub pass {
	my ($self, $bytes, $how, $count) = @_;
	$self->{buffer} .= $bytes;
	my $out = '';
	# refusals of TLS are no messages
	$out .= $1 if !$self->{is_greeted} && $self->{buffer} =~ s/\A(N+)(?=[RE]|\z)//;
	while (length $self->{buffer} >= 5) {
		my ($type, $size) = unpack 'a N', $self->{buffer};
		last if length $self->{buffer} < 1 + $size;
		my $message = substr $self->{buffer}, 0, 1 + $size, '';
		$self->{is_greeted} = 1;
		$self->{is_streaming} = 1 if $type eq 'W';
		if ($$count && $how ne 'old' && $self->{is_streaming} && $message =~ /\Ad.{4}w.{24}I/s) {
			$$count--;
			$message = alter($how, $message);
		} elsif ($$count && $how eq 'old' && $message =~ /\AS.{4}server_version\0/s) {
			$$count--;
			$message = message('S', "server_version\x0013.21\0");
		}
		$out .= $message;
	}
	return $out;
}

sub message { return pack 'a N a*', $_[0], 4 + length $_[1], $_[1] }

sub alter {
	my ($how, $message) = @_;
	my $text = substr $message, 5;
	my ($head, $change) = unpack 'a25 a*', $text;
	my %form = (
		garbage => sub { message('d', $head . 'I' . ~substr $change, 1) },
		truncated => sub { message('d', substr $text, 0, 26 + length($change) / 2) },
		kind => sub { message('d', $head . 'Z' . substr $change, 1) },
		frame => sub { message('d', 'q' . substr $text, 1) },
		long => sub { pack 'a N a*', 'd', 1 << 30, $text },
		short => sub { pack 'a N a*', 'd', length($text) - 6, $text },
		greedy => sub { pack 'a N a*', 'd', length($text) + 14, $text },
		tiny => sub { pack 'a N a*', 'd', 2, $text },
		unknown => sub { message('y', 'what?') . $message },
		error => sub { message('E', "SERROR\0VERROR\0CXX000\0Msomething is wrong\0\0") . $message },
		ready => sub { message('Z', 'I') . $message },
		done => sub { message('c', '') . $message },
	);
	return $form{$how}->();
}

1;
