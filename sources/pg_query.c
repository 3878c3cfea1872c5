/* Statements run asynchronously, so that each wait has a deadline and can be cut
 * short; the walsender's connection knows only the simple protocol, the side
 * connection gets parameters apart from the text. */
#include "config.h"
#include "sources/pg_query.h"

#include <libpq-fe.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "sources/pg_state.h"
#include "sources/pgoutput.h"

/* statement_timeout ends a statement before; this is for a server that does not
 * answer at all. */
#define ANSWER_MS 35000

static const char *field(const PGresult *res, int code)
{
	const char *s = PQresultErrorField(res, code);

	return s ? s : "";
}

const char *pg_result_state(const struct pg_result *res)
{
	return field(res, PG_DIAG_SQLSTATE);
}

bool pg_result_is_error(const struct pg_result *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_COPY_BOTH:
		return false;
	default:
		return true;
	}
}

int pg_query_error(const struct pg_result *res, struct err *e)
{
	const char *hint = field(res, PG_DIAG_MESSAGE_HINT);

	pg_state_error(pg_result_state(res), field(res, PG_DIAG_MESSAGE_PRIMARY),
		       field(res, PG_DIAG_MESSAGE_DETAIL), e);
	if (hint[0] != '\0')
		err_hint(e, "%s", hint);
	return -1;
}

int pg_query_send(struct pg_session *s, const char *sql, struct err *e)
{
	s->is_woken = false;
	if (s->c == NULL || PQsendQuery(s->c, sql) == 0)
		return pg_conn_lost(s, e);
	return 0;
}

/* Waits until PQgetResult() does not block: 1, 0 at the deadline, -1. */
static int await_input(struct pg_session *s, int64_t *deadline, struct err *e)
{
	for (;;) {
		int unsent = PQflush(s->c);

		if (unsent < 0)
			return pg_conn_lost(s, e);
		if (!PQisBusy(s->c))
			return 1;
		if (pg_conn_wait(s, (short)(POLLIN | (unsent ? POLLOUT : 0)),
				 deadline) == 0 &&
		    clock_mono_ms() >= *deadline)
			return 0;
		if (PQconsumeInput(s->c) == 0 && !PQisBusy(s->c))
			return 1; /* an error that came before the end */
		if (PQstatus(s->c) != CONNECTION_OK)
			return pg_conn_lost(s, e);
	}
}

int pg_query_await(struct pg_session *s, int64_t deadline_ms,
		   struct pg_result **res, struct err *e)
{
	PGresult *last = NULL, *next;
	int rc;

	*res = NULL;
	for (;;) {
		rc = await_input(s, &deadline_ms, e);
		if (rc <= 0)
			break;
		next = PQgetResult(s->c);
		if (next == NULL)
			break;
		/* the first error is the one to tell of */
		if (last != NULL && pg_result_is_error(last)) {
			PQclear(next);
			continue;
		}
		PQclear(last);
		last = next;
		if (PQresultStatus(last) == PGRES_COPY_BOTH)
			break;
	}
	if (rc <= 0 && (last == NULL || !pg_result_is_error(last))) {
		PQclear(last);
		return rc;
	}
	*res = last;
	return last != NULL ? 1 : pg_conn_lost(s, e);
}

static struct pg_result *collect(struct pg_session *s, struct err *e)
{
	struct pg_result *res;
	int64_t until = s->until_ms ? s->until_ms : clock_mono_ms() + ANSWER_MS;
	int rc = pg_query_await(s, until, &res, e);

	if (rc == 0)
		err_set(e, CODE_source_unreachable,
			s->is_woken ? "interrupted"
				    : "the server does not answer");
	if (rc <= 0) {
		pg_conn_close(s);
		return NULL;
	}
	if (pg_result_is_error(res)) {
		pg_query_error(res, e);
		PQclear(res);
		return NULL;
	}
	return res;
}

struct pg_result *pg_query(struct pg_session *s, const char *sql, struct err *e)
{
	return pg_query_send(s, sql, e) < 0 ? NULL : collect(s, e);
}

struct pg_result *pg_query_params(struct pg_session *s, const char *sql,
				  const char *const *params, int n,
				  struct err *e)
{
	s->is_woken = false;
	if (s->c == NULL ||
	    PQsendQueryParams(s->c, sql, n, NULL, params, NULL, NULL, 0) == 0) {
		pg_conn_lost(s, e);
		return NULL;
	}
	return collect(s, e);
}

int pg_query_run(struct pg_session *s, const char *sql, struct err *e)
{
	struct pg_result *res = pg_query(s, sql, e);

	PQclear(res);
	return res != NULL ? 0 : -1;
}

int pg_query_change(struct pg_session *s, const char *sql, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (pg_query_run(s, "BEGIN READ WRITE", e) < 0)
		return -1;
	if (pg_query_run(s, sql, e) == 0)
		return pg_query_run(s, "COMMIT", e);
	if (pg_query_run(s, "ROLLBACK", &ignored) < 0)
		pg_conn_close(s);
	return -1;
}

void pg_result_free(struct pg_result *res)
{
	PQclear(res);
}

int pg_rows(const struct pg_result *res)
{
	return PQntuples(res);
}

const char *pg_text(const struct pg_result *res, int row, int col)
{
	return row < PQntuples(res) && col < PQnfields(res)
		       ? PQgetvalue(res, row, col) : "";
}

struct slice pg_cell(const struct pg_result *res, int row, int col)
{
	return slice_of(pg_text(res, row, col));
}

bool pg_is_true(const struct pg_result *res, int row, int col)
{
	return strcmp(pg_text(res, row, col), "t") == 0;
}

int64_t pg_int(const struct pg_result *res, int row, int col)
{
	int64_t v;

	return slice_to_i64(pg_cell(res, row, col), &v) ? v : 0;
}

uint64_t pg_lsn(const struct pg_result *res, int row, int col)
{
	uint64_t v;

	return pg_lsn_parse(pg_cell(res, row, col), &v) ? v : 0;
}

static void quote(struct buf *b, struct slice s, char mark)
{
	buf_u8(b, (uint8_t)mark);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == mark)
			buf_u8(b, (uint8_t)mark);
		buf_u8(b, (uint8_t)s.p[i]);
	}
	buf_u8(b, (uint8_t)mark);
}

void pg_quote_name(struct buf *b, struct slice name)
{
	quote(b, name, '"');
}

void pg_quote_text(struct buf *b, struct slice text)
{
	quote(b, text, '\'');
}
