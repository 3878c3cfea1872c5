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

struct rowbin_slot;

/* State of one body while it is written: rowbin_begin() for each body.  All
 * zeros at first.  What the events refer to (transactions, tables, origins) is
 * *borrowed* until the next rowbin_begin() or rowbin_fini(); their text is not. */
struct rowbin_writer {
	struct buf *out;
	bool failed;	  /* no memory; sticky until rowbin_begin() */
	uint32_t ntables; /* in the dictionary of this body */
	/* private: what the last event said, as most of the next repeats it */
	const struct origin *origin;
	const struct txn *txn;
	struct table *table;
	uint32_t table_index;
	uint64_t seq, ordinal, table_ordinal, pos;
	int64_t read_us;
	/* private: table -> index, by address */
	struct rowbin_slot *slots;
	uint32_t nslots, generation;
};

void rowbin_begin(struct rowbin_writer *w, struct buf *out);
void rowbin_put(struct rowbin_writer *w, const struct event *ev);
void rowbin_fini(struct rowbin_writer *w);

/* Finds the table of a dictionary entry; *borrows*; NULL: not known.  Called
 * directly before the first event of the body that uses it, so it may append
 * events of its own to the batch. */
typedef struct table *rowbin_find_table(void *arg, struct slice full_name,
					uint32_t version);

/* Appends the events of a body to b; all text points into the body, which must
 * live as long as the batch (put it into the arena).  Of an OP_SCHEMA event the
 * version before (schema->prev) is not stored.  CODE_log_corrupt for what is no
 * body; the batch may then hold some of its events. */
int rowbin_read(struct slice body, struct batch *b, rowbin_find_table *find,
		void *arg, struct err *e) MUST_CHECK;

#endif
