/* A pipeline between a source and a sink of the test's own: what the sink holds
 * after every kind of verdict, against what the source made. */
#include "config.h"
#include "agent/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/note.h"
#include "t/tap.h"

#define TOTAL 600u
#define PER_BATCH 7u
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

static void put_schema(struct batch *b, struct txn *txn, uint64_t seq)
{
	struct column col = {.name = SLICE("id"), .type = TYPE_INT64,
			     .modifier = (int32_t)seq};
	struct table proto = {.schema = SLICE("s"), .name = SLICE("t"),
			      .ncols = 1, .cols = &col}, *tab, *prev;
	struct event *ev = batch_add(b);
	struct err e = ERR_INIT;
	char text[32];

	if (registry_add(src_tables, &proto, seq, &tab, &prev, &e) != 0)
		abort();
	ev->op = OP_SCHEMA;
	ev->seq = seq;
	ev->txn = txn;
	ev->table = batch_use_table(b, tab);
	ev->schema = arena_new(&b->arena, struct schema_change);
	if (prev != NULL)
		ev->schema->prev = batch_use_table(b, prev);
	table_unref(prev);
	snprintf(text, sizeof(text), "fake n=%u", (unsigned)seq - 1);
	ev->schema->cursor_source = slice_dup(&b->arena, slice_of(text));
}

static int src_read(struct source *s, struct batch *b, int64_t deadline_ms,
		    struct err *e)
{
	struct fake_source *f = (struct fake_source *)s;
	struct txn *txn = arena_new(&b->arena, struct txn);
	struct cursor c = {1, 0, {0}};
	char text[32];

	(void)deadline_ms;
	txn->origin = &origin;
	if (src_script.fail_after_100 && f->seq >= 100) {
		src_script.fail_after_100 = false;
		return err_set(e, CODE_source_unreachable, "the line was cut");
	}
	for (unsigned i = 0; i < PER_BATCH && f->seq < TOTAL; i++) {
		struct event *ev;

		f->seq++;
		if (f->seq % SHAPE_EVERY == 1)
			put_schema(b, txn, f->seq);
		ev = batch_add(b);
		ev->op = OP_INSERT;
		ev->txn = txn;
		ev->seq = f->seq;
	}
	if (b->n == 0)
		usleep(1000);
	snprintf(text, sizeof(text), "fake n=%u", (unsigned)f->seq);
	c.seq = f->seq;
	c.source = slice_of(text);
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

/* --- the sink: a list that survives close, with a script -------------- */

static struct {
	uint64_t seqs[4 * TOTAL];
	size_t n, committed; /* of seqs */
	char cursor[128];
	unsigned calls, shapes, opens;
	bool is_open, barrier_broken;
	/* script: what the at-th call (of write and commit together) answers */
	unsigned at;
	enum verdict answer;
	bool commit_counts; /* a REWIND at a commit that was durable after all */
	bool repeat;	    /* and so does every one after it */
	bool forgets;	    /* all that it had, when it is opened again */
} dst;

static int snk_check(struct sink *s, struct report *r, struct err *e)
{
	(void)s, (void)r, (void)e;
	return 0;
}

static int snk_open(struct sink *s, struct sink_held *held, struct err *e)
{
	(void)s, (void)e;
	dst.is_open = true;
	dst.opens++;
	if (dst.opens == 2 && dst.forgets) {
		dst.committed = 0;
		dst.cursor[0] = '\0';
	}
	dst.n = dst.committed;
	held->is_known = true;
	held->has_cursor = dst.cursor[0] != '\0';
	buf_text(&held->cursor, dst.cursor);
	return 0;
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

static enum verdict snk_write(struct sink *s, const struct batch *b,
			      size_t first, size_t count, struct err *e)
{
	(void)s;
	if (is_scripted(e))
		return dst.answer;
	for (size_t i = first; i < first + count; i++)
		if (b->ev[i].op != OP_SCHEMA)
			dst.seqs[dst.n++] = b->ev[i].seq;
	return VERDICT_OK;
}

static void keep(const struct cursor *c)
{
	struct buf text = BUF_INIT;

	cursor_print(c, &text);
	memcpy(dst.cursor, text.p, text.n);
	dst.cursor[text.n] = '\0';
	buf_fini(&text);
	dst.committed = dst.n;
}

static enum verdict snk_commit(struct sink *s, const struct cursor *c,
			       struct err *e)
{
	(void)s;
	if (is_scripted(e)) {
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
	(void)s, (void)e;
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

static const struct sink_ops fake_sink = {
	.type = "fake", .class = SINK_TRANSACTIONAL, .size = sizeof(struct sink),
	.check = snk_check, .open = snk_open, .write = snk_write,
	.commit = snk_commit, .apply_schema = snk_schema, .close = snk_close,
};

/* --- running ---------------------------------------------------------- */

static char dir[] = "/tmp/leat-pipeline.XXXXXX";
static struct conf conf = {.state_dir = dir};
static const struct conf_section from = {.name = (char *)"src",
					 .source = &fake_source};
static const struct conf_section to = {.name = (char *)"dst",
				       .sink = &fake_sink};

static void reset(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/p", dir);
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
static uint64_t attempts; /* of the last run */

/* Runs until everything is committed, it stops by itself, or the time is up. */
static enum code run_pipeline(size_t queue_size)
{
	struct conf_pipeline pc = {.name = (char *)"p", .from = &from, .to = &to,
				   .queue_size = (int64_t)queue_size,
				   .give_up_after = give_up_after};
	struct pipeline *p = pipeline_new(&conf, &pc);
	struct pipeline_status st = {0};
	int64_t until = clock_mono_ms() + 20000;
	struct err e = ERR_INIT;

	if (pipeline_start(p, NULL, NULL, &e) != 0)
		abort();
	do {
		usleep(2000);
		buf_fini(&st.cursor);
		pipeline_status(p, &st);
	} while (st.seq < TOTAL && st.phase != PIPELINE_STOPPED &&
		 clock_mono_ms() < until);
	pipeline_stop(p);
	pipeline_join(p);
	buf_fini(&st.cursor);
	pipeline_status(p, &st);
	buf_fini(&st.cursor);
	attempts = st.attempts;
	pipeline_free(p);
	return st.err.code;
}

static void test_verdicts(void)
{
	static const struct {
		enum verdict answer;
		bool commit_counts;
		const char *text;
	} cases[] = {
		{VERDICT_AGAIN, false, "a sink that is full for a moment"},
		{VERDICT_RETRY, false, "a sink that is away for a moment"},
		{VERDICT_REWIND, false, "a sink in doubt that had lost the commit"},
		{VERDICT_REWIND, true, "a sink in doubt that had the commit"},
	};

	for (size_t i = 0; i < countof(cases); i++)
		for (unsigned at = 2; at < 40; at += 3) {
			reset();
			dst.at = at;
			dst.answer = cases[i].answer;
			dst.commit_counts = cases[i].commit_counts;
			run_pipeline(16 << 10);
			if (!ok(is_exact(TOTAL) && !dst.barrier_broken,
				"%s (call %u) gets each event once, in order",
				cases[i].text, at))
				printf("# %zu of %u\n", dst.committed, TOTAL);
		}
}

static void test_stops(void)
{
	reset();
	dst.at = 9;
	dst.answer = VERDICT_REJECT;
	is_int(run_pipeline(16 << 10), CODE_event_rejected,
	       "a rejected event stops the pipeline");
	ok(is_exact(dst.committed), "with everything before it delivered");
	dst.at = 0;
	run_pipeline(16 << 10);
	ok(is_exact(TOTAL), "and the next run goes on exactly there");
	reset();
	dst.at = 9;
	dst.answer = VERDICT_FATAL;
	is_int(run_pipeline(16 << 10), CODE_fenced,
	       "a fenced sink stops the pipeline");
}

static void test_source_failure(void)
{
	reset();
	src_script.fail_after_100 = true;
	is_int(run_pipeline(1 << 20), CODE_none, "a cut line is no end");
	ok(is_exact(TOTAL), "each event arrives once after a reconnect");
	ok(src_script.opens >= 2, "the source was opened again");
	is_int((long long)src_script.acked, TOTAL,
	       "the source is told what was committed");
	is_int(dst.shapes >= TOTAL / SHAPE_EVERY, 1,
	       "every version of the table was applied");
}

static void test_sink_went_back(void)
{
	reset();
	run_pipeline(1 << 20);
	dst.committed = dst.n = 300;
	snprintf(dst.cursor, sizeof(dst.cursor), "leat1 1 300 fake n=300");
	is_int(run_pipeline(1 << 20), CODE_sink_behind,
	       "a sink that holds less than it acknowledged stops the pipeline");
	snprintf(dst.cursor, sizeof(dst.cursor), "leat1 2 900 fake n=300");
	is_int(run_pipeline(1 << 20), CODE_incarnation,
	       "so does one of another incarnation");
}

static void test_lost_state(void)
{
	char cmd[64];

	reset();
	dst.at = 30;
	dst.answer = VERDICT_FATAL;
	run_pipeline(16 << 10);
	dst.at = 0;
	snprintf(cmd, sizeof(cmd), "rm -rf %s/p", dir);
	if (system(cmd) != 0)
		abort();
	run_pipeline(16 << 10);
	ok(is_exact(TOTAL), "a lost state directory loses and repeats nothing");
}

static void test_doubt_without_end(void)
{
	reset();
	dst.at = 3;
	dst.repeat = true;
	dst.answer = VERDICT_REWIND;
	give_up_after = 1000;
	is_int(run_pipeline(16 << 10), CODE_sink_unreachable,
	       "a sink that is in doubt each time is given up some day");
	give_up_after = 0;
	ok(dst.opens > 2 && dst.opens < 10,
	   "and pauses before (%u openings)", dst.opens);
	is_int((long long)attempts, 1, "the time it may take counts once");
	ok(is_exact(dst.committed), "it gets nothing twice");
}

static void test_sink_emptied(void)
{
	reset();
	dst.at = 20;
	dst.answer = VERDICT_REWIND;
	dst.forgets = true;
	is_int(run_pipeline(16 << 10), CODE_sink_behind,
	       "a sink that comes back empty stops the pipeline");
}

int main(void)
{
	char cmd[64];

	note_setup(NOTE_ERROR + 1, false);
	if (mkdtemp(dir) == NULL)
		abort();
	test_verdicts();
	test_stops();
	test_source_failure();
	test_sink_went_back();
	test_lost_state();
	test_doubt_without_end();
	test_sink_emptied();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# could not remove %s\n", dir);
	return tap_done();
}
