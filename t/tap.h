/* tap.h: the Test Anything Protocol for unit tests, in one header.
 *
 *	int main(void)
 *	{
 *		ok(1 + 1 == 2, "one and one are %d", 2);
 *		is_int(f(3), 9, "squares");
 *		is_str(name, "x", "keeps the name");
 *		return tap_done();
 *	}
 */
#ifndef LEAT_T_TAP_H
#define LEAT_T_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tap_run, tap_failed;

/* A fresh directory below TMPDIR, or in memory: what is tested may sync thousands
 * of times. */
static inline const char *tap_dir(char out[128], const char *name)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || strlen(tmp) > 80)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(out, 128, "%s/leat-%s-XXXXXX", tmp, name);
	if (mkdtemp(out) == NULL)
		abort();
	return out;
}

__attribute__((format(printf, 2, 0)))
static inline bool tap_result(bool good, const char *fmt, va_list ap)
{
	printf("%s %d - ", good ? "ok" : "not ok", ++tap_run);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	tap_failed += !good;
	return good;
}

__attribute__((format(printf, 2, 3)))
static inline bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(good, fmt, ap);
	va_end(ap);
	return good;
}

__attribute__((format(printf, 3, 4)))
static inline bool is_int(long long got, long long want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		printf("#   got: %lld\n#  want: %lld\n", got, want);
	return got == want;
}

__attribute__((format(printf, 5, 6)))
static inline bool is_mem(const char *got, size_t got_n, const char *want,
			  size_t want_n, const char *fmt, ...)
{
	bool good = got_n == want_n && (got_n == 0 || !memcmp(got, want, got_n));
	va_list ap;

	va_start(ap, fmt);
	tap_result(good, fmt, ap);
	va_end(ap);
	if (!good)
		printf("#   got: %.*s\n#  want: %.*s\n", (int)got_n,
		       got ? got : "", (int)want_n, want);
	return good;
}

/* for a NUL-terminated string, and for a struct slice or struct buf x */
#define is_str(got, want, ...) \
	is_mem((got), strlen(got), (want), strlen(want), __VA_ARGS__)
#define is_slice(x, want, ...) \
	is_mem((x).p, (x).n, (want), strlen(want), __VA_ARGS__)

static inline void tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed != 0;
}

#endif
