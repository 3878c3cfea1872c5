#include "config.h"
#include "agent/queue.h"

#include "base/clock.h"
#include "t/tap.h"

static void push(struct queue *q, uint64_t seq, size_t events)
{
	struct batch *b = queue_room(q, clock_mono_ms() + 10);
	struct cursor c = {1, seq, SLICE("x"), 0, false};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < events; i++)
		batch_add(b)->seq = seq - events + 1 + i;
	if (batch_set_cursor(b, &c, &e) != 0)
		abort();
	queue_push(q, b);
}

static uint64_t next(struct queue *q)
{
	struct batch *b;

	return queue_next(q, 0, &b) == QUEUE_BATCH ? b->cursor.seq : 0;
}

static void test_order(void)
{
	struct queue *q = queue_new(1 << 20);
	struct batch *b;

	push(q, 1, 1);
	push(q, 2, 1);
	is_int(next(q), 1, "the oldest batch comes first");
	is_int(next(q), 2, "then the next");
	is_int(next(q), 0, "then there is nothing until the deadline");
	ok(queue_bytes(q) > 0, "batches that were presented are retained");
	queue_release(q);
	is_int(queue_bytes(q), 0, "a commit releases what was presented");
	push(q, 3, 1);
	queue_close(q);
	is_int(next(q), 3, "a closed queue still gives what it has");
	is_int(queue_next(q, CLOCK_NEVER, &b), QUEUE_CLOSED,
	       "and then says that nothing more comes");
	queue_free(q);
}

static void test_release_keeps_unpresented(void)
{
	struct queue *q = queue_new(1 << 20);

	push(q, 1, 1);
	push(q, 2, 1);
	next(q);
	queue_release(q);
	is_int(next(q), 2, "a commit does not release what was not presented");
	queue_free(q);
}

static void test_rewind(void)
{
	struct queue *q = queue_new(1 << 20);
	struct cursor held = {1, 1, SLICE("x"), 0, false};

	push(q, 1, 1);
	push(q, 3, 2);
	push(q, 3, 0);
	push(q, 5, 2);
	for (int i = 0; i < 4; i++)
		next(q);
	queue_rewind(q, &held);
	is_int(next(q), 3, "a rewind presents again what the sink does not hold");
	held.seq = 4;
	queue_rewind(q, &held);
	is_int(next(q), 5, "a batch of which the sink holds a part comes again");
	queue_free(q);
}

static void test_limit(void)
{
	struct queue *q = queue_new(1);

	push(q, 1, 1);
	ok(queue_room(q, clock_mono_ms() + 5) == NULL,
	   "a full queue gives no room");
	next(q);
	ok(queue_room(q, clock_mono_ms() + 5) == NULL,
	   "also not when everything was presented but not committed");
	queue_release(q);
	struct batch *b = queue_room(q, clock_mono_ms() + 5);
	ok(b != NULL, "a commit makes room");
	queue_unused(q, b);
	queue_abandon(q);
	ok(queue_room(q, CLOCK_NEVER) == NULL,
	   "without a writer there is no room and no wait");
	queue_free(q);
}

int main(void)
{
	test_order();
	test_release_keeps_unpresented();
	test_rewind();
	test_limit();
	return tap_done();
}
