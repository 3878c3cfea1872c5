#include "config.h"
#include "base/retry.h"

#include <sys/random.h>

#include "base/clock.h"

#define LEAST_MS 200
#define MOST_MS 60000

int64_t retry_next_ms(struct retry *r)
{
	int64_t span = r->last_ms > 0 ? r->last_ms * 3 - LEAST_MS : LEAST_MS;
	uint32_t random = 0;

	if (r->failing_since == 0)
		r->failing_since = clock_mono_ms();
	/* without entropy the pause is the least one, which is no harm */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	r->last_ms = LEAST_MS + (int64_t)(random % (uint64_t)(span + 1));
	if (r->last_ms > MOST_MS)
		r->last_ms = MOST_MS;
	return r->last_ms;
}
