# Leat::Manual: the pages of man/, for the test that compares them with the
# sources.  Knows as much of mdoc as that needs.
package Leat::Manual;
use strict;
use warnings;

use Exporter qw(import);

use Leat::Tree qw(tree_files read_tree);

our @EXPORT_OK = qw(pages page sections items blocks prose);

# Names like "leat.conf.5" of all pages.
sub pages { return map { m{^man/([\w.-]+\.\d)$} ? $1 : () } tree_files() }

sub page { return read_tree("man/$_[0]") }

# [title, text] of each .Sh, in order.
sub sections {
	my ($text) = @_;
	my @sections;
	for (split /^/m, $text) {
		if (/^\.Sh (.*)$/) {
			push @sections, [$1, ''];
		} elsif (@sections) {
			$sections[-1][1] .= $_;
		}
	}
	return @sections;
}

# [head, body] of each .It, nested ones too; a body ends at the next .It, .El
# or section.
sub items {
	my ($text) = @_;
	my @items;
	my $open = 0;
	for (split /^/m, $text) {
		if (/^\.It (.*)$/) {
			push @items, [$1, ''];
			$open = 1;
		} elsif (/^\.(?:El|Sh|Ss)\b/) {
			$open = 0;
		} elsif ($open) {
			$items[-1][1] .= $_;
		}
	}
	return @items;
}

# What literal displays show: [line number, text].
sub blocks {
	my ($text) = @_;
	my ($n, @blocks, $open) = (0);
	for (split /^/m, $text) {
		$n++;
		if (/^\.Bd .*-literal/) {
			$open = [$n, ''];
		} elsif (/^\.Ed/ && $open) {
			$open->[1] =~ s/\\\(dq/"/g;
			$open->[1] =~ s/\\&//g;
			$open->[1] =~ s/\\e/\\/g;
			push @blocks, $open;
			$open = undef;
		} elsif ($open) {
			$open->[1] .= $_;
		}
	}
	return @blocks;
}

# Text as one line, macros' names dropped and blanks before punctuation too.
sub prose {
	my ($text) = @_;
	$text =~ s/^\.(?:[A-Z][a-z]\b ?)*//gm;
	$text =~ s/\s+/ /g;
	$text =~ s/ ([.,;:)])(?= |$)/$1/g;
	$text =~ s/^ | $//g;
	return $text;
}

1;
