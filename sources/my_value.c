/* my_value.c: see my_value.h.
 *
 * Numbers are little-endian; decimals, bits and the temporals that have a
 * fraction (TIME2, DATETIME2, TIMESTAMP2) big-endian, the latter with an offset
 * that makes them sort as unsigned bytes. */
#include "config.h"
#include "sources/my_value.h"

#include "base/utf8.h"
#include "sources/my_event.h"
#include "sources/my_inflate.h"
#include "sources/my_json.h"
#include "sources/my_text.h"

/* --- how long ------------------------------------------------------------- */

static size_t prefix_of(const struct my_column *c)
{
	return c->meta > 255 ? 2 : 1;
}

static size_t fraction_bytes(unsigned digits)
{
	return (digits + 1) / 2;
}

/* Of types whose values are all as long; 0 for others. */
static size_t fixed_size(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_TINY:
	case MY_TYPE_YEAR:
		return 1;
	case MY_TYPE_SHORT:
		return 2;
	case MY_TYPE_INT24:
	case MY_TYPE_DATE:
		return 3;
	case MY_TYPE_LONG:
	case MY_TYPE_FLOAT:
		return 4;
	case MY_TYPE_LONGLONG:
	case MY_TYPE_DOUBLE:
		return 8;
	case MY_TYPE_NEWDECIMAL:
		return my_decimal_bytes(c->meta >> 8, c->meta & 0xff);
	case MY_TYPE_BIT:
		return (c->meta + 7u) / 8;
	case MY_TYPE_ENUM:
	case MY_TYPE_SET:
		return c->meta;
	case MY_TYPE_TIMESTAMP2:
		return 4 + fraction_bytes(c->meta);
	case MY_TYPE_DATETIME2:
		return 5 + fraction_bytes(c->meta);
	case MY_TYPE_TIME2:
		return 3 + fraction_bytes(c->meta);
	default:
		return 0;
	}
}

/* Bytes of the length in front of values of other types; 0: not known. */
static size_t length_bytes(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_STRING:
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_VARCHAR_COMPRESSED:
		return prefix_of(c);
	case MY_TYPE_BLOB:
	case MY_TYPE_BLOB_COMPRESSED:
	case MY_TYPE_GEOMETRY:
	case MY_TYPE_JSON:
	case MY_TYPE_VECTOR:
		return c->meta;
	default:
		return 0;
	}
}

bool my_value_is_known(const struct my_column *c)
{
	return fixed_size(c) > 0 || length_bytes(c) > 0;
}

struct slice my_value_take(const struct my_column *c, struct wire *w)
{
	size_t n = fixed_size(c);

	if (n == 0) {
		size_t prefix = length_bytes(c);

		if (prefix == 0) {
			w->failed = true;
			return (struct slice){0};
		}
		n = (size_t)my_le(w, prefix);
	}
	return wire_bytes(w, n);
}

/* --- numbers ---------------------------------------------------------------- */

static uint64_t le(struct slice s)
{
	uint64_t v = 0;

	for (size_t i = s.n; i-- > 0;)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

static uint64_t be(struct slice s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

static enum my_read read_int(const struct my_column *c, struct slice s,
			     struct value *v)
{
	uint64_t u = le(s);
	unsigned unused = (unsigned)(64 - 8 * s.n);

	if (c->is_unsigned && c->type == MY_TYPE_LONGLONG) {
		*v = (struct value){.tag = VALUE_UINT, .u = u};
	} else if (c->is_unsigned && c->type == MY_TYPE_LONG) {
		*v = (struct value){.tag = VALUE_UINT, .u = u};
	} else if (c->is_unsigned) {
		*v = (struct value){.tag = VALUE_INT, .i = (int64_t)u};
	} else {
		*v = (struct value){.tag = VALUE_INT,
				    .i = (int64_t)(u << unused) >> unused};
	}
	return MY_READ_OK;
}

static enum my_read set_text(struct arena *a, const char *text, size_t n,
			     struct value *v)
{
	v->tag = VALUE_TEXT;
	v->s = slice_dup(a, (struct slice){text, n});
	return n > 0 ? MY_READ_OK : MY_READ_BAD;
}

static enum my_read read_decimal(const struct my_column *c, struct slice s,
				 struct arena *a, struct value *v)
{
	char text[MY_DECIMAL_SIZE];

	return set_text(a, text,
			my_decimal_print(text, c->meta >> 8, c->meta & 0xff, s),
			v);
}

static enum my_read read_float(const struct my_column *c, struct slice s,
			       struct arena *a, struct value *v)
{
	char text[MY_FLOAT_SIZE];
	uint64_t bits = le(s);
	uint32_t low = (uint32_t)bits;
	double d;
	float f;

	if (c->type == MY_TYPE_FLOAT) {
		memcpy(&f, &low, sizeof(f));
		d = (double)f;
	} else {
		memcpy(&d, &bits, sizeof(d));
	}
	return set_text(a, text,
			my_float_print(text, d, c->type == MY_TYPE_FLOAT), v);
}

/* --- times ------------------------------------------------------------------ */

/* Hundredths, ten thousandths or millionths, as micros. */
static uint32_t fraction(struct slice s)
{
	static const uint32_t unit[] = {0, 10000, 100, 1};

	return (uint32_t)be(s) * unit[s.n];
}

static struct slice tail(struct slice s, size_t n)
{
	return (struct slice){s.p + n, s.n - n};
}

static struct slice head(struct slice s, size_t n)
{
	return (struct slice){s.p, n};
}

/* day 5 bits, month 4, year 15 */
static enum my_read read_date(struct slice s, struct arena *a, struct value *v)
{
	uint32_t d = (uint32_t)le(s);
	char text[MY_TIME_SIZE];

	return set_text(a, text,
			my_date_print(text, d >> 9, d >> 5 & 15, d & 31), v);
}

static enum my_read read_datetime(const struct my_column *c, struct slice s,
				  struct arena *a, struct value *v)
{
	uint64_t packed = be(head(s, 5)) - UINT64_C(0x8000000000);
	uint32_t us = fraction(tail(s, 5));
	char text[MY_TIME_SIZE];

	if (packed > UINT64_C(0x7fffffffff) || us > 999999)
		return MY_READ_BAD;
	return set_text(a, text, my_datetime_print(text, packed, us, c->meta), v);
}

/* Sign and magnitude are one number, so that a negative time with a fraction
 * has borrowed from its seconds. */
static enum my_read read_time(const struct my_column *c, struct slice s,
			      struct arena *a, struct value *v)
{
	size_t nf = s.n - 3;
	int64_t all = (int64_t)be(s) - (INT64_C(0x800000) << 8 * nf);
	bool negative = all < 0;
	uint64_t magnitude = negative ? (uint64_t)-all : (uint64_t)all;
	static const uint32_t unit[] = {0, 10000, 100, 1};
	uint32_t us = (uint32_t)(magnitude & ((UINT64_C(1) << 8 * nf) - 1)) *
		      unit[nf];
	char text[MY_TIME_SIZE];

	if (us > 999999)
		return MY_READ_BAD;
	return set_text(a, text,
			my_duration_print(text, negative,
					  (uint32_t)(magnitude >> 8 * nf), us,
					  c->meta),
			v);
}

/* Days since 1970 to the calendar: H. Hinnant's way of counting years from March
 * on. */
static void from_days(int64_t days, unsigned *year, unsigned *month,
		      unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = (unsigned)(yoe + era * 400) + (*month <= 2);
}

/* Zero is the zero date, which no time zone has. */
static enum my_read read_timestamp(const struct my_column *c, struct slice s,
				   struct arena *a, struct value *v)
{
	uint32_t seconds = (uint32_t)be(head(s, 4)), us = fraction(tail(s, 4));
	unsigned year = 0, month = 0, day = 0, time = seconds % 86400;
	char text[MY_TIME_SIZE];
	uint64_t packed;
	size_t n;

	if (us > 999999)
		return MY_READ_BAD;
	if (seconds == 0 && us == 0)
		time = 0;
	else
		from_days(seconds / 86400, &year, &month, &day);
	packed = ((uint64_t)(year * 13 + month) << 5 | day) << 17 |
		 (time / 3600) << 12 | (time / 60 % 60) << 6 | time % 60;
	n = my_datetime_print(text, packed, us, c->meta);
	memcpy(text + n, "+00", 3);
	return set_text(a, text, n + 3, v);
}

static enum my_read read_year(struct slice s, struct value *v)
{
	uint8_t y = (uint8_t)s.p[0];

	*v = (struct value){.tag = VALUE_INT, .i = y == 0 ? 0 : 1900 + y};
	return MY_READ_OK;
}

/* --- labels and bits ---------------------------------------------------------- */

static enum my_read set_slice(struct slice s, struct value *v)
{
	v->tag = VALUE_TEXT;
	v->s = s.n ? s : SLICE("");
	return MY_READ_OK;
}

/* 0 is what the server keeps for a value that was none of the labels. */
static enum my_read read_enum(const struct my_column *c, struct slice s,
			      struct value *v)
{
	uint64_t i = le(s);

	if (i > c->nlabels)
		return c->nlabels == 0 ? MY_READ_UNKNOWN : MY_READ_BAD;
	return set_slice(i == 0 ? SLICE("") : c->labels[i - 1], v);
}

static enum my_read read_set(const struct my_column *c, struct slice s,
			     struct arena *a, struct value *v)
{
	uint64_t bits = le(s);
	size_t size = 0;
	char *p, *at;

	if (c->nlabels == 0)
		return MY_READ_UNKNOWN;
	if (c->nlabels < 64 && bits >> c->nlabels != 0)
		return MY_READ_BAD;
	for (uint32_t k = 0; k < c->nlabels; k++)
		if (bits >> k & 1)
			size += c->labels[k].n + 1;
	p = at = arena_alloc(a, size + 1);
	if (p == NULL)
		return MY_READ_OK;
	for (uint32_t k = 0; k < c->nlabels; k++) {
		if (!(bits >> k & 1))
			continue;
		if (at != p)
			*at++ = ',';
		if (c->labels[k].n > 0)
			memcpy(at, c->labels[k].p, c->labels[k].n);
		at += c->labels[k].n;
	}
	return set_slice((struct slice){p, (size_t)(at - p)}, v);
}

static enum my_read read_bits(const struct my_column *c, struct slice s,
			      struct arena *a, struct value *v)
{
	uint64_t bits = be(s);
	char text[64];

	for (unsigned i = 0; i < c->meta; i++)
		text[i] = (char)('0' + (bits >> (c->meta - 1 - i) & 1));
	return set_text(a, text, c->meta, v);
}

/* --- strings ---------------------------------------------------------------- */

static enum my_read read_string(const struct my_column *c, struct slice s,
				struct arena *a, struct value *v)
{
	char *p;

	if (c->collation != 0 && c->collation != MY_COLLATION_BINARY) {
		v->tag = VALUE_TEXT;
		return c->charset != NULL &&
				       my_charset_utf8(c->charset, s, a, &v->s)
			       ? MY_READ_OK
			       : MY_READ_NOT_TEXT;
	}
	*v = (struct value){.tag = VALUE_BYTES, .s = s};
	/* the zeros at the end of a BINARY are not sent */
	if (c->type != MY_TYPE_STRING || s.n >= c->meta)
		return MY_READ_OK;
	p = arena_alloc(a, c->meta);
	if (p == NULL)
		return MY_READ_OK;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	memset(p + s.n, 0, c->meta - s.n);
	v->s = (struct slice){p, c->meta};
	return MY_READ_OK;
}

static enum my_read read_compressed(const struct my_column *c, struct slice s,
				    struct arena *a, struct value *v)
{
	struct slice plain;

	if (!my_inflate_column(s, a, &plain))
		return MY_READ_BAD;
	return read_string(c, plain, a, v);
}

static enum my_read read_json(struct slice s, struct arena *a, struct value *v)
{
	struct buf text = BUF_INIT;
	bool good = my_json_print(s, &text);

	if (text.failed)
		a->failed = true;
	v->tag = VALUE_TEXT;
	v->s = slice_dup(a, buf_get(&text));
	buf_fini(&text);
	if (!good)
		return MY_READ_BAD;
	return utf8_is_valid(v->s) ? MY_READ_OK : MY_READ_NOT_TEXT;
}

/* --- all --------------------------------------------------------------------- */

enum my_read my_value_read(const struct my_column *c, struct slice s,
			   struct arena *a, struct value *v)
{
	switch (c->type) {
	case MY_TYPE_TINY:
	case MY_TYPE_SHORT:
	case MY_TYPE_INT24:
	case MY_TYPE_LONG:
	case MY_TYPE_LONGLONG:
		return read_int(c, s, v);
	case MY_TYPE_FLOAT:
	case MY_TYPE_DOUBLE:
		return read_float(c, s, a, v);
	case MY_TYPE_NEWDECIMAL:
		return read_decimal(c, s, a, v);
	case MY_TYPE_YEAR:
		return read_year(s, v);
	case MY_TYPE_DATE:
		return read_date(s, a, v);
	case MY_TYPE_DATETIME2:
		return read_datetime(c, s, a, v);
	case MY_TYPE_TIMESTAMP2:
		return read_timestamp(c, s, a, v);
	case MY_TYPE_TIME2:
		return read_time(c, s, a, v);
	case MY_TYPE_BIT:
		return read_bits(c, s, a, v);
	case MY_TYPE_ENUM:
		return read_enum(c, s, v);
	case MY_TYPE_SET:
		return read_set(c, s, a, v);
	case MY_TYPE_STRING:
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_BLOB:
		return read_string(c, s, a, v);
	case MY_TYPE_VARCHAR_COMPRESSED:
	case MY_TYPE_BLOB_COMPRESSED:
		return read_compressed(c, s, a, v);
	case MY_TYPE_JSON:
		return read_json(s, a, v);
	case MY_TYPE_GEOMETRY:
	case MY_TYPE_VECTOR:
		*v = (struct value){.tag = VALUE_BYTES, .s = s};
		return MY_READ_OK;
	default:
		return MY_READ_UNKNOWN;
	}
}
