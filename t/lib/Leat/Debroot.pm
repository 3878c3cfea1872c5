# Leat::Debroot: programs of another Debian release, unpacked beside the machine's
# own, for servers that its release does not have.
#
#	my $root = Leat::Debroot->fetch('mysql', 'sid', 'mysql-server-core', 'mysql-client-core');
#	# now $root/usr/sbin/mysqld is a program like others
#
# Below Leat::Maven's cache.  apt downloads with a state of its own, in which
# nothing is installed, so every library comes along; nothing is configured, and
# nothing of the machine's packages or libraries is touched.  Each program is
# replaced by two lines of shell that run it with the loader and libraries it was
# made for.  Needs no root.  Tests never fetch; ./dev does.
package Leat::Debroot;
use strict;
use warnings;

use Carp qw(croak);
use File::Path qw(make_path remove_tree);

use Leat::Maven ();
use Leat::Test ();

# What server packages want for their helpers and leat's tests do not.
my $unneeded = qr/^(?:perl|perl-base|perl-modules-.*|libperl.*|libgdbm.*|libdb5.*|debconf|dpkg|tar)$/;

sub dir { return Leat::Maven::cache() . "/$_[0]" }
sub is_there { return -e dir($_[0]) . '/complete' }

sub run {
	my ($opt, @command) = @_;
	my ($rc, $out, $err) = Leat::Test::run_command({ timeout => 900, %$opt }, @command);
	croak "@command[0 .. 1] ended with $rc: $err" if $rc;
	return $out;
}

# Where the machine's own packages come from.
sub mirror {
	my @uris = split /\n/, run({}, 'apt-get', 'indextargets', '--format', '$(REPO_URI)',
		'Created-By: Packages', 'Component: main');
	my ($uri) = grep { !/security/ } @uris;
	return $uri || croak 'apt of this machine has no mirror';
}

# apt's state for a release, in a directory of its own: the environment to use it.
sub apt_state {
	my ($suite) = @_;
	my $apt = dir("apt-$suite");
	make_path("$apt/state/lists/partial", "$apt/archives/partial");
	Leat::Test::spew("$apt/status", '');
	Leat::Test::spew("$apt/sources.list",
		'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ' . mirror() . " $suite main\n");
	# a mirror may lag behind, and says then that its list has expired
	Leat::Test::spew("$apt/apt.conf", map { "$_;\n" } "Dir::State \"$apt/state\"",
		"Dir::State::status \"$apt/status\"", "Dir::Cache \"$apt\"",
		"Dir::Etc::sourcelist \"$apt/sources.list\"", 'Dir::Etc::sourceparts "/dev/null"',
		'Dir::Etc::preferencesparts "/dev/null"', 'APT::Install-Recommends "false"',
		'APT::Sandbox::User "root"', 'Acquire::Check-Valid-Until "false"');
	return ($apt, { env => { APT_CONFIG => "$apt/apt.conf" } });
}

sub unpack_deb {
	my ($deb, $to) = @_;
	run({}, 'sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$0" --keep-directory-symlink' .
		' --no-same-owner --exclude=./usr/share/doc/* --exclude=./usr/share/man/*' .
		' --exclude=./usr/share/locale/*', $to, $deb);
}

sub is_program {
	my ($path) = @_;
	return 0 if -l $path || !-f $path || !-x $path;
	open my $f, '<', $path or return 0;
	read $f, my $magic, 4;
	return $magic eq "\x7fELF";
}

# The root's final place is in the wrapper: it cannot be moved.
sub wrap_programs {
	my ($tmp, $root) = @_;
	my ($loader) = glob "$tmp/usr/lib/*/ld-linux*.so.*";
	croak 'no loader' unless defined $loader;
	(my $lib = $loader) =~ s{^\Q$tmp\E(.*)/[^/]+$}{$root$1};
	$loader =~ s{^\Q$tmp\E}{$root};
	make_path("$tmp/real/usr/bin", "$tmp/real/usr/sbin");
	for my $path (grep { is_program($_) } glob "$tmp/usr/{bin,sbin}/*") {
		(my $rel = $path) =~ s{^\Q$tmp\E/}{};
		rename $path, "$tmp/real/$rel" or croak "rename: $!";
		Leat::Test::spew($path, "#!/bin/sh\nexec $loader --library-path $lib --argv0 \"\$0\" $root/real/$rel \"\$@\"\n");
		chmod 0755, $path;
	}
}

# The packages and all that they need, unpacked; returns their root.
sub fetch {
	my ($class, $name, $suite, @packages) = @_;
	my $root = dir($name);
	return $root if is_there($name);
	my ($apt, $opt) = apt_state($suite);
	run($opt, 'apt-get', '-qq', 'update');
	run($opt, 'apt-get', '-qq', '-y', '--download-only', 'install', @packages);
	my @list = map { (split ' ')[1] } split /\n/, run($opt, 'apt-get', '-qq', '--print-uris',
		'-o', "Dir::Cache::archives=$apt/none", 'install', @packages);
	my $tmp = "$root.tmp.$$";
	remove_tree($tmp, $root);
	make_path("$tmp/usr/lib", "$tmp/usr/lib64", "$tmp/usr/bin", "$tmp/usr/sbin");
	symlink "usr/$_", "$tmp/$_" for qw(lib lib64 bin sbin);
	for my $deb (@list) {
		next if ($deb =~ /^([^_]+)/)[0] =~ $unneeded;
		unpack_deb("$apt/archives/$deb", $tmp);
	}
	wrap_programs($tmp, $root);
	Leat::Test::spew("$tmp/complete", '');
	rename $tmp, $root or croak "rename: $!";
	return $root;
}

1;
