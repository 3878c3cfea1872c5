#include "config.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct err *e, int errnum, const char *what, const char *path)
{
	enum code code = errnum == ENOSPC || errnum == EDQUOT ? CODE_disk_full
							      : CODE_log_io;

	if (path != NULL)
		return err_sys(e, code, errnum, "could not %s \"%s\"", what,
			       path);
	return err_sys(e, code, errnum, "could not %s file", what);
}

int file_open(const char *path, int flags, struct err *e)
{
	int fd = open(path, flags | O_CLOEXEC, 0640);

	return fd >= 0 ? fd : fail(e, errno, "open", path);
}

int file_write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = pwrite(fd, from, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return fail(e, done < 0 ? errno : EIO, "write to", NULL);
		from += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

int file_read_at(int fd, void *p, size_t n, uint64_t at, size_t *got,
		 struct err *e)
{
	*got = 0;
	while (*got < n) {
		ssize_t done = pread(fd, (char *)p + *got, n - *got,
				     (off_t)(at + *got));

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fail(e, errno, "read from", NULL);
		if (done == 0)
			break;
		*got += (size_t)done;
	}
	return 0;
}

int file_sync(int fd, struct err *e)
{
	return fdatasync(fd) == 0 ? 0 : fail(e, errno, "sync", NULL);
}

int file_sync_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return fail(e, errno, "open directory", dir);
	if (fsync(fd) != 0)
		rc = fail(e, errno, "sync directory", dir);
	close(fd);
	return rc;
}

int file_truncate(int fd, uint64_t size, struct err *e)
{
	return ftruncate(fd, (off_t)size) == 0 ? 0
					       : fail(e, errno, "truncate", NULL);
}

int file_allocate(int fd, uint64_t at, uint64_t n, struct err *e)
{
	int rc;

	do {
		rc = posix_fallocate(fd, (off_t)at, (off_t)n);
	} while (rc == EINTR);
	return rc == 0 ? 0 : fail(e, rc, "allocate space for", NULL);
}

int file_rename(const char *from, const char *to, struct err *e)
{
	return rename(from, to) == 0 ? 0 : fail(e, errno, "rename", from);
}

int file_remove(const char *path, struct err *e)
{
	return unlink(path) == 0 || errno == ENOENT
		       ? 0
		       : fail(e, errno, "remove", path);
}

int file_size(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(e, errno, "stat", NULL);
	*size = (uint64_t)st.st_size;
	return 0;
}

/* errno is EEXIST before and, if it is something else, after. */
static bool is_directory(const char *path)
{
	struct stat st;
	bool is = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	errno = EEXIST;
	return is;
}

int file_mkdirs(const char *path, struct err *e)
{
	char part[4096];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(part))
		return err_sys(e, CODE_log_io, ENAMETOOLONG,
			       "could not create directory \"%.100s\"", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0750) != 0 &&
		    (errno != EEXIST || !is_directory(part)))
			return fail(e, errno, "create directory", part);
		part[i] = path[i];
	}
	return 0;
}

int file_lock(const char *path, struct err *e)
{
	int fd = file_open(path, O_RDWR | O_CREAT, e);

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			err_set(e, CODE_state_held,
				"\"%s\" is locked by another process", path);
		else
			fail(e, errno, "lock", path);
		close(fd);
		return -1;
	}
	return fd;
}

bool file_is_same(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
