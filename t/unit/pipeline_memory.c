/* Every allocation of a pipeline fails once: it goes on, or says so and can be
 * started again; nothing is lost or repeated. */
#include "config.h"

#include <stdatomic.h>

#include "t/unit/pipeline_lib.h"

static atomic_long countdown = -1; /* until one fails; below 0: none does */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	return atomic_load(&countdown) >= 0 && atomic_fetch_sub(&countdown, 1) == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static bool is_expected(enum code code)
{
	return code == CODE_none || code == CODE_no_memory;
}

int main(void)
{
	bool good = true, done = false;
	long n = 0, most;

	note_setup(NOTE_ERROR + 1, false);
	tap_dir(dir, "pipeline");
	for (; good && !done && n < 3000; n += n < 40 ? 1 : 23) {
		enum code code;

		reset();
		atomic_store(&countdown, n);
		code = run_pipeline(16 << 10);
		done = atomic_exchange(&countdown, -1) >= 0;
		good = is_expected(code);
		if (code != CODE_none)
			code = run_pipeline(16 << 10);
		/* without memory for the last acknowledgement there is none:
		 * the next start makes up for it */
		good = good && code == CODE_none && is_exact(TOTAL) &&
		       (done ? src_script.acked == TOTAL
			     : src_script.acked <= TOTAL);
		if (!good)
			printf("# allocation %ld: %s, %zu of %u, acked %u\n", n,
			       code_name(code), dst.committed, TOTAL,
			       (unsigned)src_script.acked);
	}
	most = n;
	ok(good && most > 40,
	   "a pipeline that lacks memory, at any of %ld allocations, loses and repeats nothing",
	   most);
	reset();
	rmdir(dir);
	return tap_done();
}
