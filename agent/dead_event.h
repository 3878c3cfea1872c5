/* dead_event.h: one event in a form that stands by itself, with the table
 * versions it refers to: it can be shown and delivered when the table has long
 * had another shape.
 *
 *	number of tables (varint), the stored form of each (table.h) with its
 *	length before, the event as a rowbin body
 *
 * Large values are left out of it, empty in their place.  They are stored beside
 * it straight from where they are, so that none is in memory twice. */
#ifndef LEAT_AGENT_DEAD_EVENT_H
#define LEAT_AGENT_DEAD_EVENT_H

#include "schema/batch.h"

#define DEAD_EVENT_LARGE (64u << 10)

int dead_event_pack(const struct event *ev, struct buf *out, struct err *e)
	MUST_CHECK;
/* The first large value from *slot on, *borrowed*; false: no more.  The number of
 * its place is left in *slot. */
bool dead_event_large(const struct event *ev, uint32_t *slot,
		      struct slice *value);

/* Appends the event to b, all of it in b's arena but the large values.
 * CODE_log_corrupt for what was not made by dead_event_pack(). */
int dead_event_unpack(struct slice packed, struct batch *b, struct err *e)
	MUST_CHECK;
/* Where the value of a slot belongs; NULL when it has none such. */
struct slice *dead_event_slot(struct event *ev, uint32_t slot);

#endif
