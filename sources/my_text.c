/* my_text.c: see my_text.h.
 *
 * A decimal is two numbers, in front of and behind the point, in groups of nine
 * digits, each group four bytes big-endian; the digits left over at the outer
 * ends take fewer bytes.  The highest bit of all is inverted, and of a negative
 * number every bit is. */
#include "config.h"
#include "sources/my_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* bytes of a group of so many digits */
static const uint8_t group_bytes[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

size_t my_decimal_bytes(unsigned precision, unsigned scale)
{
	unsigned whole = precision - scale;

	return whole / 9 * 4 + group_bytes[whole % 9] + scale / 9 * 4 +
	       group_bytes[scale % 9];
}

/* `digits` of v, with zeros in front. */
static char *put_digits(char *at, uint32_t v, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; v /= 10)
		at[i] = (char)('0' + v % 10);
	return at + digits;
}

struct groups {
	const uint8_t *p;
	size_t at;
	uint8_t mask;
	bool bad;
};

static char *put_group(char *at, struct groups *g, unsigned digits)
{
	static const uint32_t limit[] = {1, 10, 100, 1000, 10000, 100000,
					 1000000, 10000000, 100000000,
					 1000000000};
	uint32_t v = 0;

	for (unsigned i = 0; i < group_bytes[digits]; i++, g->at++) {
		uint8_t byte = g->p[g->at] ^ g->mask;

		v = v << 8 | (g->at == 0 ? byte ^ 0x80 : byte);
	}
	if (v >= limit[digits])
		g->bad = true;
	return put_digits(at, v, digits);
}

size_t my_decimal_print(char out[MY_DECIMAL_SIZE], unsigned precision,
			unsigned scale, struct slice bytes)
{
	unsigned whole = precision - scale;
	struct groups g = {.p = (const uint8_t *)bytes.p};
	char digits[MY_DECIMAL_SIZE], *at = digits, *from = digits;
	size_t n = 0;

	if (precision > 65 || scale > precision ||
	    bytes.n != my_decimal_bytes(precision, scale) || bytes.n == 0)
		return 0;
	g.mask = g.p[0] & 0x80 ? 0 : 0xff;
	at = put_group(at, &g, whole % 9);
	for (unsigned i = 0; i < whole / 9; i++)
		at = put_group(at, &g, 9);
	while (from + 1 < at && *from == '0')
		from++;
	if (g.mask != 0)
		out[n++] = '-';
	if (at == from)
		out[n++] = '0';
	memcpy(out + n, from, (size_t)(at - from));
	n += (size_t)(at - from);
	if (scale > 0)
		out[n++] = '.';
	at = out + n;
	for (unsigned i = 0; i < scale / 9; i++)
		at = put_group(at, &g, 9);
	at = put_group(at, &g, scale % 9);
	return g.bad ? 0 : (size_t)(at - out);
}

/* --- floating point ---------------------------------------------------------- */

/* "1.2345e+20" with so many digits, that reads back as v? */
static bool try(char *text, size_t size, double v, bool is_single, int digits)
{
	snprintf(text, size, "%.*e", digits - 1, v);
	return is_single ? strtof(text, NULL) == (float)v
			 : strtod(text, NULL) == v;
}

/* The digits of a number, of which the first stands for 10^exponent. */
struct digits {
	char v[24];
	int n, exponent;
	bool negative;
};

static void shortest(struct digits *d, double v, bool is_single)
{
	int n = is_single ? 6 : 15, most = is_single ? 9 : 17;
	char text[48], *at = text;

	while (!try(text, sizeof(text), v, is_single, n) && n < most)
		n++;
	*d = (struct digits){.negative = *at == '-'};
	for (; *at != 'e'; at++)
		if (*at >= '0' && *at <= '9' && d->n < (int)sizeof(d->v))
			d->v[d->n++] = *at;
	while (d->n > 1 && d->v[d->n - 1] == '0')
		d->n--;
	d->exponent = (int)strtol(at + 1, NULL, 10);
}

static char *put_zeros(char *at, int n)
{
	for (; n > 0; n--)
		*at++ = '0';
	return at;
}

static char *put_scientific(char *at, const struct digits *d)
{
	*at++ = d->v[0];
	if (d->n > 1)
		*at++ = '.';
	memcpy(at, d->v + 1, (size_t)d->n - 1);
	at += d->n - 1;
	*at++ = 'e';
	return at;
}

static char *put_plain(char *at, const struct digits *d)
{
	int whole = d->exponent + 1;

	if (whole <= 0) {
		*at++ = '0';
		*at++ = '.';
		at = put_zeros(at, -whole);
		memcpy(at, d->v, (size_t)d->n);
		return at + d->n;
	}
	for (int i = 0; i < d->n; i++) {
		if (i == whole)
			*at++ = '.';
		*at++ = d->v[i];
	}
	return put_zeros(at, whole - d->n);
}

/* As PostgreSQL lays it out: without an exponent from 1e-4 up to the number of
 * digits that a type of that size is certain to keep. */
size_t my_float_print(char out[MY_FLOAT_SIZE], double v, bool is_single)
{
	struct digits d;
	char *at = out;

	if (isnan(v) || isinf(v))
		return (size_t)snprintf(out, MY_FLOAT_SIZE, "%s",
					isnan(v) ? "NaN"
						 : v < 0 ? "-Infinity"
							 : "Infinity");
	shortest(&d, v, is_single);
	if (d.negative)
		*at++ = '-';
	if (d.exponent >= -4 && d.exponent < (is_single ? 6 : 15))
		return (size_t)(put_plain(at, &d) - out);
	at = put_scientific(at, &d);
	return (size_t)(at - out) + (size_t)snprintf(at, 8, "%+03d", d.exponent);
}

size_t my_double_print(char out[MY_FLOAT_SIZE], double v)
{
	struct digits d;
	char *at = out;

	shortest(&d, v, false);
	if (d.negative)
		*at++ = '-';
	if (d.exponent < -15 || d.exponent >= 15) {
		at = put_scientific(at, &d);
		return (size_t)(at - out) +
		       (size_t)snprintf(at, 8, "%d", d.exponent);
	}
	at = put_plain(at, &d);
	if (d.n <= d.exponent + 1) {
		*at++ = '.';
		*at++ = '0';
	}
	return (size_t)(at - out);
}

/* --- times -------------------------------------------------------------------- */

static const uint32_t power[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

static char *put_fraction(char *at, uint32_t us, unsigned digits)
{
	if (digits == 0 || digits > 6)
		return at;
	*at++ = '.';
	return put_digits(at, us / power[digits], digits);
}

static char *put_date(char *at, unsigned year, unsigned month, unsigned day)
{
	at = put_digits(at, year, 4);
	*at++ = '-';
	at = put_digits(at, month, 2);
	*at++ = '-';
	return put_digits(at, day, 2);
}

size_t my_date_print(char out[MY_TIME_SIZE], unsigned year, unsigned month,
		     unsigned day)
{
	if (year > 9999 || month > 12 || day > 31)
		return 0;
	return (size_t)(put_date(out, year, month, day) - out);
}

static char *put_minutes(char *at, uint32_t packed)
{
	*at++ = ':';
	at = put_digits(at, packed >> 6 & 63, 2);
	*at++ = ':';
	return put_digits(at, packed & 63, 2);
}

size_t my_datetime_print(char out[MY_TIME_SIZE], uint64_t packed, uint32_t us,
			 unsigned digits)
{
	unsigned months = (unsigned)(packed >> 22), day = packed >> 17 & 31;
	uint32_t time = packed & 0x1ffff;
	char *at = out;

	if (months / 13 > 9999 || us > 999999)
		return 0;
	at = put_date(at, months / 13, months % 13, day);
	*at++ = ' ';
	at = put_digits(at, time >> 12, 2);
	at = put_minutes(at, time);
	return (size_t)(put_fraction(at, us, digits) - out);
}

size_t my_duration_print(char out[MY_TIME_SIZE], bool negative, uint32_t packed,
			 uint32_t us, unsigned digits)
{
	uint32_t hours = packed >> 12 & 0x3ff;
	char *at = out;

	if (us > 999999)
		return 0;
	if (negative)
		*at++ = '-';
	at = put_digits(at, hours, hours > 99 ? 3 : 2);
	at = put_minutes(at, packed);
	return (size_t)(put_fraction(at, us, digits) - out);
}
