#include "config.h"
#include "schema/decimal.h"

#include <stdlib.h>

#define CHUNK_DIGITS 9

static size_t count_digits(struct slice s, size_t from)
{
	size_t n = 0;

	while (from + n < s.n && s.p[from + n] >= '0' && s.p[from + n] <= '9')
		n++;
	return n;
}

/* Parts of a decimal: digits before and behind the point. */
static bool split(struct slice s, bool *is_minus, struct slice *whole,
		  struct slice *fraction)
{
	size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');

	*is_minus = at > 0 && s.p[0] == '-';
	*whole = (struct slice){s.p + at, count_digits(s, at)};
	*fraction = (struct slice){NULL, 0};
	at += whole->n;
	if (at < s.n && s.p[at] == '.') {
		*fraction = (struct slice){s.p + at + 1, count_digits(s, at + 1)};
		at += 1 + fraction->n;
	}
	return at == s.n && whole->n + fraction->n > 0;
}

bool decimal_is(struct slice text)
{
	struct slice whole, fraction;
	bool is_minus;

	return split(text, &is_minus, &whole, &fraction);
}

int32_t decimal_scale(struct slice text)
{
	struct slice whole, fraction;
	bool is_minus;

	split(text, &is_minus, &whole, &fraction);
	return (int32_t)fraction.n;
}

/* Little-endian limbs. */
struct big {
	uint32_t *limb;
	size_t n;
};

static void multiply_add(struct big *big, uint32_t factor, uint32_t add)
{
	uint64_t carry = add;

	for (size_t i = 0; i < big->n; i++) {
		carry += (uint64_t)big->limb[i] * factor;
		big->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry > 0)
		big->limb[big->n++] = (uint32_t)carry;
}

struct digits {
	struct slice whole, fraction;
	size_t zeros; /* behind them */
};

/* The i-th digit of whole, fraction and zeros. */
static uint32_t digit_at(const struct digits *d, size_t i)
{
	if (i < d->whole.n)
		return (uint32_t)(d->whole.p[i] - '0');
	i -= d->whole.n;
	return i < d->fraction.n ? (uint32_t)(d->fraction.p[i] - '0') : 0;
}

static void read_digits(const struct digits *d, struct big *big)
{
	size_t total = d->whole.n + d->fraction.n + d->zeros, i = 0;

	while (i < total) {
		uint32_t chunk = 0, factor = 1;

		for (int k = 0; k < CHUNK_DIGITS && i < total; k++, i++) {
			chunk = chunk * 10 + digit_at(d, i);
			factor *= 10;
		}
		multiply_add(big, factor, chunk);
	}
}

static void put_bytes(const struct big *big, bool is_minus, struct buf *out)
{
	size_t start = out->n, n = big->n * 4;
	uint8_t carry = 1, *p;

	if (!buf_room(out, n + 1))
		return;
	p = (uint8_t *)out->p + start;
	p[0] = 0;
	for (size_t i = 0; i < n; i++)
		p[n - i] = (uint8_t)(big->limb[i / 4] >> i % 4 * 8);
	for (size_t i = n + 1; is_minus && i-- > 0;) {
		p[i] = (uint8_t)(~p[i] + carry);
		carry = carry && p[i] == 0;
	}
	/* a first byte that only repeats the sign of the next says nothing */
	while (n > 0 && (p[0] == 0 || p[0] == 0xff) && (p[0] ^ p[1]) < 0x80) {
		memmove(p, p + 1, n);
		n--;
	}
	out->n += n + 1;
}

/* Takes n digits that must be zeros off the end. */
static bool drop_zeros(struct digits *d, size_t n)
{
	for (; n > 0; n--) {
		struct slice *s = d->fraction.n > 0 ? &d->fraction : &d->whole;

		if (s->n == 0)
			return true;
		if (s->p[--s->n] != '0')
			return false;
	}
	return true;
}

bool decimal_unscaled(struct slice text, int32_t scale, struct buf *out)
{
	uint32_t room[20]; /* more than numeric(153) needs */
	struct big big = {room, 0};
	struct digits d = {0};
	bool is_minus;
	size_t total;

	if (!split(text, &is_minus, &d.whole, &d.fraction))
		return false;
	if (scale >= (int64_t)d.fraction.n)
		d.zeros = (size_t)(scale - (int64_t)d.fraction.n);
	else if (!drop_zeros(&d, (size_t)((int64_t)d.fraction.n - scale)))
		return false;
	total = d.whole.n + d.fraction.n + d.zeros;
	if (total / CHUNK_DIGITS + 1 > countof(room)) {
		big.limb = malloc((total / CHUNK_DIGITS + 2) * sizeof(*big.limb));
		if (big.limb == NULL) {
			out->failed = true;
			return true;
		}
	}
	read_digits(&d, &big);
	put_bytes(&big, is_minus && big.n > 0, out);
	if (big.limb != room)
		free(big.limb);
	return true;
}
