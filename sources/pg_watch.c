#include "config.h"
#include "sources/pg_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/note.h"
#include "sources/pg_query.h"
#include "sources/pg_slot.h"
#include "sources/pg_state.h"

#define MONITOR_MS 10000
#define CONNECT_MS 3000
#define LOOK_MS 1000
#define RECONNECT_MS 5000
#define STUCK_MS 3000
#define SAFE_BYTES ((int64_t)256 << 20)
#define SAME_FAILURES 3

/* --- monitoring */

static void judge_risk(struct pg *pg, const struct pg_slot *slot)
{
	char component[PG_COMPONENT_SIZE], safe[24];
	bool risk = strcmp(slot->status, "unreserved") == 0 ||
		    (slot->safe_bytes >= 0 && slot->safe_bytes < SAFE_BYTES);

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

void pg_watch_monitor(struct pg *pg, int64_t now)
{
	struct err e = ERR_INIT;
	struct pg_slot slot;

	if (now < pg_watch_due(pg))
		return;
	pg->watch.asked_ms = now;
	if (try_side(pg, now, &e) != 0 || pg_slot_read(pg, &slot, &e) < 0) {
		atomic_store(&pg->base.behind_bytes, UINT64_MAX);
		return;
	}
	atomic_store(&pg->base.behind_bytes,
		     slot.server > pg->stream.received
			     ? slot.server - pg->stream.received
			     : 0);
	judge_risk(pg, &slot);
}

int64_t pg_watch_due(const struct pg *pg)
{
	return pg->watch.asked_ms + MONITOR_MS;
}

/* --- shutdown */

int pg_watch_shutdown(struct pg *pg, int64_t now, struct err *e)
{
	struct err why = ERR_INIT;

	if (pg->stream.flush >= pg->stream.received ||
	    now - pg->stream.moved_ms < STUCK_MS ||
	    now - pg->watch.looked_ms < LOOK_MS)
		return 0;
	pg->watch.looked_ms = now;
	/* a fast shutdown ends ordinary sessions first; what counts is that no
	 * new one is let in */
	if (try_side(pg, now, &why) >= 0 || why.code != CODE_source_unreachable)
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

	pg_lsn_print(lsn, pg->stream.received);
	*e = ERR_INIT;
	err_set(e, CODE_poisoned, "the stream fails at %s: %s", lsn, was.msg);
	err_detail(e, "%s", detail);
	err_hint(e, "To go on behind it, with a gap: leat offsets set %s now --accept-gap",
		 pg->base.pipeline);
}

static bool is_same_failure(struct pg *pg, const char *state)
{
	struct pg_trouble *t = &pg->trouble;
	struct pgoutput_place at = pgoutput_place(pg->decoder);

	if (strcmp(t->state, state) != 0 || t->place.end != at.end ||
	    t->place.commit != at.commit || t->place.n != at.n)
		*t = (struct pg_trouble){.place = at};
	snprintf(t->state, sizeof(t->state), "%s", state);
	return ++t->count >= SAME_FAILURES;
}

static bool slot_is_lost(struct pg *pg, struct err *e)
{
	struct err why = ERR_INIT;
	struct pg_slot slot;

	/* the session may have died with the walsender */
	if (!pg_conn_is_alive(&pg->side))
		pg_conn_close(&pg->side);
	if (pg_slot_read(pg, &slot, &why) < 0 ||
	    pg_slot_refuse_lost(pg, &slot, &why) == 0)
		return false;
	if (why.code != CODE_slot_lost)
		return false;
	*e = why;
	return true;
}

void pg_watch_explain(struct pg *pg, const struct pg_result *failed,
		      struct err *e)
{
	char state[6];

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
	/* everything else may pass, or not: the place tells */
	if (is_same_failure(pg, state))
		poison(pg, e, "It has failed there three times in a row.");
	else
		e->code = CODE_source_unreachable;
}
