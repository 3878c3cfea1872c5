# A full disk is a state that ends by itself, whichever write meets it, and so is a
# disk that fails: below the log, and below the state (E124 of the acceptance list).
# Nothing is acknowledged meanwhile that is not there.
#
# The disks are file systems of a few MiB in memory, filled up to some pages: there
# the agent begins, or goes on; it says disk_full; then it is killed or waits; then
# there is room again.
#
#	LEAT_TEST_LONG   every page from none to the first that is too many
use Leat::Test;
use Leat::Postgres;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new;
my @pages = is_long() ? (0 .. 40) : (0 .. 3, 6, 9, 14);
my @mounts;

sub mount_small {
	my ($dir) = @_;
	mkdir $dir;
	my ($rc) = run_command('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', $dir);
	plan skip_all => 'cannot mount a file system here' if $rc != 0;
	push @mounts, $dir;
}

# Also of a scenario that dies; not in a child of the test.
my $owner = $$;
END {
	if ($$ == $owner) {
		my $rc = $?;
		run_command('umount', '-l', $_) for @mounts;
		$? = $rc;
	}
}

# All but so many pages.
sub fill {
	my ($dir, $pages) = @_;
	run_command('dd', 'if=/dev/zero', "of=$dir/ballast", 'bs=4k', 'count=1024');
	truncate "$dir/ballast", (-s "$dir/ballast") - 4096 * $pages if $pages;
}

sub make_room { unlink "$_[0]/ballast" or die "ballast: $!" }

# Rows of a KiB or so, one transaction each.
sub insert {
	my ($rig, $from, $to) = @_;
	$rig->query(join '', map { "INSERT INTO t SELECT $_, (SELECT string_agg(md5(($_ * 1000 + j)::text), '')
		FROM generate_series(1, 30) j);\n" } $from .. $to);
}

# The disk is filled while the agent runs, or at_start before it starts, and emptied
# when that was told.  has: how many rows have arrived.
sub meets_full_disk {
	my ($rig, $dir, %how) = @_;
	my $n = 0;
	for my $pages (@pages) {
		my $is_killed = $pages % 2;
		if ($how{at_start}) {
			$how{wipe}->();
		}
		fill($dir, $pages);
		$how{start}->() if !$rig->agent || !$rig->agent->is_running;
		insert($rig, $n + 1, $n + $how{rows});
		$n += $how{rows};
		my $is_full = eval {
			poll_until { $rig->said =~ / code=disk_full\b/ || $how{has}->() >= $n } 'a full disk', 60;
			$rig->said =~ / code=disk_full\b/
		};
		$how{full}++ if $is_full;
		ok($rig->agent->is_running, "the agent runs with $pages pages left") or diag $rig->said;
		if ($is_killed) {
			$rig->kill9;
			make_room($dir);
			$how{start}->();
		} else {
			make_room($dir);
		}
		$rig->await(sub { $how{has}->() >= $n }, "$n rows, with $pages pages left", 60);
		# what it says next is of the next step
		$rig->await_running->stop;
		$how{start}->() unless $how{at_start};
	}
	cmp_ok($how{full} || 0, '>', 1, 'the disk was full');
	return $n;
}

scenario 'a log on a full disk, whichever write meets it' => sub {
	plan skip_all => 'needs root' if $> != 0;
	my $rig = Leat::Rig->new($pg, 'fulllog', log => 'segment_size = 64KiB  compression = 0  retention_age = 0');
	mount_small($rig->log_dir);
	$rig->start->await_running;
	my $n = meets_full_disk($rig, $rig->log_dir, rows => 60, start => sub { $rig->start },
		has => sub { scalar $rig->ids });
	is_deeply([$rig->ids], [1 .. $n], 'every row once');
	$rig->is_sound;
};

scenario 'E124: the state of a pipeline to a log on a full disk' => sub {
	plan skip_all => 'needs root' if $> != 0;
	my $rig = Leat::Rig->new($pg, 'fullstate', log => 'retention_age = 0');
	mount_small($rig->state_dir);
	$rig->start->await_running->stop;
	my $n = meets_full_disk($rig, $rig->state_dir, rows => 3, at_start => 1, start => sub { $rig->start },
		wipe => sub { run_command('rm', '-rf', $rig->state_dir . '/fullstate') }, has => sub { scalar $rig->ids });
	is_deeply([$rig->ids], [1 .. $n], 'every row once');
	$rig->is_sound;
};

scenario 'E124: the state on a full disk, where it is what counts' => sub {
	plan skip_all => 'needs root' if $> != 0;
	my $rig = Leat::Rig->new($pg, 'counts', type => 'stdout');
	my $out = $rig->dir . '/printed';
	my $start = sub {
		open my $to, '>>', $out or die $!;
		$rig->start({ stdout => $to });
	};
	my $ids = sub { my %seen; return grep { !$seen{$_}++ } slurp($out) =~ /"after":\{"id":(\d+)/g };
	mount_small($rig->state_dir);
	$start->();
	$rig->await_running;
	my $n = meets_full_disk($rig, $rig->state_dir, rows => 40, start => $start, has => sub { scalar $ids->() });
	is_deeply([$ids->()], [1 .. $n], 'every row is there, in order');
};

# fault: of LEAT_DISK_FAULT, for as long as there is the file
sub fails {
	my ($name, $fault, $code) = @_;
	scenario "a disk where every $fault fails for a while" => sub {
		plan skip_all => 'built without fault points' unless has_feature('FAULTS');
		my $rig = Leat::Rig->new($pg, $name);
		my $broken = $rig->dir . '/broken';
		$rig->start({ env => { LEAT_DISK_FAULT => "$fault:$broken" } })->await_running;
		insert($rig, 1, 3);
		$rig->await_count(3);
		spew($broken, '');
		insert($rig, 4, 6);
		$rig->await_status('retrying', $code);
		unlink $broken;
		$rig->await_ids(1 .. 6);
		is($rig->status->{state}, 'running', 'it goes on by itself');
		spew($broken, '');
		insert($rig, 7, 9);
		$rig->await_status('retrying', $code);
		$rig->kill9;
		$rig->start->await_ids(1 .. 9);
		$rig->is_sound;
		is($rig->stop, 0, 'it stops cleanly');
	};
}
fails('syncs', 'sync:1:EIO', 'log_io');
fails('writes', 'write:1:ENOSPC', 'disk_full');
fails('quota', 'write:1:EDQUOT', 'disk_full');
fails('errors', 'any:1:EIO');

done_testing;
