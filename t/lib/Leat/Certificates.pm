# Leat::Certificates: an authority of one's own, and what it signs, by openssl(1).
#
#	certificate($dir, 'ca', '/CN=the tests of leat');
#	certificate($dir, 'server', '/CN=localhost', 'subjectAltName = DNS:localhost');
#
# The first, called ca, signs the others.
package Leat::Certificates;
use strict;
use warnings;

use Exporter qw(import);

use Leat::Test ();

our @EXPORT = qw(certificate);

# certificate(directory, name, subject, extensions): NAME.crt and NAME.key
sub certificate {
	my ($dir, $name, $subject, @extension) = @_;
	my $run = sub {
		my ($rc, $out, $err) = Leat::Test::run_command({ cwd => $dir }, 'openssl', @_);
		die "openssl @_: $err" if $rc;
	};
	my @new = ('-newkey', 'rsa:2048', '-nodes', '-keyout', "$name.key", '-subj', $subject);
	if ($name eq 'ca') {
		$run->('req', '-x509', @new, '-days', 2, '-out', 'ca.crt');
		return;
	}
	$run->('req', '-new', @new, '-out', "$name.csr");
	Leat::Test::spew("$dir/$name.ext", @extension);
	$run->('x509', '-req', '-in', "$name.csr", '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial',
		'-days', 2, '-out', "$name.crt", '-extfile', "$name.ext");
}

1;
