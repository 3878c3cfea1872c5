/* rowbin.h: events in the binary form that the log stores.
 *
 * A body is a sequence of entries, each a kind byte and its fields; integers
 * are LEB128, text is length and bytes.  Table versions are referred to by
 * (full name, version) through a per-body dictionary, so a body can be read
 * when the table versions before it in the segment are known.  The layout of
 * each entry stands in rowbin.c. */
#ifndef LEAT_SCHEMA_ROWBIN_H
#define LEAT_SCHEMA_ROWBIN_H

#include "schema/batch.h"

/* State of one body while it is written; rowbin_begin() for each body. */
struct rowbin_writer {
	struct buf *out;
	const struct txn *txn;	/* last one written */
	struct slice txn_coord;
	struct table **tables;	/* dictionary of the body */
	size_t ntables, cap;
	uint64_t seq;		/* last one written: the next is a delta */
	bool failed;
};

void rowbin_begin(struct rowbin_writer *w, struct buf *out);
void rowbin_put(struct rowbin_writer *w, const struct event *ev);
void rowbin_fini(struct rowbin_writer *w);

/* Finds the table of a dictionary entry; *borrows*; NULL: not known. */
typedef struct table *rowbin_find_table(void *arg, struct slice full_name,
					uint32_t version);

/* Appends the events of a body to b; all text points into the body, which must
 * live as long as the batch (put it into the arena).  OP_SCHEMA does not occur
 * in bodies: it comes from the log's table frames. */
int rowbin_read(struct slice body, struct batch *b, rowbin_find_table *find,
		void *arg, struct err *e) MUST_CHECK;

#endif
