/* retry.h: pauses between attempts that grow and are jittered, so that many
 * agents do not come back at one moment (decorrelated jitter). */
#ifndef LEAT_BASE_RETRY_H
#define LEAT_BASE_RETRY_H

#include <stdint.h>

struct retry {
	int64_t last_ms;
	int64_t failing_since; /* clock_mono_ms(), 0: not failing */
};

/* The pause before the next attempt: 200 ms at first, 60 s at most. */
int64_t retry_next_ms(struct retry *r);
static inline void retry_reset(struct retry *r)
{
	*r = (struct retry){0};
}

#endif
