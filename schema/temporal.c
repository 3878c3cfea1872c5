#include "config.h"
#include "schema/temporal.h"

#include <stdlib.h>

/* --- reading --------------------------------------------------------- */

/* Digits at the front; false when there are none or too many. */
static bool take_number(struct slice *s, int64_t *out)
{
	size_t n = 0;

	*out = 0;
	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && n < 18)
		*out = *out * 10 + (s->p[n++] - '0');
	*s = (struct slice){s->p + n, s->n - n};
	return n > 0 && (s->n == 0 || s->p[0] < '0' || s->p[0] > '9');
}

static bool take_char(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = (struct slice){s->p + 1, s->n - 1};
	return true;
}

static bool take_suffix(struct slice *s, struct slice suffix)
{
	if (s->n < suffix.n ||
	    memcmp(s->p + s->n - suffix.n, suffix.p, suffix.n) != 0)
		return false;
	s->n -= suffix.n;
	return true;
}

/* Days since 1970-01-01; years from March on, so that a leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 +
			  day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       of_year - 719468;
}

static enum temporal infinite(struct slice s)
{
	if (slice_is(s, "infinity"))
		return TEMPORAL_INFINITY;
	if (slice_is(s, "-infinity"))
		return TEMPORAL_MINUS_INFINITY;
	return TEMPORAL_BAD;
}

static bool take_date(struct slice *s, bool is_bc, int64_t *days)
{
	int64_t year, month, day;

	if (!take_number(s, &year) || !take_char(s, '-') ||
	    !take_number(s, &month) || !take_char(s, '-') ||
	    !take_number(s, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > 31 || year > 9999999)
		return false;
	*days = days_of(is_bc ? 1 - year : year, month, day);
	return true;
}

static int64_t take_fraction(struct slice *s)
{
	int64_t us = 0, unit = 100000;

	if (!take_char(s, '.'))
		return 0;
	for (; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; unit /= 10) {
		us += (s->p[0] - '0') * unit;
		*s = (struct slice){s->p + 1, s->n - 1};
	}
	return us;
}

/* Hours may be more than a day's: an interval's are. */
static bool take_time(struct slice *s, int64_t *us)
{
	int64_t h, m, sec;

	if (!take_number(s, &h) || !take_char(s, ':') || !take_number(s, &m) ||
	    !take_char(s, ':') || !take_number(s, &sec) || m > 59 || sec > 60 ||
	    h > INT64_C(2562047788)) /* what fits in microseconds */
		return false;
	*us = ((h * 60 + m) * 60 + sec) * 1000000 + take_fraction(s);
	return true;
}

static bool take_zone(struct slice *s, int32_t *zone_s)
{
	int64_t part[3] = {0};
	bool is_west = s->n > 0 && s->p[0] == '-';

	*zone_s = 0;
	if (s->n == 0)
		return true;
	if (!take_char(s, '+') && !take_char(s, '-'))
		return false;
	for (int i = 0; i < 3 && (i == 0 || take_char(s, ':')); i++)
		if (!take_number(s, &part[i]) || part[i] > 59)
			return false;
	*zone_s = (int32_t)((part[0] * 60 + part[1]) * 60 + part[2]);
	if (is_west)
		*zone_s = -*zone_s;
	return s->n == 0;
}

enum temporal temporal_date(struct slice s, struct moment *out)
{
	bool is_bc = take_suffix(&s, SLICE(" BC"));

	out->us = 0;
	if (take_date(&s, is_bc, &out->days) && s.n == 0)
		return TEMPORAL_OK;
	return infinite(s);
}

bool temporal_time(struct slice s, int64_t *us, int32_t *zone_s)
{
	return take_time(&s, us) && *us <= DAY_US && take_zone(&s, zone_s);
}

/* Carries what is left or right of the day over. */
static void normalize(struct moment *m)
{
	int64_t days = m->us / DAY_US - (m->us % DAY_US < 0);

	m->days += days;
	m->us -= days * DAY_US;
}

enum temporal temporal_timestamp(struct slice s, struct moment *out)
{
	bool is_bc = take_suffix(&s, SLICE(" BC"));
	int32_t zone_s;

	if (!take_date(&s, is_bc, &out->days))
		return infinite(s);
	if (!take_char(&s, ' ') || !temporal_time(s, &out->us, &zone_s))
		return TEMPORAL_BAD;
	out->us -= (int64_t)zone_s * 1000000;
	normalize(out);
	return TEMPORAL_OK;
}

static bool take_interval_part(struct slice word, struct slice *rest,
			       struct interval *out)
{
	bool is_minus = take_char(&word, '-');
	struct slice unit, number = word;
	int64_t v;

	if (!is_minus)
		take_char(&word, '+');
	number = word;
	if (!take_number(&word, &v))
		return false;
	if (word.n > 0) { /* the time of day ends it */
		word = number;
		if (!take_time(&word, &v) || word.n > 0 || rest->n > 0)
			return false;
		out->us = is_minus ? -v : v;
		return true;
	}
	v = is_minus ? -v : v;
	unit = slice_cut(rest, ' ');
	if (slice_is(unit, "year") || slice_is(unit, "years"))
		out->months += v * 12;
	else if (slice_is(unit, "mon") || slice_is(unit, "mons"))
		out->months += v;
	else if (slice_is(unit, "day") || slice_is(unit, "days"))
		out->days += v;
	else
		return false;
	return true;
}

enum temporal temporal_interval(struct slice s, struct interval *out)
{
	enum temporal t = infinite(s);

	*out = (struct interval){0};
	if (t != TEMPORAL_BAD || s.n == 0)
		return t;
	while (s.n > 0) {
		struct slice word = slice_cut(&s, ' ');

		if (!take_interval_part(word, &s, out))
			return TEMPORAL_BAD;
	}
	return TEMPORAL_OK;
}

bool temporal_since_epoch(const struct moment *m, int64_t unit_us, int64_t *out)
{
	int64_t per_day = DAY_US / unit_us;

	return !__builtin_mul_overflow(m->days, per_day, out) &&
	       !__builtin_add_overflow(*out, m->us / unit_us, out);
}

/* --- printing -------------------------------------------------------- */

void temporal_print_date(struct buf *b, const struct moment *m)
{
	int64_t z = m->days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
		    365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t mp = (5 * of_year + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = y + era * 400 + (month <= 2);

	if (year > 9999)
		buf_u8(b, '+');
	else if (year < 0)
		buf_u8(b, '-');
	buf_printf(b, "%04lld-%02d-%02d", llabs((long long)year), (int)month,
		   (int)(of_year - (153 * mp + 2) / 5 + 1));
}

static void print_fraction(struct buf *b, int64_t us)
{
	char digits[8];
	int n = 6;

	if (us == 0)
		return;
	for (int i = 5; i >= 0; i--, us /= 10)
		digits[i] = (char)('0' + us % 10);
	while (digits[n - 1] == '0')
		n--;
	buf_u8(b, '.');
	buf_put(b, digits, (size_t)n);
}

void temporal_print_time(struct buf *b, int64_t us)
{
	int64_t s = us / 1000000;

	buf_printf(b, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60),
		   (int)(s % 60));
	print_fraction(b, us % 1000000);
}

void temporal_print_interval(struct buf *b, const struct interval *iv)
{
	int64_t s = iv->us / 1000000, fraction = iv->us % 1000000;

	buf_u8(b, 'P');
	buf_i64(b, iv->months / 12);
	buf_u8(b, 'Y');
	buf_i64(b, iv->months % 12);
	buf_u8(b, 'M');
	buf_i64(b, iv->days);
	buf_text(b, "DT");
	buf_i64(b, s / 3600);
	buf_u8(b, 'H');
	buf_i64(b, s / 60 % 60);
	buf_u8(b, 'M');
	if (fraction < 0 && s % 60 == 0)
		buf_u8(b, '-');
	buf_i64(b, s % 60);
	print_fraction(b, fraction < 0 ? -fraction : fraction);
	buf_u8(b, 'S');
}
