# Leat::Test: what every Perl test of leat starts from.
#
# Core modules only.  Puts Test::More, strict and warnings into the test.
# Each test has one temporary directory (tmpdir), removed at the end unless
# something failed.  Processes started here are killed when the test ends, in
# whatever way.  There is no sleeping: poll_until { condition } 'what'.
#
#	LEAT             the program (default: ./build/leat, ./leat)
#	LEAT_SRCDIR      top of the source tree (default: found from this file)
#	LEAT_BUILDDIR    top of the build tree (default: beside the program)
#	LEAT_TEST_REQUIRE  words (postgres, faults, root); a test that would skip
#	                 for want of one of them fails instead
#	LEAT_TEST_LONG   run the long forms (./dev soak)
#	LEAT_TEST_TIMEOUT  seconds before a test is given up (default 900)
#	LEAT_TEST_KEEP   keep the temporary directory
package Leat::Test;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Errno qw(EINTR);
use Exporter;
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use Leat::Process;

our @ISA = ('Exporter');
our @EXPORT = (@Test::More::EXPORT, qw(
	$LEAT $SRCDIR $BUILDDIR
	tmpdir slurp spew append free_port poll_until
	run_leat start_leat run_command start_command
	write_conf events status json_lines
	skip_or_fail need_loopback need_feature has_feature has_sanitizer is_long seed_of_commit));

our ($LEAT, $SRCDIR, $BUILDDIR);
my ($tmpdir, $owner);
$| = 1;

sub import {
	strict->import;
	warnings->import;
	__PACKAGE__->export_to_level(1, @_);
}

BEGIN {
	$owner = $$;
	$SRCDIR = $ENV{LEAT_SRCDIR} || abs_path(dirname(__FILE__) . '/../../..');
	$BUILDDIR = $ENV{LEAT_BUILDDIR} ||
		(grep({ -x "$_/leat" } "$SRCDIR/build", $SRCDIR), "$SRCDIR/build")[0];
	$LEAT = $ENV{LEAT} || "$BUILDDIR/leat";
	# Nothing of the caller's own servers may leak in.
	delete @ENV{grep { /^(PG|LEAT_(FAULT|DISK|MUTATE))/ } keys %ENV};
	$ENV{LC_ALL} = 'C.UTF-8';
	$ENV{TZ} = 'UTC';
	$SIG{$_} = sub { die "got SIG$_[0]\n" } for qw(INT TERM HUP);
	$SIG{ALRM} = sub { Carp::cluck('the test took too long'); exit 99 };
	alarm($ENV{LEAT_TEST_TIMEOUT} || 900);
}

END {
	if ($$ == $owner) {
		my $rc = $?;
		alarm 0;
		Leat::Process::kill_all();
		finish_tmpdir($rc);
		$? = $rc;
	}
}

sub finish_tmpdir {
	my ($rc) = @_;
	return unless defined $tmpdir;
	if ($rc || !Test::More->builder->is_passing || $ENV{LEAT_TEST_KEEP}) {
		print STDERR "# kept: $tmpdir\n";
	} else {
		remove_tree($tmpdir);
	}
}

# --- files

# One per test; short, because socket paths are, and open to the user that
# throw-away servers run as.
sub tmpdir {
	my ($sub) = @_;
	unless (defined $tmpdir) {
		$tmpdir = tempdir('leat-XXXXXX', TMPDIR => 1);
		chmod 0755, $tmpdir;
	}
	return $tmpdir unless defined $sub;
	my $dir = "$tmpdir/$sub";
	mkdir $dir;
	return $dir;
}

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or croak "cannot open $path: $!";
	local $/;
	my $text = <$f>;
	return defined $text ? $text : '';
}

sub write_file {
	my ($mode, $path, @text) = @_;
	open my $f, $mode, $path or croak "cannot write $path: $!";
	print $f @text or croak "cannot write $path: $!";
	close $f or croak "cannot write $path: $!";
	return $path;
}

sub spew { return write_file('>', @_) }
sub append { return write_file('>>', @_) }

# --- waiting

# poll_until { condition } 'what is awaited'[, seconds]: the condition's value,
# or the test dies.
sub poll_until(&;$$) {
	my ($condition, $what, $limit) = @_;
	$what = 'a condition' unless defined $what;
	my $end = time + ($limit || 180);
	while (1) {
		my $value = $condition->();
		return $value if $value;
		croak "gave up waiting for $what" if time > $end;
		sleep 0.1;
	}
}

sub free_port {
	my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
		or croak "no free port: $@";
	return $s->sockport;
}

# --- running the program
#
# run_leat('check', '-c', $conf) -> (status, stdout, stderr)
# run_leat({ env => {}, stdin => '', timeout => 60 }, 'run', ...)
# start_leat(...) -> Leat::Process

sub run_leat {
	my $opt = ref $_[0] ? shift : {};
	return run_command($opt, $LEAT, @_);
}

sub start_leat {
	my $opt = ref $_[0] ? shift : {};
	return start_command({ name => 'leat', %$opt }, $LEAT, @_);
}

sub start_command {
	my $opt = ref $_[0] ? shift : {};
	return Leat::Process->start({ dir => tmpdir(), %$opt }, @_);
}

sub run_command {
	my $opt = ref $_[0] ? shift : {};
	my $p = start_command({ name => 'command', %$opt }, @_);
	my $rc = $p->wait($opt->{timeout} || 180);
	my @result = ($rc, $p->out, $p->err);
	$p->forget;
	return @result;
}

# --- confs and what leat prints

my $confs = 0;
# A conf file in the test's directory; its state_dir is there too unless the
# text has one.
sub write_conf {
	my ($text, $name) = @_;
	my $path = tmpdir() . '/' . ($name || 'leat' . ($confs++ || '') . '.conf');
	$text = 'state_dir = "' . tmpdir() . "/state\"\n$text"
		unless $text =~ /^\s*state_dir\s*=/m;
	return spew($path, $text);
}

sub json_lines {
	my ($text) = @_;
	my $json = JSON::PP->new->utf8;
	return map { $json->decode($_) } grep { length } split /\n/, $text;
}

# The committed events of a log, parsed: events($conf, 'shop_log', @options).
sub events {
	my ($conf, $log, @options) = @_;
	my ($rc, $out, $err) = run_leat('log', 'cat', '-c', $conf, $log, @options);
	croak "leat log cat ended with $rc: $err" if $rc;
	return json_lines($out);
}

sub status {
	my ($conf) = @_;
	my ($rc, $out, $err) = run_leat('status', '-c', $conf, '--json');
	croak "leat status ended with $rc: $err" if $rc;
	return JSON::PP->new->utf8->decode($out);
}

# --- what the machine has

sub is_long { return $ENV{LEAT_TEST_LONG} ? 1 : 0 }

# A seed: another one for each commit, the same again for the same; the long forms
# have the time's.
sub seed_of_commit {
	return time % 1_000_000 if is_long();
	my ($rc, $out) = run_command('git', '-c', 'safe.directory=*', '-C', $SRCDIR, 'rev-parse', 'HEAD');
	return $rc == 0 && $out =~ /^([0-9a-f]{5})/ ? hex $1 : time % 1_000_000;
}

# Ends the test: skipped, or failed where LEAT_TEST_REQUIRE has the word.
sub skip_or_fail {
	my ($word, $why) = @_;
	plan(skip_all => $why)
		unless grep { $_ eq $word } split /[\s,]+/, $ENV{LEAT_TEST_REQUIRE} || '';
	fail("$word is there: $why");
	done_testing();
	exit 1;
}

sub has_loopback {
	my $listen = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
		or return 0;
	return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
		PeerPort => $listen->sockport, Timeout => 5) ? 1 : 0;
}

sub need_loopback {
	skip_or_fail($_[0] || 'network', 'no loopback interface') unless has_loopback();
}

# Was the build configured with it?  has_feature('FAULTS'), ('POSTGRES')
sub has_feature {
	my ($name) = @_;
	my $config = "$BUILDDIR/config.h";
	return -e $config && slurp($config) =~ /^#define (?:LEAT|HAVE)_\Q$name\E 1/m;
}

# A sanitizer's own memory is many times the program's.
sub has_sanitizer { return slurp($LEAT) =~ /__(?:asan|tsan)_init/ ? 1 : 0 }

sub need_feature {
	my ($name) = @_;
	skip_or_fail(lc $name, "built without $name") unless has_feature($name);
}

1;
