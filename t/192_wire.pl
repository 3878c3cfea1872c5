# What comes over the wire is damaged, split or nonsense: the source says so,
# tries again, and goes on with exactly the next change when it is sound again.
use Leat::Test;
use Leat::Postgres;
use Leat::Proxy;
use Leat::Rig;

Leat::Postgres->need;
my $pg = Leat::Postgres->new(conf => { wal_sender_timeout => '3s' });

# how => what the agent is to say
my @damages = (
	[garbage => 'source_protocol', qr/message "I" at [0-9A-F]+\/[0-9A-F]+/],
	[truncated => 'source_protocol', qr/it is truncated/],
	[kind => 'source_protocol', qr/message "Z" at .* unknown/],
	[frame => 'source_protocol', qr/malformed frame of \d+ bytes/],
	[long => 'source_unreachable', qr/nothing was heard from the server/],
	[short => 'source_protocol', qr/it is truncated/],
	[greedy => 'source_protocol', qr/it goes on behind its end/],
	[tiny => 'source_unreachable', qr/lost synchronization/],
	[unknown => 'source_unreachable', qr/unexpected response/],
	[error => 'source_unreachable', qr/something is wrong/],
	[ready => 'source_unreachable', qr/./],
	[done => 'source_unreachable', qr/the server has ended the stream/],
);
my $proxy = Leat::Proxy->new($pg->port)->alter(0, 'garbage');
my $rig = Leat::Rig->new($pg, 'wire', conninfo => { port => $proxy->port });
$rig->start->await_running;
my $n = 0;

for (@damages) {
	my ($how, $code, $text) = @$_;
	scenario "a server that sends nonsense: $how" => sub {
		$rig->insert($n + 1, $n + 2);
		$rig->await_count($n + 2);
		my $mark = length $rig->said;
		$proxy->alter(1, $how);
		$rig->query("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series($n + 3, $n + 20) i");
		$n += 20;
		$rig->await_count($n);
		my $said = substr $rig->said, $mark;
		like($said, qr/^\S+ warning pipeline "wire": .* code=$code\b/m, "it is said, as $code") or diag $said;
		like($said, $text, 'and what is wrong');
		is_deeply([$rig->ids], [1 .. $n], 'then every row comes, once and in order');
		ok($rig->agent->is_running, 'from the same agent');
	};
}
$rig->is_sound;

scenario 'a place that makes no sense three times in a row is poisoned' => sub {
	$proxy->alter(1000, 'garbage');
	$rig->insert($n + 1);
	my $st = $rig->stops_with('poisoned');
	like($st->{message}, qr/message "I" at/, 'what is wrong is said');
	is_deeply([$rig->ids], [1 .. $n], 'nothing of it is in the log');
	$proxy->alter(0, 'garbage');
	$rig->restart->await_count($n + 1);
	is_deeply([$rig->ids], [1 .. $n + 1], 'when it is sound again a new start goes on');
	$rig->stop;
};

done_testing;
