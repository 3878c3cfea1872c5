#include "config.h"
#include "base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int clock_poll_ms(int64_t deadline_ms)
{
	int64_t left;

	if (deadline_ms == CLOCK_NEVER)
		return -1;
	left = deadline_ms - clock_mono_ms();
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int clock_iso(char out[CLOCK_ISO_SIZE], int64_t wall_us)
{
	int64_t us = wall_us % 1000000;
	time_t s = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (us < 0) {
		us += 1000000;
		s--;
	}
	gmtime_r(&s, &tm);
	return snprintf(out, CLOCK_ISO_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
			(tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
}

/* --- reading a time --------------------------------------------------- */

/* Takes exactly n digits; false and nothing taken when there are not so many. */
static bool take_digits(struct slice *s, size_t n, int *out)
{
	uint64_t v;

	if (s->n < n || !slice_to_u64((struct slice){s->p, n}, &v))
		return false;
	*s = (struct slice){s->p + n, s->n - n};
	*out = (int)v;
	return true;
}

static bool take_char(struct slice *s, const char *any)
{
	if (s->n == 0 || s->p[0] == '\0' || strchr(any, s->p[0]) == NULL)
		return false;
	*s = (struct slice){s->p + 1, s->n - 1};
	return true;
}

/* Up to six digits count, more are taken. */
static bool take_fraction(struct slice *s, int *us)
{
	int scale = 100000, digit, n = 0;

	for (*us = 0; take_digits(s, 1, &digit); n++, scale /= 10)
		*us += digit * scale;
	return n > 0;
}

static bool take_zone(struct slice *s, int *seconds)
{
	int sign, h, m = 0;

	*seconds = 0;
	if (s->n == 0 || take_char(s, "Zz"))
		return true;
	sign = s->p[0] == '-' ? -1 : 1;
	if (!take_char(s, "+-") || !take_digits(s, 2, &h))
		return false;
	take_char(s, ":");
	if (s->n > 0 && !take_digits(s, 2, &m))
		return false;
	*seconds = sign * (h * 3600 + m * 60);
	return h < 24 && m < 60;
}

static bool take_time(struct slice *s, struct tm *tm, int *us)
{
	*us = 0;
	if (!take_char(s, "Tt "))
		return s->n == 0;
	if (!take_digits(s, 2, &tm->tm_hour) || !take_char(s, ":") ||
	    !take_digits(s, 2, &tm->tm_min))
		return false;
	if (take_char(s, ":") && !take_digits(s, 2, &tm->tm_sec))
		return false;
	if (take_char(s, ".") && !take_fraction(s, us))
		return false;
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

bool clock_parse(struct slice text, int64_t *wall_us)
{
	struct slice s = text;
	struct tm tm = {0};
	struct tm date;
	int us, zone;
	time_t at;

	if (!take_digits(&s, 4, &tm.tm_year) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mon) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mday) || !take_time(&s, &tm, &us) ||
	    !take_zone(&s, &zone) || s.n > 0)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	/* timegm() makes the 30th of February a day in March */
	date = (struct tm){.tm_year = tm.tm_year,
			   .tm_mon = tm.tm_mon,
			   .tm_mday = tm.tm_mday};
	timegm(&date);
	if (date.tm_mday != tm.tm_mday || date.tm_mon != tm.tm_mon)
		return false;
	at = timegm(&tm);
	*wall_us = ((int64_t)at - zone) * 1000000 + us;
	return true;
}
