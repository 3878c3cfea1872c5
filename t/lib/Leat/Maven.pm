# Leat::Maven: programs in Java that the tests stand beside leat, from Maven
# Central into a directory outside of the tree.
#
#	Leat::Maven::fetch_jars('kafka-4.3.1', 'org.apache.kafka:kafka_2.13:4.3.1', ...);
#	Leat::Maven::fetch_archive('debezium-3.6.1', 'io.debezium:...:tar.gz:plugin');
#	my $dir = Leat::Maven::find('kafka-4.3.1');	# undef: not complete
#
#	LEAT_CACHE     that directory (default: $XDG_CACHE_HOME/leat, or
#	               ~/.cache/leat)
#	LEAT_TEST_JAVA the java to run them with (default: the newest below
#	               /usr/lib/jvm, else that in PATH)
#
# Tests never fetch: ./dev does.
package Leat::Maven;
use strict;
use warnings;

use Carp qw(croak);
use File::Path qw(make_path remove_tree);

use Leat::Test ();

my $plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1';

sub cache {
	my $home = $ENV{XDG_CACHE_HOME} || (defined $ENV{HOME} ? "$ENV{HOME}/.cache" : '/nonexistent');
	return $ENV{LEAT_CACHE} || "$home/leat";
}

sub dir { return cache() . "/$_[0]" }

sub find {
	my ($name) = @_;
	return -e dir($name) . '/complete' ? dir($name) : undef;
}

sub has_program {
	my ($name) = @_;
	return scalar grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

my $java;
sub java {
	return $ENV{LEAT_TEST_JAVA} if $ENV{LEAT_TEST_JAVA};
	return $java if defined $java;
	my %version = map { $_ => (`'$_' -version 2>&1` =~ /version "(\d+)/)[0] || 0 }
		'java', glob '/usr/lib/jvm/*/bin/java';
	($java) = sort { $version{$b} <=> $version{$a} || $a cmp $b } keys %version;
	return $java;
}

sub mvn {
	my ($what, @words) = @_;
	croak "no mvn to fetch $what with" unless has_program('mvn');
	my ($rc, $out, $err) = Leat::Test::run_command({ timeout => 1800 }, 'mvn', '-q', '-B', @words);
	croak "mvn ended with $rc: $out$err" if $rc;
}

# fetch(name, sub { my ($dir, $tmp) = @_; ... }): once; returns the directory.
sub fetch {
	my ($name, $get) = @_;
	my $dir = dir($name);
	return $dir if find($name);
	make_path($dir);
	my $tmp = cache() . "/tmp.$$";
	make_path($tmp);
	$get->($dir, $tmp);
	remove_tree($tmp);
	Leat::Test::spew("$dir/complete", '');
	return $dir;
}

sub pom_of {
	my ($artifact) = @_;
	my ($group, $id, $version) = split /:/, $artifact;
	# Kafka's tools bring a second logger along
	return "<dependency><groupId>$group</groupId><artifactId>$id</artifactId><version>$version</version>"
		. '<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId>'
		. "</exclusion></exclusions></dependency>\n";
}

# Jars of group:id:version, and of what they depend on.
sub fetch_jars {
	my ($name, @artifacts) = @_;
	return fetch($name, sub {
		my ($dir, $tmp) = @_;
		Leat::Test::spew("$tmp/pom.xml", '<project><modelVersion>4.0.0</modelVersion>',
			"<groupId>local</groupId><artifactId>x</artifactId><version>1</version>\n<dependencies>\n",
			map({ pom_of($_) } @artifacts), "</dependencies></project>\n");
		mvn($name, '-f', "$tmp/pom.xml", "-Dmaven.repo.local=$tmp/m2", "$plugin:copy-dependencies",
			'-DincludeScope=runtime', "-DoutputDirectory=$dir");
	});
}

# group:id:version[:tar.gz[:classifier]] alone: a jar is copied, an archive unpacked.
sub fetch_archive {
	my ($name, @artifacts) = @_;
	return fetch($name, sub {
		my ($dir, $tmp) = @_;
		mvn($name, "-Dmaven.repo.local=$tmp/m2", "$plugin:copy", "-Dartifact=$_", "-DoutputDirectory=$dir")
			for @artifacts;
		for my $archive (glob "$dir/*.tar.gz") {
			system('tar', '-xzf', $archive, '-C', $dir) == 0 or croak "tar: $archive";
			unlink $archive;
		}
	});
}

1;
