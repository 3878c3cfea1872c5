#include "config.h"
#include "agent/writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/evolve.h"
#include "agent/writer_late.h"
#include "agent/writer_letters.h"
#include "agent/writer_steps.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/retry.h"

/* How often the state file follows a sink that keeps the cursor itself. */
#define LAZY_MS 1000
/* How long a commit is put off for the batch behind a full one. */
#define POUR_MS 50
#define THREAD_NAME_SIZE 16 /* the kernel's; longer ones are cut */

static bool is_lazy(const struct writer *w)
{
	return w->sink->ops->class == SINK_TRANSACTIONAL;
}

bool writer_is_whole(const struct writer *w)
{
	return w->sink->ops->caps & SINK_WHOLE_TRANSACTIONS;
}

/* In slices, so that a stop is not kept waiting by a sick sink. */
static enum step pause_ms(struct writer *w, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until) {
		if (atomic_load(w->hurry))
			return STEP_FAIL;
		usleep(20000);
	}
	return STEP_AGAIN;
}

static enum step back_off(struct writer *w, struct retry *retry, struct err *e)
{
	int64_t failing, ms = retry_next_ms(retry);
	enum step step;

	failing = clock_mono_ms() - retry->failing_since;
	if (w->conf->give_up_after > 0 && failing > w->conf->give_up_after)
		return STEP_FAIL;
	w->hooks.waiting(w->hooks.arg, e);
	step = pause_ms(w, ms);
	if (step == STEP_AGAIN)
		*e = ERR_INIT;
	return step;
}

static enum step wait_for_sink(struct writer *w, struct err *e)
{
	return back_off(w, &w->retry, e);
}

enum step writer_settle(struct writer *w, enum verdict v, struct err *e)
{
	switch (v) {
	case VERDICT_OK:
		if (w->retry.failing_since != 0) {
			retry_reset(&w->retry);
			w->hooks.waiting(w->hooks.arg, NULL);
		}
		return STEP_DONE;
	case VERDICT_AGAIN:
		*e = ERR_INIT;
		return pause_ms(w, 10);
	case VERDICT_RETRY:
		return wait_for_sink(w, e);
	case VERDICT_REWIND:
		return STEP_REWIND;
	case VERDICT_REJECT: /* of what cannot be left out */
	case VERDICT_COMMIT: /* is not settled here */
	case VERDICT_FATAL:
		break;
	}
	err_set(e, CODE_internal, "the sink gave up without a reason");
	return STEP_FAIL;
}

static int keep_committed(struct writer *w, const struct cursor *c,
			  struct err *e)
{
	struct buf text = BUF_INIT;

	buf_slice(&text, c->source);
	if (text.failed)
		return err_no_memory(e);
	w->committed = *c;
	buf_fini(&w->committed_text);
	w->committed_text = text;
	w->committed.source = buf_get(&text);
	return 0;
}

enum step writer_settle_state(struct writer *w, int rc, struct err *e)
{
	if (rc == 0)
		return writer_settle(w, VERDICT_OK, e);
	return writer_settle(w, code_kind(e->code) == CODE_RETRY ? VERDICT_RETRY
							  : VERDICT_FATAL, e);
}

static int store_cursor(struct writer *w, const struct cursor *c, struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(w, state_set_cursor(w->state, c, e), e);
	} while (step == STEP_AGAIN);
	w->is_state_behind = step != STEP_DONE;
	w->state_written = clock_mono_ms();
	return step == STEP_DONE ? 0 : -1;
}

static int store_table(struct writer *w, const struct table *tab, struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(w, state_add_table(w->state, tab, e), e);
	} while (step == STEP_AGAIN);
	return step == STEP_DONE ? 0 : -1;
}

/* The order of A1: sink, state, source. */
static int publish(struct writer *w, const struct cursor *c, struct err *e)
{
	bool is_due = !is_lazy(w) ||
		      clock_mono_ms() - w->state_written >= LAZY_MS;

	assert(c->seq >= w->committed.seq);
	if (keep_committed(w, c, e) != 0)
		return -1;
	fault(FAULT_after_fsync_before_state);
	w->is_state_behind = true;
	if (is_due && store_cursor(w, c, e) != 0)
		return -1;
	fault(FAULT_after_state_before_ack);
	w->hooks.committed(w->hooks.arg, c, w->events);
	w->events = 0;
	return 0;
}

/* What was rejected is durable before its place is covered (A3). */
enum step writer_commit_sink(struct writer *w, const struct cursor *c,
			     struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(w, reject_commits(w->reject, c, e), e);
	} while (step == STEP_AGAIN);
	if (step != STEP_DONE)
		return step;
	do {
		step = writer_settle_late(w, w->sink->ops->commit(w->sink, c, e), e);
	} while (step == STEP_AGAIN);
	if (step == STEP_DONE)
		writer_forget_refused(w, c->seq);
	return step;
}

static enum step commit(struct writer *w, const struct cursor *c,
			struct err *e)
{
	enum step step;

	if (fault_mutates("ack_first", "")) /* what A1 forbids */
		w->hooks.committed(w->hooks.arg, c, 0);
	step = writer_commit_sink(w, c, e);
	if (step == STEP_DONE)
		retry_reset(&w->rewinds);
	if (step == STEP_DONE && publish(w, c, e) != 0)
		return STEP_FAIL;
	if (step != STEP_DONE)
		return step;
	do {
		step = writer_settle_state(w, reject_committed(w->reject, c, e),
					   e);
	} while (step == STEP_AGAIN);
	return step;
}

/* The sink wants what came before the call committed by itself. */
static enum step commit_early(struct writer *w, const struct cursor *before,
			      struct err *e)
{
	enum step step = STEP_FAIL;

	if (w->sink->can_commit)
		step = commit(w, before, e);
	else
		err_set(e, CODE_internal, "the sink wants a commit where none can be");
	w->dirty_since = clock_mono_ms();
	return step == STEP_DONE ? STEP_AGAIN : step;
}

/* Of a sink that commits with the source's transactions, too, everything before a
 * change that may not pass is delivered. */
static enum step judge(struct writer *w, const struct event *ev,
		       const struct cursor *before, struct err *e)
{
	struct err why = ERR_INIT;
	enum step step;

	do {
		int rc = evolve_judge(&w->conf->on_schema_change,
				      w->conf->name, w->state, ev, e);

		step = writer_settle_state(w, rc, e);
	} while (step == STEP_AGAIN);
	if (step != STEP_FAIL || e->code != CODE_schema_stopped ||
	    before->source.n == 0 || !writer_is_whole(w))
		return step;
	why = *e;
	*e = ERR_INIT;
	step = commit(w, before, e);
	if (step != STEP_DONE)
		return step;
	*e = why;
	return STEP_FAIL;
}

/* A new shape of a known table is a barrier: whatever the sink has to do to
 * itself, or a person, happens with everything before it committed. */
static enum step barrier(struct writer *w, const struct batch *b, size_t at,
			 struct err *e)
{
	const struct event *ev = &b->ev[at];
	struct cursor before = {
		/* the pipeline's own: a log's events keep that of theirs */
		.incarnation = w->committed.incarnation,
		.seq = ev->seq - 1,
		.source = ev->schema->cursor_source,
		.in_txn = at + 1 < b->n && b->ev[at + 1].ordinal > 1,
	};
	enum step step = STEP_DONE;

	if (ev->schema->prev != NULL && before.source.n > 0 && !writer_is_whole(w))
		step = commit(w, &before, e);
	if (step == STEP_DONE && ev->schema->prev != NULL)
		step = judge(w, ev, &before, e);
	if (step != STEP_DONE)
		return step;
	w->sink->can_commit = before.source.n > 0 && !before.in_txn;
	do {
		enum verdict v = w->sink->ops->apply_schema(w->sink, ev, e);

		step = v == VERDICT_COMMIT ? commit_early(w, &before, e)
					   : writer_settle(w, v, e);
	} while (step == STEP_AGAIN);
	if (step != STEP_DONE)
		return step;
	if (store_table(w, ev->table, e) != 0)
		return STEP_FAIL;
	do {
		step = writer_settle_state(w, reject_applied(w->reject, ev, e), e);
	} while (step == STEP_AGAIN);
	return step;
}

static enum step put_aside(struct writer *w, const struct event *ev,
			   const struct err *why, struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(w, reject_event(w->reject, ev, why, e), e);
	} while (step == STEP_AGAIN);
	return step;
}

enum step writer_note_written(struct writer *w, const struct batch *b,
			      size_t from, size_t to, struct err *e)
{
	enum step step;

	w->events += to - from;
	do {
		step = writer_settle_state(w, reject_written(w->reject, b, from, to, e),
				    e);
	} while (step == STEP_AGAIN);
	return step;
}

/* Events that the sink can never take are taken out of its way. */
static enum step write_range(struct writer *w, const struct batch *b,
			     size_t from, size_t to, struct err *e)
{
	struct err why = ERR_INIT;
	size_t end = writer_find_refused(w, b, from, to, &why);
	enum step step = STEP_DONE;

	while (from < to && (step == STEP_DONE || step == STEP_AGAIN)) {
		enum verdict v;

		if (from == end) {
			step = put_aside(w, &b->ev[from++], &why, e);
			end = writer_find_refused(w, b, from, to, &why);
			continue;
		}
		w->sink->can_commit = from == 0 && w->last != NULL &&
				      !w->last->cursor.in_txn;
		v = w->sink->ops->write(w->sink, b, from, end - from, e);
		if (v == VERDICT_COMMIT) {
			step = commit_early(w, &w->last->cursor, e);
			continue;
		}
		if (v == VERDICT_REJECT && e->seq == 0) {
			assert(e->index >= from && e->index < end);
			why = *e;
			*e = ERR_INIT;
			end = why.index;
			continue;
		}
		step = writer_settle_late(w, v, e);
		if (step != STEP_DONE)
			continue;
		step = writer_note_written(w, b, from, end, e);
		from = end;
	}
	return step;
}

static enum step present(struct writer *w, const struct batch *b, struct err *e)
{
	enum step step = STEP_DONE;
	size_t from = 0;

	while (from < b->n && b->ev[from].seq <= w->skip_seq)
		from++;
	for (size_t i = from; i < b->n && step == STEP_DONE; i++) {
		if (b->ev[i].op != OP_SCHEMA)
			continue;
		step = write_range(w, b, from, i, e);
		if (step == STEP_DONE)
			step = barrier(w, b, i, e);
		from = i;
	}
	if (step == STEP_DONE)
		step = write_range(w, b, from, b->n, e);
	return step;
}

/* Opens the sink again and finds out where it stands; the caller has the cursor. */
static int reopen(struct writer *w, struct sink_held *held, struct err *e)
{
	struct registry tables;
	enum step step = STEP_AGAIN;

	w->sink->ops->close(w->sink);
	held->tables = &tables;
	while (step == STEP_AGAIN) {
		registry_init(&tables);
		buf_reset(&held->cursor, SIZE_MAX);
		if (w->sink->ops->open(w->sink, held, e) == 0)
			step = STEP_DONE;
		else
			step = code_kind(e->code) == CODE_RETRY
				       ? wait_for_sink(w, e)
				       : STEP_FAIL;
		registry_fini(&tables);
	}
	held->tables = NULL;
	return step == STEP_DONE ? 0 : -1;
}

/* A2 again: what was acknowledged must still be there. */
static int check_held(const struct writer *w, const struct cursor *held,
		      struct err *e)
{
	if (held->incarnation == w->committed.incarnation &&
	    held->seq >= w->committed.seq)
		return 0;
	err_set(e, CODE_sink_behind,
		"sink \"%s\" came back at seq %llu, but had acknowledged %llu",
		w->sink->name, (unsigned long long)held->seq,
		(unsigned long long)w->committed.seq);
	err_detail(e, "Data that were durable are gone from it, or it was replaced.");
	err_hint(e, "Restore the sink, or stop the agent and go on behind the gap with `leat offsets set %s slot --accept-gap`.",
		 w->sink->pipeline);
	return -1;
}

/* Where does the sink stand?  *at points into held. */
static int find_held(struct writer *w, struct sink_held *held,
		     struct cursor *at, struct err *e)
{
	if (reopen(w, held, e) != 0)
		return -1;
	if (held->has_cursor) {
		if (cursor_parse(buf_get(&held->cursor), at, e) != 0)
			return -1;
		at->in_txn = held->in_txn;
		return check_held(w, at, e);
	}
	if (held->is_known && w->committed.seq > 0)
		return check_held(w, at, e);
	*at = w->committed;
	return 0;
}

/* What is told by what the sink holds now. */
static int begin_reject(struct writer *w, const struct cursor *held,
			struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(w, reject_begin(w->reject, held, e), e);
	} while (step == STEP_AGAIN);
	return step == STEP_DONE ? 0 : -1;
}

/* The first one of a row is done at once; a sink that is in doubt again before
 * anything was committed is given time. */
int writer_rewind(struct writer *w, struct err *e)
{
	struct err why = *e;
	struct sink_held sink = {.cursor = BUF_INIT};
	struct cursor held = {0};
	int rc = -1;

	/* that is not in doubt again, but one event wiser */
	if (why.code == CODE_event_rejected)
		retry_reset(&w->rewinds);
	if (w->rewinds.failing_since == 0)
		retry_next_ms(&w->rewinds);
	else if (back_off(w, &w->rewinds, e) != STEP_AGAIN)
		return -1;
	if (why.code != CODE_event_rejected)
		w->hooks.waiting(w->hooks.arg, &why);
	*e = ERR_INIT;
	if (find_held(w, &sink, &held, e) != 0)
		goto out;
	if (w->last == NULL || held.seq < w->last->cursor.seq)
		w->events = 0; /* they are counted when they come again */
	w->last = NULL;
	w->skip_seq = held.seq;
	if (begin_reject(w, &held, e) != 0)
		goto out;
	held.letter = 0;
	/* the commit that was in doubt may have succeeded */
	if (!cursor_eq(&held, &w->committed) && publish(w, &held, e) != 0)
		goto out;
	queue_rewind(w->queue, &held);
	w->hooks.waiting(w->hooks.arg, NULL);
	rc = 0;
out:
	buf_fini(&sink.cursor);
	return rc;
}

/* For how long the commit may wait for more.  A source that filled a batch had
 * more than fits: the next one is on its way, and a commit for each would cost
 * more than the batches do. */
static int64_t gather_ms(const struct writer *w)
{
	if (w->conf->commit_interval > 0)
		return w->conf->commit_interval;
	return batch_bytes(w->last) >= BATCH_BYTES ? POUR_MS : 0;
}

/* Does the commit have to wait for the rest of a transaction? */
static bool is_inside(const struct writer *w)
{
	return w->last->cursor.in_txn && writer_is_whole(w);
}

/* When the commit is to happen at the latest. */
static int64_t commit_deadline(const struct writer *w)
{
	int64_t within = w->sink->commit_within_ms, until;

	until = w->dirty_since + gather_ms(w);
	if (until < w->sink->commit_after_ms)
		until = w->sink->commit_after_ms;
	if (within > 0 && (is_inside(w) || until > w->dirty_since + within))
		until = w->dirty_since + within;
	else if (is_inside(w))
		until = CLOCK_NEVER;
	return until;
}

/* Half the limit is left for what is read meanwhile.  A quarter of it is left for
 * the transaction that follows, where none is to be torn. */
static size_t commit_bytes(const struct writer *w)
{
	size_t limit = queue_limit(w->queue);

	if (!writer_is_whole(w))
		return limit / 2;
	return w->last->cursor.in_txn ? limit - limit / 4 : limit / 4;
}

static bool is_late(const struct writer *w, int64_t now)
{
	int64_t within = w->sink->commit_within_ms;

	return within > 0 && now >= w->dirty_since + within;
}

static bool is_commit_due(struct writer *w, enum queue_got got)
{
	int64_t now = clock_mono_ms();

	if (w->last == NULL)
		return false;
	/* the rest of it comes when the source is read again */
	if (got == QUEUE_CLOSED)
		return !is_inside(w);
	if (queue_retained(w->queue) >= commit_bytes(w) || is_late(w, now))
		return true;
	if (now < commit_deadline(w))
		return false;
	/* what is there already goes along */
	return got == QUEUE_TIMEOUT || gather_ms(w) > 0 ||
	       !queue_has_next(w->queue);
}

static enum step commit_last(struct writer *w, struct err *e)
{
	enum step step = commit(w, &w->last->cursor, e);

	if (step == STEP_DONE) {
		w->is_between = !w->last->cursor.in_txn;
		w->last = NULL;
		queue_release(w->queue);
	}
	return step;
}

/* When something is due although nothing comes. */
static int64_t idle_deadline(const struct writer *w)
{
	int64_t until = CLOCK_NEVER;

	if (w->is_state_behind)
		until = w->state_written + LAZY_MS;
	if (w->sink->commit_idle_ms > 0 && w->sink->commit_idle_ms < until)
		until = w->sink->commit_idle_ms;
	return until;
}

static enum step commit_idle(struct writer *w, enum queue_got got, struct err *e)
{
	int64_t at = w->sink->commit_idle_ms;

	if (w->last != NULL || got != QUEUE_TIMEOUT || at == 0 ||
	    clock_mono_ms() < at)
		return STEP_DONE;
	return commit(w, &w->committed, e);
}

/* One batch, or one commit that became due without one. */
static enum step turn(struct writer *w, bool *is_over, struct err *e)
{
	int64_t deadline = CLOCK_NEVER;
	struct batch *b = NULL;
	enum step step = STEP_DONE;
	enum queue_got got;

	if (writer_redeliver(w, e) != STEP_DONE)
		return STEP_FAIL;
	if (w->last != NULL)
		deadline = commit_deadline(w);
	else
		deadline = idle_deadline(w);
	got = queue_next(w->queue, deadline, &b);
	if (got == QUEUE_BATCH) {
		step = present(w, b, e);
		if (w->last == NULL)
			w->dirty_since = clock_mono_ms();
		w->last = b;
	}
	if (step == STEP_DONE && is_commit_due(w, got))
		step = commit_last(w, e);
	if (step == STEP_DONE)
		step = commit_idle(w, got, e);
	if (step == STEP_DONE && got != QUEUE_BATCH && w->is_state_behind &&
	    store_cursor(w, &w->committed, e) != 0)
		return STEP_FAIL;
	*is_over = got == QUEUE_CLOSED && step == STEP_DONE;
	return step;
}

static void *run(void *arg)
{
	struct writer *w = arg;
	struct err ignored = ERR_INIT;
	bool is_over = false;
	char name[THREAD_NAME_SIZE];

	snprintf(name, sizeof(name), "write:%s", w->conf->name);
	pthread_setname_np(pthread_self(), name);
	is_over = begin_reject(w, &w->committed, &w->err) != 0;
	w->committed.letter = 0;
	while (!is_over) {
		enum step step = turn(w, &is_over, &w->err);

		if (step == STEP_FAIL)
			break;
		if (step == STEP_REWIND && writer_rewind(w, &w->err) != 0)
			break;
	}
	/* a new start is to know what this one had acknowledged (A2) */
	if (w->is_state_behind)
		w->is_state_behind = state_set_cursor(w->state, &w->committed,
						      &ignored) != 0;
	reject_end(w->reject);
	queue_abandon(w->queue);
	w->hooks.ended(w->hooks.arg);
	return NULL;
}

struct writer *writer_start(struct queue *q, struct sink *snk, struct state *st,
			    struct reject *reject,
			    const struct conf_pipeline *conf,
			    const struct cursor *from,
			    const struct writer_hooks *hooks,
			    const atomic_bool *hurry, struct err *e)
{
	struct writer *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL) {
		err_no_memory(e);
		return NULL;
	}
	w->queue = q;
	w->sink = snk;
	w->state = st;
	w->reject = reject;
	w->conf = conf;
	w->hooks = *hooks;
	w->hurry = hurry;
	w->err = ERR_INIT;
	w->skip_seq = from->seq;
	if (keep_committed(w, from, e) != 0) {
		free(w);
		return NULL;
	}
	rc = pthread_create(&w->thread, NULL, run, w);
	if (rc != 0) {
		err_sys(e, CODE_system, rc, "could not start a thread");
		buf_fini(&w->committed_text);
		free(w);
		return NULL;
	}
	return w;
}

int writer_join(struct writer *w, struct err *e)
{
	int rc = 0;

	pthread_join(w->thread, NULL);
	if (err_is_set(&w->err)) {
		/* what stops the pipeline counts more than what passes */
		if (!err_is_set(e) || (code_kind(e->code) == CODE_RETRY &&
				       code_kind(w->err.code) == CODE_STOP))
			*e = w->err;
		rc = -1;
	}
	buf_fini(&w->committed_text);
	free(w->refused);
	free(w);
	return rc;
}
