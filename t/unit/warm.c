/* A warm pipeline, from pgoutput messages to the log, allocates for commits and
 * not for events: decoder, queue, writer and log together. */
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
#include "t/pgmsg.h"

#define WARM 150000u
#define TOTAL 500000u

static _Atomic uint64_t allocs;
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

/* --- the source: one transaction without an end ----------------------- */

static struct world w;
static struct msgs head, row;

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
	while (pgoutput_seq(w.d) < TOTAL && batch_bytes(b) < s->batch_bytes) {
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

static char dir[] = "/tmp/leat-warm.XXXXXX";

static void run(struct pipeline_status *st)
{
	char path[64];
	struct log_conf log = {.path = path, .segment_size = 256 << 20,
			       .max_event_size = 1 << 20, .compression = 1};
	struct conf conf = {.state_dir = dir};
	struct conf_section from = {.name = (char *)"src", .source = &source};
	struct conf_section to = {.name = (char *)"dst", .sink = &log_sink,
				  .values = &log};
	struct conf_pipeline pc = {.name = (char *)"p", .from = &from, .to = &to,
				   .queue_size = 8 << 20};
	struct pipeline *p = pipeline_new(&conf, &pc);
	int64_t until = clock_mono_ms() + 120000;
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/log", dir);
	if (p == NULL || pipeline_start(p, NULL, NULL, &e) != 0)
		abort();
	do {
		usleep(2000);
		buf_fini(&st->cursor);
		pipeline_status(p, st);
	} while (st->seq < TOTAL && st->phase != PIPELINE_STOPPED &&
		 clock_mono_ms() < until);
	pipeline_stop(p);
	pipeline_join(p);
	buf_fini(&st->cursor);
	pipeline_free(p);
}

static void test_warm(void)
{
	static const struct col cols[] = {{"id", 23, -1, true},
					  {"name", 25, -1, false}};
	struct pipeline_status st = {0};
	char cmd[64];
	uint64_t n;

	if (mkdtemp(dir) == NULL)
		abort();
	note_setup(NOTE_ERROR + 1, false);
	w_init(&w);
	m_begin(&head, 0x2000, 1);
	m_relation(&head, 16400, "public", "users", 'd', 2, cols);
	m_insert(&row, 0x2000, 16400, "123456|a text of no great length, as most are");
	run(&st);
	n = allocs - warm_allocs;
	is_int((long long)st.seq, TOTAL, "500,000 changes are in the log");
	printf("# %" PRIu64 " allocations after the first %u changes; %" PRIu64
	       " commits, %" PRIu64 " batches in all\n", n, WARM, st.commits,
	       st.batches);
	ok(n <= 64 + 24 * st.commits,
	   "a warm pipeline allocates for commits, not for changes or batches");
	ok(st.commits < TOTAL / 1000, "and there are few of them");
	w_fini(&w);
	buf_fini(&head.bytes);
	buf_fini(&row.bytes);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		abort();
}

int main(void)
{
#ifdef LEAT_ARENA_MALLOC
	tap_skip_all("each allocation of an arena is one of malloc");
#endif
	test_warm();
	return tap_done();
}
