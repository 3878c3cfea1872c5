# Leat::Tree: the files of the source tree, for the hygiene tests.
#
# In a git work tree: what git tracks, and what is new and not ignored.
# Elsewhere (a release, distcheck): everything but build trees and what
# autotools made.
package Leat::Tree;
use strict;
use warnings;

use Exporter qw(import);
use File::Find qw(find);

use Leat::Test ();

our @EXPORT_OK = qw(tree_files c_files code_only read_tree includes_of);

my %generated = map { $_ => 1 } qw(Makefile.in aclocal.m4 configure config.h.in config.h.in~
	configure~ build-aux autom4te.cache .git .gitignore);

my @files;
sub tree_files {
	return @files if @files;
	my $top = $Leat::Test::SRCDIR;
	if (-e "$top/.git") {
		@files = split /\0/,
			`git -c safe.directory='*' -C '$top' ls-files -z --cached --others --exclude-standard`;
		@files = grep { -e "$top/$_" } @files;
	}
	unless (@files) {
		find({ no_chdir => 1, wanted => sub {
			my $name = substr($File::Find::name, length($top) + 1) || return;
			if ($generated{$name} || -e "$File::Find::name/config.status") {
				$File::Find::prune = 1;
			} elsif (-f $File::Find::name) {
				push @files, $name unless $name =~ /\.(?:log|trs|[oa])$/;
			}
		} }, $top);
	}
	@files = sort @files;
	return @files;
}

sub c_files { return grep { m{\.[ch]$} } tree_files() }

sub read_tree { return Leat::Test::slurp("$Leat::Test::SRCDIR/$_[0]") }

# C text with comments, the insides of literals and preprocessor lines blanked;
# lines stay where they are.
sub code_only {
	my ($text) = @_;
	$text =~ s{
		(/\*.*?\*/)			# comment
		| (//[^\n]*)
		| "((?:[^"\\\n]|\\.)*)"
		| '((?:[^'\\\n]|\\.)*)'
	}{
		defined $1 ? blank($1) : defined $2 ? ''
			: defined $3 ? '"' . blank($3) . '"' : "'" . blank($4) . "'"
	}gesx;
	$text =~ s/^([ \t]*#(?:[^\n]*\\\n)*[^\n]*)/blank($1)/gem;
	return $text;
}

sub blank {
	my ($text) = @_;
	$text =~ s/[^\n]//g;
	return $text;
}

# [line, '<x.h>' or '"x.h"'] of each include
sub includes_of {
	my ($text) = @_;
	my ($line, @found) = (0);
	for (split /\n/, $text, -1) {
		$line++;
		push @found, [$line, $1] if /^\s*#\s*include\s*(<[^>]+>|"[^"]+")/;
	}
	return @found;
}

1;
