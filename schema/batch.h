/* batch.h: the unit of allocation, hand-over, transform and delivery.
 *
 * An arena, its events, and the cursor after the last of them.  Filled by one
 * thread, then read-only.  Recycled: after warm-up nothing is malloc'd per
 * event.  A batch may have no events: then only the cursor moves. */
#ifndef LEAT_SCHEMA_BATCH_H
#define LEAT_SCHEMA_BATCH_H

#include "base/arena.h"
#include "schema/cursor.h"
#include "schema/event.h"

struct batch {
	struct arena arena;
	struct event *ev;
	size_t n, cap;
	struct cursor cursor; /* its source part is in the arena */
	struct batch *next;   /* for whoever queues it */
	/* private */
	struct table **tables;
	size_t ntables, tables_cap;
	uint64_t mark;
};

/* *Returns owned*, or NULL. */
struct batch *batch_new(void);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);
/* What it holds in memory: counts against the queue's limit. */
size_t batch_bytes(const struct batch *b);

/* A cleared event at the end, valid until the next call; NULL on lack of
 * memory (and the arena's flag is set). */
struct event *batch_add(struct batch *b);
/* Keeps the table alive as long as the batch; cheap when called again for the
 * same table.  Returns tab, or NULL on lack of memory. */
struct table *batch_use_table(struct batch *b, struct table *tab);
/* n values, not cleared. */
struct value *batch_values(struct batch *b, uint32_t n);
/* Copies the cursor in. */
int batch_set_cursor(struct batch *b, const struct cursor *c, struct err *e)
	MUST_CHECK;

#endif
