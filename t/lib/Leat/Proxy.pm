# Leat::Proxy: a TCP proxy that misbehaves on command.
#
#	my $proxy = Leat::Proxy->new($pg->port);	# listens at $proxy->port
#	$proxy->stall;	 moves nothing, either way, until pass: a dead network
#	$proxy->swallow; reads from both sides and throws it away, until pass; the end
#			 of a connection too, so that the other side knows nothing of
#			 it until cut or reset
#	$proxy->swallow_after(n);  does so when n more bytes came from the server
#	$proxy->deaf;	 the server's bytes pass, the client's stay unread
#	$proxy->pass;	 normal again
#	$proxy->freeze(n);  the n-th connection and all later ones move nothing,
#			 until pass
#	$proxy->dribble; the server's bytes go on one by one, until pass
#	$proxy->alter(n, how);  alters n changes in replication (Leat::Meddler);
#			 connections made after the first such call only
#	$proxy->stray(api, n, how, ms);  the next n requests of that kind to Kafka go
#			 astray (Leat::Stray)
#	$proxy->release; those that are held arrive
#	$proxy->answers	 -> what those that have arrived were answered
#	$proxy->cut;	 ends all connections in order (FIN)
#	$proxy->reset;	 ends them with RST
#	$proxy->cut_after(n);	cuts when n more bytes came from the server
#	$proxy->refuse;	 cuts, and new connections are turned away until pass
#	$proxy->count	 -> { accepted, open, up, down }: connections and bytes
#
# A forked process; each command returns when the proxy obeys it.
package Leat::Proxy;
use strict;
use warnings;

use Carp qw(croak);
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use Leat::Meddler;
use Leat::Stray;
use Leat::Test ();

use constant CHUNK => 65536;
use constant DRIBBLE => 0.0002;	# seconds from byte to byte

sub new {
	my ($class, $upstream, %opt) = @_;
	my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1')
		or croak "proxy: $@";
	socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or croak "socketpair: $!";
	$_->autoflush(1) for $ours, $theirs;
	my $self = bless { port => $listen->sockport, control => $ours }, $class;
	$self->{process} = Leat::Process->start({ dir => Leat::Test::tmpdir(), name => 'proxy',
		setup => sub {
			close $ours;
			serve({ %opt, listen => $listen, control => $theirs, upstream => $upstream });
		} });
	close $theirs;
	close $listen;
	return $self;
}

sub port { return $_[0]{port} }

sub ask {
	my ($self, $word) = @_;
	my $control = $self->{control};
	print $control "$word\n";
	my $answer = <$control>;
	croak 'the proxy has ended: ' . $self->{process}->err unless defined $answer;
	chomp $answer;
	return $answer;
}

for my $word (qw(stall swallow deaf dribble pass cut reset refuse)) {
	no strict 'refs';
	*$word = sub { $_[0]->ask($word); return $_[0] };
}

for my $word (qw(cut_after swallow_after freeze)) {
	no strict 'refs';
	*$word = sub { $_[0]->ask("$word $_[1]"); return $_[0] };
}

sub alter { $_[0]->ask("alter $_[1] $_[2]"); return $_[0] }

sub stray {
	my ($self, $api, $n, $how, $ms) = @_;
	$self->ask("stray $api $n $how " . int($ms || 0));
	return $self;
}

sub release { $_[0]->ask('release'); return $_[0] }
sub answers { return split / /, $_[0]->ask('answers') }

sub count {
	my %count;
	@count{qw(accepted open up down)} = split / /, $_[0]->ask('count');
	return \%count;
}

sub stop { $_[0]{process}->kill9 }

# --- the proxy's own process

sub serve {
	my ($state) = @_;
	$SIG{PIPE} = 'IGNORE';
	%$state = (%$state, mode => 'pass', pairs => {}, accepted => 0, up => 0, down => 0,
		wish => { n => 0 }, strays => [], answers => []);
	while (1) {
		my ($readers, $writers) = wanted($state);
		my ($r, $w) = IO::Select->select($readers, $writers, undef, @{ $state->{strays} } ? 0.02 : 1);
		deliver_strays($state);
		for my $handle (@{ $r || [] }, @{ $w || [] }) {
			if ($handle == $state->{control}) {
				obey($state);
			} elsif ($handle == $state->{listen}) {
				accept_one($state);
			} elsif (my $side = $state->{pairs}{$handle}) {
				move($state, $side);
			}
		}
	}
}

# A side is { from, to, pending, is_up, number }; both sides of a pair know each
# other.
sub wanted {
	my ($state) = @_;
	my $r = IO::Select->new($state->{control}, $state->{listen});
	my $w = IO::Select->new;
	return ($r, $w) if $state->{mode} eq 'stall';
	for my $side (values %{ $state->{pairs} }) {
		next if $side->{is_up} && $state->{mode} eq 'deaf';
		next if $state->{frozen} && $side->{number} >= $state->{frozen};
		if (length $side->{pending}) { $w->add($side->{to}) }
		elsif (!$side->{eof}) { $r->add($side->{from}) }
	}
	return ($r, $w);
}

sub accept_one {
	my ($state) = @_;
	my $client = $state->{listen}->accept or return;
	$state->{accepted}++;
	my $server = $state->{mode} eq 'refuse' ? undef : IO::Socket::INET->new(
		PeerAddr => '127.0.0.1', PeerPort => $state->{upstream});
	unless ($server) {
		end_hard($client);
		return;
	}
	$_->blocking(0) for $client, $server;
	setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
	my $up = { from => $client, to => $server, pending => '', is_up => 1,
		number => $state->{accepted} };
	$up->{stray} = Leat::Stray->new if $state->{is_kafka};
	my $down = { from => $server, to => $client, pending => '', other => $up,
		number => $state->{accepted} };
	$down->{meddler} = Leat::Meddler->new if defined $state->{how};
	$up->{other} = $down;
	$state->{pairs}{$client} = $up;
	$state->{pairs}{$server} = $down;
}

# The handle that is ready may be the `to` of the other side.
sub move {
	my ($state, $side) = @_;
	for my $s ($side, $side->{other}) {
		if (length $s->{pending}) {
			my $n = push_out($state, $s);
			if (defined $n) { substr($s->{pending}, 0, $n, '') }
			elsif (!$!{EAGAIN} && !$!{EINTR}) { return close_pair($state, $s) }
		}
		next if length $s->{pending} || $s->{eof} || ($s->{is_up} && $state->{mode} eq 'deaf');
		my $n = sysread $s->{from}, my $bytes, CHUNK;
		next if !defined $n && ($!{EAGAIN} || $!{EINTR});
		if (!$n && $state->{mode} eq 'swallow') {
			$s->{eof} = 1;
			next;
		}
		return close_pair($state, $s) unless defined $n;
		if ($n == 0) {
			$s->{eof} = 1;
			shutdown $s->{to}, 1;
			return close_pair($state, $s) if $s->{other}{eof};
			next;
		}
		return if took($state, $s, $bytes);
	}
}

# As syswrite.
sub push_out {
	my ($state, $s) = @_;
	return syswrite $s->{to}, $s->{pending} if $s->{is_up} || $state->{mode} ne 'dribble';
	select undef, undef, undef, DRIBBLE;
	return syswrite $s->{to}, $s->{pending}, 1;
}

# True when the pair is gone.
sub took {
	my ($state, $s, $bytes) = @_;
	$state->{ $s->{is_up} ? 'up' : 'down' } += length $bytes;
	return 0 if $state->{mode} eq 'swallow';
	if (!$s->{is_up} && defined $state->{swallow_after}) {
		$state->{swallow_after} -= length $bytes;
		if ($state->{swallow_after} <= 0) {
			delete $state->{swallow_after};
			$state->{mode} = 'swallow';
			return 0;
		}
	}
	if (!$s->{is_up} && defined $state->{cut_after}) {
		$bytes = substr $bytes, 0, $state->{cut_after};
		$state->{cut_after} -= length $bytes;
		if ($state->{cut_after} == 0) {
			delete $state->{cut_after};
			$s->{to}->blocking(1);
			syswrite $s->{to}, $s->{pending} . $bytes;
			close_pair($state, $s);
			return 1;
		}
	}
	$bytes = $s->{meddler}->pass($bytes, $state->{how}, \$state->{alter}) if $s->{meddler};
	return astray($state, $s, $bytes) if $s->{stray};
	put($state, $s, $bytes);
	return 0;
}

sub put {
	my ($state, $s, $bytes) = @_;
	$s->{pending} .= $bytes;
	return unless length $s->{pending};
	my $n = push_out($state, $s);
	substr($s->{pending}, 0, $n, '') if $n;
}

# As took.
sub astray {
	my ($state, $s, $bytes) = @_;
	my $wish = $state->{wish};
	my ($out, $request) = $s->{stray}->pass($bytes, $wish);
	put($state, $s, $out);
	return 0 unless defined $request;
	if ($wish->{how} eq 'twice') {
		push @{ $state->{answers} }, Leat::Stray::deliver($state->{upstream}, $request);
		put($state, $s, $request);
		return astray($state, $s, $s->{stray}->rest);
	}
	push @{ $state->{strays} }, { request => $request,
		due => $wish->{how} eq 'held' ? undef : time + $wish->{ms} / 1000 };
	# what came before it on its connection gets there
	$s->{to}->blocking(1);
	syswrite $s->{to}, $s->{pending};
	close_pair($state, $s, 1);
	return 1;
}

sub deliver_strays {
	my ($state) = @_;
	my $now = time;
	my @due = grep { defined $_->{due} && $_->{due} <= $now } @{ $state->{strays} } or return;
	$state->{strays} = [grep { !defined $_->{due} || $_->{due} > $now } @{ $state->{strays} }];
	push @{ $state->{answers} }, map { Leat::Stray::deliver($state->{upstream}, $_->{request}) } @due;
}

sub close_pair {
	my ($state, $side, $hard) = @_;
	for my $handle ($side->{from}, $side->{to}) {
		delete $state->{pairs}{$handle};
		$hard ? end_hard($handle) : close $handle;
	}
}

sub end_hard {
	my ($handle) = @_;
	setsockopt $handle, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
	close $handle;
}

sub close_all {
	my ($state, $hard) = @_;
	while (my ($side) = values %{ $state->{pairs} }) {
		close_pair($state, $side, $hard);
	}
}

sub obey {
	my ($state) = @_;
	my $control = $state->{control};
	my $word = <$control>;
	exit 0 unless defined $word;
	chomp $word;
	my $answer = 'ok';
	if ($word =~ /^(stall|swallow|deaf|dribble|pass|refuse)$/) {
		$state->{mode} = $word;
		delete $state->{frozen};
		close_all($state) if $word eq 'refuse';
	} elsif ($word =~ /^freeze (\d+)$/) {
		$state->{frozen} = $1;
	} elsif ($word =~ /^(cut|reset)$/) {
		close_all($state, $word eq 'reset');
	} elsif ($word =~ /^(cut_after|swallow_after) (\d+)$/) {
		$state->{$1} = $2;
	} elsif ($word =~ /^alter (\d+) (\w+)$/) {
		@$state{qw(alter how)} = ($1, $2);
	} elsif ($word =~ /^stray (\d+) (\d+) (late|held|twice) (\d+)$/) {
		$state->{wish} = { api => $1, n => $2, how => $3, ms => $4 };
	} elsif ($word eq 'release') {
		$_->{due} = 0 for @{ $state->{strays} };
		deliver_strays($state);
	} elsif ($word eq 'answers') {
		$answer = join ' ', @{ $state->{answers} };
	} elsif ($word eq 'count') {
		$answer = join ' ', $state->{accepted}, keys(%{ $state->{pairs} }) / 2,
			$state->{up}, $state->{down};
	} else {
		die "no such command: $word\n";
	}
	print $control "$answer\n";
}

1;
