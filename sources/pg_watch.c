/* The side connection while the stream runs.
 *
 * A server that shuts down fast ends ordinary sessions first, lets nobody in, and
 * then waits for the walsenders: seeing the side connection die and not come back
 * is how a reader that may not read learns of it. */
#include "config.h"
#include "sources/pg_watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/note.h"
#include "sources/pg_catchup.h"
#include "sources/pg_query.h"
#include "sources/pg_slot.h"
#include "sources/pg_state.h"

#define MONITOR_MS 10000
#define POUR_MS 1000 /* while data pour in: is it a backlog? */
#define ASK_MS 5000
#define CONNECT_MS 3000
#define LOOK_MS 1000
#define RECONNECT_MS 5000
#define STUCK_MS 3000
#define SAME_FAILURES 3
#define PAGE_BYTES 8192u

/* --- monitoring */

static void judge_risk(struct pg *pg, const struct pg_slot *slot)
{
	char component[PG_COMPONENT_SIZE], safe[24];
	int64_t kept = slot->server > slot->restart
			       ? (int64_t)(slot->server - slot->restart)
			       : 0;
	/* three quarters of what the server is willing to keep */
	bool risk = strcmp(slot->status, "unreserved") == 0 ||
		    (slot->safe_bytes >= 0 && slot->safe_bytes < kept / 3);

	if (risk && !pg->watch.at_risk) {
		snprintf(safe, sizeof(safe), "%" PRId64, slot->safe_bytes);
		note(NOTE_WARNING, pg_component(component, pg->base.pipeline),
		     CODE_slot_at_risk,
		     NOTE_KV({"slot", pg->slot}, {"wal_status", slot->status},
			     {"safe_wal_size", safe}),
		     "the server may soon give up the log that the slot needs");
	}
	pg->watch.at_risk = risk;
}

/* Opens the side connection, but not again and again. */
static int try_side(struct pg *pg, int64_t now, struct err *e)
{
	if (pg_conn_is_alive(&pg->side))
		return 0;
	if (pg->watch.tried_ms != 0 && now - pg->watch.tried_ms < RECONNECT_MS)
		return 1;
	pg->watch.tried_ms = now;
	return pg_conn_open(&pg->side, &pg->walsender, CONNECT_MS, e);
}

int pg_watch_slot(struct pg *pg, int64_t now, struct pg_slot *slot)
{
	struct err why = ERR_INIT;
	int rc;

	pg_hurry(pg, ASK_MS);
	rc = try_side(pg, now, &why);
	if (rc == 0)
		rc = pg_slot_read(pg, slot, &why);
	pg_hurry(pg, 0);
	if (rc == 0)
		pg->watch.answered_ms = clock_mono_ms();
	return rc;
}

/* The server may have written out its log to the end of a page, in the middle of
 * a record that nobody waits for: there is nothing to be read there yet. */
static uint64_t how_far(uint64_t received, uint64_t server)
{
	if (server <= received ||
	    (server % PAGE_BYTES == 0 && server - received < PAGE_BYTES))
		return 0;
	return server - received;
}

int pg_watch_monitor(struct pg *pg, int64_t now, struct err *e)
{
	struct pg_slot slot;

	if (now < pg_watch_due(pg))
		return 0;
	pg->watch.asked_ms = now;
	if (pg_watch_slot(pg, now, &slot) != 0) {
		atomic_store(&pg->base.behind_bytes, UINT64_MAX);
		return 0;
	}
	atomic_store(&pg->base.behind_bytes,
		     how_far(pg_received(pg), slot.server));
	if (!pg->catchup.is_on && !pg->catchup.is_wanted)
		pg_catchup_judge(pg, &slot);
	judge_risk(pg, &slot);
	return pg_slot_refuse_lost(pg, &slot, e);
}

int64_t pg_watch_due(const struct pg *pg)
{
	bool is_behind = pg->stream.is_pouring &&
			 pg->conf->catchup == PG_CATCHUP_AUTO;

	return pg->watch.asked_ms + (is_behind ? POUR_MS : MONITOR_MS);
}

/* --- shutdown */

int pg_watch_shutdown(struct pg *pg, int64_t now, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	if (pg->stream.flush >= pg->stream.received ||
	    now - pg->stream.moved_ms < STUCK_MS ||
	    now - pg->watch.looked_ms < LOOK_MS)
		return 0;
	pg->watch.looked_ms = now;
	/* a fast shutdown ends ordinary sessions first; what counts is that no
	 * new one is let in */
	pg_hurry(pg, CONNECT_MS);
	rc = try_side(pg, now, &why);
	pg_hurry(pg, 0);
	if (rc >= 0 || why.code != CODE_source_unreachable)
		return 0;
	err_set(e, CODE_source_unreachable,
		"the server seems to be stopping: letting go of it: %s", why.msg);
	err_detail(e, "Changes that the sink has not taken yet are read again later.");
	return -1;
}

/* --- the real cause of a broken stream */

static void poison(struct pg *pg, struct err *e, const char *detail)
{
	struct err was = *e;
	char lsn[PG_LSN_SIZE];

	pg_lsn_print(lsn, pg_received(pg));
	*e = ERR_INIT;
	err_set(e, CODE_poisoned, "the stream fails at %s: %s", lsn, was.msg);
	err_detail(e, "%s", detail);
	err_hint(e, "To go on behind it, with a gap: leat offsets set %s now --accept-gap",
		 pg->base.pipeline);
}

/* What failed last, of each pipeline: an attempt's source does not outlive it. */
struct failure {
	struct failure *next;
	uint64_t pipeline; /* hash of the name */
	struct pgoutput_place place;
	char state[6];
	unsigned count;
};

static struct failure *failures;
static pthread_mutex_t failures_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct failure *find_failure(uint64_t pipeline)
{
	struct failure *f = failures;

	while (f != NULL && f->pipeline != pipeline)
		f = f->next;
	if (f != NULL || (f = calloc(1, sizeof(*f))) == NULL)
		return f;
	f->pipeline = pipeline;
	f->next = failures;
	failures = f;
	return f;
}

/* How often it has failed here in a row, this time included. */
static unsigned count_failure(const struct pg *pg, const char *state)
{
	struct pgoutput_place at = pgoutput_place(pg->decoder);
	struct failure *f;
	unsigned n = 1;

	pthread_mutex_lock(&failures_mutex);
	f = find_failure(slice_hash(slice_of(pg->base.pipeline)));
	if (f != NULL) {
		if (strcmp(f->state, state) != 0 || f->place.end != at.end ||
		    f->place.commit != at.commit || f->place.n != at.n)
			f->count = 0;
		f->place = at;
		snprintf(f->state, sizeof(f->state), "%s", state);
		n = ++f->count;
	}
	pthread_mutex_unlock(&failures_mutex);
	return n;
}

static bool slot_is_lost(struct pg *pg, struct err *e)
{
	struct err why = ERR_INIT;
	struct pg_slot slot;
	int rc;

	/* the session may have died with the walsender */
	if (!pg_conn_is_alive(&pg->side))
		pg_conn_close(&pg->side);
	pg_hurry(pg, ASK_MS);
	rc = pg_slot_read(pg, &slot, &why);
	pg_hurry(pg, 0);
	if (rc < 0 || pg_slot_refuse_lost(pg, &slot, &why) == 0)
		return false;
	if (why.code != CODE_slot_lost)
		return false;
	*e = why;
	return true;
}

/* What may pass by itself, or not: the place tells. */
static void doubt(struct pg *pg, const char *state, enum code code, struct err *e)
{
	if (count_failure(pg, state) >= SAME_FAILURES)
		poison(pg, e, "It has failed there three times in a row.");
	else
		e->code = code;
}

void pg_watch_explain(struct pg *pg, const struct pg_result *failed,
		      struct err *e)
{
	char state[6];

	if (failed == NULL && e->code == CODE_source_protocol)
		doubt(pg, "", CODE_source_protocol, e);
	if (failed == NULL)
		return;
	snprintf(state, sizeof(state), "%s", pg_result_state(failed));
	if (pg_state_in(state, "42704")) {
		poison(pg, e, "Changes that were made while the publication did not exist cannot be read, even if it was created again.");
		return;
	}
	if ((pg_state_in(state, "57P01") || pg_state_in(state, "55000") ||
	     pg_state_in(state, "58P01")) &&
	    slot_is_lost(pg, e))
		return;
	if (pg_state_in(state, "57") || pg_state_in(state, "08"))
		return;
	/* a full disk or memory has nothing to do with the place */
	if (pg_state_in(state, "53000") || pg_state_in(state, "53100") ||
	    pg_state_in(state, "53200")) {
		e->code = CODE_source_unreachable;
		return;
	}
	doubt(pg, state, CODE_source_unreachable, e);
}
