/* disk.h: a disk that fails, fills up, or is cut off from power, for tests.
 *
 * Compiled in by --enable-faults.  base/file.c and agent/state_vfs.c tell it of
 * each operation before and after; the environment says what becomes of them.
 *
 *	LEAT_DISK_FAULT=OP:N:ERROR[:MORE][,...]
 *		the N-th OP (from 1) does not happen.  OP: a name of disk_op_names,
 *		or any.  ERROR: EIO, ENOSPC, EDQUOT; kill, to die there; late, to
 *		die a while later, so that the other threads get on meanwhile.
 *		MORE: `on`, all that follow fail too; a path, they fail as long
 *		as there is such a file.
 *	LEAT_DISK_JOURNAL=FILE
 *		appends what was done (struct disk_record), in order.  The process
 *		may be killed at any instant; t/power.h makes of the journal what
 *		a loss of power at that instant may have left.
 *	LEAT_MUTATE=nosync:FUNCTION or nosyncdir:FUNCTION
 *		what this function syncs, files or directories, is not in the
 *		journal: as if the call were missing in the source
 *
 * An operation and its record are one step under a mutex.  What a kill leaves
 * between the two was done and is not in the journal, which is as if the loss of
 * power had dropped it: it had not been synced. */
#ifndef LEAT_BASE_DISK_H
#define LEAT_BASE_DISK_H

#include <stdint.h>

#include "base/util.h"

enum disk_op {
	DISK_OPEN, /* n: 1 it may make the file, 2 it empties it, 3 both */
	DISK_MKDIR,
	DISK_WRITE,
	DISK_TRUNCATE,
	DISK_ALLOCATE,
	DISK_SYNC,
	DISK_SYNC_DIR,
	DISK_RENAME,
	DISK_UNLINK,
	DISK_RMDIR,
	DISK_OP_COUNT
};

struct disk_io {
	enum disk_op op;
	const char *who;  /* function that asks for a sync */
	const char *path; /* NULL: what fd is */
	const char *to;	  /* of a rename */
	const void *p;	  /* of a write */
	uint64_t at, n;
	int fd;
};

/* What stands in the journal: this, path, `to`, and of a write n bytes. */
struct disk_record {
	uint32_t op, failed; /* only of syncs: the kernel lets go of what was dirty */
	uint32_t path_n, to_n;
	uint64_t at, n;
};

#ifdef LEAT_FAULTS
/* 0, and it is to be done; or the errno with which it is to fail. */
int disk_before(const struct disk_io *io) MUST_CHECK;
/* Follows each disk_before(); errnum: what became of it. */
void disk_after(const struct disk_io *io, int errnum);
/* Instead of LEAT_DISK_FAULT; NULL: nothing fails any more. */
void disk_set_fault(const char *spec);
/* Operations that have failed since, or of which the process would have died. */
unsigned long disk_failures(void);
#else
static inline int disk_before(const struct disk_io *io)
{
	(void)io;
	return 0;
}

static inline void disk_after(const struct disk_io *io, int errnum)
{
	(void)io, (void)errnum;
}
#endif

#endif
