# Leat::MySQL::Session: one client that stays, fed through a pipe.
#
# query() returns when the client has answered all of the text; it dies with the
# server's error text when a statement failed, and the session is over then, as
# it is when the server goes away.
# send() does not wait: for statements that block on a lock; finish() does.
package Leat::MySQL::Session;
use strict;
use warnings;

use parent -norequire, 'Leat::Postgres::Session';

use IPC::Open3 qw(open3);
use Leat::Postgres::Session;
use Symbol qw(gensym);

my $count = 0;

sub new {
	my ($class, @client) = @_;
	my ($to, $from, $errors) = (gensym, gensym, gensym);
	my $pid = open3($to, $from, $errors, @client, '--batch', '--skip-column-names', '--unbuffered',
		'--skip-reconnect');
	binmode $_, ':utf8' for $to;
	$to->autoflush(1);
	return bless { pid => $pid, to => $to, from => $from, errors => $errors,
		owner => $$, out => '', err => '' }, $class;
}

sub send {
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';
	$self->{marker} = 'leat-marker-' . $count++;
	my $to = $self->{to};
	print $to "$sql\n;\nSELECT '$self->{marker}';\n";
	return $self;
}

1;
