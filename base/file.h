/* file.h: the one way to files that must survive a crash.
 *
 * Every write, sync, rename and unlink of the log and of the agent goes through
 * here (SQLite's through agent/state_vfs.c), so that a test can drop, tear or
 * fail any of them: base/disk.h.  All functions return 0 or -1 with err set;
 * CODE_disk_full for ENOSPC and EDQUOT, else CODE_log_io. */
#ifndef LEAT_BASE_FILE_H
#define LEAT_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* open(2) with O_CLOEXEC and mode 0640; the descriptor, or -1. */
int file_open(const char *path, int flags, struct err *e);
/* All n bytes at `at`. */
int file_write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e);
/* write(2), to where the descriptor stands. */
ssize_t file_write(int fd, const void *p, size_t n);
/* Up to n bytes; *got is less only at the end of the file. */
int file_read_at(int fd, void *p, size_t n, uint64_t at, size_t *got,
		 struct err *e);
/* fdatasync.  After a failure the descriptor is not to be trusted again: the
 * kernel may have dropped the dirty pages and say "done" next time. */
#define file_sync(fd, e) file_sync_for(__func__, fd, e)
int file_sync_for(const char *who, int fd, struct err *e);
/* Makes a new, renamed or removed name in `dir` durable. */
#define file_sync_dir(dir, e) file_sync_dir_for(__func__, dir, e)
int file_sync_dir_for(const char *who, const char *dir, struct err *e);
int file_truncate(int fd, uint64_t size, struct err *e);
/* Room for [at, at + n), the file's size included; a lack of space is said here
 * and not later. */
int file_allocate(int fd, uint64_t at, uint64_t n, struct err *e);
int file_rename(const char *from, const char *to, struct err *e);
/* Not there is no error. */
int file_remove(const char *path, struct err *e);
int file_size(int fd, uint64_t *size, struct err *e);
/* Like mkdir -p, mode 0750; the names are durable. */
int file_mkdirs(const char *path, struct err *e);
/* For good, with what was removed from it before. */
int file_remove_dir(const char *path, struct err *e);
/* An exclusive flock on path (made if missing), kept until the descriptor is
 * closed: the descriptor, or -1 with CODE_state_held when somebody has it. */
int file_lock(const char *path, struct err *e);
/* Does another process have it?  Makes nothing. */
bool file_is_locked(const char *path);
/* Is the file behind fd still the one that the name leads to? */
bool file_is_same(int fd, const char *path);

#endif
