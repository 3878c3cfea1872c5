/* pg_catchup.h: the catch-up gear.
 *
 * While the backlog is large the walsender's connection does not stream.  It
 * runs statements, with the claim it has: pg_logical_slot_peek_binary_changes()
 * gives the same messages in chunks, several times faster, and does not move the
 * slot; pg_replication_slot_advance() to a committed place is what feedback is
 * in streaming (S3).
 *
 * Each chunk begins where the slot stands and goes to a decoder that begins at
 * the pipeline's place: what was delivered is passed over, as after a
 * reconnect.  Whatever goes wrong is streaming's to deal with, and to name. */
#ifndef LEAT_SOURCES_PG_CATCHUP_H
#define LEAT_SOURCES_PG_CATCHUP_H

#include "sources/pg.h"
#include "sources/pg_slot.h"

/* SQL: may the role set temp_file_limit on a server of this version? */
const char *pg_catchup_may_limit(int version);

/* The connection is idle and the decoder made: begin in this gear? */
bool pg_catchup_pays(const struct pg *pg, const struct pg_slot *slot);
void pg_catchup_begin(struct pg *pg, const struct pg_slot *slot);
/* The stream is running: is the other gear wanted? */
void pg_catchup_judge(struct pg *pg, const struct pg_slot *slot);
/* Between transactions, and it is: leave the stream. */
int pg_catchup_enter(struct pg *pg, struct err *e) MUST_CHECK;
/* read()'s part: fills the batch as far as it goes.  It may end with the other
 * gear in. */
int pg_catchup_fill(struct pg *pg, struct batch *b, int64_t deadline_ms,
		    struct err *e) MUST_CHECK;
/* Gives up what is in progress; the connection is going to be closed. */
void pg_catchup_end(struct pg *pg);

#endif
