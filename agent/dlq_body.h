/* dlq_body.h: the events of dead letters, in the table "part" of their file: each
 * value in pieces, so that a large one is not in memory twice. */
#ifndef LEAT_AGENT_DLQ_BODY_H
#define LEAT_AGENT_DLQ_BODY_H

#include "agent/db.h"
#include "schema/batch.h"

/* *bytes: how many it takes. */
int dlq_body_put(struct db *db, uint64_t letter, const struct event *ev,
		 uint64_t *bytes, struct err *e) MUST_CHECK;
/* Appends the event to b. */
int dlq_body_load(struct db *db, uint64_t letter, struct batch *b, struct err *e)
	MUST_CHECK;

#endif
