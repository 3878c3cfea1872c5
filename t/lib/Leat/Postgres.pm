# Leat::Postgres: throw-away Postgres servers.
#
#	my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '5s' });
#	$pg->query('CREATE TABLE t (id int PRIMARY KEY)');
#	my $s = $pg->session;  $s->query('BEGIN');  ...
#	$pg->stop('immediate');  $pg->start;
#
# On 127.0.0.1 at a free port, trust, superuser postgres, wal_level=logical.
# fsync is off unless asked for: kill -9 of a process loses nothing that the
# kernel has.  initdb runs once per build tree; each server gets a copy.  As
# root the server runs as postgres or nobody.
#
#	LEAT_TEST_PG_BIN  directory of initdb, postgres and psql (default: the
#	                  newest that Debian's layout or pg_config shows)
#
# A machine that cannot run one skips the test (LEAT_TEST_REQUIRE=postgres: it
# fails); call Leat::Postgres->need first.
package Leat::Postgres;
use strict;
use warnings;

use Carp qw(croak);
use Fcntl qw(:flock);
use File::Copy qw();
use File::Path qw(remove_tree make_path);
use Time::HiRes qw(sleep time);

use Leat::Postgres::Session;
use Leat::Process;
use Leat::Test ();

my $count = 0;
my $bindir;

# --- what the machine has

sub bindir {
	return $bindir if defined $bindir;
	my @dirs = $ENV{LEAT_TEST_PG_BIN} ? $ENV{LEAT_TEST_PG_BIN} : (
		(sort { version_of($b) <=> version_of($a) } glob '/usr/lib/postgresql/*/bin'),
		split(/\n/, `pg_config --bindir 2>/dev/null` || ''),
		split(/:/, $ENV{PATH}));
	($bindir) = grep { -x "$_/initdb" && -x "$_/postgres" && -x "$_/psql" } @dirs;
	$bindir = '' unless defined $bindir;
	return $bindir;
}

sub version_of {
	return $_[0] =~ m{/(\d+)/bin} ? $1 : 0;
}

# Of the server's programs: 14, 15, ...
my $major;
sub major {
	return $major ||= (shell('postgres', bindir() . '/postgres', '--version') =~ / (\d+)/)[0];
}

# The command words that make root into somebody the server accepts.
my @as;
my $as_known;
my $as_user;
sub as_user {
	return @as if $as_known;
	$as_known = 1;
	return @as if $> != 0;
	for my $name (qw(postgres nobody)) {
		my ($uid, $gid) = (getpwnam $name)[2, 3];
		next unless defined $uid;
		my @try = ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');
		next if system("@try true >/dev/null 2>&1") != 0;
		@as = @try;
		$as_user = "$uid:$gid";
		last;
	}
	return @as;
}

sub need {
	Leat::Test::need_loopback('postgres');
	Leat::Test::skip_or_fail('postgres', 'no Postgres server (LEAT_TEST_PG_BIN)') unless bindir();
	as_user();
	Leat::Test::skip_or_fail('postgres', 'root cannot become another user here')
		if $> == 0 && !@as;
	Leat::Test::skip_or_fail('postgres', 'built without the Postgres source')
		unless Leat::Test::has_feature('POSTGRES');
}

sub shell {
	my ($what, @command) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command({ cwd => '/' }, @command);
	croak "$what ended with $rc: $out$err" if $rc;
	return $out;
}

# --- the data directory

sub initdb {
	my ($dir) = @_;
	shell('initdb', as_user(), bindir() . '/initdb', '-D', $dir, '-U', 'postgres',
		'-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync');
}

# initdb into the build tree once; whoever comes first does it.
sub template {
	my ($version) = shell('postgres', bindir() . '/postgres', '--version') =~ /([\d.]+)/;
	my $dir = "$Leat::Test::BUILDDIR/t/pg-template";
	make_path($dir);
	open my $lock, '>', "$dir/lock" or croak "$dir/lock: $!";
	flock $lock, LOCK_EX or croak "flock: $!";
	my $template = "$dir/$version-u$>";
	return $template if -d $template;
	my $tmp = Leat::Test::tmpdir() . "/initdb.$count";
	mkdir $tmp;
	chown split(/:/, $as_user), $tmp if $as_user;
	initdb("$tmp/data");
	shell('cp', 'cp', '-a', "$tmp/data", "$template.tmp");
	rename "$template.tmp", $template or croak "rename: $!";
	remove_tree($tmp);
	return $template;
}

# new(conf => { name => value }, hba => text, fsync => 1, name => 'pg', start => 0,
#	fresh => 1, env => {})  fresh: a cluster of its own, with another system
#	identifier
sub new {
	my ($class, %opt) = @_;
	need();
	my $name = $opt{name} || 'pg' . $count;
	$count++;
	my $dir = Leat::Test::tmpdir() . "/$name";
	mkdir $dir or croak "mkdir $dir: $!";
	my $self = bless { name => $name, dir => $dir, data => "$dir/data",
		logfile => "$dir/log", port => Leat::Test::free_port(), sessions => {},
		env => $opt{env} || {} }, $class;
	chown split(/:/, $as_user), $dir if $as_user;
	if ($opt{fresh}) { initdb($self->{data}) }
	else { shell('cp', 'cp', '-a', template(), $self->{data}) }
	my %conf = (
		listen_addresses => '127.0.0.1', unix_socket_directories => $dir,
		wal_level => 'logical', max_replication_slots => 20, max_wal_senders => 20,
		max_connections => 60, shared_buffers => '16MB', fsync => $opt{fsync} ? 'on' : 'off',
		log_line_prefix => '%m [%p] user=%u db=%d app=%a ', ssl => 'off', jit => 'off',
		timezone => 'UTC', log_timezone => 'UTC', %{ $opt{conf} || {} });
	Leat::Test::append("$self->{data}/postgresql.conf",
		map { conf_line($_, $conf{$_}) } sort keys %conf);
	Leat::Test::spew("$self->{data}/pg_hba.conf", $opt{hba}) if defined $opt{hba};
	$self->start unless exists $opt{start} && !$opt{start};
	return $self;
}

# A standby of it, started: a copy of its directory, taken while it stands still.
sub standby {
	my ($self, $name) = @_;
	my $class = ref $self;
	$self->stop;
	my $standby = $class->new(name => $name, start => 0);
	remove_tree($standby->{data});
	shell('cp', 'cp', '-a', $self->{data}, $standby->{data});
	$self->start;
	unlink "$standby->{data}/postmaster.pid";
	remove_tree(glob "$standby->{data}/pg_replslot/*");
	shell('touch', as_user(), 'touch', "$standby->{data}/standby.signal");
	$standby->set_conf(unix_socket_directories => $standby->{dir}, hot_standby => 'on',
		primary_conninfo => $self->conninfo(dbname => undef, application_name => $name));
	return $standby->start;
}

sub conf_line {
	my ($name, $value) = @_;
	$value =~ s/'/''/g;
	return "$name = '$value'\n";
}

# Later settings win; takes effect at the next start or reload.
sub set_conf {
	my ($self, %conf) = @_;
	Leat::Test::append("$self->{data}/postgresql.conf",
		map { conf_line($_, $conf{$_}) } sort keys %conf);
	return $self;
}

# A copy in the data directory, the server's own and nobody else's.
sub take_file {
	my ($self, $path) = @_;
	my $copy = "$self->{data}/" . ($path =~ m{([^/]+)\z})[0];
	File::Copy::copy($path, $copy) or croak "cp $path: $!";
	chmod 0600, $copy;
	chown split(/:/, $as_user), $copy if $as_user;
	return $self;
}

sub reload {
	my ($self) = @_;
	my $mark = $self->log_mark;
	$self->{process}->signal('HUP');
	Leat::Test::poll_until { $self->log_since($mark) =~ /received SIGHUP/ } 'the reload';
	delete $self->{session};	# a new one has the new settings for certain
	return $self;
}

# --- starting and stopping

sub start {
	my ($self) = @_;
	for my $try (1 .. 20) {
		$self->{process} = Leat::Test::start_command(
			{ name => $self->{name}, cwd => $self->{dir}, out => $self->{logfile}, err => $self->{logfile},
				env => $self->{env} },
			as_user(), bindir() . '/postgres', '-D', $self->{data}, '-p', $self->{port});
		my $mark = $self->log_mark;
		return $self if $self->wait_ready;
		my $text = $self->log_since($mark);
		# the port was taken meanwhile, or old backends still hold the memory
		if ($text =~ /Address already in use/ && !$self->{has_run}) {
			$self->{port} = Leat::Test::free_port();
		} elsif ($text !~ /Address already in use|shared memory block|lock file/) {
			last;
		}
		sleep 0.2;
	}
	croak "Postgres did not start:\n" . $self->log_text;
}

sub wait_ready {
	my ($self) = @_;
	my $end = time + 120;
	while ($self->{process}->is_running && time < $end) {
		my ($rc) = Leat::Test::run_command(bindir() . '/pg_isready', '-q', '-h', '127.0.0.1',
			'-p', $self->{port}, '-t', '5');
		if ($rc == 0) {
			$self->{has_run} = 1;
			return 1;
		}
		sleep 0.05;
	}
	return 0;
}

# stop('fast' | 'immediate' | 'smart'[, seconds]); true when it ended in time.
sub stop {
	my ($self, $mode, $limit) = @_;
	my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');
	my $signal = $signal{$mode || 'fast'} or croak "no such mode: $mode";
	delete $self->{session};
	$self->{process}->signal($signal);
	my $rc = $self->{process}->wait($limit || 120);
	$self->await_children;
	return $rc;
}

# Only asks; the test looks at is_running itself.
sub ask_stop {
	my ($self, $mode) = @_;
	my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');
	$self->{process}->signal($signal{$mode || 'fast'});
	return $self;
}

sub is_running { return $_[0]{process} && $_[0]{process}->is_running }

# All of its processes stand still, and go on.
sub freeze {
	my ($self) = @_;
	kill 'STOP', $self->{process}->pid;	# so that it makes no more of them
	kill 'STOP', $self->children;
	return $self;
}

sub thaw {
	my ($self) = @_;
	kill 'CONT', $self->{process}->pid, $self->children;
	return $self;
}

# The whole server at once, as when the machine dies.
sub kill9 {
	my ($self) = @_;
	delete $self->{session};
	my @children = $self->children;
	kill 'STOP', $self->{process}->pid;
	kill 'KILL', $self->{process}->pid, $self->children, @children;
	$self->{process}->wait(60);
	$self->{old} = \@children;
	$self->await_children;
	return $self;
}

sub restart {
	my ($self, $mode) = @_;
	$self->stop($mode);
	return $self->start;
}

sub children {
	my ($self) = @_;
	my $pid = $self->{process}->pid;
	my @found;
	for my $stat (glob '/proc/[0-9]*/stat') {
		my $text = Leat::Process::read_file($stat);
		push @found, $1 if $text =~ /^(\d+) \(.*\) \S (\d+)/s && $2 == $pid;
	}
	return @found;
}

sub await_children {
	my ($self) = @_;
	my @old = @{ delete $self->{old} || [] };
	Leat::Test::poll_until { !grep { kill 0, $_ } @old } 'the end of the server\'s processes';
}

# --- talking to it

sub port { return $_[0]{port} }
sub dir { return $_[0]{dir} }
sub logfile { return $_[0]{logfile} }

sub conninfo {
	my ($self, %opt) = @_;
	my %c = (host => '127.0.0.1', port => $self->{port}, dbname => 'postgres',
		user => 'postgres', %opt);
	return join ' ', map { "$_=$c{$_}" } grep { defined $c{$_} } sort keys %c;
}

# A psql of its own, for transactions that stay open.
sub session {
	my ($self, %opt) = @_;
	return Leat::Postgres::Session->new(bindir() . '/psql', $self->conninfo(%opt));
}

# query(sql): what psql -At prints, without the last newline; dies on an error.
# One session for all calls, opened anew after a restart.
sub query {
	my ($self, $sql) = @_;
	$self->{session} = $self->session unless $self->{session} && $self->{session}->is_open;
	return $self->{session}->query($sql);
}

sub value { return query(@_) }
sub rows { return map { [split /\|/, $_, -1] } split /\n/, query(@_) }

# The error text of a statement that must fail.
sub error_of {
	my ($self, $sql) = @_;
	croak "no error from: $sql" if eval { $self->query($sql); 1 };
	return $@;
}

sub slot {
	my ($self, $name) = @_;
	my @columns = qw(slot_name plugin active restart_lsn confirmed_flush_lsn wal_status);
	my ($row) = $self->rows('SELECT ' . join(',', @columns) .
		" FROM pg_replication_slots WHERE slot_name = '$name'");
	return undef unless $row;
	my %slot;
	@slot{@columns} = @$row;
	return \%slot;
}

# --- for Leat::Rig

sub schema_of { return 'public' }
sub create_database { return $_[0]->query("CREATE DATABASE \"$_[1]\"") }

# Lines of a source section.
sub source_conf {
	my ($self, $database, $given) = @_;
	return "type = postgres\nconninfo = \"" . $self->conninfo(dbname => $database, %{ $given || {} }) . "\"\n";
}

# --- its log

sub log_text { return Leat::Process::read_file($_[0]{logfile}) }
sub log_mark { return -s $_[0]{logfile} || 0 }
sub log_since { return substr($_[0]->log_text, $_[1]) }

# Statements logged since the mark by one application_name (log_statement=all).
sub statements {
	my ($self, $mark, $application) = @_;
	my $text = $self->log_since($mark);
	my @found;
	while ($text =~ /^\S+ \S+ \S+ \[\d+\] user=\S* db=\S* app=(.*?) LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)/mg) {
		my ($app, $statement) = ($1, $2);
		$statement =~ s/\n\t/\n/g;
		$statement =~ s/[\s;]+\z//;
		push @found, $statement if !defined $application || $app eq $application;
	}
	return @found;
}

1;
