/* The gear as a machine of states; each step of it takes what is there and does
 * not wait, so that a stop, a commit or a silent server is noticed in any. */
#include "config.h"
#include "sources/pg_catchup.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/note.h"
#include "sources/pg_query.h"
#include "sources/pg_read.h"
#include "sources/pg_state.h"
#include "sources/pg_watch.h"

#define GATHER_MS 10
#define COMMIT_MS 1000	/* for the sink to commit the last chunk */
#define LOOK_MS 500	/* at what a silent server is doing */
#define SILENT_MS 60000 /* so long may a chunk be decoded */
#define CANCEL_MS 10000
#define ANSWER_MS 2000
#define QUIET_MS 60000

/* What lasts longer than a statement of ours may, what a result may take, and
 * how soon a server process is to notice that its client is gone.  A limit that
 * is stricter stays. */
static const char settings_sql[] =
	"SELECT s.name, pg_catalog.set_config(s.name, CASE s.name"
	" WHEN 'work_mem' THEN '%" PRId64 "kB'"
	" WHEN 'temp_file_limit' THEN '%" PRId64 "kB'"
	" WHEN 'client_connection_check_interval' THEN '2s'"
	" ELSE '0' END, false) FROM pg_catalog.pg_settings s"
	" WHERE CASE s.name WHEN 'temp_file_limit' THEN"
	" s.setting::bigint NOT BETWEEN 0 AND %" PRId64 " AND %s"
	" ELSE s.name IN ('work_mem', 'statement_timeout',"
	" 'idle_session_timeout', 'transaction_timeout',"
	" 'client_connection_check_interval') END";
static const char advance_sql[] =
	"SELECT pg_catalog.pg_replication_slot_advance('%s', '%s')";
static const char stats_sql[] =
	"SELECT total_bytes, spill_bytes"
	" FROM pg_catalog.pg_stat_replication_slots WHERE slot_name = $1";
static const char cancel_sql[] = "SELECT pg_catalog.pg_cancel_backend($1)";

/* Where it goes to and fro that is said now and then. */
static void say(struct pg *pg, enum note_level level, const char *gear,
		const char *what, const char *cause)
{
	char component[PG_COMPONENT_SIZE], behind[24];
	uint64_t server = pg->catchup.view.server;
	uint64_t at = pg->catchup.view.at;

	if (cause == NULL && pg->catchup.said_ms != 0 &&
	    clock_mono_ms() - pg->catchup.said_ms < QUIET_MS)
		level = NOTE_DEBUG;
	else
		pg->catchup.said_ms = clock_mono_ms();
	snprintf(behind, sizeof(behind), "%" PRIu64,
		 server > at ? server - at : 0);
	note(level, pg_component(component, pg->base.pipeline), CODE_gear,
	     NOTE_KV({"gear", gear}, {"behind_bytes", behind}), "%s%s%s",
	     what, cause ? ": " : "", cause ? cause : "");
}

/* --- from one gear to the other */

/* A chunk has to hold the whole of a transaction in flight. */
static struct pg_gear_view view_of(const struct pg *pg, const struct pg_slot *slot)
{
	struct pgoutput_place place = pgoutput_place(pg->decoder);

	return (struct pg_gear_view){
		.restart = slot->restart,
		.confirmed = slot->confirmed,
		.ended = place.end,
		.at = place.commit > place.end ? place.commit : place.end,
		.server = slot->server,
	};
}

bool pg_catchup_pays(const struct pg *pg, const struct pg_slot *slot)
{
	struct pg_gear_view v = view_of(pg, slot);

	return pg->conf->catchup == PG_CATCHUP_AUTO && !pg->catchup.is_refused &&
	       pg_gear_pays(&pg->catchup.gear, &v);
}

void pg_catchup_judge(struct pg *pg, const struct pg_slot *slot)
{
	pg->catchup.view = view_of(pg, slot);
	pg->catchup.is_wanted = pg_catchup_pays(pg, slot);
}

static void set_state(struct pg *pg, enum pg_catchup_state state)
{
	pg->catchup.state = state;
	pg->catchup.state_ms = pg->catchup.heard_ms = clock_mono_ms();
	pg->catchup.looked_ms = pg->catchup.socket_ms = pg->catchup.state_ms;
}

static void shift_up(struct pg *pg, enum pg_catchup_state state)
{
	pg->catchup.is_on = true;
	set_state(pg, state);
	pg->base.gear = "catch-up";
	say(pg, NOTE_INFO, "catch-up",
	    "far behind: reading in chunks instead of streaming", NULL);
}

void pg_catchup_begin(struct pg *pg, const struct pg_slot *slot)
{
	pg->catchup.view = view_of(pg, slot);
	shift_up(pg, PG_CATCHUP_IDLE);
}

static bool cancel(struct pg *pg)
{
	struct err ignored = ERR_INIT;
	char pid[16];
	const char *params[] = {pid};
	struct pg_result *res;

	if (!pg_conn_is_alive(&pg->side))
		return false;
	snprintf(pid, sizeof(pid), "%d", pg_conn_pid(&pg->walsender));
	pg_hurry(pg, ANSWER_MS);
	res = pg_query_params(&pg->side, cancel_sql, params, 1, &ignored);
	pg_hurry(pg, 0);
	pg_result_free(res);
	return res != NULL;
}

/* By cancelling it: a walsender that was told in order (CopyDone) that the client
 * is done never streams a slot's changes again on that connection. */
int pg_catchup_enter(struct pg *pg, struct err *e)
{
	pg->catchup.is_wanted = false;
	if (!cancel(pg))
		return 0;
	if (pg_stream_leave(&pg->stream, e) < 0)
		return -1;
	pg_peek_adopt(&pg->catchup.peek, &pg->walsender);
	shift_up(pg, PG_CATCHUP_LEAVING);
	return 0;
}

static void put_peek(struct pg *pg, uint64_t upto, struct buf *sql)
{
	struct buf name = BUF_INIT;
	char lsn[PG_LSN_SIZE];

	pg_lsn_print(lsn, upto);
	pg_quote_name(&name, slice_of(pg->publication));
	buf_printf(sql, "SELECT lsn, data FROM pg_catalog.pg_logical_slot_peek_binary_changes('%s', '%s', NULL, 'proto_version', '1', 'publication_names', ",
		   pg->slot, lsn);
	pg_quote_text(sql, buf_get(&name));
	buf_text(sql, pg->conf->messages ? ", 'messages', 'true')" : ")");
	sql->failed |= name.failed;
	buf_fini(&name);
}

static int send_peek(struct pg *pg, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_text(&sql, "COPY (");
	put_peek(pg, pg->catchup.upto, &sql);
	buf_text(&sql, ") TO STDOUT (FORMAT binary)");
	buf_u8(&sql, '\0');
	set_state(pg, PG_CATCHUP_PEEKING);
	rc = sql.failed ? err_no_memory(e)
			: pg_peek_send(&pg->catchup.peek, &pg->walsender, sql.p, e);
	buf_fini(&sql);
	return rc;
}

/* Before PostgreSQL 15 a session whose decoding has failed or was cancelled goes on
 * believing that it has described its tables, to whatever is decoded next.  It
 * forgets that when decoding ends in order, which this does after one record. */
static int forget_tables(struct pg *pg, struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pg_result *res = NULL;

	if (pg->walsender.version >= 150000)
		return 0;
	put_peek(pg, 1, &sql);
	buf_u8(&sql, '\0');
	pg->walsender.until_ms = clock_mono_ms() + ANSWER_MS;
	if (sql.failed)
		err_no_memory(e);
	else
		res = pg_query(&pg->walsender, sql.p, e);
	pg->walsender.until_ms = 0;
	buf_fini(&sql);
	pg_result_free(res);
	return res != NULL ? 0 : -1;
}

/* The rest, or what a chunk could not do. */
static int shift_down(struct pg *pg, enum note_level level, const char *what,
		      const char *cause, struct err *e)
{
	say(pg, level, "streaming", what, cause);
	pg_peek_end(&pg->catchup.peek);
	pg->catchup.is_on = false;
	if (fault(FAULT_gear_switch))
		return err_set(e, CODE_source_unreachable, "fault gear_switch");
	return pg_stream_from(pg, pgoutput_place(pg->decoder).end, e) < 0
		       ? -1
		       : pg_restart_decoder(pg, e);
}

/* The server would not, or not now. */
static int give_up(struct pg *pg, const struct pg_result *failed, struct err *e)
{
	static const char *const never[] = {"42501", "42883", "0A000", "22023"};
	struct pg_catchup *c = &pg->catchup;
	struct err why = ERR_INIT;

	if (failed == NULL)
		err_set(&why, CODE_progress, "%s", c->why);
	else
		pg_query_error(failed, &why);
	for (size_t i = 0; failed != NULL && i < countof(never); i++)
		c->is_refused |= pg_state_in(pg_result_state(failed), never[i]);
	pg_gear_failed(&c->gear, &c->view, c->upto);
	pg_peek_end(&c->peek);
	/* what was refused has not begun to decode */
	if (!c->is_refused && forget_tables(pg, e) < 0)
		return -1;
	return shift_down(pg, c->is_refused ? NOTE_WARNING : NOTE_INFO,
			  c->is_refused ? "streaming" : "streaming for a while",
			  why.msg, e);
}

/* --- statements */

const char *pg_catchup_may_limit(int version)
{
	return version >= 150000
		       ? "pg_catalog.has_parameter_privilege('temp_file_limit',"
			 " 'SET')"
		       : "(SELECT r.rolsuper FROM pg_catalog.pg_roles r"
			 " WHERE r.rolname = current_user)";
}

static int set_up(struct pg *pg, struct err *e)
{
	int64_t temp_kb = pg->conf->catchup_temp / 1024;
	char sql[1200];
	struct pg_result *res;

	snprintf(sql, sizeof(sql), settings_sql, pg->conf->catchup_memory / 1024,
		 temp_kb, temp_kb,
		 pg_catchup_may_limit(pg->walsender.version));
	pg->walsender.until_ms = clock_mono_ms() + ANSWER_MS;
	res = pg_query(&pg->walsender, sql, e);
	pg->walsender.until_ms = 0;
	pg->catchup.is_set_up = res != NULL;
	pg_result_free(res);
	return res != NULL ? 0 : -1;
}

static int send_advance(struct pg *pg, struct err *e)
{
	char sql[sizeof(advance_sql) + PG_NAME_SIZE + PG_LSN_SIZE];
	char lsn[PG_LSN_SIZE];

	pg_lsn_print(lsn, pg->acked);
	snprintf(sql, sizeof(sql), advance_sql, pg->slot, lsn);
	set_state(pg, PG_CATCHUP_ADVANCING);
	return pg_peek_send(&pg->catchup.peek, &pg->walsender, sql, e);
}

/* What decoding has come to, for all that the server tells an ordinary role: a
 * transaction that is large is spilled before it goes into the result. */
static uint64_t decoded_bytes(struct pg *pg, uint64_t otherwise)
{
	const char *params[] = {pg->slot};
	struct err ignored = ERR_INIT;
	struct pg_result *res;
	uint64_t total, spilled;

	if (!pg_conn_is_alive(&pg->side))
		return otherwise;
	pg_hurry(pg, ANSWER_MS);
	res = pg_query_params(&pg->side, stats_sql, params, 1, &ignored);
	pg_hurry(pg, 0);
	if (res == NULL)
		return otherwise;
	pg->catchup.heard_ms = clock_mono_ms();
	total = (uint64_t)pg_int(res, 0, 0);
	spilled = (uint64_t)pg_int(res, 0, 1);
	pg_result_free(res);
	return total > spilled ? total : spilled;
}

/* --- steps: 1 there may be more, 0 nothing at the moment, 2 hand over the batch,
 * -1 */

enum { HAND_OVER = 2 };

/* The connection broke in the middle of it. */
static int broke(struct pg *pg, const struct batch *b, struct err *e)
{
	const struct pg_result *failed = pg_peek_failed(&pg->catchup.peek);

	if (failed != NULL && pg_result_state(failed)[0] != '\0')
		pg_query_error(failed, e);
	else
		pg_conn_lost(&pg->walsender, e);
	return pg_read_broke(pg, b, failed, e) < 0 ? -1 : HAND_OVER;
}

/* Its end, with everything before it thrown away. */
static int await_end(struct pg *pg, const struct batch *b, bool *is_over,
		     struct err *e)
{
	struct slice data;
	enum pg_peek_got got;

	*is_over = false;
	while ((got = pg_peek_next(&pg->catchup.peek, &data)) == PG_PEEK_DATA)
		pg->catchup.heard_ms = pg->catchup.socket_ms;
	if (got == PG_PEEK_NOTHING)
		return 0;
	if (pg_peek_is_lost(&pg->catchup.peek))
		return broke(pg, b, e);
	*is_over = true;
	return 1;
}

static int check_cancel(const struct pg *pg, struct err *e)
{
	if (clock_mono_ms() - pg->catchup.state_ms < CANCEL_MS)
		return 0;
	return err_set(e, CODE_source_unreachable,
		       "the server does not heed pg_cancel_backend()");
}

static int step_leaving(struct pg *pg, const struct batch *b, struct err *e)
{
	bool is_over;
	int rc = await_end(pg, b, &is_over, e);

	if (!is_over)
		return rc == 0 ? check_cancel(pg, e) : rc;
	pg_peek_end(&pg->catchup.peek);
	if (fault(FAULT_gear_switch))
		return err_set(e, CODE_source_unreachable, "fault gear_switch");
	set_state(pg, PG_CATCHUP_IDLE);
	return forget_tables(pg, e) < 0 || pg_restart_decoder(pg, e) < 0 ? -1 : 1;
}

static int step_cancelling(struct pg *pg, const struct batch *b, struct err *e)
{
	bool is_over;
	int rc = await_end(pg, b, &is_over, e);

	if (!is_over)
		return rc == 0 ? check_cancel(pg, e) : rc;
	return give_up(pg, NULL, e) < 0 ? -1 : HAND_OVER;
}

static int step_advancing(struct pg *pg, const struct batch *b, struct err *e)
{
	bool is_over;
	int rc = await_end(pg, b, &is_over, e);

	if (!is_over)
		return rc;
	if (pg_peek_failed(&pg->catchup.peek) != NULL)
		return give_up(pg, pg_peek_failed(&pg->catchup.peek), e) < 0
			       ? -1 : HAND_OVER;
	pg_peek_end(&pg->catchup.peek);
	set_state(pg, PG_CATCHUP_IDLE);
	if (fault(FAULT_chunk_advanced))
		return err_set(e, CODE_source_unreachable, "fault chunk_advanced");
	return 1;
}

/* The sink is a little behind: a chunk that begins where it stands repeats
 * less. */
static bool awaits_commit(const struct pg *pg, int64_t now)
{
	return pg->acked < pgoutput_place(pg->decoder).end &&
	       pg->catchup.has_chunk && now < pg->catchup.state_ms + COMMIT_MS;
}

static int refuse_settings(struct pg *pg, struct err *why, struct err *e)
{
	if (!pg_conn_is_open(&pg->walsender)) {
		*e = *why;
		return -1;
	}
	pg->catchup.is_refused = true;
	return shift_down(pg, NOTE_WARNING, "streaming", why->msg, e) < 0 ? -1 : HAND_OVER;
}

static int step_idle(struct pg *pg, struct err *e)
{
	struct pg_catchup *c = &pg->catchup;
	int64_t now = clock_mono_ms();
	struct err why = ERR_INIT;
	struct pg_slot slot;

	if (awaits_commit(pg, now))
		return 0;
	if (now < c->wait_ms)
		return 0;
	if (pg_watch_slot(pg, now, &slot) != 0)
		return shift_down(pg, NOTE_INFO, "streaming",
				  "there is no side connection", e) < 0
			       ? -1 : HAND_OVER;
	if (pg_slot_refuse_lost(pg, &slot, e) < 0)
		return -1;
	if (!c->is_set_up && set_up(pg, &why) < 0)
		return refuse_settings(pg, &why, e);
	c->view = view_of(pg, &slot);
	pg->base.behind_bytes = c->view.server > c->view.at
					? c->view.server - c->view.at : 0;
	if (pg->acked > slot.confirmed)
		return send_advance(pg, e) < 0 ? -1 : 1;
	switch (pg_gear_plan(&c->gear, &c->view, &c->upto)) {
	case PG_GEAR_DONE:
		return shift_down(pg, NOTE_INFO, "caught up: streaming again",
				  NULL, e) < 0 ? -1 : HAND_OVER;
	case PG_GEAR_STREAM:
		return shift_down(pg, NOTE_INFO, "streaming",
				  c->view.at > c->view.ended
					  ? "a transaction is larger than a chunk may be"
					  : "an old transaction is open, and each chunk would be decoded from there on",
				  e) < 0 ? -1 : HAND_OVER;
	case PG_GEAR_WAIT:
		c->wait_ms = now + COMMIT_MS;
		return 0;
	case PG_GEAR_CHUNK:
		break;
	}
	c->decoded = decoded_bytes(pg, 0);
	return send_peek(pg, e) < 0 ? -1 : 1;
}

static void stop_chunk(struct pg *pg, const char *why)
{
	pg->catchup.why = why;
	if (cancel(pg))
		set_state(pg, PG_CATCHUP_CANCELLING);
}

/* The server has sent nothing of the chunk yet: it is decoding. */
static int watch_decoding(struct pg *pg, int64_t now)
{
	struct pg_catchup *c = &pg->catchup;
	uint64_t bytes;

	if (c->peek.rows > 0 || now - c->looked_ms < LOOK_MS)
		return 0;
	c->looked_ms = now;
	bytes = decoded_bytes(pg, c->decoded);
	if (bytes > c->decoded && bytes - c->decoded > c->gear.limit)
		stop_chunk(pg, "a chunk is larger than catchup_temp");
	else if (now - c->state_ms >= SILENT_MS)
		stop_chunk(pg, "a chunk takes too long");
	return 0;
}

static int chunk_ended(struct pg *pg, const struct batch *b, struct err *e)
{
	struct pg_catchup *c = &pg->catchup;

	if (pg_peek_is_lost(&c->peek))
		return broke(pg, b, e);
	if (pg_peek_failed(&c->peek) != NULL)
		return give_up(pg, pg_peek_failed(&c->peek), e) < 0 ? -1
								    : HAND_OVER;
	if (!c->peek.has_ended)
		return err_set(e, CODE_source_protocol,
			       "a chunk ended before its end");
	pg_gear_succeeded(&c->gear, &c->view, c->upto, c->peek.bytes);
	pgoutput_idle(pg->decoder, c->upto);
	pg_peek_end(&c->peek);
	c->has_chunk = true;
	set_state(pg, PG_CATCHUP_IDLE);
	return pg_restart_decoder(pg, e) < 0 ? -1 : HAND_OVER;
}

static int step_peeking(struct pg *pg, struct batch *b, struct err *e)
{
	struct pg_catchup *c = &pg->catchup;
	enum pg_peek_got got;
	struct slice data, msg;
	uint64_t lsn;
	int rc, any = 0;

	while (!pg_read_is_full(pg, b)) {
		got = pg_peek_next(&c->peek, &data);
		if (got == PG_PEEK_END)
			return chunk_ended(pg, b, e);
		if (got == PG_PEEK_NOTHING)
			break;
		/* PostgreSQL 18 says so before the first row: which of them
		 * came before, the stream will tell */
		if (pg->walsender.publication_skipped) {
			pg->walsender.publication_skipped = false;
			stop_chunk(pg, "the publication is missing in a chunk");
			set_state(pg, PG_CATCHUP_CANCELLING);
			return 1;
		}
		any = 1;
		rc = pg_peek_row(&c->peek, data, &lsn, &msg, e);
		if (rc > 0)
			rc = pgoutput_message(pg->decoder, msg, lsn, b, e);
		if (rc < 0)
			return pg_read_refused(pg, b, e) < 0 ? -1 : HAND_OVER;
	}
	if (any) {
		c->heard_ms = c->socket_ms;
		atomic_store(&pg->base.last_heard_us, clock_wall_us());
	}
	if (pg_read_is_full(pg, b))
		return HAND_OVER;
	return any ? 1 : watch_decoding(pg, clock_mono_ms());
}

static int step(struct pg *pg, struct batch *b, struct err *e)
{
	switch (pg->catchup.state) {
	case PG_CATCHUP_LEAVING:
		return step_leaving(pg, b, e);
	case PG_CATCHUP_IDLE:
		return step_idle(pg, e);
	case PG_CATCHUP_ADVANCING:
		return step_advancing(pg, b, e);
	case PG_CATCHUP_PEEKING:
		return step_peeking(pg, b, e);
	case PG_CATCHUP_CANCELLING:
		return step_cancelling(pg, b, e);
	}
	return 0;
}

/* --- read() */

/* A server that is stopped or cut off says nothing on either connection; one that
 * has begun to send a result has no reason to pause. */
static int check_alive(const struct pg *pg, struct err *e)
{
	const struct pg_catchup *c = &pg->catchup;
	int64_t limit = pg->sender_timeout_ms * 2, heard = c->heard_ms;

	if (pg->watch.answered_ms > heard && c->peek.rows == 0)
		heard = pg->watch.answered_ms;
	if (limit == 0 || c->state == PG_CATCHUP_IDLE ||
	    c->socket_ms - heard < limit)
		return 0;
	return err_set(e, CODE_source_unreachable,
		       "nothing was heard from the server for %" PRId64 " s",
		       (c->socket_ms - heard) / 1000);
}

static int64_t next_look(const struct pg *pg, int64_t now)
{
	switch (pg->catchup.state) {
	case PG_CATCHUP_PEEKING:
		return now + LOOK_MS;
	case PG_CATCHUP_IDLE:
	case PG_CATCHUP_CANCELLING:
		return now + 50;
	default:
		return now + COMMIT_MS;
	}
}

int pg_catchup_fill(struct pg *pg, struct batch *b, int64_t deadline,
		    struct err *e)
{
	int64_t began = 0, now, until;
	bool woken = false;
	int rc;

	for (;;) {
		rc = step(pg, b, e);
		now = clock_mono_ms();
		if (rc < 0)
			return -1;
		if (rc == HAND_OVER)
			return 0;
		if (rc > 0)
			continue;
		if (check_alive(pg, e) < 0 || pg_watch_monitor(pg, now, e) < 0)
			return -1;
		if (b->n > 0 && began == 0)
			began = now;
		if ((b->n > 0 && now >= began + GATHER_MS) || now >= deadline ||
		    (woken && b->n == 0))
			return 0;
		until = next_look(pg, now);
		if (b->n > 0 && until > began + GATHER_MS)
			until = began + GATHER_MS;
		if (until > deadline)
			until = deadline;
		pg->catchup.peek.s = &pg->walsender;
		woken |= pg_peek_wait(&pg->catchup.peek, until,
				      woken ? -1 : pg->base.wake_fd);
		pg->catchup.socket_ms = clock_mono_ms();
	}
}

void pg_catchup_end(struct pg *pg)
{
	struct pg_catchup *c = &pg->catchup;

	if (c->is_on && c->state != PG_CATCHUP_IDLE &&
	    pg_conn_is_open(&pg->walsender))
		cancel(pg);
	pg_peek_end(&c->peek);
	c->is_on = c->is_wanted = c->is_refused = c->is_set_up = false;
	c->has_chunk = false;
}
