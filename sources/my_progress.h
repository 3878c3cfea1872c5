/* my_progress.h: how far a binlog has been read: complete transactions, and what
 * is done of the one in flight.
 *
 * It keeps the place of the restart rule: the set of GTIDs of all complete
 * transactions, and for a transaction in flight its GTID, the n changes (rows)
 * done of it and a rolling hash of them.  Told to resume there, the first n
 * changes of that transaction are to be skipped, and the hash is compared
 * (CODE_diverged).  Every change takes an ordinal and a seq before any filter.
 *
 * Invariants: `place` is at any time what a cursor may say.  Inside a
 * transaction place.n == ordinal, unless the first changes are being skipped:
 * then place is still the one to resume at.  seq grows by one with each change
 * that is not skipped. */
#ifndef LEAT_SOURCES_MY_PROGRESS_H
#define LEAT_SOURCES_MY_PROGRESS_H

#include "base/err.h"
#include "sources/my_gtid.h"

struct my_place {
	struct my_gtid_set done;
	struct my_gtid flight; /* of the transaction in flight; number 0: none */
	uint64_t n;	       /* changes of it that are done */
	uint64_t hash;	       /* of their rows */
};

struct my_progress {
	struct my_place place;
	uint64_t seq;
	bool is_resuming; /* place.flight and its n changes are still to come */

	bool in_txn;
	bool is_done; /* the transaction is part of place.done */
	struct my_gtid id;
	uint64_t number;	/* of the transaction, among those begun */
	uint64_t ordinal, hash; /* of the last change */
};

/* Where the cursor in front of a change is, but for the complete transactions. */
struct my_before {
	struct my_gtid flight;
	uint64_t n, hash;
};

/* Copies the place; -1 on lack of memory. */
int my_progress_init(struct my_progress *at, const struct my_place *from,
		     uint64_t seq) MUST_CHECK;
void my_progress_fini(struct my_progress *at);

int my_progress_begin(struct my_progress *at, const struct my_gtid *id,
		      struct err *e) MUST_CHECK;
/* Counts a change, of which these are the bytes.  *before becomes the place
 * directly before it; *skip says that it was delivered in an earlier life. */
int my_progress_count(struct my_progress *at, struct slice bytes,
		      struct my_before *before, bool *skip, struct err *e)
	MUST_CHECK;
/* COMMIT.  The only one that changes place.done, as the last thing it does. */
int my_progress_end(struct my_progress *at, struct err *e) MUST_CHECK;
int my_progress_rollback(struct my_progress *at, struct err *e) MUST_CHECK;

#endif
