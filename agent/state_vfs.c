/* state_vfs.c: SQLite's own VFS with base/disk.h before and after what changes
 * the disk.
 *
 * An open file is SQLite's own with ours behind it in the same memory: a copy of
 * its methods, four of them replaced.  The shared memory beside a database in
 * WAL mode (-shm) is left out: it is made again whenever it is lost. */
#include "config.h"
#include "agent/state_vfs.h"

#ifdef LEAT_FAULTS
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/disk.h"

struct ours {
	sqlite3_io_methods methods;
	const sqlite3_io_methods *real;
	const char *path; /* NULL: a temporary file */
	bool has_new_name; /* its first sync makes the name durable too */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs *real, vfs;

static size_t ours_at(void)
{
	size_t a = alignof(struct ours);

	return ((size_t)real->szOsFile + a - 1) / a * a;
}

static struct ours *ours_of(sqlite3_file *f)
{
	return (struct ours *)(void *)((char *)f + ours_at());
}

/* rc: what SQLite says when it is not for want of space */
static int fault_code(int errnum, int rc)
{
	return errnum == ENOSPC || errnum == EDQUOT ? SQLITE_FULL : rc;
}

static int errnum_of(int rc)
{
	return rc == SQLITE_OK ? 0 : (rc & 0xff) == SQLITE_FULL ? ENOSPC : EIO;
}

static int vfs_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	struct ours *o = ours_of(f);
	struct disk_io io = {.op = DISK_WRITE, .path = o->path, .p = p,
			     .n = (uint64_t)n, .at = (uint64_t)at};
	int errnum = disk_before(&io);
	int rc = errnum != 0 ? fault_code(errnum, SQLITE_IOERR_WRITE)
			     : o->real->xWrite(f, p, n, at);

	disk_after(&io, errnum_of(rc));
	return rc;
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct ours *o = ours_of(f);
	struct disk_io io = {.op = DISK_TRUNCATE, .path = o->path,
			     .n = (uint64_t)size};
	int errnum = disk_before(&io);
	int rc = errnum != 0 ? fault_code(errnum, SQLITE_IOERR_TRUNCATE)
			     : o->real->xTruncate(f, size);

	disk_after(&io, errnum_of(rc));
	return rc;
}

static int note_dir_sync(const char *path, const char *who)
{
	char dir[4096];
	struct disk_io io = {.op = DISK_SYNC_DIR, .path = dir, .who = who};
	int errnum;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	errnum = disk_before(&io);
	disk_after(&io, errnum);
	return errnum == 0 ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

/* A directory's sync is in SQLite's own code, inside of this. */
static int vfs_sync(sqlite3_file *f, int flags)
{
	struct ours *o = ours_of(f);
	struct disk_io io = {.op = DISK_SYNC, .path = o->path, .who = __func__};
	int errnum = disk_before(&io);
	int rc = errnum != 0 ? SQLITE_IOERR_FSYNC : o->real->xSync(f, flags);

	disk_after(&io, errnum_of(rc));
	if (rc == SQLITE_OK && o->has_new_name) {
		rc = note_dir_sync(o->path, __func__);
		o->has_new_name = rc != SQLITE_OK;
	}
	return rc;
}

static int vfs_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags,
		    int *out)
{
	struct disk_io io = {.op = DISK_OPEN, .path = path,
			     .n = flags & SQLITE_OPEN_CREATE ? 1 : 0};
	const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
	struct ours *o = ours_of(f);
	int errnum, rc;

	(void)v;
	if (path == NULL)
		return real->xOpen(real, path, f, flags, out);
	errnum = disk_before(&io);
	f->pMethods = NULL;
	rc = errnum != 0 ? SQLITE_CANTOPEN : real->xOpen(real, path, f, flags, out);
	disk_after(&io, errnum_of(rc));
	if (rc != SQLITE_OK)
		return rc;
	*o = (struct ours){.methods = *f->pMethods, .real = f->pMethods,
			   .path = path,
			   .has_new_name = io.n && (flags & journals) != 0};
	o->methods.xWrite = vfs_write;
	o->methods.xTruncate = vfs_truncate;
	o->methods.xSync = vfs_sync;
	f->pMethods = &o->methods;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *v, const char *path, int sync_dir)
{
	struct disk_io io = {.op = DISK_UNLINK, .path = path};
	int errnum = disk_before(&io);
	int rc = errnum != 0 ? SQLITE_IOERR_DELETE
			     : real->xDelete(real, path, sync_dir);

	(void)v;
	disk_after(&io, errnum_of(rc));
	if (rc == SQLITE_OK && sync_dir)
		rc = note_dir_sync(path, __func__);
	return rc;
}

/* SQLite is initialised by this.  The tests of a lack of memory may make one
 * allocation fail here, where a build that is not for tests does not come by. */
static void setup(void)
{
	for (int i = 0; i < 2 && real == NULL; i++)
		real = sqlite3_vfs_find(NULL);
	if (real == NULL)
		abort();
	vfs = *real;
	vfs.zName = "leat-disk";
	vfs.szOsFile = (int)(ours_at() + sizeof(struct ours));
	vfs.xOpen = vfs_open;
	vfs.xDelete = vfs_delete;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		abort();
}

const char *state_vfs(void)
{
	pthread_once(&once, setup);
	return vfs.zName;
}
#endif
