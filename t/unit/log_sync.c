/* A disk that fails a sync.  What the kernel does then is played here: pages
 * that could not be written are let go of, and count as written from then on.
 * So there is a second copy of the segment, the disk's, which gets what was
 * written only by a sync that succeeds. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "t/unit/log_lib.h"

#define SIZE (1u << 20)
#define PAGE 4096u

static struct {
	ino_t ino; /* of the segment; 0: not watched */
	char bytes[SIZE];
	bool dirty[SIZE / PAGE];
	bool fails; /* the next sync */
} disk;

static bool is_watched(int fd)
{
	struct stat st;

	return disk.ino != 0 && fstat(fd, &st) == 0 && st.st_ino == disk.ino;
}

static void touch(uint64_t at, uint64_t n)
{
	for (uint64_t page = at / PAGE; n > 0 && page <= (at + n - 1) / PAGE; page++)
		disk.dirty[page] = true;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t done = syscall(SYS_pwrite64, fd, p, n, at);

	if (done > 0 && is_watched(fd))
		touch((uint64_t)at, (uint64_t)done);
	return done;
}

int ftruncate(int fd, off_t size)
{
	if (is_watched(fd))
		touch((uint64_t)size, 1);
	return (int)syscall(SYS_ftruncate, fd, size);
}

static void write_back(int fd)
{
	for (size_t i = 0; i < countof(disk.dirty); i++)
		if (disk.dirty[i] &&
		    pread(fd, disk.bytes + i * PAGE, PAGE, (off_t)(i * PAGE)) < 0)
			abort();
}

int fdatasync(int fd)
{
	bool fails = disk.fails;

	if (!is_watched(fd))
		return 0;
	if (!fails)
		write_back(fd);
	memset(disk.dirty, 0, sizeof(disk.dirty));
	disk.fails = false;
	errno = EIO;
	return fails ? -1 : 0;
}

static void watch(const char *segment)
{
	struct stat st;

	if (stat(segment, &st) != 0)
		abort();
	disk.ino = st.st_ino;
	memset(disk.dirty, 1, sizeof(disk.dirty));
}

/* The power goes: the disk's copy is what is left. */
static void lose_power(const char *segment)
{
	struct stat st;

	if (stat(segment, &st) != 0)
		abort();
	lib_spew(segment, disk.bytes, (size_t)st.st_size);
}

static void test_failed_sync(void)
{
	const char *dir = lib_dir("sync");
	char *segment = strdup(lib_segment(dir, 1));
	struct lib_log l = {.conf = lib_conf(dir)};
	struct table *tab = lib_table("users", 1, 1);
	struct lib_read r;
	uint64_t told;

	l.conf.compression = 0;
	lib_open(&l);
	watch(segment);
	ok(lib_rows(&l, tab, 1, 3, 3000, true), "rows are committed");
	disk.fails = true;
	ok(!lib_rows(&l, tab, 4, 6, 3000, true), "a sync that fails is an error");
	ok(log_writer_is_dead(l.w), "the writer is not used again");
	lib_close(&l);
	ok(lib_open(&l), "the log is opened again");
	told = lib_cursor_seq(&l);
	ok(told == 3 || told == 6, "and says what it has: up to %u",
	   (unsigned)told);
	ok(lib_rows(&l, tab, told + 1, 9, 3000, true), "it goes on");
	lib_close(&l);
	lose_power(segment);
	r = lib_read_all(dir, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 9), "all of it is on the disk: up to %u %s",
	   (unsigned)r.last, r.e.msg);
	buf_fini(&r.cursor);
	table_unref(tab);
	free(segment);
}

int main(void)
{
	note_setup(NOTE_ERROR, false);
	test_failed_sync();
	lib_dir(NULL);
	return tap_done();
}
