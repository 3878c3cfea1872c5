# Leat::Postgres::Session: one psql that stays, fed through a pipe.
#
# query() returns when psql has answered all of the text; it dies with the
# server's error text when a statement failed, and the session is over then
# (ON_ERROR_STOP), as it is when the server goes away.
# send() does not wait: for statements that block on a lock; finish() does.
package Leat::Postgres::Session;
use strict;
use warnings;

use Carp qw(croak);
use IO::Handle;
use IO::Select;
use IPC::Open3 qw(open3);
use Symbol qw(gensym);
use Time::HiRes qw(time);

my $count = 0;

sub new {
	my ($class, $psql, $conninfo) = @_;
	my ($to, $from, $errors) = (gensym, gensym, gensym);
	my $pid = open3($to, $from, $errors, $psql, '-X', '-q', '-A', '-t',
		'-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', $conninfo);
	binmode $_, ':utf8' for $to;
	$to->autoflush(1);
	return bless { pid => $pid, to => $to, from => $from, errors => $errors,
		owner => $$, out => '', err => '' }, $class;
}

sub is_open {
	my ($self) = @_;
	return 0 if $self->{closed};
	# a psql that has ended has closed its stdout
	my $select = IO::Select->new($self->{from});
	$self->pump(0) if $select->can_read(0);
	return !$self->{closed};
}

# Takes in what there is; marks the end of psql.
sub pump {
	my ($self, $wait) = @_;
	my $select = IO::Select->new($self->{from}, $self->{errors});
	for my $handle ($select->can_read($wait)) {
		my $got = sysread $handle, my $bytes, 65536;
		if (!$got) {
			$self->{closed} = 1 if $handle == $self->{from};
			next;
		}
		$self->{$handle == $self->{from} ? 'out' : 'err'} .= $bytes;
	}
}

sub send {
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';
	$self->{marker} = 'leat-marker-' . $count++;
	my $to = $self->{to};
	print $to "$sql\n;\n\\echo $self->{marker}\n";
	return $self;
}

sub is_done {
	my ($self) = @_;
	$self->pump(0);
	return $self->{closed} || $self->{out} =~ /^\Q$self->{marker}\E\n/m;
}

sub finish {
	my ($self, $limit) = @_;
	my $end = time + ($limit || 180);
	my $marker = delete $self->{marker};
	until ($self->{closed} || $self->{out} =~ /^\Q$marker\E\n/m) {
		croak "no answer from the server" if time > $end;
		$self->pump(1);
	}
	if ($self->{out} =~ s/\A(.*?)^\Q$marker\E\n//ms) {
		my $text = $1;
		$self->{err} = '';	# notices
		chomp $text;
		utf8::decode($text);
		return $text;
	}
	1 while IO::Select->new($self->{errors})->can_read(1)
		&& sysread $self->{errors}, $self->{err}, 65536, length $self->{err};
	my $err = $self->{err};
	$self->close;
	croak "psql: $err";
}

sub query {
	my ($self, $sql) = @_;
	return $self->send($sql)->finish;
}

sub close {
	my ($self) = @_;
	return if $self->{ended}++;
	$self->{closed} = 1;
	return if $self->{owner} != $$;
	close $self->{to};
	kill 'TERM', $self->{pid};
	local ($?, $!);
	waitpid $self->{pid}, 0;
}

sub DESTROY { $_[0]->close }

1;
