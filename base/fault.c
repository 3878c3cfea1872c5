#include "config.h"
#include "base/fault.h"

#ifdef LEAT_FAULTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_US 100000

static const char *const names[] = {
#define FAULT(name, where) #name,
#include "base/fault.def"
#undef FAULT
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int wanted = -1;
static unsigned long wanted_hit;
static bool wanted_error, wanted_late;
static const char *trace, *mutation;
static atomic_ulong hits[FAULT_COUNT];

static void setup(void)
{
	const char *spec = getenv("LEAT_FAULT"), *colon;

	trace = getenv("LEAT_FAULT_TRACE");
	mutation = getenv("LEAT_MUTATE");
	if (spec == NULL || (colon = strchr(spec, ':')) == NULL)
		return;
	for (int i = 0; i < FAULT_COUNT; i++)
		if (strlen(names[i]) == (size_t)(colon - spec) &&
		    strncmp(names[i], spec, (size_t)(colon - spec)) == 0)
			wanted = i;
	if (wanted < 0)
		abort(); /* a misspelt point would be a test that cannot fail */
	wanted_hit = strtoul(colon + 1, NULL, 10);
	wanted_error = strstr(colon + 1, ":error") != NULL;
	wanted_late = strstr(colon + 1, ":late") != NULL;
}

static void put_trace(const char *name)
{
	int fd = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	char line[64];
	size_t n = strlen(name);

	memcpy(line, name, n);
	line[n++] = '\n';
	if (fd < 0 || write(fd, line, n) < 0)
		abort();
	close(fd);
}

bool fault(enum fault_point p)
{
	unsigned long hit;

	pthread_once(&once, setup);
	hit = atomic_fetch_add(&hits[p], 1) + 1;
	if (hit == 1 && trace != NULL)
		put_trace(names[p]);
	if ((int)p != wanted || hit < wanted_hit)
		return false;
	if (wanted_error)
		return hit == wanted_hit;
	if (wanted_late)
		usleep(LATE_US);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

bool fault_mutates(const char *kind, const char *which)
{
	size_t n = strlen(kind);

	pthread_once(&once, setup);
	return mutation != NULL && strncmp(mutation, kind, n) == 0 &&
	       strcmp(mutation + n, which) == 0;
}
#endif
