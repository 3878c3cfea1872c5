#include "config.h"
#include "base/disk.h"

#ifdef LEAT_FAULTS
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/util.h"

#define LATE_US 150000
#define DEATH (-1)
#define LATE_DEATH (-2)

static const char *const op_names[DISK_OP_COUNT] = {
	[DISK_OPEN] = "open",	      [DISK_MKDIR] = "mkdir",
	[DISK_WRITE] = "write",	      [DISK_TRUNCATE] = "truncate",
	[DISK_ALLOCATE] = "allocate", [DISK_SYNC] = "sync",
	[DISK_SYNC_DIR] = "dirsync",  [DISK_RENAME] = "rename",
	[DISK_UNLINK] = "unlink",     [DISK_RMDIR] = "rmdir",
};

static const struct {
	const char *name;
	int errnum;
} errors[] = {
	{"EIO", EIO},	    {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
	{"kill", DEATH}, {"late", LATE_DEATH},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static int journal = -1;
static struct plan {
	int op; /* enum disk_op, or DISK_OP_COUNT for any */
	unsigned long from, hits;
	int errnum;
	char more[1024]; /* "", "on", or a path */
} plans[4];
static size_t nplans;
static unsigned long failures;

/* Cuts off what stands before the character c. */
static void take(const char **spec, char c, char *out, size_t size)
{
	size_t n = strcspn(*spec, (char[]){c, '\0'});

	if (n >= size)
		abort();
	memcpy(out, *spec, n);
	out[n] = '\0';
	*spec += n + ((*spec)[n] == c);
}

/* A misspelt one would be a test that cannot fail. */
static int find_op(const char *name)
{
	for (int i = 0; i < DISK_OP_COUNT; i++)
		if (strcmp(name, op_names[i]) == 0)
			return i;
	if (strcmp(name, "any") != 0)
		abort();
	return DISK_OP_COUNT;
}

static int find_error(const char *name)
{
	for (size_t i = 0; i < countof(errors); i++)
		if (strcmp(name, errors[i].name) == 0)
			return errors[i].errnum;
	abort();
}

static void parse_plan(struct plan *plan, const char *spec)
{
	char field[32];

	take(&spec, ':', field, sizeof(field));
	plan->op = find_op(field);
	take(&spec, ':', field, sizeof(field));
	plan->from = strtoul(field, NULL, 10);
	take(&spec, ':', field, sizeof(field));
	plan->errnum = find_error(field);
	plan->hits = 0;
	snprintf(plan->more, sizeof(plan->more), "%s", spec);
	if (plan->from == 0)
		abort();
}

static void parse_fault(const char *spec)
{
	char one[1100];

	failures = 0;
	nplans = 0;
	while (spec != NULL && *spec != '\0') {
		if (nplans == countof(plans))
			abort();
		take(&spec, ',', one, sizeof(one));
		parse_plan(&plans[nplans++], one);
	}
}

static void setup(void)
{
	const char *path = getenv("LEAT_DISK_JOURNAL");

	parse_fault(getenv("LEAT_DISK_FAULT"));
	if (path == NULL)
		return;
	journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (journal < 0)
		abort();
}

void disk_set_fault(const char *spec)
{
	pthread_once(&once, setup);
	pthread_mutex_lock(&mutex);
	parse_fault(spec);
	pthread_mutex_unlock(&mutex);
}

unsigned long disk_failures(void)
{
	return failures;
}

static bool is_met(struct plan *plan, enum disk_op op)
{
	if (plan->op != (int)op && plan->op != DISK_OP_COUNT)
		return false;
	plan->hits++;
	if (plan->hits < plan->from ||
	    (plan->hits > plan->from && plan->more[0] == '\0'))
		return false;
	return plan->more[0] != '/' || access(plan->more, F_OK) == 0;
}

/* 0, an errno, or a way to die */
static int fate(const struct disk_io *io)
{
	int errnum = 0;

	for (size_t i = 0; i < nplans; i++)
		if (is_met(&plans[i], io->op) && errnum == 0)
			errnum = plans[i].errnum;
	failures += errnum != 0;
	return errnum;
}

static _Noreturn void die(bool is_late)
{
	pthread_mutex_unlock(&mutex);
	if (is_late)
		usleep(LATE_US);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

int disk_before(const struct disk_io *io)
{
	int errnum;

	pthread_once(&once, setup);
	pthread_mutex_lock(&mutex);
	errnum = fate(io);
	if (errnum == DEATH || errnum == LATE_DEATH)
		die(errnum == LATE_DEATH);
	return errnum;
}

static void put_record(const struct disk_io *io, bool failed)
{
	char by_fd[64], real[4096];
	const char *path = io->path;
	struct disk_record r = {.op = io->op, .failed = failed, .at = io->at,
				.n = io->n};
	struct iovec v[4];

	if (path == NULL) {
		ssize_t n;

		snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", io->fd);
		n = readlink(by_fd, real, sizeof(real) - 1);
		if (n < 0)
			abort();
		real[n] = '\0';
		path = real;
	}
	r.path_n = (uint32_t)strlen(path);
	r.to_n = io->to ? (uint32_t)strlen(io->to) : 0;
	v[0] = (struct iovec){&r, sizeof(r)};
	v[1] = (struct iovec){(void *)(uintptr_t)path, r.path_n};
	v[2] = (struct iovec){(void *)(uintptr_t)io->to, r.to_n};
	v[3] = (struct iovec){(void *)(uintptr_t)io->p,
			      io->op == DISK_WRITE ? io->n : 0};
	if (writev(journal, v, 4) < 0)
		abort();
}

void disk_after(const struct disk_io *io, int errnum)
{
	bool is_sync = io->op == DISK_SYNC || io->op == DISK_SYNC_DIR;
	bool changes = io->op != DISK_OPEN || io->n != 0;
	const char *without = io->op == DISK_SYNC ? "nosync:" : "nosyncdir:";
	bool counts = is_sync ? !fault_mutates(without, io->who)
			      : changes && errnum == 0;

	if (journal >= 0 && counts)
		put_record(io, errnum != 0);
	pthread_mutex_unlock(&mutex);
}
#endif
