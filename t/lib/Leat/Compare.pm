# Leat::Compare: where two JSON texts differ, and which differences are allowed.
#
#	my $cmp = Leat::Compare->new("$SRCDIR/t/conformance.allowed");
#	my @differences = $cmp->json('value', $theirs, $ours);
#	my @bad = grep { !$cmp->allows($_) } @differences;
#	my @idle = $cmp->unused;
#
# A difference is "PATH: THEIRS | OURS"; what is not there is (none).  Numbers are
# equal by value, everything else by its text; the order of members does not count,
# that of a Connect schema's fields does, whose paths go by their names.
#
# The file of what is allowed: a line that a difference must match (* is anything),
# then lines that begin with a tab and give the reason.  # begins a comment.
package Leat::Compare;
use strict;
use warnings;

use Carp qw(croak);
use JSON::PP;
use Math::BigFloat;

use Leat::Test ();

sub new {
	my ($class, $file) = @_;
	my (@rules, $at);
	for (split /\n/, Leat::Test::slurp($file)) {
		next if /^#|^\s*$/;
		if (/^\t(.*)/) {
			croak "$file: a reason without a rule: $_" unless @rules;
			$rules[-1]{reason} .= "$1 ";
			next;
		}
		my $pattern = join '.*', map { quotemeta } split /\*/, $_, -1;
		push @rules, { text => $_, pattern => qr/^$pattern$/s, reason => '', used => 0 };
	}
	my ($bare) = grep { !length $_->{reason} } @rules;
	croak "$file: no reason for $bare->{text}" if $bare;
	return bless { rules => \@rules, seen => {} }, $class;
}

sub allows {
	my ($self, $difference) = @_;
	my ($rule) = grep { $difference =~ $_->{pattern} } @{ $self->{rules} };
	$rule->{used}++ if $rule;
	return $rule;
}

sub unused { return map { $_->{text} } grep { !$_->{used} } @{ $_[0]{rules} } }

# --- JSON that keeps its order: [object => [[name, value], ...]], [list => [...]],
# [string => bytes], [word => number, true, false or null]

sub parse {
	my ($text) = @_;
	my $value = take(\$text);
	croak 'text behind JSON: ' . substr $text, pos $text if $text !~ /\G\s*\z/gc;
	return $value;
}

sub string {
	my ($text) = @_;
	my $token = $$text =~ /\G"((?:[^"\\]++|\\.)*+)"/gcs ? $1 : croak 'no string at ' . pos $$text;
	return $token unless $token =~ /\\/;
	my $plain = JSON::PP->new->utf8->allow_nonref->decode("\"$token\"");
	utf8::encode($plain);
	return $plain;
}

sub take {
	my ($text) = @_;
	$$text =~ /\G\s+/gc;
	if ($$text =~ /\G\{\s*/gc) {
		my @members;
		until ($$text =~ /\G\s*\}/gc) {
			$$text =~ /\G\s*,\s*/gc if @members;
			my $name = string($text);
			$$text =~ /\G\s*:/gc or croak "no colon behind $name";
			push @members, [$name, take($text)];
		}
		return [object => \@members];
	}
	if ($$text =~ /\G\[\s*/gc) {
		my @items;
		until ($$text =~ /\G\s*\]/gc) {
			$$text =~ /\G\s*,/gc if @items;
			push @items, take($text);
		}
		return [list => \@items];
	}
	return [string => string($text)] if $$text =~ /\G(?=")/gc;
	return [word => $1] if $$text =~ /\G([-+.\w]+)/gc;
	croak 'no JSON: ' . substr $$text, pos($$text) || 0, 40;
}

# --- differences

sub json {
	my ($self, $path, $theirs, $ours) = @_;
	my @both = map { defined $_ ? parse($_) : undef } $theirs, $ours;
	return compare($path, @both);
}

# The schemas of many records are one text each: compared once a pair.
sub record {
	my ($self, $path, $theirs, $ours) = @_;
	my @texts = ($theirs, $ours);
	my @halves = map { defined $_ && /^\{"schema":(.*?),"payload":(.*)\}$/s ? [$1, $2] : undef } @texts;
	return $self->json("$path.payload", $theirs, $ours) unless $halves[0] && $halves[1];
	my $schemas = $self->{seen}{"$halves[0][0]\n$halves[1][0]"} ||=
		[$self->json("$path.schema", $halves[0][0], $halves[1][0])];
	return (@$schemas, $self->json("$path.payload", $halves[0][1], $halves[1][1]));
}

sub show {
	my ($v) = @_;
	return '(none)' unless defined $v;
	return $v->[1] if $v->[0] eq 'word';
	return '{' . join(',', map { "$_->[0]:" . show($_->[1]) } @{ $v->[1] }) . '}' if $v->[0] eq 'object';
	return '[' . join(',', map { show($_) } @{ $v->[1] }) . ']' if $v->[0] eq 'list';
	return length $v->[1] > 60 ? '"' . substr($v->[1], 0, 60) . '..."' : "\"$v->[1]\"";
}

sub is_number { return $_[0] =~ /^-?\d/ }

sub is_equal {
	my ($x, $y) = @_;
	return 0 unless defined $x && defined $y && $x->[0] eq $y->[0];
	return 1 if $x->[1] eq $y->[1];
	return $x->[0] eq 'word' && is_number($x->[1]) && is_number($y->[1])
		&& Math::BigFloat->new($x->[1]) == Math::BigFloat->new($y->[1]);
}

sub compare {
	my ($path, $x, $y) = @_;
	my $kind = defined $x && defined $y && $x->[0] eq $y->[0] ? $x->[0] : '';
	return compare_members($path, $x->[1], $y->[1]) if $kind eq 'object';
	return compare_fields($path, $x->[1], $y->[1])
		if $kind eq 'list' && $path =~ /\.fields$/;
	return compare_lists($path, $x->[1], $y->[1]) if $kind eq 'list';
	# a JSON text in a string
	return compare($path, map { parse($_->[1]) } $x, $y)
		if $kind eq 'string' && $path =~ /\.sequence$/;
	return is_equal($x, $y) ? () : ("$path: " . show($x) . ' | ' . show($y));
}

sub compare_lists {
	my ($path, $x, $y) = @_;
	my $n = @$x > @$y ? @$x : @$y;
	return map { compare("$path\[$_]", $x->[$_], $y->[$_]) } 0 .. $n - 1;
}

sub compare_members {
	my ($path, $x, $y) = @_;
	my (%x, %y);
	$x{ $_->[0] } = $_->[1] for @$x;
	$y{ $_->[0] } = $_->[1] for @$y;
	my %names = (%x, %y);
	return map { compare("$path.$_", $x{$_}, $y{$_}) } sort keys %names;
}

sub field_name {
	my ($field) = @_;
	my ($name) = map { $_->[1][1] } grep { $_->[0] eq 'field' } @{ $field->[1] };
	return $name;
}

# The order of those that both have, and then each by its name.
sub compare_fields {
	my ($path, $x, $y) = @_;
	my %x = map { field_name($_) => $_ } @$x;
	my %y = map { field_name($_) => $_ } @$y;
	my @x = grep { $y{$_} } map { field_name($_) } @$x;
	my @y = grep { $x{$_} } map { field_name($_) } @$y;
	my @order = "@x" eq "@y" ? () : ("$path: order @x | order @y");
	my %names = (%x, %y);
	return (@order, map { compare("$path.$_", $x{$_}, $y{$_}) } sort keys %names);
}

1;
