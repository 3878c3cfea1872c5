# make install puts everything in its place, and never over somebody's conf.
use Leat::Test;
use File::Find qw(find);

plan skip_all => 'no build tree' unless -e "$BUILDDIR/Makefile";
my $dest = tmpdir('dest');
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL DESTDIR)};

sub make {
	my ($rc, $out, $err) = run_command('make', '-C', $BUILDDIR, @_);
	is($rc, 0, "make @_") or diag "$out$err";
}

sub installed {
	my @found;
	find({ no_chdir => 1, wanted => sub {
		push @found, substr($_, length $dest) if -f $_;
	} }, $dest) if -d $dest;
	return sort @found;
}

my ($mansections) = slurp("$BUILDDIR/Makefile") =~ /^dist_man_MANS =((?:.*\\\n)*.*)/m;
my @man = $mansections =~ m{man/([\w.\-]+)}g;
my $at = '/usr';
my @where = ("DESTDIR=$dest", 'prefix=/usr', 'sysconfdir=/etc', 'localstatedir=/var',
	'exec_prefix=/usr', 'systemdsystemunitdir=/usr/lib/systemd/system',
	'sysusersdir=/usr/lib/sysusers.d');

make('install', @where);
my @want = ('/etc/leat/leat.conf', '/usr/bin/leat', '/usr/lib/systemd/system/leat.service',
	'/usr/lib/sysusers.d/leat.conf', '/usr/share/doc/leat/leat.conf.example',
	map({ m{([^/]+)$} && "/usr/share/doc/leat/examples/$1" } glob "$SRCDIR/conf/examples/*.conf"),
	map { my ($section) = /(\d)$/; "/usr/share/man/man$section/$_" } @man);
is_deeply([installed()], [sort @want], 'what is installed, and nothing else');
ok(-x "$dest/usr/bin/leat", 'the program can be run');
ok(!((stat "$dest/usr/bin/leat")[2] & 06000), 'and gives nobody rights');
is(slurp("$dest/etc/leat/leat.conf"), slurp("$SRCDIR/conf/leat.conf.example"),
	'a first install has the example as its conf');

my $unit = slurp("$dest/usr/lib/systemd/system/leat.service");
like($unit, qr{^ExecStart=/usr/bin/leat run -c /etc/leat/leat\.conf$}m, 'the unit runs what was installed');
like($unit, qr/^RestartPreventExitStatus=.*\b10\b/m, 'and does not restart a fenced agent into a fight');
unlike($unit . slurp("$dest/usr/lib/sysusers.d/leat.conf"), qr/\@\w+\@/, 'nothing is left to fill in');
like(slurp("$dest/usr/lib/sysusers.d/leat.conf"), qr{^u leat - .* /var/lib/leat$}m,
	'the user of the unit comes with it');

spew("$dest/etc/leat/leat.conf", "# mine\n");
make('install', @where);
is(slurp("$dest/etc/leat/leat.conf"), "# mine\n", 'a second install leaves the conf alone');
make('uninstall', @where);
is_deeply([installed()], ['/etc/leat/leat.conf'], 'uninstall leaves nothing but a conf of one\'s own');
spew("$dest/etc/leat/leat.conf", slurp("$SRCDIR/conf/leat.conf.example"));
make('uninstall', @where);
is_deeply([installed()], [], 'and takes an unchanged one with it');

done_testing;
