/* read() and ack().
 *
 * A batch ends when it is full, when the stream pauses, at the deadline or when
 * somebody calls.  The rest of a transaction of which the first part is there is
 * waited for a little: the server has it and is sending it.
 *
 * S4: keepalives tell how far the server's log was read without anything for us
 * in it; that place is handed on as an empty batch, and only when it comes back
 * by ack() is it confirmed to the server. */
#include "config.h"
#include "sources/pg_read.h"

#include <stdio.h>

#include "base/clock.h"
#include "sources/pg_catchup.h"
#include "sources/pg_query.h"
#include "sources/pg_watch.h"

#define GATHER_MS 10
#define IDLE_MS 10000
#define IDLE_ASKED_MS 1000

struct slice pg_cursor_source(void *arg, const struct pgoutput_place *place,
			      struct arena *a)
{
	struct pg *pg = arg;
	struct pg_cursor c = {.sysid = pg->sysid, .tli = pg->tli,
			      .place = *place, .opt = pg->opt};
	char text[PG_CURSOR_SIZE];

	return slice_dup(a, (struct slice){text, pg_cursor_print(text, &c)});
}

static bool same_place(const struct pgoutput_place *a,
		       const struct pgoutput_place *b)
{
	return a->end == b->end && a->commit == b->commit && a->n == b->n;
}

/* Hands the batch over: sets its cursor. */
static int finish(struct pg *pg, struct batch *b, struct err *e)
{
	struct pgoutput_place place = pgoutput_place(pg->decoder);
	struct cursor c = {.incarnation = pg->base.incarnation,
			   .seq = pgoutput_seq(pg->decoder)};

	pgoutput_rest(pg->decoder);
	pg_stream_rest(&pg->stream);
	c.source = pg_cursor_source(pg, &place, &b->arena);
	if (b->arena.failed)
		return err_no_memory(e);
	c.in_txn = pgoutput_in_transaction(pg->decoder) && place.n > 0;
	b->cursor = c;
	pg->returned = place;
	if (b->n > 0 && b->ev[b->n - 1].txn != NULL)
		atomic_store(&pg->base.last_commit_us,
			     b->ev[b->n - 1].txn->commit_us);
	return 0;
}

/* What came before is whole and is handed over first: where it fails for good,
 * nothing before that place is lost. */
static int put_off(struct pg *pg, const struct batch *b, struct err *e)
{
	struct pgoutput_place place = pgoutput_place(pg->decoder);

	if (b->n == 0 && same_place(&place, &pg->returned))
		return -1;
	pg->pending = *e;
	*e = ERR_INIT;
	return 1;
}

int pg_read_broke(struct pg *pg, const struct batch *b,
		  const struct pg_result *failed, struct err *e)
{
	pg_watch_explain(pg, failed, e);
	return put_off(pg, b, e);
}

/* What the decoder cannot take it can never take, unless it was damaged on its
 * way. */
int pg_read_refused(struct pg *pg, const struct batch *b, struct err *e)
{
	pg_watch_explain(pg, NULL, e);
	if (code_kind(e->code) == CODE_STOP)
		err_hint(e, "To go on behind it, with a gap: leat offsets set %s now --accept-gap",
			 pg->base.pipeline);
	return put_off(pg, b, e);
}

bool pg_read_is_full(const struct pg *pg, const struct batch *b)
{
	size_t limit = pg->base.batch_bytes, n = batch_bytes(b);

	return n >= limit && (n >= limit + limit / 2 ||
			      !pgoutput_in_transaction(pg->decoder));
}

/* Everything that is buffered, into the batch: 1 when it is full. */
static int drain(struct pg *pg, struct batch *b, struct err *e)
{
	struct pg_result *failed;
	enum pg_heard heard;
	struct slice msg;
	uint64_t lsn;
	bool any = false;

	while (!pg_read_is_full(pg, b)) {
		if (pg_stream_next(&pg->stream, &heard, &msg, &lsn, &failed,
				   e) < 0) {
			int rc = pg_read_broke(pg, b, failed, e);

			pg_result_free(failed);
			return rc;
		}
		if (heard == PG_HEARD_NOTHING)
			return 0;
		if (!any)
			atomic_store(&pg->base.last_heard_us, clock_wall_us());
		any = true;
		if (heard == PG_HEARD_POSITION)
			pgoutput_idle(pg->decoder, pg->stream.walend);
		else if (pgoutput_message(pg->decoder, msg, lsn, b, e) < 0)
			return pg_read_refused(pg, b, e);
	}
	return 1;
}

/* What is owed to the server whether or not anything comes in. */
static int duties(struct pg *pg, int64_t now, struct err *e)
{
	/* a statement is ended by the server itself when it stops */
	if (!pg->catchup.is_on &&
	    (pg_stream_feedback(&pg->stream, now, e) < 0 ||
	     pg_watch_shutdown(pg, now, e) < 0))
		return -1;
	return pg_watch_monitor(pg, now, e);
}

/* When an empty batch is to be returned for the sake of the server's log;
 * CLOCK_NEVER when it would bring nothing. */
static int64_t idle_due(const struct pg *pg)
{
	struct pgoutput_place place = pgoutput_place(pg->decoder);

	if (same_place(&place, &pg->returned))
		return CLOCK_NEVER;
	/* asked, and the last one has come back */
	if (pg->stream.wants_flush && pg->idle_end <= pg->stream.flush)
		return pg->idle_ms + IDLE_ASKED_MS;
	return pg->idle_ms + IDLE_MS;
}

/* When the batch is to be handed over as it is. */
static int64_t batch_due(const struct pg *pg, const struct batch *b,
			 int64_t began)
{
	if (b->n == 0)
		return CLOCK_NEVER;
	if (pg->stream.is_pouring || pgoutput_in_transaction(pg->decoder))
		return began + GATHER_MS;
	return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int fill(struct pg *pg, struct batch *b, int64_t deadline, struct err *e)
{
	int64_t began = 0, now, due;
	bool woken = false;

	for (;;) {
		int full = drain(pg, b, e);

		if (err_is_set(&pg->pending))
			return 0;
		now = clock_mono_ms();
		if (full < 0 || duties(pg, now, e) < 0 ||
		    pg_stream_check_alive(&pg->stream, e) < 0)
			return -1;
		if (b->n > 0 && began == 0)
			began = now;
		due = batch_due(pg, b, began);
		if (b->n == 0 && now >= idle_due(pg)) {
			pg->idle_ms = now;
			pg->idle_end = pgoutput_place(pg->decoder).end;
			pg->stream.wants_flush = false;
			return 0;
		}
		/* each commit wakes: no reason to cut a batch that is filling */
		if (full || now >= due || now >= deadline ||
		    (woken && b->n == 0))
			return 0;
		due = sooner(due, sooner(deadline, pg_stream_due(&pg->stream)));
		if (b->n == 0)
			due = sooner(due, idle_due(pg));
		woken |= pg_stream_wait(&pg->stream,
					sooner(due, pg_watch_due(pg)),
					woken ? -1 : pg->base.wake_fd);
	}
}

/* For the context of whatever goes wrong next. */
static void set_place(struct pg *pg)
{
	char lsn[PG_LSN_SIZE];

	pg_lsn_print(lsn, pg_received(pg));
	snprintf(pg->base.place, sizeof(pg->base.place), "at %s", lsn);
}

int pg_read(struct source *src, struct batch *b, int64_t deadline_ms,
	    struct err *e)
{
	struct pg *pg = (struct pg *)src;

	if (pg->decoder == NULL)
		return err_set(e, CODE_source_unreachable, "not connected");
	if (err_is_set(&pg->pending)) {
		*e = pg->pending;
		return -1;
	}
	if (pg->catchup.is_wanted && !pgoutput_in_transaction(pg->decoder) &&
	    pg_catchup_enter(pg, e) < 0)
		return -1;
	if (pg->is_fresh)
		pg->is_fresh = false;
	else if ((pg->catchup.is_on ? pg_catchup_fill : fill)(pg, b, deadline_ms,
							      e) < 0)
		return -1;
	set_place(pg);
	return finish(pg, b, e);
}

/* Called as well when nothing is committed and nothing can be read: the reader
 * waits for room in the queue.  Data stay in the socket then, and so does a
 * question of the server; the timer answers it. */
int pg_ack(struct source *src, const struct cursor *committed, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	struct pg_cursor c;

	if (pg->decoder == NULL)
		return err_set(e, CODE_source_unreachable, "not connected");
	if (committed != NULL) {
		if (!pg_cursor_parse(committed->source, &c))
			return err_set(e, CODE_internal,
				       "\"%.*s\" is no cursor of a Postgres source",
				       SLICE_ARG(committed->source));
		pg->acked = c.place.end;
		pg->catchup.wait_ms = 0;
		if (!pg->catchup.is_on)
			pg_stream_flushed(&pg->stream, pg->acked);
	}
	/* nobody is there to be served, and read() will say why */
	if (err_is_set(&pg->pending))
		return 0;
	if (duties(pg, clock_mono_ms(), e) == 0)
		return 0;
	/* the server cannot stop while we hold on */
	src->ops->close(src);
	return -1;
}
