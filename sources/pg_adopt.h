/* pg_adopt.h: taking over from another agent without a new snapshot;
 * leat-sources(7), "Taking over from Debezium". */
#ifndef LEAT_SOURCES_PG_ADOPT_H
#define LEAT_SOURCES_PG_ADOPT_H

#include "sources/pg_slot.h"

/* Is it the offset of a Debezium connector, as Kafka Connect prints it? */
bool pg_adopt_is_offset(struct slice position);
/* The place that such an offset means, for a slot that stands at `confirmed`. */
int pg_adopt_place(struct slice offset, uint64_t confirmed,
		   struct pgoutput_place *place, struct err *e) MUST_CHECK;

/* What is known of the slot that a position is relative to: the pipeline's own
 * or, with a name, that one, which nobody may be reading from while the pipeline
 * has none yet. */
int pg_adopt_look(struct pg *pg, const char *name, struct pg_slot *slot,
		  struct err *e) MUST_CHECK;

#endif
