/* Where a pipeline goes on after sink and state have parted ways: by a move that
 * was killed between any two steps, or by a loss. */
#include "config.h"
#include "agent/session.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/note.h"
#include "t/tap.h"

static enum claim src_claim(struct source *s, struct err *e)
{
	(void)s, (void)e;
	return CLAIM_OK;
}

/* Positions are numbers. */
static int src_seek(struct source *s, struct slice position,
		    const struct cursor *current, struct seek *out,
		    struct err *e)
{
	uint64_t now = 0, to = 0;

	(void)s, (void)e;
	slice_to_u64(current->source, &now);
	slice_to_u64(position, &to);
	buf_slice(&out->source, position);
	out->skips = to > now;
	out->repeats = to < now;
	return 0;
}

static void src_close(struct source *s)
{
	(void)s;
}

static const struct source_ops fake_source = {
	.type = "fake", .size = sizeof(struct source), .claim = src_claim,
	.seek = src_seek, .close = src_close,
};

/* A sink that stores what it is told, and can die before or after. */
static struct {
	char cursor[100];
	char gap_from[50];
	unsigned gaps;
	uint64_t seq;
	enum { LIVES, DIES_BEFORE, DIES_AFTER } commit;
} dst;

static int snk_open(struct sink *s, struct sink_held *held, struct err *e)
{
	(void)s, (void)e;
	held->is_known = true;
	held->has_cursor = dst.cursor[0] != '\0';
	buf_text(&held->cursor, dst.cursor);
	return 0;
}

static enum verdict snk_write(struct sink *s, const struct batch *b,
			      size_t first, size_t count, struct err *e)
{
	const struct event *ev = &b->ev[first];

	(void)s, (void)e;
	if (count == 1 && ev->op == OP_GAP) {
		dst.gaps++;
		dst.seq = ev->seq;
		snprintf(dst.gap_from, sizeof(dst.gap_from), "%.*s",
			 SLICE_ARG(ev->gap->from));
	}
	return VERDICT_OK;
}

static enum verdict snk_commit(struct sink *s, const struct cursor *c,
			       struct err *e)
{
	struct buf text = BUF_INIT;

	(void)s;
	cursor_print(c, &text);
	if (dst.commit != DIES_BEFORE)
		snprintf(dst.cursor, sizeof(dst.cursor), "%.*s",
			 SLICE_ARG(buf_get(&text)));
	buf_fini(&text);
	if (dst.commit == LIVES)
		return VERDICT_OK;
	err_set(e, CODE_sink_unreachable, "killed");
	return VERDICT_RETRY;
}

static void snk_close(struct sink *s)
{
	(void)s;
}

static const struct sink_ops fake_sink = {
	.type = "fake", .class = SINK_TRANSACTIONAL, .size = sizeof(struct sink),
	.open = snk_open, .write = snk_write, .commit = snk_commit,
	.close = snk_close,
};

/* --- steps ------------------------------------------------------------ */

static char dir[128];
static struct conf conf = {.state_dir = dir};
static const struct conf_section from = {.name = (char *)"src",
					 .source = &fake_source};
static const struct conf_section to = {.name = (char *)"dst",
				       .sink = &fake_sink};
static const struct conf_pipeline pc = {.name = (char *)"p", .from = &from,
					.to = &to};

static void clear_state(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/p", dir);
	if (system(cmd) != 0)
		abort();
}

/* State and sink as given; NULL: none. */
static void begin(const char *stored, uint32_t pending, const char *held)
{
	struct err e = ERR_INIT;
	struct state *st;
	struct cursor c;

	clear_state();
	memset(&dst, 0, sizeof(dst));
	if (held != NULL)
		snprintf(dst.cursor, sizeof(dst.cursor), "%s", held);
	if (stored == NULL)
		return;
	st = state_open(dir, "p", STATE_CREATE, true, &e);
	if (st == NULL || cursor_parse(slice_of(stored), &c, &e) != 0 ||
	    state_set_cursor(st, &c, &e) != 0 ||
	    state_set_pending(st, pending, &e) != 0)
		abort();
	state_close(st);
}

/* leat offsets set p POSITION */
static enum code move(const char *position)
{
	struct seek seek = {.source = BUF_INIT};
	struct err e = ERR_INIT;
	struct session s;

	if (session_open(&s, &conf, &pc, &e) == 0 &&
	    session_resume(&s, &e) == 0 &&
	    session_seek(&s, position, &seek, &e) == 0 &&
	    session_move(&s, &seek, &e) != 0)
		e.code = e.code ? e.code : CODE_internal;
	session_close(&s);
	buf_fini(&seek.source);
	return e.code;
}

static char at[100];

/* leat run: where does it go on?  "" with the code in *why when it does not. */
static const char *resumes_at(enum code *why)
{
	struct err e = ERR_INIT;
	struct state *st = state_open(dir, "p", STATE_CREATE, false, &e);
	struct sink *snk = sink_new(&fake_sink, "dst", "p", NULL);
	struct buf text = BUF_INIT;
	struct resume r;

	resume_init(&r);
	if (resume_decide(&r, snk, st, &e) == 0 && r.cursor.incarnation != 0)
		cursor_print(&r.cursor, &text);
	snprintf(at, sizeof(at), "%.*s", SLICE_ARG(buf_get(&text)));
	buf_fini(&text);
	resume_fini(&r);
	sink_free(snk);
	state_close(st);
	*why = e.code;
	return at;
}

static void resumes(const char *want, const char *text)
{
	enum code why;
	const char *got = resumes_at(&why);

	if (!ok(strcmp(got, want) == 0, "%s", text))
		printf("# \"%s\" (%s), not \"%s\"\n", got, code_name(why), want);
}

static void refuses(enum code want, const char *text)
{
	enum code why;

	resumes_at(&why);
	is_int(why, want, "%s", text);
}

/* --- tests ------------------------------------------------------------ */

static void test_move(void)
{
	begin("leat1 1 10 100", 0, "leat1 1 10 100");
	is_int(move("200"), CODE_none, "a pipeline is put elsewhere");
	resumes("leat1 2 11 200", "it goes on there, in a new incarnation");
	is_int(dst.gaps, 1, "behind a gap event");
	is_int((long long)dst.seq, 11, "which has a seq of its own");
	is_int(move("150"), CODE_none, "it can be put back");
	resumes("leat1 3 11 150", "without a gap event, as nothing is left out");
	begin(NULL, 0, NULL);
	is_int(move("7"), CODE_none, "one that never ran can be put anywhere");
	resumes("leat1 1 1 7", "and begins its first incarnation there");
}

static void test_killed(void)
{
	begin("leat1 1 10 100", 0, "leat1 1 10 100");
	dst.commit = DIES_BEFORE;
	move("200");
	resumes("leat1 1 10 100",
		"killed before the sink has it, the old place is in force");
	dst.commit = LIVES;
	is_int(move("200"), CODE_none, "and the command can be given again");
	resumes("leat1 2 11 200", "then the new one is");

	begin("leat1 1 10 100", 0, "leat1 1 10 100");
	dst.commit = DIES_AFTER;
	move("200");
	resumes("leat1 2 11 200",
		"killed when the sink has it, the new place is in force");
	clear_state();
	resumes("leat1 2 11 200", "also when the state is lost on top of that");
	begin("leat1 1 10 100", 0, "leat1 1 10 100");
	dst.commit = DIES_AFTER;
	move("200");
	dst.commit = LIVES;
	is_int(move("300"), CODE_none, "from there it can be put elsewhere again");
	resumes("leat1 3 12 300", "and nothing is used twice");
}

static void test_pending_is_over(void)
{
	begin("leat1 2 50 500", 2, "leat1 2 20 200");
	refuses(CODE_sink_behind,
		"a move that was completed does not excuse a later loss");
	begin("leat1 1 10 100", 0, "leat1 2 11 200");
	refuses(CODE_incarnation, "an incarnation that was not announced is refused");
}

static void test_sink_lost_data(void)
{
	begin("leat1 2 50 500", 0, "leat1 1 20 200");
	is_int(move("500"), CODE_none, "one goes on behind what a sink has lost");
	is_int(dst.gaps, 1, "with a gap event, though the source has no gap there");
	ok(strcmp(dst.gap_from, "200") == 0, "that begins where the sink ends");
	resumes("leat1 3 51 500", "and with a seq above all that were used");
	begin("leat1 1 50 500", 0, "leat1 4 20 200");
	is_int(move("500"), CODE_none, "be the sink's incarnation the higher one,");
	resumes("leat1 5 51 500", "it is not used again either");
	begin("leat1 1 50 500", 0, NULL);
	is_int(move("500"), CODE_none, "a sink that lost everything");
	is_int(dst.gaps, 1, "gets a gap event first");
	resumes("leat1 2 51 500", "and goes on");
}

int main(void)
{
	char cmd[160];

	note_setup(NOTE_ERROR + 1, false);
	tap_dir(dir, "session");
	test_move();
	test_killed();
	test_pending_is_over();
	test_sink_lost_data();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# could not remove %s\n", dir);
	return tap_done();
}
