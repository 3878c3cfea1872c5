/* What a pipeline does for each change, from pgoutput messages to the log: decoder,
 * queue, writer and log together.
 *
 * Once it is warm it allocates for commits, and not for changes.  Each byte of a
 * value is copied once, into the batch, where the value lies until it is written
 * into a frame. */
#include "config.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/pipeline.h"
#include "agent/queue.h"
#include "base/clock.h"
#include "base/note.h"
#include "log/log.h"
#include "sinks/log_sink.h"
#include "sinks/null.h"
#include "t/pgmsg.h"
#include "t/unit/log_lib.h"

#define WARM 150000u
#define TOTAL 500000u
#define QUEUE (8u << 20)
/* One of 1,200 such changes: itself, its list of tables, its events (256, doubled
 * until they fit), the blocks of its arena. */
#define ALLOCS_OF_A_BATCH (1 + 1 + 4 + 3)
#define TEXT 20000u
#define LARGE_ROWS 500u

static _Atomic uint64_t allocs, copied;
static uint64_t warm_allocs; /* when the reader had decoded WARM changes */

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	allocs++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	allocs++;
	return __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	allocs++;
	return __real_realloc(p, n);
}

/* Small copies of a known size are made without a call, and are of no interest. */
void *__real_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__real___memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__real___memmove_chk(void *to, const void *from, size_t n, size_t room);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);
void *__wrap___memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__wrap___memmove_chk(void *to, const void *from, size_t n, size_t room);

void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	copied += n;
	return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	copied += n;
	return __real_memmove(to, from, n);
}

void *__wrap___memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
	copied += n;
	return __real___memcpy_chk(to, from, n, room);
}

void *__wrap___memmove_chk(void *to, const void *from, size_t n, size_t room)
{
	copied += n;
	return __real___memmove_chk(to, from, n, room);
}

/* --- the source: one transaction without an end ----------------------- */

static struct world w;
static struct msgs head, row;
static uint64_t total; /* changes in it */

static enum claim src_claim(struct source *s, struct err *e)
{
	(void)s, (void)e;
	return CLAIM_OK;
}

static int src_open(struct source *s, const struct cursor *at,
		    struct registry *reg, struct err *e)
{
	(void)s, (void)at, (void)reg, (void)e;
	return 0;
}

static int src_read(struct source *s, struct batch *b, int64_t deadline_ms,
		    struct err *e)
{
	struct cursor c = {.incarnation = 1, .source = SLICE("fake")};

	(void)deadline_ms;
	for (size_t i = 0; i < head.n; i++)
		if (pgoutput_message(w.d, msg_get(&head, i), head.lsn[i], b, e) != 0)
			return -1;
	msgs_reset(&head);
	while (pgoutput_seq(w.d) < total && batch_bytes(b) < s->batch_bytes) {
		if (pgoutput_message(w.d, msg_get(&row, 0), 0x2000, b, e) != 0)
			return -1;
		if (pgoutput_seq(w.d) == WARM)
			warm_allocs = allocs;
	}
	pgoutput_rest(w.d);
	if (b->n == 0)
		usleep(1000);
	c.seq = pgoutput_seq(w.d);
	return batch_set_cursor(b, &c, e);
}

static int src_ack(struct source *s, const struct cursor *c, struct err *e)
{
	(void)s, (void)c, (void)e;
	return 0;
}

static void src_close(struct source *s)
{
	(void)s;
}

static const struct source_ops source = {
	.type = "fake", .size = sizeof(struct source), .claim = src_claim,
	.open = src_open, .read = src_read, .ack = src_ack, .close = src_close,
};

/* --- the pipeline ------------------------------------------------------ */

static void run(const struct sink_ops *sink, struct pipeline_status *st)
{
	char dir[128], path[160];
	struct log_conf log = {.path = path, .segment_size = 256 << 20,
			       .max_event_size = 1 << 20, .compression = 1};
	struct conf conf = {.state_dir = dir};
	struct conf_section from = {.name = (char *)"src", .source = &source};
	struct conf_section to = {.name = (char *)"dst", .sink = sink,
				  .values = &log};
	struct conf_pipeline pc = {.name = (char *)"p", .from = &from, .to = &to,
				   .queue_size = QUEUE};
	int64_t until = clock_mono_ms() + 120000;
	struct err e = ERR_INIT;
	struct pipeline *p;

	tap_dir(dir, "warm");
	snprintf(path, sizeof(path), "%s/log", dir);
	p = pipeline_new(&conf, &pc);
	if (p == NULL || pipeline_start(p, NULL, NULL, &e) != 0)
		abort();
	do {
		usleep(2000);
		buf_fini(&st->cursor);
		pipeline_status(p, st);
	} while (st->seq < total && st->phase != PIPELINE_STOPPED &&
		 clock_mono_ms() < until);
	pipeline_stop(p);
	pipeline_join(p);
	buf_fini(&st->cursor);
	pipeline_free(p);
	lib_rmtree(dir);
}

static void begin(uint64_t changes, unsigned ncols, const struct col *cols,
		  const char *values)
{
	total = changes;
	w_init(&w);
	m_begin(&head, 0x2000, 1);
	m_relation(&head, 16400, "public", "users", 'd', ncols, cols);
	m_insert(&row, 0x2000, 16400, values);
}

static void end(void)
{
	w_fini(&w);
	msgs_reset(&head);
	msgs_reset(&row);
}

#ifndef LEAT_ARENA_MALLOC
/* How many batches there are at once is the disk's affair, up to the queue's limit,
 * the one that is filled and one that lets it be full; each is made once.  A commit
 * has its cursor and its state. */
static void test_allocations(void)
{
	static const struct col cols[] = {{"id", 23, -1, true},
					  {"name", 25, -1, false}};
	struct pipeline_status st = {0};
	uint64_t n, most;

	begin(TOTAL, 2, cols, "123456|a text of no great length, as most are");
	run(&log_sink, &st);
	n = allocs - warm_allocs;
	most = (QUEUE / BATCH_BYTES + 2) * ALLOCS_OF_A_BATCH + 4 * st.commits;
	is_int((long long)st.seq, TOTAL, "500,000 changes are in the log");
	printf("# %" PRIu64 " allocations after the first %u changes, at most %" PRIu64
	       "; %" PRIu64 " commits, %" PRIu64 " batches in all\n", n, WARM, most,
	       st.commits, st.batches);
	ok(n <= most, "a warm pipeline allocates for commits, not for changes or batches");
	ok(st.commits < TOTAL / 1000, "and there are few of them");
	end();
}
#endif

/* --- copies -------------------------------------------------------------- */

/* "7|text|bytes|json", TEXT bytes each, as pgmsg.h wants a row. */
static void large_values(struct buf *out)
{
	buf_text(out, "7|");
	for (size_t i = 0; i < TEXT; i++)
		buf_u8(out, (uint8_t)('a' + i % 23));
	buf_text(out, "|\\x");
	for (size_t i = 2; i < TEXT; i++)
		buf_u8(out, (uint8_t)"0123456789abcdef"[i % 16]);
	buf_text(out, "|[\"");
	for (size_t i = 4; i < TEXT; i++)
		buf_u8(out, (uint8_t)('A' + i % 19));
	buf_text(out, "\"]");
	buf_u8(out, '\0');
}

static const struct col large_cols[] = {{"id", 23, -1, true},
					{"text", 25, -1, false},
					{"bytes", 17, -1, false},
					{"json", 3802, -1, false}};

/* As a share of the bytes that came in, in hundredths. */
static uint64_t share_copied(const struct sink_ops *sink)
{
	struct pipeline_status st = {0};
	struct buf values = BUF_INIT;
	uint64_t n;

	large_values(&values);
	begin(LARGE_ROWS, countof(large_cols), large_cols, values.p);
	copied = 0;
	run(sink, &st);
	n = copied * 100 / (LARGE_ROWS * 3 * TEXT);
	is_int((long long)st.seq, LARGE_ROWS, "%u changes of large values have gone through to %s",
	       LARGE_ROWS, sink->type);
	printf("# %" PRIu64 " copies of a hundred bytes\n", n);
	end();
	buf_fini(&values);
	return n;
}

static void test_copies(void)
{
	uint64_t n = share_copied(&null_sink);

	ok(n >= 100 && n < 105,
	   "each byte of a value is copied once on its way through a pipeline");
	n = share_copied(&log_sink);
	/* of what is stored as bytes the digits are not written */
	ok(n >= 180 && n < 190, "and written into the log's frame from there");
}

/* Is [s.p, s.p + s.n) within the memory of the last message? */
static bool is_in_message(struct slice s)
{
	struct slice m = msg_get(&row, 0);

	return s.p < m.p + m.n && s.p + s.n > m.p;
}

static void test_values(void)
{
	struct buf values = BUF_INIT;
	const struct event *ev;

	large_values(&values);
	begin(1, countof(large_cols), large_cols, values.p);
	ok(w_feed(&w, &head) == 0 && w_feed(&w, &row) == 0, "a row is decoded");
	ev = &w.b->ev[w.b->n - 1];
	ok(w.b->arena.used < 3 * TEXT + 4096, "the batch has each of its bytes once");
	for (unsigned i = 1; i < countof(large_cols); i++)
		ok(!is_in_message(ev->after[i].s),
		   "column %u does not point into the message", i);
	/* one behind the other, as they came */
	ok(ev->after[2].s.p > ev->after[1].s.p + TEXT - 1 &&
	   ev->after[2].s.p < ev->after[1].s.p + TEXT + 16 &&
	   ev->after[3].s.p > ev->after[2].s.p &&
	   ev->after[3].s.p < ev->after[2].s.p + TEXT + 16,
	   "its values lie in the copy of the message and not apart");
	end();
	buf_fini(&values);
}

int main(void)
{
	note_setup(NOTE_ERROR + 1, false);
#ifndef LEAT_ARENA_MALLOC
	/* there each allocation of an arena is one of malloc */
	test_allocations();
#endif
	test_values();
	test_copies();
	return tap_done();
}
