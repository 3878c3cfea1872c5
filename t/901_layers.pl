# Layers point one way, and each library is known to its own module only.
use Leat::Test;
use Leat::Tree qw(c_files read_tree includes_of);

my %sees = (
	base => [qw(base)],
	schema => [qw(base schema)],
	log => [qw(base schema log)],
	transforms => [qw(base schema transforms)],
	sources => [qw(base schema log sources)],
	sinks => [qw(base schema log sinks)],
	agent => [qw(base schema log transforms sources sinks agent)],
	t => [qw(base schema log transforms sources sinks agent t)],
	bench => [],
);
# header => files that may include it
my %fenced = (
	'libpq-fe.h' => qr{^sources/pg_\w+\.[ch]$|^bench/pgrecv\.c$},
	'mysql.h' => qr{^sources/my_conn\.c$},
	'librdkafka/rdkafka.h' => qr{^sinks/kafka\w*\.[ch]$|^bench/kread\.c$|^t/kafka_peer\.c$},
	'sqlite3.h' => qr{^agent/(?:state|state_vfs|db|dlq|dlq_body)\.c$|^t/\w+/(?:state|dlq)\w*\.c$},
	'confuse.h' => qr{^agent/conf\w*\.[ch]$},
	'zstd.h' => qr{^log/\w+\.c$|^sources/my_inflate\.c$},
	'ma_pvio.h' => qr{^sources/my_conn\.c$},
);
# header => how many files may include it, wherever they are
my %single = ('curl/curl.h' => 1, 'microhttpd.h' => 1);

# What is wrong with one file's includes.
sub faults_of {
	my ($file, $text, $exists) = @_;
	my ($layer) = $file =~ m{^(\w+)/};
	my $allowed = $sees{$layer} or return "$file: no layer \"$layer\"";
	my @includes = includes_of($text);
	my (@faults, $own);
	if ($file =~ /^(.*)\.c$/) {
		push @faults, "$file: config.h is not the first include"
			unless @includes && $includes[0][1] eq '"config.h"';
		$own = "$1.h";
		push @faults, "$file:$includes[1][0]: $own comes after another include"
			if $exists->($own) && (@includes < 2 || $includes[1][1] ne "\"$own\"");
	}
	for (@includes) {
		my ($line, $header) = @$_;
		my ($name) = $header =~ /^.(.*).$/;
		my $at = "$file:$line: $header";
		if ($header =~ /^</) {
			my $fence = $fenced{$name};
			push @faults, "$at belongs to another module" if $fence && $file !~ $fence;
			next;
		}
		next if $name eq 'config.h' && $file =~ /\.c$/;
		if ($name !~ m{^(\w+)/[\w/]+\.(?:h|def)$} || !$sees{$1}) {
			push @faults, "$at is not written from the top";
		} elsif (!grep { $_ eq $1 } @$allowed) {
			push @faults, "$at is a layer that $layer/ does not see";
		}
	}
	return @faults;
}

# the rules catch what they are for
sub catches {
	my ($file, $text, $want, $name) = @_;
	my @faults = faults_of($file, "#include \"config.h\"\n$text", sub { 0 });
	ok(1 == @faults && $faults[0] =~ $want, $name) or diag explain \@faults;
}
catches('base/x.c', "#include \"schema/value.h\"\n", qr/does not see/, 'base may not include schema');
catches('sinks/x.c', "#include \"sources/source.h\"\n", qr/does not see/, 'sinks may not include sources');
catches('log/x.c', "#include \"sinks/sink.h\"\n", qr/does not see/, 'log may not include sinks');
catches('sources/x.c', "#include \"agent/conf.h\"\n", qr/does not see/, 'sources may not include agent');
catches('sources/x.c', "#include \"source.h\"\n", qr/from the top/, 'includes are written from the top');
catches('sources/x.c', "#  include <libpq-fe.h>\n", qr/another module/, 'libpq is fenced');
catches('agent/cmd_x.c', "#include <sqlite3.h>\n", qr/another module/, 'SQLite is fenced');
catches('sinks/x.c', "#include <confuse.h>\n", qr/another module/, 'libConfuse is fenced');
is_deeply([faults_of('sinks/x.c', "#include \"config.h\"\n#include \"base/err.h\"\n#include \"sinks/x.h\"\n",
	sub { 1 })], ['sinks/x.c:2: sinks/x.h comes after another include'], 'the own header comes first');
is_deeply([faults_of('sinks/x.c', "#include \"base/err.h\"\n", sub { 0 })],
	['sinks/x.c: config.h is not the first include'], 'config.h comes before it');

# the tree keeps them
my @files = c_files();
my %is_file = map { $_ => 1 } @files;
my (@faults, %count);
for my $file (@files) {
	my $text = read_tree($file);
	push @faults, faults_of($file, $text, sub { $is_file{$_[0]} });
	next if $file =~ m{^t/};
	$count{$_}{$file} = 1 for grep { exists $single{$_} } map { $_->[1] =~ /^.(.*).$/ } includes_of($text);
}
cmp_ok(@files, '>', 10, 'the tree has C files');
is(join("\n", @faults), '', 'every include of the tree keeps to the layers and the fences');
for my $header (sort keys %single) {
	my @users = sort keys %{ $count{$header} || {} };
	ok(@users <= $single{$header}, "$header is known to one file") or diag "@users";
}

done_testing;
