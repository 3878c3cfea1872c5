/* power.h: what a loss of power may leave of a directory.
 *
 * Played, not real: a build with --enable-faults keeps a journal of what it did
 * to its files (base/disk.h), and is killed.  power_cut() does it all again in
 * memory, on a copy of what stood there before, and knows for each file what was
 * synced and what was not.  Then
 *
 *	a file has what it had at its last sync, and of each write, truncation
 *	and allocation since all, nothing, or some sectors of 512 bytes; where
 *	it grew and nothing was written it has zeros;
 *	a directory has the entries of its last sync, and any of the changes
 *	since: made, renamed (one step within a directory), removed.  A file's
 *	own sync makes nothing of its name durable;
 *	of writes to the same place any may be the last that arrived;
 *	a sync of a file that failed: some of what was dirty is written, and the
 *	rest never will be, although it can be read until then.
 *
 * That is what POSIX allows, and more than file systems do.  Each file and each
 * directory has a luck of its own: everything arrived, nothing, all up to some
 * instant, each operation or each sector by chance. */
#ifndef LEAT_T_POWER_H
#define LEAT_T_POWER_H

#include <stdint.h>

struct power_result {
	unsigned files, operations; /* not synced, at the instant of the loss */
	unsigned lost;		    /* of these, and of names */
};

/* Makes `tree`, and the copy `base`, anew.  base: how tree was when the process
 * started (it may be missing: empty).  The journal is removed.  The directory
 * `tree` itself is always there.  Aborts on what cannot be.  Frees nothing: for a
 * process that ends afterwards. */
struct power_result power_cut(const char *tree, const char *base,
			      const char *journal, uint64_t seed);

#endif
