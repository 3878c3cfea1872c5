/* state_vfs.h: SQLite's writes through base/disk.h, in builds with
 * --enable-faults. */
#ifndef LEAT_AGENT_STATE_VFS_H
#define LEAT_AGENT_STATE_VFS_H

#include <stddef.h>

#ifdef LEAT_FAULTS
/* Name of the VFS for sqlite3_open_v2(). */
const char *state_vfs(void);
#else
static inline const char *state_vfs(void)
{
	return NULL; /* SQLite's own */
}
#endif

#endif
