#include "config.h"
#include "agent/reject.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/dlq.h"
#include "agent/reject_key.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/note.h"

/* Of events that are left out, one line in so long. */
#define TELL_MS 1000

struct reject {
	const char *state_dir;
	const struct conf_pipeline *pc;
	char component[80];
	atomic_bool has_wanted;
	struct dlq *dlq; /* NULL: there are no letters, or not open */
	struct dlq_counts counts;
	struct batch *batch; /* of the letter that is being delivered */

	/* Hashes of the keys of all letters that are not superseded, by which an
	 * event is told that has nothing to do with them.  More may be in it. */
	uint64_t *hashes; /* open addressing, 0: free */
	size_t nhashes, cap;
	bool failed; /* no memory while it was filled */
	struct buf keys;

	/* left out since the last commit, and since the last line */
	uint64_t skipped, skipped_seq, untold;
	int64_t told_ms;
};

struct reject *reject_new(const char *state_dir, const struct conf_pipeline *pc)
{
	struct reject *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->state_dir = state_dir;
	r->pc = pc;
	snprintf(r->component, sizeof(r->component), "pipeline \"%s\"", pc->name);
	return r;
}

void reject_free(struct reject *r)
{
	if (r == NULL)
		return;
	reject_end(r);
	free(r);
}

static bool is_transactional(const struct reject *r)
{
	return r->pc->to->sink->class == SINK_TRANSACTIONAL;
}

static bool is_ordered(const struct reject *r)
{
	return r->pc->to->sink->caps & SINK_SEQ_ORDER;
}

/* --- the keys of letters ----------------------------------------------- */

static uint64_t hash_of(struct slice key)
{
	uint64_t h = slice_hash(key);

	return h != 0 ? h : 1;
}

static bool has_hash(const struct reject *r, uint64_t h)
{
	if (r->nhashes == 0)
		return false;
	for (size_t i = h & (r->cap - 1);; i = (i + 1) & (r->cap - 1)) {
		if (r->hashes[i] == h)
			return true;
		if (r->hashes[i] == 0)
			return false;
	}
}

static void put_hash(struct reject *r, uint64_t h)
{
	size_t i = h & (r->cap - 1);

	while (r->hashes[i] != 0 && r->hashes[i] != h)
		i = (i + 1) & (r->cap - 1);
	r->nhashes += r->hashes[i] == 0;
	r->hashes[i] = h;
}

static bool grow(struct reject *r)
{
	size_t cap = r->cap, n = cap ? cap * 2 : 64;
	uint64_t *old = r->hashes, *hashes = calloc(n, sizeof(*hashes));

	if (hashes == NULL)
		return false;
	r->hashes = hashes;
	r->cap = n;
	r->nhashes = 0;
	for (size_t i = 0; i < cap; i++)
		if (old[i] != 0)
			put_hash(r, old[i]);
	free(old);
	return true;
}

static void add_key(void *arg, struct slice key)
{
	struct reject *r = arg;

	if (r->nhashes * 2 >= r->cap && !grow(r))
		r->failed = true;
	else
		put_hash(r, hash_of(key));
}

/* What the file says now. */
static int refresh(struct reject *r, struct err *e)
{
	if (r->nhashes > 0)
		memset(r->hashes, 0, r->cap * sizeof(*r->hashes));
	r->nhashes = 0;
	r->failed = false;
	if (dlq_counts(r->dlq, &r->counts, e) != 0 ||
	    dlq_each_key(r->dlq, add_key, r, e) != 0)
		return -1;
	if (r->failed)
		return err_no_memory(e);
	if (r->counts.wanted > 0)
		atomic_store(&r->has_wanted, true);
	return 0;
}

static int open_dlq(struct reject *r, bool may_create, struct err *e)
{
	if (r->dlq == NULL)
		r->dlq = dlq_open(r->state_dir, r->pc->name, may_create, e);
	return err_is_set(e) ? -1 : 0;
}

int reject_begin(struct reject *r, const struct cursor *c, struct err *e)
{
	r->skipped = 0; /* they come again */
	if (open_dlq(r, false, e) != 0)
		return -1;
	if (r->dlq == NULL)
		return 0;
	if (dlq_settle(r->dlq, c, e) != 0 ||
	    (is_transactional(r) && dlq_check_watched(r->dlq, c->seq, e) != 0))
		return -1;
	return refresh(r, e);
}

static void tell_skipped(struct reject *r)
{
	if (r->untold > 0)
		note(NOTE_WARNING, r->component, CODE_event_skipped, NULL,
		     "%" PRIu64 " more events were left out", r->untold);
	r->untold = 0;
}

void reject_end(struct reject *r)
{
	tell_skipped(r);
	dlq_close(r->dlq);
	r->dlq = NULL;
	batch_free(r->batch);
	r->batch = NULL;
	free(r->hashes);
	r->hashes = NULL;
	r->nhashes = r->cap = 0;
	r->counts = (struct dlq_counts){0};
	buf_fini(&r->keys);
}

/* --- an event is rejected ---------------------------------------------- */

static int keep(struct reject *r, const struct event *ev, const struct err *why,
		bool is_blocking, struct err *e)
{
	struct buf text = BUF_INIT;
	int rc = -1;

	if (open_dlq(r, true, e) != 0)
		return -1;
	buf_reset(&r->keys, SIZE_MAX);
	reject_keys_letter(ev, &r->keys);
	reject_key_text(ev, &text);
	if (r->keys.failed || text.failed)
		err_no_memory(e);
	else
		rc = dlq_put(r->dlq, &(struct dlq_put){
			.ev = ev,
			.keys = buf_get(&r->keys),
			.key_text = buf_get(&text),
			.why = why,
			.max_letters = (uint64_t)r->pc->dead_letter_max,
			.max_bytes = (uint64_t)r->pc->dead_letter_size,
			.is_blocking = is_blocking,
		}, e);
	buf_fini(&text);
	return rc == 0 ? refresh(r, e) : -1;
}

/* One line for each letter, of which there is a limited number; of what is left out
 * only the first, and a number now and then. */
static void tell(struct reject *r, const struct event *ev, const char *id,
		 const struct err *why, bool is_kept)
{
	int64_t now = clock_mono_ms();
	char seq[24];

	snprintf(seq, sizeof(seq), "%" PRIu64, ev->seq);
	if (!is_kept && r->told_ms != 0 && now - r->told_ms < TELL_MS) {
		r->untold++;
		return;
	}
	if (!is_kept) {
		tell_skipped(r);
		r->told_ms = now;
	}
	note(NOTE_WARNING, r->component,
	     is_kept ? CODE_dead_letter : CODE_event_skipped,
	     NOTE_KV({"event", id}, {"op", op_name(ev->op)}, {"seq", seq}), "%s: %s",
	     is_kept ? "put aside as a dead letter" : "left out", why->msg);
}

static void say_what(const struct event *ev, struct err *e)
{
	if (ev->table != NULL)
		err_detail(e, "It is number %" PRIu64 " of the pipeline, op %s, table \"%.*s\".",
			   ev->seq, op_name(ev->op), SLICE_ARG(ev->table->full_name));
	else
		err_detail(e, "It is number %" PRIu64 " of the pipeline, op %s.",
			   ev->seq, op_name(ev->op));
}

/* The sink's own hint comes first. */
static void say_how(const struct reject *r, const char *id, struct err *e)
{
	char own[sizeof(e->hint)];

	memcpy(own, e->hint, sizeof(own));
	e->hint[0] = '\0';
	err_hint(e, "%.200s%s`leat dlq show %s %s` shows it.  With on_reject = dead_letter it is put aside, with skip it is left out.",
		 own, own[0] ? "  " : "", r->pc->name, id);
}

/* It is kept so that it can be looked at, if it can be kept. */
static int block(struct reject *r, const struct event *ev, const char *id,
		 const struct err *why, struct err *e)
{
	struct err ignored = ERR_INIT;

	*e = *why;
	if (keep(r, ev, why, true, &ignored) == 0)
		say_how(r, id, e);
	err_wrap(e, "event \"%s\"", id);
	say_what(ev, e);
	return -1;
}

static int put_aside(struct reject *r, const struct event *ev, const char *id,
		     const struct err *why, struct err *e)
{
	if (keep(r, ev, why, false, e) == 0) {
		tell(r, ev, id, why, true);
		return 0;
	}
	if (e->code == CODE_event_rejected) {
		err_wrap(e, "event \"%s\"", id);
		say_what(ev, e);
	}
	return -1;
}

static int skip(struct reject *r, const struct event *ev, const char *id,
		const struct err *why, struct err *e)
{
	if (r->dlq == NULL &&
	    (open_dlq(r, true, e) != 0 || refresh(r, e) != 0))
		return -1;
	tell(r, ev, id, why, false);
	if (ev->seq <= r->counts.skipped_seq)
		return 0;
	r->skipped++;
	r->skipped_seq = ev->seq;
	return 0;
}

int reject_event(struct reject *r, const struct event *ev, const struct err *why,
		 struct err *e)
{
	struct buf id = BUF_INIT;
	bool is_dropped = false;
	int rc = -1;

	event_id(ev, 0, &id);
	if (r->counts.dropped > 0 &&
	    dlq_is_dropped(r->dlq, buf_get(&id), &is_dropped, e) != 0) {
		buf_fini(&id);
		return -1;
	}
	buf_u8(&id, '\0');
	if (id.failed)
		err_no_memory(e);
	else if (is_dropped) {
		note(NOTE_WARNING, r->component, CODE_event_skipped,
		     NOTE_KV({"event", id.p}), "left out: it was dropped");
		rc = 0;
	} else if (r->pc->on_reject == ON_REJECT_BLOCK)
		rc = block(r, ev, id.p, why, e);
	else if (r->pc->on_reject == ON_REJECT_DEAD_LETTER)
		rc = put_aside(r, ev, id.p, why, e);
	else
		rc = skip(r, ev, id.p, why, e);
	buf_fini(&id);
	return rc;
}

/* --- what the sink gets ------------------------------------------------ */

/* By the keys in r->keys.  *is_open: the change of the file has begun. */
static int supersede(struct reject *r, const struct event *by, bool *is_open,
		     struct err *e)
{
	for (struct wire w = wire_of(buf_get(&r->keys)); wire_left(&w) > 0;) {
		struct slice key = wire_lenslice(&w);

		if (!has_hash(r, hash_of(key)))
			continue;
		if (!*is_open && dlq_begin(r->dlq, e) != 0)
			return -1;
		*is_open = true;
		if (dlq_supersede(r->dlq, key, by, e) != 0)
			return -1;
	}
	return 0;
}

/* Has any letter to do with the event's table? */
static bool is_near(struct reject *r, const struct event *ev)
{
	struct wire w;

	if (ev->table == NULL || ev->op == OP_TRUNCATE)
		return true;
	buf_reset(&r->keys, SIZE_MAX);
	reject_key_table(ev->table, &r->keys);
	w = wire_of(buf_get(&r->keys));
	return r->keys.failed || has_hash(r, hash_of(wire_lenslice(&w)));
}

static int look_at(struct reject *r, const struct event *ev, bool *is_open,
		   struct err *e)
{
	if (ev->op == OP_SCHEMA || !is_near(r, ev))
		return 0;
	buf_reset(&r->keys, SIZE_MAX);
	reject_keys_event(ev, &r->keys);
	if (r->keys.failed)
		return err_no_memory(e);
	return supersede(r, ev, is_open, e);
}

/* All letters come before whatever the sink gets now. */
static int supersede_all(struct reject *r, const struct batch *b, size_t from,
			 size_t to, bool *is_open, struct err *e)
{
	while (to > from && b->ev[to - 1].op == OP_SCHEMA)
		to--;
	if (to == from)
		return 0;
	if (dlq_begin(r->dlq, e) != 0)
		return -1;
	*is_open = true;
	return dlq_supersede(r->dlq, (struct slice){0}, &b->ev[to - 1], e);
}

/* Ends what was begun, if anything was. */
static int finish(struct reject *r, bool is_open, struct err *e)
{
	if (!is_open)
		return err_is_set(e) ? -1 : 0;
	if (dlq_end(r->dlq, e) != 0)
		return -1;
	fault(FAULT_dead_letter_superseded);
	return refresh(r, e);
}

int reject_written(struct reject *r, const struct batch *b, size_t from,
		   size_t to, struct err *e)
{
	bool is_open = false;

	if (r->dlq == NULL || r->counts.waiting == 0 ||
	    fault_mutates("letter_blind", ""))
		return 0;
	if (is_ordered(r))
		supersede_all(r, b, from, to, &is_open, e);
	else
		for (size_t i = from; i < to; i++)
			if (look_at(r, &b->ev[i], &is_open, e) != 0)
				break;
	return finish(r, is_open, e);
}

int reject_applied(struct reject *r, const struct event *schema, struct err *e)
{
	const struct table *prev = schema->schema->prev;
	bool is_open = false;

	if (r->dlq == NULL || r->counts.waiting == 0 || prev == NULL ||
	    !reject_key_differs(prev, schema->table))
		return 0;
	buf_reset(&r->keys, SIZE_MAX);
	reject_key_table(schema->table, &r->keys);
	if (r->keys.failed)
		return err_no_memory(e);
	supersede(r, schema, &is_open, e);
	return finish(r, is_open, e);
}

int reject_commits(struct reject *r, const struct cursor *c, struct err *e)
{
	if (r->skipped > 0) {
		if (dlq_skip(r->dlq, r->skipped, r->skipped_seq, e) != 0)
			return -1;
		r->skipped = 0;
		r->counts.skipped_seq = r->skipped_seq;
	}
	if (r->dlq == NULL || r->counts.waiting == 0 || !is_transactional(r))
		return 0;
	return dlq_set_watched(r->dlq, c->seq, e);
}

int reject_committed(struct reject *r, const struct cursor *c, struct err *e)
{
	if (r->untold > 0 && clock_mono_ms() - r->told_ms >= TELL_MS)
		tell_skipped(r);
	if (r->dlq == NULL || r->counts.uncovered == 0)
		return 0;
	return dlq_settle(r->dlq, c, e) == 0 ? refresh(r, e) : -1;
}

/* --- delivering letters ------------------------------------------------ */

void reject_poke(struct reject *r)
{
	atomic_store(&r->has_wanted, true);
}

bool reject_has_wanted(struct reject *r)
{
	return atomic_load(&r->has_wanted);
}

static int load(struct reject *r, uint64_t letter, struct err *e)
{
	if (r->batch == NULL)
		r->batch = batch_new();
	if (r->batch == NULL)
		return err_no_memory(e);
	batch_reset(r->batch);
	return dlq_load(r->dlq, letter, r->batch, e);
}

const struct batch *reject_next(struct reject *r, uint64_t *letter, struct err *e)
{
	atomic_store(&r->has_wanted, false);
	if (open_dlq(r, false, e) != 0 || r->dlq == NULL)
		return NULL;
	/* some may have been dropped */
	if (refresh(r, e) != 0 || dlq_next(r->dlq, letter, e) != 0)
		return NULL;
	/* those that wait for their commit are looked for behind it */
	atomic_store(&r->has_wanted, *letter != 0);
	if (*letter == 0)
		return NULL;
	return load(r, *letter, e) == 0 ? r->batch : NULL;
}

int reject_delivered(struct reject *r, uint64_t letter, struct err *e)
{
	char text[24];

	fault(FAULT_dead_letter_retried);
	if (dlq_remove(r->dlq, letter, e) != 0)
		return -1;
	snprintf(text, sizeof(text), "%" PRIu64, letter);
	note(NOTE_INFO, r->component, CODE_progress, NOTE_KV({"letter", text}),
	     "a dead letter was delivered");
	return refresh(r, e);
}

int reject_failed(struct reject *r, uint64_t letter, const struct err *why,
		  struct err *e)
{
	char text[24];

	if (dlq_failed(r->dlq, letter, why, e) != 0)
		return -1;
	snprintf(text, sizeof(text), "%" PRIu64, letter);
	note(NOTE_WARNING, r->component, CODE_dead_letter,
	     NOTE_KV({"letter", text}), "a dead letter was rejected again: %s",
	     why->msg);
	return refresh(r, e);
}
