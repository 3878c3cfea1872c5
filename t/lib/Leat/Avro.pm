# Leat::Avro: reads Avro by its schema, as any consumer does.  Avro specification
# 1.11, "Binary encoding"; Confluent's five bytes in front.
#
#	my $schemas = { 1 => {...}, ... };	# parsed JSON
#	my $record = Leat::Avro::decode($schemas, $bytes);
package Leat::Avro;
use strict;
use warnings;

use Carp qw(croak);
use MIME::Base64 qw(encode_base64);
use Math::BigInt;

sub decode {
	my ($schemas, $bytes) = @_;
	my ($magic, $id) = unpack 'CN', $bytes;
	croak 'no magic byte' if $magic;
	my $self = bless { bytes => $bytes, at => 5, named => {} }, __PACKAGE__;
	my $schema = $schemas->{$id} || croak "no schema $id";
	$self->learn($schema, '');
	my $record = $self->value($schema, '');
	croak length($bytes) - $self->{at} . ' bytes are left' if $self->{at} != length $bytes;
	return $record;
}

# Records are spelled out once, also in a branch that is not taken.
sub learn {
	my ($self, $schema, $space) = @_;
	return map { $self->learn($_, $space) } @$schema if ref $schema eq 'ARRAY';
	return unless ref $schema;
	$space = $schema->{namespace} if defined $schema->{namespace};
	$self->{named}{"$space.$schema->{name}"} = $schema if $schema->{type} eq 'record';
	$self->learn($_->{type}, $space) for @{ $schema->{fields} || [] };
	$self->learn($schema->{items}, $space) if $schema->{items};
	$self->learn($schema->{type}, $space) if ref $schema->{type};
}

sub take {
	my ($self, $n) = @_;
	croak 'the datum is cut short' if $n < 0 || $self->{at} + $n > length $self->{bytes};
	$self->{at} += $n;
	return substr $self->{bytes}, $self->{at} - $n, $n;
}

sub long {
	my ($self) = @_;
	my ($n, $shift) = (Math::BigInt->new(0), 0);
	while (1) {
		my $byte = ord $self->take(1);
		$n += Math::BigInt->new($byte & 127) << $shift;
		last unless $byte & 128;
		$shift += 7;
	}
	$n = $n->is_odd ? -(($n + 1) >> 1) : $n >> 1;
	return "$n";
}

sub bytes { return $_[0]->take($_[0]->long) }

sub record {
	my ($self, $schema, $space) = @_;
	my %row;
	$row{ $_->{name} } = $self->value($_->{type}, $space) for @{ $schema->{fields} };
	return \%row;
}

sub array {
	my ($self, $schema, $space) = @_;
	my @list;
	while (my $n = $self->long) {
		push @list, map { $self->value($schema->{items}, $space) } 1 .. $n;
	}
	return \@list;
}

# bytes are given back in base64, as JSON has them
sub value {
	my ($self, $schema, $space) = @_;
	return $self->value($schema->[ $self->long ], $space) if ref $schema eq 'ARRAY';
	my $type = ref $schema ? $schema->{type} : $schema;
	$space = $schema->{namespace} if ref $schema && defined $schema->{namespace};
	return $self->record($schema, $space) if $type eq 'record';
	return undef if $type eq 'null';
	return $self->long if $type eq 'int' || $type eq 'long';
	return $self->bytes if $type eq 'string';
	return encode_base64($self->bytes, '') if $type eq 'bytes';
	return ord($self->take(1)) ? 1 : 0 if $type eq 'boolean';
	return unpack 'f<', $self->take(4) if $type eq 'float';
	return unpack 'd<', $self->take(8) if $type eq 'double';
	return $self->array($schema, $space) if $type eq 'array';
	my $full = $type =~ /\./ ? $type : "$space.$type";
	my $named = $self->{named}{$full} || croak "no type $full";
	return $self->record($named, $full =~ s/\.[^.]*$//r);
}

1;
