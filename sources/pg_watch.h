/* pg_watch.h: what the side connection is for while the stream runs: one
 * monitoring query per 10 s, and seeing that the server wants to stop. */
#ifndef LEAT_SOURCES_PG_WATCH_H
#define LEAT_SOURCES_PG_WATCH_H

#include "sources/pg.h"
#include "sources/pg_slot.h"

/* Asks how far behind the pipeline is and whether the slot is safe, if that is
 * due.  Not being able to ask is no error; a slot that is lost is, and a reader
 * that waits for its queue learns of it here. */
int pg_watch_monitor(struct pg *pg, int64_t now_ms, struct err *e) MUST_CHECK;
int64_t pg_watch_due(const struct pg *pg);
/* The same question at once: -1 when it cannot be asked. */
int pg_watch_slot(struct pg *pg, int64_t now_ms, struct pg_slot *slot) MUST_CHECK;

/* The server waits, before it stops, until all it has sent is confirmed.  When
 * that does not happen for lack of progress at the sink: is it stopping? */
int pg_watch_shutdown(struct pg *pg, int64_t now_ms, struct err *e) MUST_CHECK;

/* The stream broke with the server's error `failed` (may be NULL) and *e, or made
 * no sense: looks for the real cause, which may turn *e into a code that stops
 * the pipeline. */
void pg_watch_explain(struct pg *pg, const struct pg_result *failed,
		      struct err *e);

#endif
