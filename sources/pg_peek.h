/* pg_peek.h: the catch-up gear's conversation on the walsender's connection:
 * statements that are sent now and answered later, with or without rows of a
 * COPY, without ever blocking.
 *
 * The rows of a chunk are those of
 *	COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes(...))
 *	TO STDOUT (FORMAT binary)
 * PostgreSQL manual, "COPY", "Binary Format". */
#ifndef LEAT_SOURCES_PG_PEEK_H
#define LEAT_SOURCES_PG_PEEK_H

#include "sources/pg_conn.h"

struct pg_stream;

struct pg_peek {
	struct pg_session *s;
	struct pg_result *res; /* the first failure, or the last result */
	char *held;	       /* libpq's memory of the last row */
	bool is_copying;
	bool has_begun;	 /* the head of the rows was read */
	bool has_ended;	 /* and their end */
	bool is_pouring; /* the socket wakes for a good amount only */
	uint64_t bytes;	 /* of rows */
	uint64_t rows;
};

enum pg_peek_got {
	PG_PEEK_NOTHING, /* so far */
	PG_PEEK_DATA,
	PG_PEEK_END, /* the statement has ended; the connection is free */
};

/* The session must be idle. */
int pg_peek_send(struct pg_peek *k, struct pg_session *s, const char *sql,
		 struct err *e) MUST_CHECK;
/* Takes over a session whose stream was ended by pg_stream_leave(): what is still
 * on its way comes as data. */
void pg_peek_adopt(struct pg_peek *k, struct pg_session *s);
/* Forgets everything. */
void pg_peek_end(struct pg_peek *k);

/* What is there; data lives until the next call. */
enum pg_peek_got pg_peek_next(struct pg_peek *k, struct slice *data);
/* One row out of the data of a chunk: 1, or 0 for the end of the rows. */
int pg_peek_row(struct pg_peek *k, struct slice data, uint64_t *lsn,
		struct slice *msg, struct err *e) MUST_CHECK;
/* Waits for more, until the time or wake_fd.  True when woken. */
bool pg_peek_wait(struct pg_peek *k, int64_t until_ms, int wake_fd);
/* After the end: the statement's failure, or NULL. */
const struct pg_result *pg_peek_failed(const struct pg_peek *k);
/* The connection is of no more use. */
bool pg_peek_is_lost(const struct pg_peek *k);

#endif
