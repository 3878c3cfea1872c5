/* read() and ack().
 *
 * A batch ends when it is full, when the server pauses, at the deadline or when
 * somebody calls.  The rest of a transaction of which the first part is there is
 * waited for a little: the server has it and is sending it.
 *
 * S4: transactions without a change for us move the place too; it is handed on as
 * an empty batch. */
#include "config.h"
#include "sources/my_read.h"

#include <stdio.h>

#include "base/clock.h"

#define GATHER_MS 10
#define IDLE_MS 10000
/* The clock and the other connections are looked at once for so many events. */
#define LOOK_EVERY 256u

struct slice my_cursor_source(void *arg, const struct my_place *place,
			      struct arena *a)
{
	struct my *my = arg;
	struct buf text = BUF_INIT;
	struct slice kept;

	my_cursor_print(place, slice_of(my->server.value[MY_SERVER_UUID]), &text);
	a->failed |= text.failed;
	kept = slice_dup(a, buf_get(&text));
	buf_fini(&text);
	return kept;
}

/* Hands the batch over: sets its cursor. */
static int finish(struct my *my, struct batch *b, struct err *e)
{
	const struct my_place *place = my_binlog_place(my->decoder);
	struct cursor c = {.incarnation = my->base.incarnation,
			   .seq = my_binlog_seq(my->decoder)};

	my_binlog_rest(my->decoder);
	c.source = my_cursor_source(my, place, &b->arena);
	if (b->arena.failed)
		return err_no_memory(e);
	c.in_txn = my_binlog_in_transaction(my->decoder) &&
		   place->flight.number != 0;
	b->cursor = c;
	my->left_ms = clock_mono_ms();
	if (b->n > 0 || my->told != my->events) {
		my->told = my->events;
		my->moved_ms = my->left_ms;
	}
	if (b->n > 0 && b->ev[b->n - 1].txn != NULL)
		atomic_store(&my->base.last_commit_us,
			     b->ev[b->n - 1].txn->commit_us);
	return 0;
}

/* What came before is whole and is handed over first: where it fails for good,
 * nothing before that place is lost. */
static int put_off(struct my *my, const struct batch *b, struct err *e)
{
	if (b->n == 0)
		return -1;
	my->pending = *e;
	*e = ERR_INIT;
	return 1;
}

/* What the decoder cannot take it can never take, unless it was damaged on its
 * way; and what the server no longer has, or never had, it will not have later. */
static int failed(struct my *my, const struct batch *b, struct err *e)
{
	if (code_kind(e->code) == CODE_STOP)
		err_hint(e, "To go on behind it, with a gap: leat offsets set %s now --accept-gap",
			 my->base.pipeline);
	return put_off(my, b, e);
}

static bool is_full(const struct my *my, const struct batch *b)
{
	size_t limit = my->base.batch_bytes, n = batch_bytes(b);

	return n >= limit && (n >= limit + limit / 2 ||
			      !my_binlog_in_transaction(my->decoder));
}

static int take_event(struct my *my, struct batch *b, struct err *e)
{
	struct slice event;

	my->events++;
	if (my_binlog_has_more(my->decoder))
		return my_binlog_more(my->decoder, b, e) < 0 ? failed(my, b, e)
							     : 0;
	if (my_conn_event(&my->dump, &event, e) < 0)
		return failed(my, b, e);
	return my_binlog_event(my->decoder, event, b, e) < 0 ? failed(my, b, e)
							     : 0;
}

/* What is there, into the batch: 1 when it is full. */
static int drain(struct my *my, struct batch *b, struct err *e)
{
	for (unsigned i = 0; i < LOOK_EVERY; i++) {
		int rc;

		if (is_full(my, b))
			return 1;
		if (!my_binlog_has_more(my->decoder) &&
		    !my_conn_has_input(&my->dump))
			return 0;
		rc = take_event(my, b, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When the batch is to be handed over as it is. */
static int64_t batch_due(const struct my *my, const struct batch *b,
			 int64_t began)
{
	if (b->n == 0)
		return my->events != my->told &&
				       !my_binlog_in_transaction(my->decoder)
			       ? my->moved_ms + IDLE_MS
			       : CLOCK_NEVER;
	return my_binlog_in_transaction(my->decoder) ? began + GATHER_MS : 0;
}

static int check_alive(struct my *my, const struct my_wait *w, struct err *e)
{
	int64_t silent = clock_mono_ms() - my->heard_ms;

	/* whoever closes it, or says that he does, has let go of the claim */
	if (w->side)
		return err_set(e, CODE_source_unreachable,
			       "the server has closed the connection that holds the claim");
	if (!w->input && silent > 3 * my->conf->heartbeat)
		return err_set(e, CODE_source_unreachable,
			       "the server has been silent for %lld ms",
			       (long long)silent);
	return 0;
}

static int fill(struct my *my, struct batch *b, int64_t deadline, struct err *e)
{
	int64_t began = 0;
	bool woken = false;

	for (;;) {
		uint64_t had = my->events;
		int full = drain(my, b, e);
		int64_t now = clock_mono_ms(), due;
		struct my_wait w;

		if (full < 0)
			return -1;
		if (err_is_set(&my->pending))
			return 0;
		if (my->events != had) {
			my->heard_ms = now;
			atomic_store(&my->base.last_heard_us, clock_wall_us());
		}
		if (b->n > 0 && began == 0)
			began = now;
		due = batch_due(my, b, began);
		/* something is there still: drain() only came up for air */
		if (b->n > 0 && due == 0 && my->events - had == LOOK_EVERY)
			due = began + GATHER_MS;
		if (full || now >= due || now >= deadline ||
		    (woken && b->n == 0))
			return 0;
		if (my_binlog_has_more(my->decoder))
			continue;
		due = sooner(due, deadline);
		w = my_conn_wait(&my->dump, &my->side,
				 woken ? -1 : my->base.wake_fd,
				 sooner(due, my->heard_ms +
						     3 * my->conf->heartbeat + 1));
		woken |= w.woken;
		if (check_alive(my, &w, e) < 0)
			return put_off(my, b, e) < 0 ? -1 : 0;
	}
}

int my_read(struct source *src, struct batch *b, int64_t deadline_ms,
	    struct err *e)
{
	struct my *my = (struct my *)src;
	char at[MY_AT_SIZE];

	if (my->decoder == NULL)
		return err_set(e, CODE_source_unreachable, "not connected");
	if (err_is_set(&my->pending)) {
		*e = my->pending;
		return -1;
	}
	/* while nobody read, nothing could be heard */
	my->heard_ms += clock_mono_ms() - my->left_ms;
	if (my->is_fresh)
		my->is_fresh = false;
	else if (fill(my, b, deadline_ms, e) < 0)
		return -1;
	my_binlog_at(my->decoder, at);
	snprintf(src->place, sizeof(src->place), "at %s", at);
	return finish(my, b, e);
}

/* The server keeps its log whoever has read it. */
int my_ack(struct source *src, const struct cursor *committed, struct err *e)
{
	struct my *my = (struct my *)src;

	(void)committed;
	if (my->decoder == NULL)
		return err_set(e, CODE_source_unreachable, "not connected");
	return 0;
}
