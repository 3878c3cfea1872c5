#include "config.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"

#define PATH_SIZE 4096

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
	struct disk_io io = {.op = DISK_OPEN, .path = path};
	int fd = -1, errnum;

	io.n = (flags & O_CREAT ? 1 : 0) + (flags & O_TRUNC ? 2 : 0);
	errnum = disk_before(&io);
	if (errnum == 0 && (fd = open(path, flags | O_CLOEXEC, 0640)) < 0)
		errnum = errno;
	disk_after(&io, errnum);
	return errnum == 0 ? fd : fail(e, errnum, "open", path);
}

int file_write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e)
{
	struct disk_io io = {.op = DISK_WRITE, .fd = fd, .p = p, .at = at};
	int errnum = disk_before(&io);

	while (errnum == 0 && io.n < n) {
		ssize_t done = pwrite(fd, (const char *)p + io.n, n - io.n,
				      (off_t)(at + io.n));

		if (done > 0)
			io.n += (size_t)done;
		else if (done == 0 || errno != EINTR)
			errnum = done < 0 ? errno : EIO;
	}
	disk_after(&io, io.n > 0 ? 0 : errnum);
	return errnum == 0 ? 0 : fail(e, errnum, "write to", NULL);
}

ssize_t file_write(int fd, const void *p, size_t n)
{
	struct disk_io io = {.op = DISK_WRITE, .fd = fd, .p = p};
	int errnum = disk_before(&io);
	ssize_t done = -1;

	if (errnum == 0 && (done = write(fd, p, n)) < 0)
		errnum = errno;
#ifdef LEAT_FAULTS
	if (done > 0) {
		off_t end = lseek(fd, 0, SEEK_CUR);

		io.n = (uint64_t)done;
		io.at = end > done ? (uint64_t)(end - done) : 0;
	}
#endif
	disk_after(&io, errnum);
	errno = errnum;
	return done;
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

int file_sync_for(const char *who, int fd, struct err *e)
{
	struct disk_io io = {.op = DISK_SYNC, .who = who, .fd = fd};
	int errnum = disk_before(&io);

	if (errnum == 0 && fdatasync(fd) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	return errnum == 0 ? 0 : fail(e, errnum, "sync", NULL);
}

int file_sync_dir_for(const char *who, const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct disk_io io = {.op = DISK_SYNC_DIR, .who = who, .fd = fd};
	int errnum;

	if (fd < 0)
		return fail(e, errno, "open directory", dir);
	errnum = disk_before(&io);
	if (errnum == 0 && fsync(fd) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	close(fd);
	return errnum == 0 ? 0 : fail(e, errnum, "sync directory", dir);
}

int file_truncate(int fd, uint64_t size, struct err *e)
{
	struct disk_io io = {.op = DISK_TRUNCATE, .fd = fd, .n = size};
	int errnum = disk_before(&io);

	if (errnum == 0 && ftruncate(fd, (off_t)size) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	return errnum == 0 ? 0 : fail(e, errnum, "truncate", NULL);
}

int file_allocate(int fd, uint64_t at, uint64_t n, struct err *e)
{
	struct disk_io io = {.op = DISK_ALLOCATE, .fd = fd, .at = at, .n = n};
	int errnum = disk_before(&io);

	if (errnum == 0)
		do {
			errnum = posix_fallocate(fd, (off_t)at, (off_t)n);
		} while (errnum == EINTR);
	disk_after(&io, errnum);
	return errnum == 0 ? 0 : fail(e, errnum, "allocate space for", NULL);
}

int file_rename(const char *from, const char *to, struct err *e)
{
	struct disk_io io = {.op = DISK_RENAME, .path = from, .to = to};
	int errnum = disk_before(&io);

	if (errnum == 0 && rename(from, to) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	return errnum == 0 ? 0 : fail(e, errnum, "rename", from);
}

int file_remove(const char *path, struct err *e)
{
	struct disk_io io = {.op = DISK_UNLINK, .path = path};
	int errnum = disk_before(&io);

	if (errnum == 0 && unlink(path) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	return errnum == 0 || errnum == ENOENT
		       ? 0
		       : fail(e, errnum, "remove", path);
}

int file_size(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(e, errno, "stat", NULL);
	*size = (uint64_t)st.st_size;
	return 0;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_empty_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *ent;
	bool is_empty = d != NULL;

	while (is_empty && (ent = readdir(d)) != NULL)
		is_empty = strcmp(ent->d_name, ".") == 0 ||
			   strcmp(ent->d_name, "..") == 0;
	if (d != NULL)
		closedir(d);
	return is_empty;
}

static void parent_of(const char *path, char out[PATH_SIZE])
{
	const char *slash = strrchr(path, '/');
	int n = slash == NULL ? 0 : (int)(slash - path);

	if (n > 0)
		snprintf(out, PATH_SIZE, "%.*s", n, path);
	else
		snprintf(out, PATH_SIZE, "%s", slash ? "/" : ".");
}

/* We put nothing into a directory before its name is durable: if we made one and
 * were killed, it is empty. */
static int make_dir(const char *path, struct err *e)
{
	struct disk_io io = {.op = DISK_MKDIR, .path = path};
	int errnum = disk_before(&io);
	char parent[PATH_SIZE];

	if (errnum == 0 && mkdir(path, 0750) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	if (errnum != 0 && (errnum != EEXIST || !is_directory(path)))
		return fail(e, errnum, "create directory", path);
	parent_of(path, parent);
	if (errnum != 0 && (!is_empty_dir(path) || access(parent, R_OK) != 0))
		return 0;
	return file_sync_dir(parent, e);
}

int file_mkdirs(const char *path, struct err *e)
{
	char part[PATH_SIZE];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(part))
		return err_sys(e, CODE_log_io, ENAMETOOLONG,
			       "could not create directory \"%.100s\"", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (part[i - 1] != '/' && make_dir(part, e) != 0)
			return -1;
		part[i] = path[i];
	}
	return 0;
}

int file_remove_dir(const char *path, struct err *e)
{
	struct disk_io io = {.op = DISK_RMDIR, .path = path};
	int errnum = disk_before(&io);
	char parent[PATH_SIZE];

	if (errnum == 0 && rmdir(path) != 0)
		errnum = errno;
	disk_after(&io, errnum);
	if (errnum != 0 && errnum != ENOENT)
		return fail(e, errnum, "remove directory", path);
	parent_of(path, parent);
	return file_sync_dir(parent, e);
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

bool file_is_locked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool held;

	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) != 0;
	close(fd);
	return held;
}

bool file_is_same(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
