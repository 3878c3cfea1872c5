#include "config.h"
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "t/tap.h"

int main(void)
{
	struct arena a;
	char *p, *q;
	size_t held;
	bool aligned = true;

	arena_init(&a, 1024);
	for (size_t n = 0; n < 100; n++) {
		p = arena_alloc(&a, n);
		memset(p, (int)n, n);
		aligned = aligned && (uintptr_t)p % 8 == 0;
	}
	ok(aligned, "every allocation is aligned to 8");
	ok(a.held >= a.used, "what is handed out is held");
	p = arena_alloc(&a, 100000);
	ok(p != NULL, "an allocation above the block size gets a block of its own");
	held = a.held;
	arena_reset(&a, 8192);
	ok(a.held <= 8192 && a.held < held, "a reset keeps ordinary blocks only");
	is_int((long long)a.used, 0, "and nothing is used");
	q = arena_calloc(&a, 10, 10);
	ok(q != NULL && q[0] == 0 && memcmp(q, q + 1, 99) == 0,
	   "calloc clears memory that was used before");
	ok(arena_calloc(&a, SIZE_MAX, 16) == NULL && a.failed,
	   "an overflowing product fails and is remembered");
	arena_reset(&a, 8192);
	ok(!a.failed, "until the reset");
	ok(arena_alloc(&a, SIZE_MAX - 3) == NULL && a.failed,
	   "an impossible size fails");
	arena_fini(&a);
#ifndef LEAT_ARENA_MALLOC
	arena_init(&a, 1024);
	p = arena_alloc(&a, 100);
	arena_trim(&a, p, 100, 10);
	q = arena_alloc(&a, 8);
	ok(q == p + 16, "a trimmed end is used again");
	held = a.held;
	for (int round = 0; round < 100; round++) {
		arena_reset(&a, 1 << 20);
		for (int i = 0; i < 50; i++)
			arena_alloc(&a, 64);
		if (round == 0)
			held = a.held;
	}
	is_int((long long)a.held, (long long)held,
	       "a warm arena does not grow from round to round");
	arena_fini(&a);
#endif
	return tap_done();
}
