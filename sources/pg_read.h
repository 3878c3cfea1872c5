/* pg_read.h: read() and ack() of the Postgres source. */
#ifndef LEAT_SOURCES_PG_READ_H
#define LEAT_SOURCES_PG_READ_H

#include "sources/pg.h"

int pg_read(struct source *src, struct batch *b, int64_t deadline_ms,
	    struct err *e);
int pg_ack(struct source *src, const struct cursor *committed, struct err *e);
/* The connection broke, with *e and perhaps the server's error.  What came before
 * is handed over first: then 1, otherwise -1. */
int pg_read_broke(struct pg *pg, const struct batch *b,
		  const struct pg_result *failed, struct err *e);
/* The decoder could not take a message: likewise. */
int pg_read_refused(struct pg *pg, const struct batch *b, struct err *e);
/* A full batch ends where a transaction does, unless that is far: sinks commit
 * between batches, and some do not want to tear one. */
bool pg_read_is_full(const struct pg *pg, const struct batch *b);
/* The cursor hook of the decoder. */
struct slice pg_cursor_source(void *arg, const struct pgoutput_place *place,
			      struct arena *a);

#endif
