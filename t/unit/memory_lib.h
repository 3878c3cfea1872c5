/* memory_lib.h: allocations that fail.  For programs linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc: those of libleat.a, not those
 * inside of other libraries. */
#ifndef LEAT_T_UNIT_MEMORY_LIB_H
#define LEAT_T_UNIT_MEMORY_LIB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_long memory_countdown = -1; /* below 0: none fails */

/* The allocation behind the next n fails, and no other. */
static inline void memory_fail(long n)
{
	atomic_store(&memory_countdown, n);
}

/* None fails any more.  Has one? */
static inline bool memory_has_failed(void)
{
	return atomic_exchange(&memory_countdown, -1) < 0;
}

static inline bool memory_fails(void)
{
	return atomic_load(&memory_countdown) >= 0 &&
	       atomic_fetch_sub(&memory_countdown, 1) == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return memory_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return memory_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return memory_fails() ? NULL : __real_realloc(p, n);
}

#endif
