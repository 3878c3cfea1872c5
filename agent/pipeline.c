#include "config.h"
#include "agent/pipeline.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/dlq.h"
#include "agent/queue.h"
#include "agent/resume.h"
#include "agent/state.h"
#include "agent/writer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/note.h"
#include "base/retry.h"

/* A reader that waits for room does its duty to the server this often, unless
 * the source wants it sooner. */
#define DUTY_MS 2000
/* The longest a source is left alone with nothing to say. */
#define READ_MS 10000
#define STANDBY_MS 1000
/* How long a stop waits for a sick sink. */
#define STOP_MS 8000
#define THREAD_NAME_SIZE 16 /* the kernel's; longer ones are cut */

const char *const pipeline_phase_names[] = {
	[PIPELINE_STARTING] = "starting", [PIPELINE_STANDBY] = "standby",
	[PIPELINE_RUNNING] = "running",	  [PIPELINE_RETRYING] = "retrying",
	[PIPELINE_STOPPING] = "stopping", [PIPELINE_STOPPED] = "stopped",
};

struct pipeline {
	const struct conf *conf;
	const struct conf_pipeline *pc;
	char component[80]; /* for notes */
	pthread_t thread;
	bool has_thread;
	void (*on_stop)(void *arg);
	void *on_stop_arg;
	int wake_fd; /* readable: committed, stop, or the writer ended */
	atomic_bool stop;
	atomic_bool hurry; /* nobody waits for a sick sink */
	struct state *state;
	struct reject *reject;
	bool has_run; /* an attempt got as far as that */
	/* when the sink made the writer wait for the first time since the last
	 * commit, clock_mono_ms(), or 0; the writer's, while there is one */
	int64_t sink_failing;

	pthread_mutex_t mutex; /* of what follows */
	enum pipeline_phase phase;
	struct err why;
	int64_t since_us;
	struct buf committed_text; /* source part */
	struct cursor committed;
	uint64_t committed_count; /* grows with each commit */
	struct source *source;	  /* of the attempt, or NULL */
	struct queue *queue;	  /* likewise */
	int64_t last_commit_us;	  /* kept when the source is gone */

	_Atomic uint64_t attempts, events, batches, commits;
};

/* What lives as long as one attempt. */
struct attempt {
	struct source *src;
	struct sink *snk;
	struct resume resume;
	struct queue *queue;
	struct writer *writer;
	uint64_t acked; /* committed_count that the source was told */
	struct buf ack_text;
	struct cursor at; /* where reading goes on */
	struct buf at_text;
};

struct pipeline *pipeline_new(const struct conf *conf,
			      const struct conf_pipeline *pc)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->conf = conf;
	p->pc = pc;
	p->reject = reject_new(conf->state_dir, pc);
	if (p->reject == NULL) {
		free(p);
		return NULL;
	}
	p->wake_fd = -1;
	p->since_us = clock_wall_us();
	snprintf(p->component, sizeof(p->component), "pipeline \"%s\"", pc->name);
	pthread_mutex_init(&p->mutex, NULL);
	return p;
}

void pipeline_free(struct pipeline *p)
{
	if (p == NULL)
		return;
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	state_close(p->state);
	reject_free(p->reject);
	buf_fini(&p->committed_text);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

static void wake(struct pipeline *p)
{
	uint64_t one = 1;

	(void)!write(p->wake_fd, &one, sizeof(one));
}

static void drain_wake(struct pipeline *p)
{
	uint64_t n;

	(void)!read(p->wake_fd, &n, sizeof(n));
}

/* Logs a change of phase once, so that a failure that lasts is one line; e may
 * be NULL. */
static void set_phase(struct pipeline *p, enum pipeline_phase phase,
		      const struct err *e)
{
	bool is_news;

	pthread_mutex_lock(&p->mutex);
	is_news = p->phase != phase ||
		  p->why.code != (e ? e->code : CODE_none) ||
		  (e != NULL && strcmp(p->why.msg, e->msg) != 0);
	if (is_news)
		p->since_us = clock_wall_us();
	p->phase = phase;
	p->why = e ? *e : ERR_INIT;
	pthread_mutex_unlock(&p->mutex);
	if (!is_news)
		return;
	if (e != NULL && err_is_set(e))
		note_err(phase == PIPELINE_STOPPED ? NOTE_ERROR : NOTE_WARNING,
			 p->component, e,
			 NOTE_KV({"phase", pipeline_phase_names[phase]}));
	else
		note(NOTE_INFO, p->component,
		     phase == PIPELINE_RUNNING	  ? CODE_started
		     : phase == PIPELINE_STOPPED  ? CODE_stopped
		     : phase == PIPELINE_STOPPING ? CODE_stopping
						  : CODE_progress,
		     NULL, "%s", pipeline_phase_names[phase]);
}

/* --- what the writer tells ------------------------------------------- */

static void set_committed(struct pipeline *p, const struct cursor *c)
{
	pthread_mutex_lock(&p->mutex);
	buf_reset(&p->committed_text, SIZE_MAX);
	buf_slice(&p->committed_text, c->source);
	if (!p->committed_text.failed) {
		p->committed = *c;
		p->committed.source = buf_get(&p->committed_text);
		p->committed_count++;
	}
	pthread_mutex_unlock(&p->mutex);
}

static void on_committed(void *arg, const struct cursor *c, uint64_t events)
{
	struct pipeline *p = arg;

	set_committed(p, c);
	p->events += events;
	p->commits++;
	p->sink_failing = 0;
	wake(p);
}

static void on_waiting(void *arg, const struct err *e)
{
	struct pipeline *p = arg;

	if (e != NULL && p->sink_failing == 0)
		p->sink_failing = clock_mono_ms();
	if (!atomic_load(&p->stop))
		set_phase(p, e ? PIPELINE_RETRYING : PIPELINE_RUNNING, e);
}

static void on_ended(void *arg)
{
	wake(arg);
}

/* --- the reader ------------------------------------------------------ */

/* Tells the source what was committed since the last time, or just lets it do
 * its duty. */
static int ack(struct pipeline *p, struct attempt *a, struct err *e)
{
	struct cursor c = {0};
	bool is_news;

	pthread_mutex_lock(&p->mutex);
	is_news = a->acked != p->committed_count;
	if (is_news) {
		a->acked = p->committed_count;
		buf_reset(&a->ack_text, SIZE_MAX);
		buf_slice(&a->ack_text, p->committed.source);
		c = p->committed;
		c.source = buf_get(&a->ack_text);
	}
	pthread_mutex_unlock(&p->mutex);
	if (a->ack_text.failed)
		return err_no_memory(e);
	if (a->src->ops->ack(a->src, is_news ? &c : NULL, e) != 0)
		return -1;
	if (is_news)
		fault(FAULT_after_ack);
	return 0;
}

/* The reader's own copy of where it is, to tell an empty read from progress. */
static int keep_place(struct attempt *a, const struct cursor *c, struct err *e)
{
	buf_reset(&a->at_text, SIZE_MAX);
	buf_slice(&a->at_text, c->source);
	if (a->at_text.failed)
		return err_no_memory(e);
	a->at = *c;
	a->at.source = buf_get(&a->at_text);
	return 0;
}

static int read_batch(struct pipeline *p, struct attempt *a, struct batch *b,
		      struct err *e)
{
	if (a->src->ops->read(a->src, b, clock_mono_ms() + READ_MS, e) != 0) {
		queue_unused(a->queue, b);
		return -1;
	}
	if (b->n == 0 && cursor_eq(&b->cursor, &a->at) &&
	    b->cursor.in_txn == a->at.in_txn) {
		queue_unused(a->queue, b);
		return 0;
	}
	if (keep_place(a, &b->cursor, e) != 0) {
		queue_unused(a->queue, b);
		return -1;
	}
	fault(FAULT_after_read);
	fault(FAULT_after_transform);
	p->batches++;
	queue_push(a->queue, b);
	return 0;
}

static int stream(struct pipeline *p, struct attempt *a, struct err *e)
{
	while (!atomic_load(&p->stop)) {
		int64_t wanted = a->src->duty_ms, duty;

		duty = clock_mono_ms() +
		       (wanted > 0 && wanted < DUTY_MS ? wanted : DUTY_MS);
		struct batch *b = queue_room(a->queue, duty);

		if (b == NULL && queue_is_abandoned(a->queue))
			return 0; /* the writer says why */
		if (b == NULL && clock_mono_ms() < duty &&
		    !atomic_load(&p->stop))
			return err_no_memory(e);
		if (b != NULL && read_batch(p, a, b, e) != 0)
			return -1;
		drain_wake(p);
		if (ack(p, a, e) != 0)
			return -1;
	}
	return 0;
}

/* --- an attempt ------------------------------------------------------ */

/* Nothing was ever begun: the intent is in sink and state before the server is
 * asked to keep anything, so a kill between the two is recoverable. */
static int begin(struct pipeline *p, struct attempt *a, struct err *e)
{
	struct cursor c = {1, 0, SLICE("intent new"), 0, false};

	if ((a->src->ops->caps & SOURCE_NEEDS_INITIAL) &&
	    a->src->ops->open(a->src, &c, &a->resume.tables, e) != 0)
		return -1;
	c.source = SLICE("intent");
	if (a->snk->ops->commit(a->snk, &c, e) != VERDICT_OK)
		return err_set(e, CODE_sink_unreachable,
			       "sink \"%s\" did not take the first cursor",
			       a->snk->name);
	if (state_set_cursor(p->state, &c, e) != 0)
		return -1;
	a->resume.cursor = c;
	fault(FAULT_slot_intent);
	return 0;
}

static int open_source(struct pipeline *p, struct attempt *a, struct err *e)
{
	const struct cursor *at = &a->resume.cursor;

	if (at->incarnation == 0 && begin(p, a, e) != 0)
		return -1;
	a->src->incarnation = at->incarnation;
	if (a->src->ops->open(a->src, at, &a->resume.tables, e) != 0)
		return -1;
	if (keep_place(a, at, e) != 0)
		return -1;
	set_committed(p, at);
	a->acked = p->committed_count;
	return 0;
}

static int start_writer(struct pipeline *p, struct attempt *a, struct err *e)
{
	struct writer_hooks hooks = {p, on_committed, on_waiting, on_ended};

	a->queue = queue_new((size_t)p->pc->queue_size);
	if (a->queue == NULL)
		return err_no_memory(e);
	atomic_store(&p->hurry, false);
	a->writer = writer_start(a->queue, a->snk, p->state, p->reject, p->pc,
				 &a->resume.cursor, &hooks, &p->hurry, e);
	return a->writer ? 0 : -1;
}

static void publish_parts(struct pipeline *p, struct source *src,
			  struct queue *q)
{
	pthread_mutex_lock(&p->mutex);
	if (p->source != NULL && src == NULL)
		p->last_commit_us = p->source->last_commit_us;
	p->source = src;
	p->queue = q;
	pthread_mutex_unlock(&p->mutex);
}

/* Waits for the writer to commit what it has.  The source is kept served
 * meanwhile; a sick sink gets a while, then no more. */
static void finish_writer(struct pipeline *p, struct attempt *a, bool is_served,
			  struct err *e)
{
	int64_t until = clock_mono_ms() + (is_served ? STOP_MS : 0);
	struct err ignored = ERR_INIT;

	queue_close(a->queue);
	while (!queue_is_abandoned(a->queue)) {
		struct pollfd f = {p->wake_fd, POLLIN, 0};

		poll(&f, 1, 200);
		drain_wake(p);
		if (is_served && ack(p, a, &ignored) != 0)
			is_served = false;
		if (clock_mono_ms() >= until)
			atomic_store(&p->hurry, true);
	}
	writer_join(a->writer, e);
	a->writer = NULL;
	if (is_served)
		ack(p, a, &ignored);
}

static int open_state(struct pipeline *p, struct err *e)
{
	bool is_durable = p->pc->to->sink->class != SINK_TRANSACTIONAL;

	if (p->state == NULL)
		p->state = state_open(p->conf->state_dir, p->pc->name,
				      STATE_CREATE, is_durable, e);
	return p->state != NULL ? 0 : -1;
}

/* 0: a stop was asked for.  -1: why it ended. */
static int run_attempt(struct pipeline *p, struct attempt *a, struct err *e)
{
	enum claim claim = a->src->ops->claim(a->src, e);
	int rc;

	if (claim == CLAIM_HELD)
		return err_set(e, CODE_claim_held,
			       "another agent holds the claim of the pipeline");
	if (claim == CLAIM_ERROR ||
	    resume_decide(&a->resume, a->snk, p->state, e) != 0 ||
	    open_source(p, a, e) != 0 || start_writer(p, a, e) != 0)
		return -1;
	publish_parts(p, a->src, a->queue);
	p->has_run = true;
	set_phase(p, PIPELINE_RUNNING, NULL);
	rc = stream(p, a, e);
	if (atomic_load(&p->stop))
		set_phase(p, PIPELINE_STOPPING, NULL);
	finish_writer(p, a, rc == 0, e);
	return err_is_set(e) ? -1 : rc;
}

static int attempt(struct pipeline *p, struct err *e)
{
	const struct conf_section *from = p->pc->from, *to = p->pc->to;
	struct attempt a = {.ack_text = BUF_INIT, .at_text = BUF_INIT};
	int rc = -1;

	if (p->attempts++ > 0)
		fault(FAULT_reconnect);
	if (open_state(p, e) != 0)
		return -1;
	resume_init(&a.resume);
	a.src = source_new(from->source, from->name, p->pc->name, from->values);
	a.snk = sink_new(to->sink, to->name, p->pc->name, to->values);
	if (a.src == NULL || a.snk == NULL)
		err_no_memory(e);
	else {
		a.src->wake_fd = p->wake_fd;
		a.src->batch_bytes = BATCH_BYTES;
		a.src->start = p->pc->start;
		a.snk->source = from->name;
		if (!p->has_run && conf_is_first(p->conf, p->pc))
			a.src->siblings = p->conf->names;
		rc = run_attempt(p, &a, e);
	}
	publish_parts(p, NULL, NULL);
	/* the claim on the source covers the sink */
	sink_free(a.snk);
	source_free(a.src);
	queue_free(a.queue);
	resume_fini(&a.resume);
	buf_fini(&a.ack_text);
	buf_fini(&a.at_text);
	return rc;
}

/* --- supervision ----------------------------------------------------- */

/* False when a stop ended the pause. */
static bool pause_ms(struct pipeline *p, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!atomic_load(&p->stop) && clock_mono_ms() < until) {
		struct pollfd f = {p->wake_fd, POLLIN, 0};

		if (poll(&f, 1, clock_poll_ms(until)) > 0)
			drain_wake(p);
	}
	return !atomic_load(&p->stop);
}

/* After a failed attempt: false when the pipeline is over. */
static bool is_worth_retrying(struct pipeline *p, struct retry *retry,
			      const struct err *e)
{
	int64_t ms;

	if (code_kind(e->code) != CODE_RETRY)
		return false;
	if (e->code == CODE_claim_held) {
		set_phase(p, PIPELINE_STANDBY, e);
		retry_reset(retry);
		return pause_ms(p, STANDBY_MS);
	}
	ms = retry_next_ms(retry);
	if (p->sink_failing != 0 && p->sink_failing < retry->failing_since)
		retry->failing_since = p->sink_failing;
	p->sink_failing = 0;
	if (p->pc->give_up_after > 0 &&
	    clock_mono_ms() - retry->failing_since >= p->pc->give_up_after)
		return false;
	set_phase(p, PIPELINE_RETRYING, e);
	return pause_ms(p, ms);
}

static void *supervise(void *arg)
{
	struct pipeline *p = arg;
	struct retry retry = {0};
	struct err e = ERR_INIT;
	char name[THREAD_NAME_SIZE];

	snprintf(name, sizeof(name), "read:%s", p->pc->name);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		uint64_t commits = p->commits;

		e = ERR_INIT;
		if (attempt(p, &e) == 0 && !err_is_set(&e))
			break;
		/* an attempt that delivered starts the pauses afresh */
		if (p->commits != commits)
			retry_reset(&retry);
		if (!is_worth_retrying(p, &retry, &e))
			break;
	}
	if (atomic_load(&p->stop) && code_kind(e.code) == CODE_RETRY)
		e = ERR_INIT;
	state_close(p->state);
	p->state = NULL;
	set_phase(p, PIPELINE_STOPPED, &e);
	if (p->on_stop != NULL)
		p->on_stop(p->on_stop_arg);
	return NULL;
}

/* A state that cannot be opened is the thread's to report, and to try again;
 * that another process has it is known at once. */
static int start_thread(struct pipeline *p, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->wake_fd < 0)
		return err_sys(e, CODE_system, errno, "could not make an eventfd");
	if (open_state(p, &why) != 0 && why.code == CODE_state_held) {
		*e = why;
		return -1;
	}
	rc = pthread_create(&p->thread, NULL, supervise, p);
	p->has_thread = rc == 0;
	return rc == 0 ? 0 : err_sys(e, CODE_system, rc,
				     "could not start a thread");
}

int pipeline_start(struct pipeline *p, void (*on_stop)(void *arg), void *arg,
		   struct err *e)
{
	p->on_stop = on_stop;
	p->on_stop_arg = arg;
	if (start_thread(p, e) == 0)
		return 0;
	set_phase(p, PIPELINE_STOPPED, e);
	return -1;
}

bool pipeline_is_stopped(struct pipeline *p, enum code *code)
{
	bool is;

	pthread_mutex_lock(&p->mutex);
	is = p->phase == PIPELINE_STOPPED;
	if (code != NULL)
		*code = p->why.code;
	pthread_mutex_unlock(&p->mutex);
	return is;
}

void pipeline_stop(struct pipeline *p)
{
	atomic_store(&p->stop, true);
	pthread_mutex_lock(&p->mutex);
	if (p->queue != NULL)
		queue_refuse(p->queue);
	pthread_mutex_unlock(&p->mutex);
	if (p->wake_fd >= 0)
		wake(p);
}

void pipeline_join(struct pipeline *p)
{
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	p->has_thread = false;
}

enum pipeline_phase pipeline_phase(struct pipeline *p)
{
	enum pipeline_phase phase;

	pthread_mutex_lock(&p->mutex);
	phase = p->phase;
	pthread_mutex_unlock(&p->mutex);
	return phase;
}

const char *pipeline_name(const struct pipeline *p)
{
	return p->pc->name;
}

const struct conf_pipeline *pipeline_conf(const struct pipeline *p)
{
	return p->pc;
}

void pipeline_poke(struct pipeline *p)
{
	reject_poke(p->reject);
	pthread_mutex_lock(&p->mutex);
	if (p->queue != NULL)
		queue_poke(p->queue);
	pthread_mutex_unlock(&p->mutex);
}

static void look_at_dead(const struct pipeline *p, struct pipeline_status *out)
{
	struct dlq_counts counts;
	struct err ignored = ERR_INIT;

	out->has_dead = dlq_look(p->conf->state_dir, p->pc->name, &counts,
				 &ignored) == 0;
	if (!out->has_dead)
		return;
	out->dead_letters = counts.letters;
	out->skipped = counts.skipped;
}

void pipeline_status(struct pipeline *p, struct pipeline_status *out)
{
	*out = (struct pipeline_status){
		.attempts = p->attempts,
		.events = p->events,
		.batches = p->batches,
		.commits = p->commits,
		.behind_bytes = UINT64_MAX,
		.queue_limit = (uint64_t)p->pc->queue_size,
	};
	look_at_dead(p, out);
	pthread_mutex_lock(&p->mutex);
	out->phase = p->phase;
	out->err = p->why;
	out->since_us = p->since_us;
	out->seq = p->committed.seq;
	out->last_commit_us = p->last_commit_us;
	if (p->committed.incarnation != 0)
		cursor_print(&p->committed, &out->cursor);
	if (p->source != NULL) {
		out->behind_bytes = p->source->behind_bytes;
		out->gear = p->source->gear;
		out->last_commit_us = p->source->last_commit_us;
		out->last_heard_us = p->source->last_heard_us;
	}
	if (p->queue != NULL)
		out->queue_bytes = queue_bytes(p->queue);
	pthread_mutex_unlock(&p->mutex);
}
