# Bench: what the parts of bench/run share: the server and its load, leat's confs
# and processes, and what is seen of them.
package Bench;
use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

use Leat::Postgres;
use Leat::Test;
use Watch;

our @EXPORT = qw($pg say_line start_server load make_slot drop_slot leat_conf leat take_up run_agent
	pipeline_of await_running log_bytes look_at_server sum percentile start_changes changes_of);
our $pg;
my $confs;

sub say_line { printf STDERR "%s %s\n", strftime('%H:%M:%S', gmtime), "@_" }

# --- the server and its load

sub start_server {
	$pg = Leat::Postgres->new(fsync => 1, conf => {
		shared_buffers => '512MB', max_wal_size => '32GB', checkpoint_timeout => '1h',
		autovacuum => 'off', max_replication_slots => 20 });
	$pg->query(<<'SQL');
CREATE TABLE b (id bigint PRIMARY KEY, a int, b int, c int, d int, t1 text, t2 text,
	ts timestamptz, n numeric(18,4));
CREATE TABLE wide (id serial PRIMARY KEY, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
CREATE PUBLICATION bench FOR TABLE b, wide;
CREATE PROCEDURE load(total bigint, per bigint, part bigint, parts bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN (total / per) * part / parts .. (total / per) * (part + 1) / parts - 1 LOOP
		INSERT INTO b SELECT k, k, k % 1000, -k, k % 7, md5(k::text),
				md5((k + 1)::text) || md5((k + 2)::text),
				timestamptz '2026-01-01' + k * interval '1 ms', k / 100.0
			FROM generate_series(i * per + 1, (i + 1) * per) k;
		COMMIT;
	END LOOP;
END $$;
SQL
}

# Single rows come from several sessions, or loading would take minutes.
sub load {
	my ($n, $per) = @_;
	my $parts = $per == 1 ? 4 : 1;
	my @loaders = map {
		start_command({ name => 'load' }, Leat::Postgres::bindir() . '/psql', '-X', '-q', '-d',
			$pg->conninfo, '-c', 'SET synchronous_commit = off',
			'-c', "CALL load($n, $per, $_, $parts)")
	} 0 .. $parts - 1;
	for my $p (@loaders) {
		die 'loading failed: ' . $p->err if $p->wait(3600);
		$p->forget;
	}
}

# Single rows into wide, so many a second.
sub start_changes {
	my ($rate, $seconds) = @_;
	my $script = spew(tmpdir() . '/one.sql', "INSERT INTO wide (t) VALUES (repeat('x', 200));\n");
	return start_command({ name => 'pgbench' }, Leat::Postgres::bindir() . '/pgbench',
		'-n', '-c', 4, '-j', 1, '-R', $rate, '-T', $seconds, '-f', $script, $pg->conninfo);
}

# How many there were.
sub changes_of {
	my ($load) = @_;
	die 'pgbench failed: ' . $load->err if $load->wait(3600);
	my ($sent) = $load->out =~ /actually processed: (\d+)/;
	return $sent || die 'pgbench did nothing: ' . $load->out;
}

sub make_slot { $pg->query("SELECT pg_create_logical_replication_slot('$_[0]', 'pgoutput')") }

sub drop_slot {
	my ($name) = @_;
	poll_until { eval { $pg->query("SELECT pg_drop_replication_slot('$name')"); 1 } } "slot $name";
}

# --- leat

sub leat_conf {
	my ($name, $sink, $is_streaming) = @_;
	my $dir = tmpdir('run' . $confs++);
	my $catchup = $is_streaming ? 'catchup = off' : '';
	my $to = $sink =~ /^log/ ? 'l' : 's';
	my $options = $sink =~ /^log (.*)/ ? $1 : '';
	my $section = $to eq 'l' ? "log l { path = \"$dir/log\" $options }"
		: "sink s { type = $sink }";
	return { dir => $dir, name => $name, log => "$dir/log", path => spew("$dir/leat.conf", <<TXT) };
state_dir = "$dir/state"
log_level = warning
source pg {
	type = postgres
	conninfo = "${\ $pg->conninfo}"
	tables = { "public.*" }
	publication = bench
	$catchup
}
$section
pipeline $name { source = pg sink = $to initial = stream_only }
TXT
}

sub leat {
	my ($conf, @words) = @_;
	my ($rc, $out, $err) = run_leat($words[0], '-c', $conf->{path}, @words[1 .. $#words]);
	die "leat @words ended with $rc: $err" if $rc;
	return $out;
}

# The pipeline stands where its slot does.
sub take_up { leat($_[0], 'offsets', 'set', $_[0]{name}, 'slot') }

sub run_agent {
	my ($conf, $opt) = @_;
	return start_leat({ name => 'agent', %{ $opt || {} } }, 'run', '-c', $conf->{path});
}

# The pipeline's entry of /status, asked for as cheaply as can be; undef: not yet.
sub pipeline_of {
	my ($conf) = @_;
	my $s = IO::Socket::UNIX->new(Peer => "$conf->{dir}/state/leat.sock") or return undef;
	print $s "GET /status HTTP/1.0\r\n\r\n";
	local $/;
	my $text = <$s>;
	return undef unless defined $text && $text =~ /\r\n\r\n(.*)/s;
	my $entry = JSON::PP->new->utf8->decode($1)->{pipelines}[0];
	die "the pipeline stopped: $entry->{message}\n" if $entry->{state} eq 'stopped';
	return $entry;
}

sub await_running {
	my ($conf, $p) = @_;
	while (1) {
		my $entry = pipeline_of($conf);
		return $entry if $entry && $entry->{state} eq 'running';
		die "leat ended:\n" . $p->err unless $p->is_running;
		sleep 0.005;
	}
}

sub log_bytes {
	my ($conf) = @_;
	my $sum = 0;
	$sum += -s $_ || 0 for glob "$conf->{log}/*";
	return $sum;
}

# --- what is seen

# Of every backend that is not ours: whatever the reader makes the server do.
sub look_at_server {
	my ($watches, $is_new) = @_;
	if ($is_new) {
		my $pids = $pg->query("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
			. " AND backend_type IN ('walsender', 'client backend')");
		$watches->{$_} ||= Watch->new($_) for split /\n/, $pids;
	}
	$_->look for values %$watches;
}

sub sum { my $sum = 0; $sum += $_ for @_; return $sum }

sub percentile {
	my ($p, @sorted) = @_;
	return @sorted ? $sorted[int($p / 100 * $#sorted + 0.5)] : undef;
}

1;
