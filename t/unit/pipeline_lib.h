/* pipeline_lib.h: a pipeline between a source and a sink of the tests' own. */
#ifndef LEAT_T_UNIT_PIPELINE_LIB_H
#define LEAT_T_UNIT_PIPELINE_LIB_H

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pipeline.h"
#include "base/clock.h"
#include "base/note.h"
#include "t/tap.h"

#define TOTAL 600u
#define PER_BATCH 7u
#define PER_TXN 20u
#define SHAPE_EVERY 50u /* a new version of the table at each such seq */

/* --- the source: events 1..TOTAL, resumable anywhere ------------------ */

struct fake_source {
	struct source base;
	uint64_t seq;
	uint64_t acked;
	unsigned version;
};

static struct {
	bool fail_after_100; /* the connection breaks once */
	uint64_t acked;
	unsigned opens;
	bool is_held;
} src_script;

static const struct origin origin = {.connector = {"fake", 4},
				     .name = {"fake", 4}, .incarnation = 1};
static struct registry *src_tables;
static unsigned total = TOTAL; /* events that it has */

static int src_check(struct source *s, struct report *r, struct err *e)
{
	(void)s, (void)r, (void)e;
	return 0;
}

static enum claim src_claim(struct source *s, struct err *e)
{
	(void)s, (void)e;
	return src_script.is_held ? CLAIM_HELD : CLAIM_OK;
}

static int src_open(struct source *s, const struct cursor *at,
		    struct registry *reg, struct err *e)
{
	struct fake_source *f = (struct fake_source *)s;

	(void)e;
	src_script.opens++;
	src_tables = reg;
	f->seq = at->seq;
	return 0;
}

static int put_schema(struct batch *b, struct txn *txn, uint64_t seq,
		      struct err *e)
{
	struct column col = {.name = SLICE("id"), .type = TYPE_INT64,
			     .modifier = (int32_t)seq};
	struct table proto = {.schema = SLICE("s"), .name = SLICE("t"),
			      .ncols = 1, .cols = &col}, *tab, *prev;
	struct event *ev = batch_add(b);
	struct schema_change *change = arena_new(&b->arena, struct schema_change);
	char text[32];

	if (registry_add(src_tables, &proto, seq, &tab, &prev, e) != 0)
		return -1;
	if (prev != NULL)
		batch_use_table(b, prev);
	table_unref(prev);
	if (batch_use_table(b, tab) == NULL || b->arena.failed)
		return err_no_memory(e);
	ev->op = OP_SCHEMA;
	ev->seq = seq;
	ev->txn = txn;
	ev->table = tab;
	ev->schema = change;
	change->prev = prev;
	snprintf(text, sizeof(text), "fake n=%u", (unsigned)seq - 1);
	change->cursor_source = slice_dup(&b->arena, slice_of(text));
	return 0;
}

static int put_row(struct batch *b, struct txn *txn, uint64_t seq, struct err *e)
{
	struct table *tab = registry_get(src_tables, SLICE("s.t"));
	struct event *ev = batch_add(b);
	struct value *after = batch_values(b, 1);

	if (ev == NULL || after == NULL || batch_use_table(b, tab) == NULL)
		return err_no_memory(e);
	ev->op = OP_INSERT;
	ev->txn = txn;
	ev->table = tab;
	ev->seq = seq;
	ev->ordinal = (seq - 1) % PER_TXN + 1;
	ev->after = after;
	after[0] = (struct value){.tag = VALUE_INT, .i = (int64_t)seq};
	return 0;
}

static int src_read(struct source *s, struct batch *b, int64_t deadline_ms,
		    struct err *e)
{
	struct fake_source *f = (struct fake_source *)s;
	struct txn *txn = arena_new(&b->arena, struct txn);
	struct cursor c = {1, 0, {0}, 0, false};
	char text[32];

	(void)deadline_ms;
	if (txn == NULL)
		return err_no_memory(e);
	txn->origin = &origin;
	if (src_script.fail_after_100 && f->seq >= 100) {
		src_script.fail_after_100 = false;
		return err_set(e, CODE_source_unreachable, "the line was cut");
	}
	for (unsigned i = 0; i < PER_BATCH && f->seq < total; i++) {
		f->seq++;
		if ((f->seq % SHAPE_EVERY == 1 ||
		     registry_get(src_tables, SLICE("s.t")) == NULL) &&
		    put_schema(b, txn, f->seq, e) != 0)
			return -1;
		if (put_row(b, txn, f->seq, e) != 0)
			return -1;
		if (f->seq % PER_TXN == 0)
			break;
	}
	if (b->n == 0)
		usleep(1000);
	snprintf(text, sizeof(text), "fake n=%u", (unsigned)f->seq);
	c.seq = f->seq;
	c.source = slice_of(text);
	c.in_txn = f->seq % PER_TXN != 0;
	return batch_set_cursor(b, &c, e);
}

static int src_ack(struct source *s, const struct cursor *c, struct err *e)
{
	(void)s, (void)e;
	if (c != NULL)
		src_script.acked = c->seq;
	return 0;
}

static void src_close(struct source *s)
{
	(void)s;
}

static const struct source_ops fake_source = {
	.type = "fake", .size = sizeof(struct fake_source), .check = src_check,
	.claim = src_claim, .open = src_open, .read = src_read, .ack = src_ack,
	.close = src_close,
};

/* One that is not transactional keeps all it is given, and cannot tell. */
static enum sink_class fake_class = SINK_TRANSACTIONAL;

/* --- the sink: a list that survives close, with a script -------------- */

static struct {
	uint64_t seqs[4 * TOTAL];
	size_t n, committed; /* of seqs */
	char cursor[128];
	unsigned calls, shapes, opens;
	bool is_open, barrier_broken;
	bool is_torn; /* a commit ended inside a transaction */
	/* script: what the at-th call (of write and commit together) answers */
	unsigned at;
	enum verdict answer;
	bool commit_counts; /* a REWIND at a commit that was durable after all */
	bool repeat;	    /* and so does every one after it */
	bool wants_commit;  /* before each call, where it can be */
	unsigned early;	    /* how often it has said so */
	bool forgets;	    /* all that it had, when it is opened again */
} dst;

static int snk_check(struct sink *s, struct report *r, struct err *e)
{
	(void)s, (void)r, (void)e;
	return 0;
}

static int snk_open(struct sink *s, struct sink_held *held, struct err *e)
{
	(void)s;
	dst.is_open = true;
	dst.opens++;
	if (dst.opens == 2 && dst.forgets) {
		dst.committed = 0;
		dst.cursor[0] = '\0';
	}
	if (fake_class != SINK_TRANSACTIONAL)
		return 0;
	dst.n = dst.committed;
	held->is_known = true;
	held->has_cursor = dst.cursor[0] != '\0';
	buf_text(&held->cursor, dst.cursor);
	return held->cursor.failed ? err_no_memory(e) : 0;
}

static bool is_scripted(struct err *e)
{
	dst.calls++;
	if (dst.at == 0 || (dst.repeat ? dst.calls < dst.at : dst.calls != dst.at))
		return false;
	if (dst.answer != VERDICT_AGAIN)
		err_set(e, dst.answer == VERDICT_REJECT ? CODE_event_rejected
			   : dst.answer == VERDICT_FATAL ? CODE_fenced
							 : CODE_sink_unreachable,
			"as the script says");
	return true;
}

static bool wants_commit(const struct sink *s)
{
	if (!dst.wants_commit || !s->can_commit || dst.n == dst.committed)
		return false;
	dst.early++;
	return true;
}

static enum verdict snk_write(struct sink *s, const struct batch *b,
			      size_t first, size_t count, struct err *e)
{
	if (is_scripted(e)) {
		/* a version comes by apply_schema() */
		e->index = first + (count > 1 && b->ev[first].op == OP_SCHEMA);
		return dst.answer;
	}
	if (wants_commit(s))
		return VERDICT_COMMIT;
	for (size_t i = first; i < first + count; i++)
		if (b->ev[i].op != OP_SCHEMA)
			dst.seqs[dst.n++] = b->ev[i].seq;
	return VERDICT_OK;
}

static void keep(const struct cursor *c)
{
	snprintf(dst.cursor, sizeof(dst.cursor), "leat1 %u %u %.*s",
		 c->incarnation, (unsigned)c->seq, SLICE_ARG(c->source));
	dst.committed = dst.n;
	dst.is_torn |= c->seq % PER_TXN != 0;
}

static enum verdict snk_commit(struct sink *s, const struct cursor *c,
			       struct err *e)
{
	(void)s;
	if (is_scripted(e)) {
		/* of an event that was taken long before */
		if (dst.answer == VERDICT_REJECT && dst.n > dst.committed)
			e->seq = dst.seqs[dst.n - 1];
		if (dst.commit_counts)
			keep(c);
		return dst.answer;
	}
	keep(c);
	return VERDICT_OK;
}

static enum verdict snk_schema(struct sink *s, const struct event *ev,
			       struct err *e)
{
	(void)e;
	if (wants_commit(s))
		return VERDICT_COMMIT;
	if (ev->schema->prev != NULL && dst.n != dst.committed)
		dst.barrier_broken = true;
	dst.shapes++;
	return VERDICT_OK;
}

static void snk_close(struct sink *s)
{
	(void)s;
	dst.is_open = false;
}

static struct sink_ops fake_sink = {
	.type = "fake", .class = SINK_TRANSACTIONAL, .size = sizeof(struct sink),
	.check = snk_check, .open = snk_open, .write = snk_write,
	.commit = snk_commit, .apply_schema = snk_schema, .close = snk_close,
};

/* --- running ---------------------------------------------------------- */

static char dir[128];
static struct conf conf = {.state_dir = dir};
static const struct conf_section from = {.name = (char *)"src",
					 .source = &fake_source};
static const struct conf_section to = {.name = (char *)"dst",
				       .sink = &fake_sink};

static void reset(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/*", dir);
	if (system(cmd) != 0)
		abort();
	memset(&dst, 0, sizeof(dst));
	memset(&src_script, 0, sizeof(src_script));
}

static bool is_exact(uint64_t upto)
{
	if (dst.committed != upto)
		return false;
	for (size_t i = 0; i < upto; i++)
		if (dst.seqs[i] != i + 1)
			return false;
	return true;
}

static int64_t give_up_after;
static int on_reject;
static uint64_t attempts, commits; /* of the last run */

/* Runs until everything is committed, it stops by itself, or the time is up. */
static enum code run_between(const char *name, const struct conf_section *src,
			     const struct conf_section *snk, size_t queue_size)
{
	struct conf_pipeline pc = {.name = (char *)(uintptr_t)name, .from = src,
				   .to = snk,
				   .queue_size = (int64_t)queue_size,
				   .on_reject = on_reject,
				   .dead_letter_max = 100,
				   .dead_letter_size = 1 << 20,
				   .give_up_after = give_up_after};
	struct pipeline *p = pipeline_new(&conf, &pc);
	struct pipeline_status st = {0};
	int64_t until = clock_mono_ms() + 20000;
	struct err e = ERR_INIT;

	if (p == NULL)
		return CODE_no_memory;
	fake_sink.class = fake_class;
	if (pipeline_start(p, NULL, NULL, &e) != 0) {
		pipeline_free(p);
		return e.code;
	}
	do {
		usleep(2000);
		buf_fini(&st.cursor);
		pipeline_status(p, &st);
	} while (st.seq < total && st.phase != PIPELINE_STOPPED &&
		 clock_mono_ms() < until);
	pipeline_stop(p);
	pipeline_join(p);
	buf_fini(&st.cursor);
	pipeline_status(p, &st);
	buf_fini(&st.cursor);
	attempts = st.attempts;
	commits = st.commits;
	pipeline_free(p);
	return st.err.code;
}

static inline enum code run_pipeline(size_t queue_size)
{
	return run_between("p", &from, &to, queue_size);
}

#endif
