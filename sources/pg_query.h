/* pg_query.h: statements, results, and what an error means for a pipeline.
 *
 * Results are libpq's own, seen through the accessors below; their text lives
 * as long as they do. */
#ifndef LEAT_SOURCES_PG_QUERY_H
#define LEAT_SOURCES_PG_QUERY_H

#include "sources/pg_conn.h"

/* One statement.  The result is *owned by the caller* (pg_result_free); NULL
 * with err set on any failure.  A server that does not answer in time is taken
 * for gone, and the connection closed. */
struct pg_result *pg_query(struct pg_session *s, const char *sql, struct err *e);
/* With parameters $1, $2, ...: the statement's text is always the same. */
struct pg_result *pg_query_params(struct pg_session *s, const char *sql,
				  const char *const *params, int n,
				  struct err *e);
/* A statement without a result of interest. */
int pg_query_run(struct pg_session *s, const char *sql, struct err *e) MUST_CHECK;
/* One that writes: sessions are read-only otherwise. */
int pg_query_change(struct pg_session *s, const char *sql, struct err *e)
	MUST_CHECK;

/* Sends; then pg_query_await() waits up to the deadline (clock_mono_ms).
 * Returns 1 with a result or an error in *res, 0 at the deadline, -1 when the
 * server is gone. */
int pg_query_send(struct pg_session *s, const char *sql, struct err *e) MUST_CHECK;
int pg_query_await(struct pg_session *s, int64_t deadline_ms,
		  struct pg_result **res, struct err *e) MUST_CHECK;
/* Fills err from a failed result; its SQLSTATE decides the code.  Returns -1. */
int pg_query_error(const struct pg_result *res, struct err *e);
/* "42704", or "" */
const char *pg_result_state(const struct pg_result *res);
bool pg_result_is_error(const struct pg_result *res);

void pg_result_free(struct pg_result *res);
int pg_rows(const struct pg_result *res);
/* Text of a cell, "" for NULL; lives as long as the result. */
const char *pg_text(const struct pg_result *res, int row, int col);
struct slice pg_cell(const struct pg_result *res, int row, int col);
bool pg_is_true(const struct pg_result *res, int row, int col);
int64_t pg_int(const struct pg_result *res, int row, int col);
uint64_t pg_lsn(const struct pg_result *res, int row, int col);

/* Appends "quoted ""identifier""" or 'literal'. */
void pg_quote_name(struct buf *b, struct slice name);
void pg_quote_text(struct buf *b, struct slice text);

#endif
