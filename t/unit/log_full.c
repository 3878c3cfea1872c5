/* A log on a file system that is full, in a mount namespace of its own. */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/log_verify.h"
#include "t/unit/log_lib.h"

enum { SKIPPED = 77 };

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* A tmpfs takes no files from a user that its namespace does not know. */
static bool enter_user_namespace(void)
{
	char uid[64], gid[64];

	snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)getuid());
	snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       put("/proc/self/setgroups", "deny") &&
	       put("/proc/self/uid_map", uid) && put("/proc/self/gid_map", gid);
}

static bool mount_small(const char *dir)
{
	if (unshare(CLONE_NEWNS) != 0 && !enter_user_namespace())
		return false;
	mkdir(dir, 0700);
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "size=3m") == 0;
}

static void spare(const char *dir, size_t n)
{
	char *p = calloc(1, n);

	lib_spew(lib_file(dir, "spare"), p, n);
	free(p);
}

/* Rows until there is no more room; returns the last that was taken.  As what
 * is written takes less than what was reserved for it, a commit makes room. */
static uint64_t fill_once(struct lib_log *l, struct table *tab, uint64_t seq)
{
	while (lib_rows(l, tab, seq, seq + 19, 400, false)) {
		struct cursor c = lib_cursor(seq + 19);

		seq += 20;
		/* every third is left for the commit at the end */
		if (seq % 60 == 1 && log_writer_commit(l->w, &c, &l->e) != 0)
			break;
	}
	return seq - 1;
}

static uint64_t fill(struct lib_log *l, struct table *tab, uint64_t seq,
		     bool *committed)
{
	uint64_t last = seq - 1, now;

	*committed = true;
	while ((now = fill_once(l, tab, last + 1)) > last &&
	       l->e.code == CODE_disk_full) {
		struct cursor c = lib_cursor(now);

		last = now;
		l->e = ERR_INIT;
		*committed = *committed && log_writer_commit(l->w, &c, &l->e) == 0;
	}
	return last;
}

static bool is_sound(const struct lib_log *l, uint64_t last)
{
	struct lib_read r = lib_read_all(l->conf.path, "earliest", 1 << 20);
	struct log_stat st;
	uint64_t open_bytes;
	struct err e = ERR_INIT;
	bool good = lib_is_range(&r, 1, last) &&
		    log_verify(l->conf.path, &st, &open_bytes, &e) == 0;

	if (!good)
		printf("# %s %s\n", r.e.msg, e.msg);
	log_stat_fini(&st);
	buf_fini(&r.cursor);
	return good;
}

static int run(const char *dir, int64_t segment_size)
{
	char path[DIR_MAX + 8];
	struct lib_log l = {.conf = lib_conf(path)};
	struct table *tab = lib_table("users", 1, 1);
	uint64_t last;
	bool committed;

	if (!mount_small(dir))
		return SKIPPED;
	snprintf(path, sizeof(path), "%s/log", dir);
	spare(dir, 1 << 20);
	l.conf.segment_size = segment_size;
	lib_open(&l);
	last = fill(&l, tab, 1, &committed);
	ok(l.e.code == CODE_disk_full && last > 100,
	   "a full disk is said after seq %" PRIu64 ": %s", last, l.e.msg);
	ok(!log_writer_is_dead(l.w), "the writer lives on");
	ok(committed && is_sound(&l, last),
	   "what was taken before can be committed, for which there is room %s", l.e.msg);
	l.e = ERR_INIT;
	ok(!lib_rows(&l, tab, last + 1, last + 20, 400, true) &&
		   l.e.code == CODE_disk_full,
	   "more is refused as long as nothing changes");
	unlink(lib_file(dir, "spare"));
	l.e = ERR_INIT;
	ok(lib_rows(&l, tab, last + 1, last + 20, 400, true) && is_sound(&l, last + 20),
	   "and taken once there is space %s", l.e.msg);
	last = fill(&l, tab, last + 21, &committed);
	is_int(l.e.code, CODE_disk_full, "the disk is full again");
	lib_close(&l);
	ok(lib_open(&l) && lib_cursor_seq(&l) <= last,
	   "a log on a full disk can be opened %s", l.e.msg);
	lib_close(&l);
	table_unref(tab);
	return tap_failed != 0;
}

static void test(const char *what, int64_t segment_size)
{
	const char *dir = lib_dir("full");
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* its lines are comments; the status counts */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		_exit(run(dir, segment_size));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		printf("ok %d # SKIP no mount namespaces here\n", ++tap_run);
	else
		ok(status == 0, "%s", what);
}

int main(void)
{
	note_setup(NOTE_ERROR, false);
	test("a full disk is a state that ends by itself", 64 << 20);
	test("also where segments are rolled", 64 << 10);
	lib_dir(NULL);
	return tap_done();
}
