/* fault.h: named places where a test makes the process die or fail.
 *
 * Compiled in by --enable-faults.  LEAT_FAULT=point:n kills the process with
 * SIGKILL the n-th time it comes by `point` (n from 1); point:n:error makes
 * fault() return true there instead, and point:n:late kills a while later, so
 * that the other threads get on meanwhile.  LEAT_FAULT_TRACE=file appends the name of
 * each point at its first hit, so that a test can tell a point that was never
 * reached.  The list is fault.def; a point that is not in it does not compile.
 *
 * LEAT_MUTATE=name makes a promise be broken on purpose, all the time: the tests
 * that are to notice are tried with it (t/unit/power.c, t/411_mutants.pl). */
#ifndef LEAT_BASE_FAULT_H
#define LEAT_BASE_FAULT_H

#include <stdbool.h>

enum fault_point {
#define FAULT(name, where) FAULT_##name,
#include "base/fault.def"
#undef FAULT
	FAULT_COUNT
};

#ifdef LEAT_FAULTS
/* True when the caller is to behave as if the step had failed. */
bool fault(enum fault_point p);
/* Is LEAT_MUTATE the name made of these two? */
bool fault_mutates(const char *kind, const char *which);
#else
static inline bool fault(enum fault_point p)
{
	(void)p;
	return false;
}

static inline bool fault_mutates(const char *kind, const char *which)
{
	(void)kind, (void)which;
	return false;
}
#endif

#endif
