# KafkaPart: Postgres to Kafka, exactly once, by leat and by Debezium.
#
# Debezium is Kafka Connect's distributed worker with exactly-once on and the
# settings that made it fastest (Leat::Debezium::TUNED); leat has its defaults.
# Both read the same table by pgoutput, write to one partition of the same broker,
# and are looked at by the same consumer of committed records (bench/kread.c).
#
# A drain's time is from exec of the agent, or of the worker with its connector,
# until the last row is readable.  What a virtual machine does better when it has
# run for a while is shown by a second connector: it has a backlog of the same
# rows, waits stopped, and is resumed in the worker that has just drained the
# first; its time is from the request to resume.  The slots are all there before
# the load; those of leat are copies.  Broker and page cache are warmed by a drain
# of leat that does not count.
#
# Latency is from the commit, source.ts_us in the record, to the consumer; both
# have been under the same load before (BENCH_WARM_KAFKA seconds, 15).
package KafkaPart;
use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(sleep time);

use Bench;
use Leat::Debezium;
use Leat::Kafka;
use Leat::Maven;
use Leat::Test;
use Watch;

my $kafka;

sub start {
	$kafka = Leat::Kafka->new(jvm => ['-Xms1g', '-Xmx1g', '-XX:+UseSerialGC'],
		conf => { 'log.segment.bytes' => 1 << 30 });
	my ($java) = `'@{[Leat::Maven::java()]}' -version 2>&1` =~ /version "([^"]+)/;
	return { kafka => $kafka->{version}, debezium => Leat::Debezium::CONNECTOR,
		connect => Leat::Debezium::CONNECT, java => $java };
}

sub stop { $kafka->stop if $kafka }

sub kread {
	my ($topic, @words) = @_;
	return start_command({ name => 'kread' }, "$BUILDDIR/bench/kread", $kafka->bootstrap, $topic, @words);
}

# --- leat

sub agent_conf {
	my ($name) = @_;
	my $conf = leat_conf($name, 'kafka brokers = "' . $kafka->bootstrap . '"'
		. ' topic = "{pipeline}.{schema}.{table}"');
	take_up($conf);
	return $conf;
}

sub end_agent {
	my ($p, $conf) = @_;
	die "leat ended with a failure:\n" . $p->err if $p->stop;
	system 'rm', '-rf', $conf->{dir};
}

# --- Debezium

# A worker with these connectors; each has a slot and has delivered a row.
sub worker {
	my ($name, @connectors) = @_;
	my $connect = Leat::Debezium->new($kafka, $name, jvm => [Leat::Debezium::TUNED_JVM])->start;
	$connect->create($_, $pg, Leat::Debezium::TUNED, 'publication.name' => 'bench',
		'publication.autocreate.mode' => 'disabled', 'table.include.list' => 'public.b,public.wide',
		'topic.creation.default.replication.factor' => 1, 'topic.creation.default.partitions' => 1)
		for @connectors;
	for my $connector (@connectors) {
		$connect->await_task($connector);
		poll_until { $pg->query("SELECT active FROM pg_replication_slots WHERE slot_name = '$connector'") eq 't' }
			"slot $connector";
	}
	$pg->query("INSERT INTO wide (t) VALUES ('first')");
	for my $connector (@connectors) {
		poll_until { $kafka->topics->{"$connector.public.wide"}
			&& grep { $_->{value} =~ /"t":"first"/ } $kafka->records("$connector.public.wide") } "its first row";
	}
	return $connect;
}

# --- draining

# Until the consumer has the last row; what that cost.
sub watch {
	my ($kread, $agent, $began, $n) = @_;
	my %watch = (agent => Watch->new($agent->pid), broker => Watch->new($kafka->pid));
	my ($server_at, %servers) = (0);
	$_->look for values %watch;
	my %before = map { $_ => $watch{$_}->cpu } keys %watch;
	while ($kread->is_running) {
		my $now = time;
		die "the agent ended:\n" . $agent->err unless $agent->is_running;
		$_->look for values %watch;
		look_at_server(\%servers, $now >= $server_at);
		$server_at = $now + ($now - $began < 1 ? 0.05 : 0.5) if $now >= $server_at;
		sleep 0.02;
	}
	die 'kread failed: ' . $kread->err if $kread->status;
	my @seen = map { [split] } split /\n/, $kread->out;
	$kread->forget;
	return { wall => $seen[-1][0] - $began, rate => $n / ($seen[-1][0] - $began),
		middle_rate => middle_rate($n, @seen), cpu => $watch{agent}->cpu - $before{agent}, threads => $watch{agent}->threads,
		broker_cpu => $watch{broker}->cpu - $before{broker}, hwm_kb => $watch{agent}->memory('VmHWM'),
		server_cpu => sum(map { $_->cpu } values %servers) };
}

# When so many rows could be read, between the moments at which that was asked.
sub time_of {
	my ($rows, @seen) = @_;
	my ($i) = grep { $seen[$_][1] >= $rows } 0 .. $#seen;
	return $seen[0][0] if $i == 0;
	my ($t0, $n0, $t1, $n1) = (@{ $seen[$i - 1] }, @{ $seen[$i] });
	return $t0 + ($t1 - $t0) * ($rows - $n0) / ($n1 - $n0);
}

# From a fifth of the rows to nine tenths.
sub middle_rate {
	my ($n, @seen) = @_;
	my $took = time_of($n * 0.9, @seen) - time_of($n * 0.2, @seen);
	return $took > 0 ? $n * 0.7 / $took : undef;
}

# Everything is there once and in order, or the part fails.
sub count {
	my ($topic, $n) = @_;
	my $p = kread($topic, 'count', $n);
	die 'kread failed: ' . $p->err if $p->wait(600);
	my $found = JSON::PP->new->utf8->decode($p->out);
	$p->forget;
	die "$topic: $found->{rows} rows, $found->{distinct} different ones, $found->{ordered} in order; $n were written\n"
		if grep { $found->{$_} != $n } qw(rows distinct ordered);
	return $found->{bytes};
}

sub say_drain {
	my ($who, $r, $n) = @_;
	say_line(sprintf '  %-15s %7.0f rows/s (middle %7.0f)  cpu %.2f  broker %.2f  server %.2f s per million'
		. '  %.0f MiB', $who, @$r{qw(rate middle_rate)}, map({ $_ / $n * 1e6 } @$r{qw(cpu broker_cpu server_cpu)}),
		$r->{hwm_kb} / 1024);
}

sub by_leat {
	my ($name, $base, $n) = @_;
	$pg->query("SELECT pg_copy_logical_replication_slot('$base', 'leat_$name')");
	my $conf = agent_conf($name);
	my $kread = kread("$name.public.b", 'drain', $n);
	my $began = time;
	my $p = run_agent($conf);
	my $r = watch($kread, $p, $began, $n);
	$r->{commits} = pipeline_of($conf)->{commits};
	end_agent($p, $conf);
	drop_slot("leat_$name");
	$r->{bytes} = count("$name.public.b", $n);
	return $r;
}

# The worker from its start with one connector, then with the other.
sub by_debezium {
	my ($connect, $cold, $warm, $n) = @_;
	my $kread = kread("$cold.public.b", 'drain', $n);
	my $began = time;
	my %r = (cold => watch($kread, $connect->start->{process}, $began, $n));
	$connect->stop_connector($cold);
	$kread = kread("$warm.public.b", 'drain', $n);
	$began = time;
	$connect->resume_connector($warm);
	$r{warm} = watch($kread, $connect->{process}, $began, $n);
	$connect->stop;
	drop_slot($_) for $cold, $warm;
	$r{cold}{bytes} = count("$cold.public.b", $n);
	$r{warm}{bytes} = count("$warm.public.b", $n);
	return \%r;
}

sub drain {
	my ($n, $per, $rounds) = @_;
	my (%part, @workers);
	$n -= $n % $per;
	say_line("to Kafka: $rounds workers are made");
	$pg->query('TRUNCATE b');
	for my $i (1 .. $rounds) {
		push @workers, worker("drain$i", "cold$i", "warm$i");
		$workers[-1]->stop_connector("warm$i")->stop;
	}
	make_slot('base_kafka');
	say_line("to Kafka: loading $n rows, $per a transaction");
	load($n, $per);
	$pg->query('CHECKPOINT');
	say_drain('leat, not counted', by_leat('warmup', 'base_kafka', $n), $n);
	for my $i (1 .. $rounds) {
		my %measure = (
			leat => sub { push @{ $part{leat} }, by_leat("round$i", 'base_kafka', $n) },
			debezium => sub {
				my $r = by_debezium($workers[$i - 1], "cold$i", "warm$i", $n);
				push @{ $part{$_} }, $r->{$_} for qw(cold warm);
			});
		for my $who ($i % 2 ? qw(leat debezium) : qw(debezium leat)) {
			$measure{$who}->();
			say_drain($_, $part{$_}[-1], $n) for $who eq 'leat' ? 'leat' : qw(cold warm);
		}
	}
	drop_slot('base_kafka');
	return { rows => $n, per => $per, runs => \%part };
}

# --- latency

# Of $seconds at that rate, behind as many as it takes to get warm.
sub latency_of {
	my ($topic, $agent, $rate, $seconds) = @_;
	my $kread = kread($topic, 'latency');
	poll_until { $kread->out =~ /^ready$/m || !$kread->is_running } 'the consumer';
	changes_of(start_changes($rate, $ENV{BENCH_WARM_KAFKA} || 15));
	my $seen = settled($kread);
	my %watch = (cpu_share => Watch->new($agent->pid), broker_share => Watch->new($kafka->pid));
	$_->look for values %watch;
	my %before = map { $_ => $watch{$_}->cpu } keys %watch;
	my $sent = changes_of(start_changes($rate, $seconds));
	$_->look for values %watch;
	my $end = settled($kread);
	my @us = sort { $a <=> $b } (grep { /^\d/ } split /\n/, $kread->out)[$seen .. $end - 1];
	die 'kread failed: ' . $kread->err if $kread->stop;
	die sprintf "%d transactions, %d events\n", $sent, scalar @us if $sent != @us;
	return { events => scalar @us, reached => @us / $seconds, max_ms => $us[-1] / 1e3,
		rss_kb => $watch{cpu_share}->memory('VmRSS'), hwm_kb => $watch{cpu_share}->memory('VmHWM'),
		map({ ("p${_}_ms" => percentile($_, @us) / 1e3) } 50, 99, 99.9),
		map({ ($_ => ($watch{$_}->cpu - $before{$_}) / $seconds) } keys %watch) };
}

# How many records came, once no more come.
sub settled {
	my ($kread) = @_;
	my ($n, $quiet) = (-1, 0);
	while ($quiet < 4) {
		sleep 0.25;
		my $now = () = $kread->out =~ /^\d+$/mg;
		$quiet = $now == $n ? $quiet + 1 : 0;
		$n = $now;
	}
	return $n;
}

sub latency {
	my ($rate, $seconds) = @_;
	my %part = (rate => $rate);
	say_line("to Kafka: latency at $rate tx/s");
	make_slot('leat_klive');
	my $conf = agent_conf('klive');
	my $p = run_agent($conf);
	await_running($conf, $p);
	$pg->query("INSERT INTO wide (t) VALUES ('first')");
	poll_until { $kafka->topics->{'klive.public.wide'} } 'the topic';
	$part{leat} = latency_of('klive.public.wide', $p, $rate, $seconds);
	end_agent($p, $conf);
	drop_slot('leat_klive');
	my $connect = worker('live', 'live');
	$part{debezium} = latency_of('live.public.wide', $connect->{process}, $rate, $seconds);
	$connect->stop;
	drop_slot('live');
	say_line(sprintf '  %-9s p50 %.1f ms  p99 %.1f ms  p99.9 %.1f ms  (%d events)', $_,
		@{ $part{$_} }{qw(p50_ms p99_ms p99.9_ms events)}) for qw(leat debezium);
	return \%part;
}

1;
