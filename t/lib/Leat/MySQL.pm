# Leat::MySQL: throw-away MariaDB and MySQL servers.
#
#	my $db = Leat::MySQL->new(kind => 'mariadb', conf => { 'binlog-row-image' => 'MINIMAL' });
#	$db->query('CREATE DATABASE shop; CREATE TABLE shop.t (id int PRIMARY KEY)');
#	my $s = $db->session;  $s->query('BEGIN');  ...
#	$db->kill9;  $db->start;
#
# On 127.0.0.1 at a free port, user root without a password, and leat (password
# leat) with what a reader needs; a binlog with rows, full images and full
# metadata, and GTIDs.  kill -9 loses nothing that the kernel has.  A data
# directory is made once per build tree; each server gets a copy.
#
# MariaDB is the machine's own.  MySQL is not in Debian 12: it lies unpacked in a
# directory outside of the tree, where Leat::MySQL->fetch (./dev servers mysql)
# puts it; tests never fetch it.
#
# LEAT_CACHE is that directory, as for Leat::Maven.
package Leat::MySQL;
use strict;
use warnings;

use Carp qw(croak);
use Fcntl qw(:flock);
use File::Path qw(remove_tree make_path);
use Time::HiRes qw(sleep time);

use Leat::Debroot ();
use Leat::MySQL::Session;
use Leat::Process;
use Leat::Test ();

my $count = 0;
my %names = (mariadb => 'MariaDB', mysql => 'MySQL');

# --- what the machine has

# The directory below which usr/sbin and usr/bin are.
sub root {
	my ($kind) = @_;
	return $kind eq 'mariadb' ? '' : Leat::Debroot::dir('mysql');
}

# MySQL into the cache; returns where it is.
sub fetch {
	return Leat::Debroot->fetch('mysql', 'sid', 'mysql-server-core');
}

sub program {
	my ($kind, $name) = @_;
	my $root = root($kind);
	for my $dir (qw(usr/sbin usr/bin)) {
		return "$root/$dir/$name" if -x "$root/$dir/$name";
	}
	return undef;
}

sub server_program { return program($_[0], $_[0] eq 'mariadb' ? 'mariadbd' : 'mysqld') }
sub client_program { return program('mariadb', 'mariadb') }

# Leat::MySQL->need("mariadb"): skips, or fails where LEAT_TEST_REQUIRE has it.
sub need {
	my ($class, $kind) = @_;
	Leat::Test::need_loopback($kind);
	Leat::Test::skip_or_fail($kind, "no $names{$kind} server") unless server_program($kind);
	Leat::Test::skip_or_fail($kind, 'no client of MariaDB') unless client_program();
	Leat::Test::skip_or_fail($kind, 'built without the MySQL source')
		unless Leat::Test::has_feature('MYSQL');
}

# Those that the machine has, at least one: a test that is for both runs with each.
sub kinds {
	my ($class) = @_;
	my @there = grep { server_program($_) } qw(mariadb mysql);
	my %required = map { $_ => 1 } split /[\s,]+/, $ENV{LEAT_TEST_REQUIRE} || '';
	my %wanted = map { $_ => 1 } @there, grep { $required{$_} } qw(mariadb mysql);
	$wanted{mariadb} = 1 unless %wanted;
	$class->need($_) for sort keys %wanted;
	return sort keys %wanted;
}

sub shell {
	my ($what, @command) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command({ cwd => '/' }, @command);
	croak "$what ended with $rc: $out$err" if $rc;
	return $out;
}

# --- the data directory

sub common {
	my ($kind, $data) = @_;
	my $usr = root($kind) . '/usr';
	return ('--no-defaults', $> == 0 ? '--user=root' : (), "--datadir=$data",
		"--plugin-dir=$usr/lib/mysql/plugin", "--lc-messages-dir=$usr/share/mysql",
		"--character-sets-dir=$usr/share/mysql/charsets",
		$kind eq 'mysql' ? ("--basedir=$usr", '--secure-file-priv=')
			: '--innodb-log-file-size=8M');
}

my @users = (
	"CREATE USER leat\@'%' IDENTIFIED BY 'leat'",
	"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO leat\@'%'",
);

sub init_mariadb {
	my ($data) = @_;
	my @as = $> == 0 ? '--user=root' : ();
	shell('mariadb-install-db', program('mariadb', 'mariadb-install-db'), '--no-defaults', @as,
		'--basedir=/usr', "--datadir=$data", '--auth-root-authentication-method=normal',
		'--skip-test-db', '--skip-name-resolve', '--innodb-log-file-size=8M');
	my $sql = join '', map { "$_;\n" } 'FLUSH PRIVILEGES', @users;
	my ($rc, $out, $err) = Leat::Test::run_command({ cwd => '/', stdin => $sql },
		server_program('mariadb'), common('mariadb', $data), '--bootstrap');
	croak "mariadbd --bootstrap ended with $rc: $err" if $rc;
}

sub init_mysql {
	my ($data) = @_;
	my $sql = Leat::Test::spew("$data.sql",
		map { "$_;\n" } @users, "CREATE USER root\@'127.0.0.1'",
		"GRANT ALL ON *.* TO root\@'127.0.0.1' WITH GRANT OPTION", 'RESET BINARY LOGS AND GTIDS');
	shell('mysqld --initialize', server_program('mysql'), common('mysql', $data),
		'--initialize-insecure', "--init-file=$sql", '--innodb-redo-log-capacity=32M');
}

# Into the build tree once; whoever comes first does it.
sub template {
	my ($kind) = @_;
	my ($version) = shell('the server', server_program($kind), '--no-defaults', '--version')
		=~ /Ver ([\d.]+)/;
	my $dir = "$Leat::Test::BUILDDIR/t/my-template";
	make_path($dir);
	open my $lock, '>', "$dir/lock" or croak "$dir/lock: $!";
	flock $lock, LOCK_EX or croak "flock: $!";
	my $template = "$dir/$kind-$version";
	return $template if -d $template;
	my $tmp = Leat::Test::tmpdir() . "/init.$count";
	mkdir $tmp;
	$kind eq 'mariadb' ? init_mariadb("$tmp/data") : init_mysql("$tmp/data");
	unlink "$tmp/data/auto.cnf";	# has the server's uuid
	shell('cp', 'cp', '-a', "$tmp/data", "$template.tmp");
	rename "$template.tmp", $template or croak "rename: $!";
	remove_tree($tmp);
	return $template;
}

# new(kind => 'mariadb' | 'mysql', conf => { option => value }, name => 'my',
#	start => 0)
sub new {
	my ($class, %opt) = @_;
	my $kind = $opt{kind} || 'mariadb';
	$class->need($kind);
	my $name = $opt{name} || $kind . $count;
	$count++;
	my $dir = Leat::Test::tmpdir() . "/$name";
	mkdir $dir or croak "mkdir $dir: $!";
	my $self = bless { kind => $kind, name => $name, dir => $dir, data => "$dir/data",
		logfile => "$dir/log", port => Leat::Test::free_port(), id => $$ % 10000 * 10 + $count,
		conf => $opt{conf} || {} }, $class;
	shell('cp', 'cp', '-a', template($kind), $self->{data});
	$self->start unless exists $opt{start} && !$opt{start};
	return $self;
}

sub options {
	my ($self) = @_;
	my %conf = ('binlog-format' => 'ROW', 'binlog-row-image' => 'FULL',
		'binlog-row-metadata' => 'FULL', 'sync-binlog' => 0,
		'innodb-flush-log-at-trx-commit' => 2, 'innodb-buffer-pool-size' => '32M',
		'innodb-use-native-aio' => 0, 'character-set-server' => 'utf8mb4',
		'max-connections' => 50, 'skip-name-resolve' => 1, 'performance-schema' => 0);
	%conf = (%conf, $self->{kind} eq 'mariadb' ? ('gtid-strict-mode' => 1)
		: ('gtid-mode' => 'ON', 'enforce-gtid-consistency' => 'ON', mysqlx => 0),
		%{ $self->{conf} });
	return map { "--$_=$conf{$_}" } grep { defined $conf{$_} } sort keys %conf;
}

# --- starting and stopping

sub start {
	my ($self) = @_;
	for my $try (1 .. 5) {
		my $mark = $self->log_mark;
		$self->{process} = Leat::Test::start_command(
			{ name => $self->{name}, cwd => $self->{dir}, out => $self->{logfile}, err => $self->{logfile} },
			server_program($self->{kind}), common($self->{kind}, $self->{data}),
			"--port=$self->{port}", '--bind-address=127.0.0.1', "--socket=$self->{dir}/s",
			"--pid-file=$self->{dir}/pid", "--server-id=$self->{id}",
			"--log-bin=$self->{data}/binlog", $self->options);
		return $self if $self->wait_ready;
		last unless $self->log_since($mark) =~ /Address already in use/ && !$self->{has_run};
		$self->{port} = Leat::Test::free_port();
	}
	croak "$names{$self->{kind}} did not start:\n" . $self->log_text;
}

sub wait_ready {
	my ($self) = @_;
	my $end = time + 120;
	while ($self->{process}->is_running && time < $end) {
		return $self->{has_run} = 1 if eval { $self->query('SELECT 1') };
		sleep 0.05;
	}
	return 0;
}

# In order; true when it ended in time.
sub stop {
	my ($self, $limit) = @_;
	delete $self->{session};
	$self->{process}->signal('TERM');
	return $self->{process}->wait($limit || 120);
}

sub kill9 {
	my ($self) = @_;
	delete $self->{session};
	$self->{process}->kill9;
	return $self;
}

sub restart {
	my ($self) = @_;
	$self->stop;
	return $self->start;
}

sub freeze { $_[0]{process}->signal('STOP'); return $_[0] }
sub thaw { $_[0]{process}->signal('CONT'); return $_[0] }
sub is_running { return $_[0]{process} && $_[0]{process}->is_running }

# --- talking to it

sub kind { return $_[0]{kind} }
sub port { return $_[0]{port} }
sub dir { return $_[0]{dir} }
sub logfile { return $_[0]{logfile} }

# A client of its own, for transactions that stay open.
sub session {
	my ($self, %opt) = @_;
	return Leat::MySQL::Session->new(client_program(), '--no-defaults', '-h', '127.0.0.1',
		'-P', $self->{port}, '-u', $opt{user} || 'root',
		defined $opt{password} ? "-p$opt{password}" : (),
		'--default-character-set=utf8mb4', $opt{dbname} ? ('-D', $opt{dbname}) : ());
}

# query(sql): the rows, columns with tabs between, without the last newline; dies
# on an error.  One session for all calls, opened anew after a restart.
sub query {
	my ($self, $sql) = @_;
	$self->{session} = $self->session unless $self->{session} && $self->{session}->is_open;
	return $self->{session}->query($sql);
}

sub value { return query(@_) }
sub rows { return map { [split /\t/, $_, -1] } split /\n/, query(@_) }

# The error text of a statement that must fail.
sub error_of {
	my ($self, $sql) = @_;
	croak "no error from: $sql" if eval { $self->query($sql); 1 };
	return $@;
}

# All that it has in its log.
sub gtids {
	my ($self) = @_;
	return $self->value('SELECT @@global.' .
		($self->{kind} eq 'mariadb' ? 'gtid_binlog_pos' : 'gtid_executed')) =~ s/\\n//gr;
}

# A new file of the binlog, and all before it are gone: once the server does not need
# them any more for itself.
sub purge {
	my ($self) = @_;
	$self->query('FLUSH BINARY LOGS');
	my ($file) = map { $_->[0] } reverse $self->rows('SHOW BINARY LOGS');
	Leat::Test::poll_until {
		$self->query("FLUSH ENGINE LOGS; PURGE BINARY LOGS TO '$file'");
		($self->rows('SHOW BINARY LOGS'))[0][0] eq $file
	} 'the purge';
	return $self;
}

# --- its log

sub log_text { return Leat::Process::read_file($_[0]{logfile}) }
sub log_mark { return -s $_[0]{logfile} || 0 }
sub log_since { return substr($_[0]->log_text, $_[1]) }

# --- for Leat::Rig

sub schema_of { return $_[1] }
sub create_database { return $_[0]->query("CREATE DATABASE `$_[1]`") }

# Lines of a source section.
sub source_conf {
	my ($self, $database, $given) = @_;
	my %c = (port => $self->{port}, user => 'leat', password => 'leat', %{ $given || {} });
	return join '', "type = $self->{kind}\n", map { "$_ = \"$c{$_}\"\n" } sort keys %c;
}

1;
