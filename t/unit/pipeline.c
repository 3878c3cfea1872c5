/* What the sink holds after every kind of verdict, against what the source
 * made. */
#include "config.h"
#include "agent/dlq.h"
#include "agent/state.h"
#include "t/unit/pipeline_lib.h"

/* The state file fails to be written so often. */
static atomic_uint state_failures;

int __real_state_set_cursor(struct state *st, const struct cursor *c,
			    struct err *e);
int __wrap_state_set_cursor(struct state *st, const struct cursor *c,
			    struct err *e);

int __wrap_state_set_cursor(struct state *st, const struct cursor *c,
			    struct err *e)
{
	if (c->seq >= 300 && state_failures > 0) {
		state_failures--;
		return err_set(e, CODE_disk_full, "no space");
	}
	return __real_state_set_cursor(st, c, e);
}

static void test_state_full(void)
{
	reset();
	fake_class = SINK_AT_LEAST_ONCE;
	state_failures = 2;
	is_int(run_pipeline(16 << 10), CODE_none,
	       "a state file that cannot be written for a while is waited for");
	ok(state_failures == 0 && is_exact(TOTAL),
	   "and nothing is delivered twice for that");
	is_int((long long)src_script.acked, TOTAL, "the source is told of all");
	fake_class = SINK_TRANSACTIONAL;
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
	reset();
	dst.at = 2;
	dst.answer = VERDICT_FATAL;
	run_pipeline(16 << 10);
	is_int((long long)commits, 0, "what was found at the start is no commit");
}

/* Is all there but for one? */
static bool is_all_but_one(void)
{
	uint64_t missing = 0;

	for (size_t i = 0; i < dst.committed; i++) {
		uint64_t want = i + 1 + (missing != 0);

		if (dst.seqs[i] == want + 1 && missing == 0)
			missing = want;
		else if (dst.seqs[i] != want)
			return false;
	}
	return dst.committed == TOTAL - 1;
}

/* Whether it is said when the event comes or at the commit behind it. */
static void test_on_reject(void)
{
	static const char *const names[] = {"block", "dead_letter", "skip"};
	struct dlq_counts c = {0};
	struct err e = ERR_INIT;

	for (on_reject = ON_REJECT_DEAD_LETTER; on_reject <= ON_REJECT_SKIP;
	     on_reject++)
		for (unsigned at = 3; at < 40; at += 2) {
			bool is_kept = on_reject == ON_REJECT_DEAD_LETTER;
			enum code code;

			reset();
			dst.at = at;
			dst.answer = VERDICT_REJECT;
			code = run_pipeline(16 << 10);
			if (!ok(code == CODE_none && is_all_but_one() &&
				dlq_look(dir, "p", &c, &e) == 0 &&
				c.letters == is_kept && c.skipped == !is_kept &&
				c.uncovered == 0, "%s (call %u): one event is out of the way, and no other",
				names[on_reject], at))
				printf("# %s, %zu of %u, %d %d %d\n",
				       code_name(code), dst.committed, TOTAL,
				       (int)c.letters, (int)c.skipped,
				       (int)c.uncovered);
		}
	on_reject = ON_REJECT_BLOCK;
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
	char cmd[160];

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

static void test_whole_transactions(void)
{
	fake_sink.caps = SINK_WHOLE_TRANSACTIONS;
	reset();
	is_int(run_pipeline(1 << 20), CODE_none, "a sink wants them whole");
	ok(is_exact(TOTAL) && !dst.is_torn,
	   "no commit ends inside a transaction");
	ok(dst.barrier_broken, "a new shape of a table is no reason either");
	reset();
	is_int(run_pipeline(1 << 10), CODE_none,
	       "transactions larger than the queue go through");
	ok(is_exact(TOTAL) && dst.is_torn, "in parts");
	reset();
	dst.wants_commit = true;
	is_int(run_pipeline(1 << 20), CODE_none,
	       "a sink wants a commit before it goes on");
	ok(is_exact(TOTAL) && dst.early > 0 && !dst.is_torn,
	   "and gets it %u times, where a transaction ends", dst.early);
	fake_sink.caps = 0;
}

int main(void)
{
	char cmd[160];

	note_setup(NOTE_ERROR + 1, false);
	tap_dir(dir, "pipeline");
	test_state_full();
	test_verdicts();
	test_stops();
	test_on_reject();
	test_source_failure();
	test_sink_went_back();
	test_lost_state();
	test_doubt_without_end();
	test_sink_emptied();
	test_whole_transactions();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# could not remove %s\n", dir);
	return tap_done();
}
