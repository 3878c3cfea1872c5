/* walk.h: all frames of a log, from the first segment to a given end. */
#ifndef LEAT_LOG_WALK_H
#define LEAT_LOG_WALK_H

#include "log/segment.h"

struct walk {
	bool wants_bodies; /* else only commit frames have one */
	/* Each is called in order; nonzero ends the walk. */
	int (*segment)(void *arg, const struct segment *s, uint64_t bytes,
		       struct err *e);
	int (*frame)(void *arg, const struct segment *s, uint64_t at,
		     const struct frame *f, const uint8_t *stored, struct err *e);
	void *arg;
};

/* Checks headers and the chain of CRCs, across segments too, and that each but
 * the last ends in a commit frame; CODE_log_corrupt names the place. */
int log_walk(const char *dir, const struct tip *end, const struct walk *w,
	     struct err *e) MUST_CHECK;

#endif
