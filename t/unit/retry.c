#include "config.h"
#include "base/retry.h"

#include "t/tap.h"

#define N 2000

int main(void)
{
	struct retry r = {0}, other = {0};
	int64_t longest = 0, first_sum = 0, late_sum = 0, same = 0;
	bool in_bounds = true, grows_slowly = true;

	for (int i = 0; i < N; i++) {
		struct retry fresh = {0};
		int64_t was = r.last_ms, ms = retry_next_ms(&r);

		in_bounds &= ms >= 200 && ms <= 60000;
		grows_slowly &= was == 0 || ms <= 3 * was;
		longest = ms > longest ? ms : longest;
		first_sum += retry_next_ms(&fresh);
		late_sum += i >= N / 2 ? ms : 0;
		same += ms == retry_next_ms(&other);
	}
	ok(in_bounds, "a pause is 200 ms to a minute");
	ok(grows_slowly, "and at most three times the one before");
	ok(first_sum / N < 400, "the first ones are short");
	ok(late_sum / (N / 2) > 5000, "later ones are long");
	is_int(longest, 60000, "up to the longest");
	ok(same < N / 2, "two that fail together do not come back together");
	ok(r.failing_since != 0, "since when it fails is known");
	retry_reset(&r);
	ok(r.failing_since == 0 && retry_next_ms(&r) <= 400,
	   "what has worked begins anew");
	return tap_done();
}
