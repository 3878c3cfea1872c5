/* The replication slot.
 *
 * Invariant S3: the slot's confirmed_flush never passes a cursor that the sink
 * has committed.  So a slot that stands further on was moved by somebody else,
 * and one that is not there any more has taken changes with it. */
#include "config.h"
#include "sources/pg_slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/note.h"
#include "sources/pg_query.h"
#include "sources/pg_state.h"

/* One row, whether there is a slot or not.  to_jsonb() makes columns that
 * servers before 16 or 17 do not have into nulls. */
static const char slot_sql[] =
	"SELECT s.slot_name IS NOT NULL, s.slot_type, s.plugin,"
	" s.database = pg_catalog.current_database(), s.temporary, s.two_phase,"
	" s.active_pid, s.confirmed_flush_lsn, s.restart_lsn, s.wal_status,"
	" COALESCE(pg_catalog.to_jsonb(s) ->> 'invalidation_reason',"
	" CASE WHEN pg_catalog.to_jsonb(s) ->> 'conflicting' = 'true'"
	" THEN 'conflict' END),"
	" s.safe_wal_size, pg_catalog.pg_current_wal_flush_lsn()"
	" FROM (VALUES (true)) one (x)"
	" LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1";
static const char copy_sql[] =
	"SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2, false)";
static const char drop_sql[] = "SELECT pg_catalog.pg_drop_replication_slot($1)";
static const char blockers_sql[] =
	"SELECT pg_catalog.array_to_string("
	"pg_catalog.pg_blocking_pids($1::integer), ', ')";

/* --- reading */

static void describe_foreign(const struct pg_result *res, struct pg_slot *slot)
{
	if (strcmp(pg_text(res, 0, 1), "logical") != 0)
		snprintf(slot->what, sizeof(slot->what), "is a physical one");
	else if (strcmp(pg_text(res, 0, 2), "pgoutput") != 0)
		snprintf(slot->what, sizeof(slot->what),
			 "is one of the plugin %.40s", pg_text(res, 0, 2));
	else if (!pg_is_true(res, 0, 3))
		snprintf(slot->what, sizeof(slot->what),
			 "belongs to another database");
	else if (pg_is_true(res, 0, 4))
		snprintf(slot->what, sizeof(slot->what), "is temporary");
	else if (pg_is_true(res, 0, 5))
		snprintf(slot->what, sizeof(slot->what),
			 "decodes in two phases");
	else
		slot->is_ours = true;
}

int pg_slot_read(struct pg *pg, struct pg_slot *slot, struct err *e)
{
	return pg_slot_read_other(pg, pg->slot, slot, e);
}

int pg_slot_read_other(struct pg *pg, const char *name, struct pg_slot *slot,
		       struct err *e)
{
	const char *params[] = {name};
	struct pg_result *res;

	*slot = (struct pg_slot){0};
	if (pg_side(pg, e) < 0)
		return -1;
	res = pg_query_params(&pg->side, slot_sql, params, 1, e);
	if (res == NULL)
		return -1;
	slot->exists = pg_is_true(res, 0, 0);
	if (slot->exists)
		describe_foreign(res, slot);
	slot->active_pid = pg_int(res, 0, 6);
	slot->confirmed = pg_lsn(res, 0, 7);
	slot->restart = pg_lsn(res, 0, 8);
	snprintf(slot->status, sizeof(slot->status), "%s", pg_text(res, 0, 9));
	snprintf(slot->reason, sizeof(slot->reason), "%s", pg_text(res, 0, 10));
	slot->safe_bytes = pg_text(res, 0, 11)[0] ? pg_int(res, 0, 11) : -1;
	slot->server = pg_lsn(res, 0, 12);
	slot->is_lost = strcmp(slot->status, "lost") == 0 ||
			slot->reason[0] != '\0';
	pg_result_free(res);
	return 0;
}

static int refuse_foreign(const struct pg *pg, const struct pg_slot *slot,
			  struct err *e)
{
	err_set(e, CODE_slot_lost,
		"replication slot \"%s\" is not the pipeline's: it %s", pg->slot,
		slot->what);
	err_hint(e, "Drop it if nobody needs it: SELECT pg_drop_replication_slot('%s'); then: leat offsets set %s now --accept-gap",
		 pg->slot, pg->base.pipeline);
	return -1;
}

int pg_slot_refuse_lost(const struct pg *pg, const struct pg_slot *slot,
			struct err *e)
{
	if (!slot->exists)
		err_set(e, CODE_slot_lost, "replication slot \"%s\" does not exist",
			pg->slot);
	else if (!slot->is_ours)
		return refuse_foreign(pg, slot, e);
	else if (slot->is_lost)
		err_set(e, CODE_slot_lost,
			"replication slot \"%s\" has been invalidated by the server: %s",
			pg->slot,
			slot->reason[0] ? slot->reason : "its log was removed");
	else
		return 0;
	err_detail(e, "Changes since the last delivery cannot be read any more.");
	err_hint(e, "To go on from now, with a gap: leat offsets set %s now --accept-gap",
		 pg->base.pipeline);
	return -1;
}

int pg_slot_refuse_busy(const struct pg *pg, const struct pg_slot *slot,
			struct err *e)
{
	if (slot->active_pid == 0)
		return 0;
	err_set(e, CODE_slot_busy,
		"replication slot \"%s\" is active for PID %" PRId64, pg->slot,
		slot->active_pid);
	err_detail(e, "An earlier connection of ours lives until the server notices its end, at the latest after wal_sender_timeout.");
	return -1;
}

/* --- creating */

/* Creation waits for every transaction that runs at its start: say which, and
 * do not wait for ever. */
static void name_blockers(struct pg *pg, char *out, size_t size)
{
	struct err ignored = ERR_INIT;
	char pid[16];
	const char *params[] = {pid};
	struct pg_result *res;

	out[0] = '\0';
	snprintf(pid, sizeof(pid), "%d", pg_conn_pid(&pg->walsender));
	if (pg_side(pg, &ignored) < 0)
		return;
	res = pg_query_params(&pg->side, blockers_sql, params, 1, &ignored);
	if (res != NULL)
		snprintf(out, size, "%s", pg_text(res, 0, 0));
	pg_result_free(res);
}

static int give_up(struct pg *pg, struct err *e)
{
	struct pg_result *res = NULL;
	struct err ignored = ERR_INIT;
	char pids[200];

	name_blockers(pg, pids, sizeof(pids));
	pg_conn_cancel(&pg->walsender);
	if (pg_query_await(&pg->walsender, clock_mono_ms() + 2000, &res,
			   &ignored) != 1)
		pg_conn_close(&pg->walsender);
	pg_result_free(res);
	if (pg->walsender.is_woken)
		return err_set(e, CODE_source_unreachable,
			       "creating replication slot \"%s\" was interrupted",
			       pg->slot);
	err_set(e, CODE_source_refused,
		"replication slot \"%s\" could not be created within %" PRId64 " s",
		pg->slot, pg->conf->slot_timeout / 1000);
	err_detail(e, "The server waits for transactions that are open: PID %s.",
		   pids[0] ? pids : "unknown");
	err_hint(e, "End them, or raise slot_timeout.");
	return -1;
}

static void note_wait(struct pg *pg)
{
	char component[PG_COMPONENT_SIZE], pids[200];

	name_blockers(pg, pids, sizeof(pids));
	note(NOTE_WARNING, pg_component(component, pg->base.pipeline),
	     CODE_progress, NOTE_KV({"pids", pids}, {"slot", pg->slot}),
	     "creating the replication slot waits for open transactions");
}

static struct pg_result *await_creation(struct pg *pg, struct err *e)
{
	int64_t start = clock_mono_ms(), end = start + pg->conf->slot_timeout;
	int64_t first = start + 3000 < end ? start + 3000 : end;
	struct pg_result *res = NULL;
	int rc = pg_query_await(&pg->walsender, first, &res, e);

	if (rc == 0 && first < end && !pg->walsender.is_woken) {
		note_wait(pg);
		rc = pg_query_await(&pg->walsender, end, &res, e);
	}
	if (rc == 0)
		give_up(pg, e);
	if (rc == 1 && pg_result_is_error(res)) {
		pg_query_error(res, e);
		err_wrap(e, "replication slot \"%s\"", pg->slot);
		pg_result_free(res);
		return NULL;
	}
	return res;
}

int pg_slot_create(struct pg *pg, uint64_t *lsn, struct err *e)
{
	bool failover = pg->conf->failover == PG_FAILOVER_AUTO &&
			pg->walsender.version >= 170000;
	char sql[200], component[PG_COMPONENT_SIZE], text[PG_LSN_SIZE];
	struct pg_result *res;

	snprintf(sql, sizeof(sql),
		 "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput %s", pg->slot,
		 failover ? "(SNAPSHOT 'nothing', FAILOVER)"
			  : "NOEXPORT_SNAPSHOT");
	if (fault(FAULT_slot_intent))
		return err_set(e, CODE_source_unreachable, "fault slot_intent");
	/* waiting for a transaction is waiting for a lock */
	if (pg_query_run(&pg->walsender, "SET lock_timeout = 0", e) < 0 ||
	    pg_query_send(&pg->walsender, sql, e) < 0)
		return -1;
	res = await_creation(pg, e);
	if (res == NULL)
		return -1;
	*lsn = pg_lsn(res, 0, 1);
	pg_result_free(res);
	if (fault(FAULT_slot_create))
		return err_set(e, CODE_source_unreachable, "fault slot_create");
	pg_lsn_print(text, *lsn);
	note(NOTE_INFO, pg_component(component, pg->base.pipeline), CODE_progress,
	     NOTE_KV({"slot", pg->slot}, {"lsn", text}),
	     "created the replication slot");
	return pg_query_run(&pg->walsender, "SET lock_timeout = '1s'", e);
}

int pg_slot_copy(struct pg *pg, const char *from, struct err *e)
{
	const char *params[] = {from, pg->slot};
	struct pg_result *res;

	if (pg_side(pg, e) < 0)
		return -1;
	res = pg_query_params(&pg->side, copy_sql, params, 2, e);
	if (res == NULL) {
		err_wrap(e, "a copy of replication slot \"%s\"", from);
		return -1;
	}
	pg_result_free(res);
	return 0;
}

int pg_slot_drop(struct pg *pg, const struct pg_slot *slot, struct err *e)
{
	const char *params[] = {pg->slot};
	char component[PG_COMPONENT_SIZE];
	struct pg_result *res;

	if (!slot->exists)
		return 0;
	if (pg_slot_refuse_busy(pg, slot, e) < 0 || pg_side(pg, e) < 0)
		return -1;
	res = pg_query_params(&pg->side, drop_sql, params, 1, e);
	if (res == NULL) {
		err_wrap(e, "replication slot \"%s\"", pg->slot);
		return -1;
	}
	pg_result_free(res);
	note(NOTE_INFO, pg_component(component, pg->base.pipeline), CODE_progress,
	     NOTE_KV({"slot", pg->slot}), "dropped the replication slot");
	return 0;
}

/* --- resuming */

static int check_timeline(struct pg *pg, const struct pg_cursor *at, struct err *e)
{
	struct pg_result *res;
	char sql[48];
	int rc;

	if (pg->tli <= at->tli)
		return pg_cursor_on_history(at, pg->tli, (struct slice){0}, e);
	snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %" PRIu32, pg->tli);
	res = pg_query(&pg->walsender, sql, e);
	if (res == NULL)
		return -1;
	rc = pg_cursor_on_history(at, pg->tli, pg_cell(res, 0, 1), e);
	pg_result_free(res);
	return rc;
}

static void hint_gap(const struct pg *pg, struct err *e)
{
	err_hint(e, "Point the conf at the right server, or, to go on here with a gap: leat offsets set %s now --accept-gap",
		 pg->base.pipeline);
}

int pg_slot_same_server(struct pg *pg, const struct pg_slot *slot,
			const struct pg_cursor *at, struct err *e)
{
	uint64_t last = at->place.commit > at->place.end ? at->place.commit
							 : at->place.end;
	char have[PG_LSN_SIZE], has[PG_LSN_SIZE];

	if (at->sysid != pg->sysid) {
		err_set(e, CODE_wrong_server,
			"the server has system identifier %" PRIu64
			", but changes were delivered from %" PRIu64,
			pg->sysid, at->sysid);
		hint_gap(pg, e);
		return -1;
	}
	if (check_timeline(pg, at, e) < 0) {
		hint_gap(pg, e);
		return -1;
	}
	if (slot->server >= last)
		return 0;
	pg_lsn_print(have, last);
	pg_lsn_print(has, slot->server);
	err_set(e, CODE_diverged,
		"changes up to %s have been delivered, but the server's log ends at %s",
		have, has);
	err_detail(e, "The server has lost transactions that it had reported as committed, or was restored from an older backup.");
	hint_gap(pg, e);
	return -1;
}

static int check_advanced(const struct pg *pg, const struct pg_slot *slot,
			  const struct pg_cursor *at, struct err *e)
{
	char have[PG_LSN_SIZE], has[PG_LSN_SIZE];

	if (slot->confirmed <= at->place.end)
		return 0;
	pg_lsn_print(have, at->place.end);
	pg_lsn_print(has, slot->confirmed);
	err_set(e, CODE_slot_advanced,
		"replication slot \"%s\" stands at %s, but only changes up to %s have been delivered",
		pg->slot, has, have);
	err_detail(e, "Somebody else moved it, or dropped and created it again: the changes between are gone.");
	err_hint(e, "To go on from where the slot stands, with a gap: leat offsets set %s slot --accept-gap",
		 pg->base.pipeline);
	return -1;
}

int pg_slot_can_resume(struct pg *pg, const struct pg_slot *slot,
		       const struct pg_cursor *at, struct err *e)
{
	if (pg_slot_same_server(pg, slot, at, e) < 0 ||
	    pg_slot_refuse_lost(pg, slot, e) < 0 ||
	    check_advanced(pg, slot, at, e) < 0)
		return -1;
	if (at->place.commit != 0 && at->opt != pg->opt) {
		char lsn[PG_LSN_SIZE];

		pg_lsn_print(lsn, at->place.end);
		err_set(e, CODE_options_changed,
			"option publication or messages was changed while a transaction was half delivered");
		err_detail(e, "With the new options its changes are numbered otherwise.");
		err_hint(e, "Set them back until the transaction is through, or deliver it again from its start: leat offsets set %s %s",
			 pg->base.pipeline, lsn);
		return -1;
	}
	return pg_slot_refuse_busy(pg, slot, e);
}
