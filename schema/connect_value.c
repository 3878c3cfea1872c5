/* connect_value.c: see connect_value.h and connect.h. */
#include "config.h"
#include "schema/connect_value.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "schema/decimal.h"
#include "schema/temporal.h"

int connect_to_text(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	(void)t, (void)scratch;
	out->s = text;
	return 0;
}

int connect_to_int(const struct connect_type *t, struct slice text,
		   struct buf *scratch, struct connect_value *out)
{
	(void)t, (void)scratch;
	return slice_to_i64(text, &out->i) ? 0 : -1;
}

int connect_to_bool(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	(void)t, (void)scratch;
	out->b = slice_is(text, "t") || slice_is(text, "1");
	return out->b || slice_is(text, "f") || slice_is(text, "0") ? 0 : -1;
}

int connect_to_decimal(const struct connect_type *t, struct slice text,
		       struct buf *scratch, struct connect_value *out)
{
	if (!decimal_unscaled(text, t->scale, scratch))
		return -1;
	out->s = buf_get(scratch);
	return 0;
}

int connect_to_variable_decimal(const struct connect_type *t,
				struct slice text, struct buf *scratch,
				struct connect_value *out)
{
	(void)t;
	out->scale = decimal_scale(text);
	if (!decimal_unscaled(text, out->scale, scratch))
		return -1;
	out->s = buf_get(scratch);
	return 0;
}

/* "-$1,234.56": what lc_monetary=C prints, without what is no number. */
static struct slice money_digits(struct slice text, struct buf *scratch)
{
	scratch->n = 0;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '$' && text.p[i] != ',')
			buf_u8(scratch, (uint8_t)text.p[i]);
	return buf_get(scratch);
}

int connect_to_money(const struct connect_type *t, struct slice text,
		     struct buf *scratch, struct connect_value *out)
{
	struct slice digits = money_digits(text, scratch);
	size_t n = digits.n;

	/* the bytes go behind the digits, which move when there is no room */
	if (!buf_room(scratch, 2 * n + 8))
		return 0;
	digits.p = scratch->p;
	if (!decimal_unscaled(digits, t->scale, scratch))
		return -1;
	out->s = (struct slice){scratch->p + n, scratch->n - n};
	return 0;
}

int connect_to_money_number(const struct connect_type *t, struct slice text,
			    struct buf *scratch, struct connect_value *out)
{
	(void)t;
	out->s = money_digits(text, scratch);
	return scratch->failed || decimal_is(out->s) ? 0 : -1;
}

int connect_to_days(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	struct moment m;
	enum temporal is = temporal_date(text, &m);

	(void)t, (void)scratch;
	if (is == TEMPORAL_INFINITY)
		out->i = INT32_MAX;
	else if (is == TEMPORAL_MINUS_INFINITY)
		out->i = INT32_MIN;
	else if (is == TEMPORAL_OK)
		out->i = m.days;
	return is == TEMPORAL_BAD || out->i < INT32_MIN || out->i > INT32_MAX
		       ? -1
		       : 0;
}

static int in_unit(const struct connect_type *t, const struct moment *m,
		   int64_t *out)
{
	if (t->unit_us > 0)
		return temporal_since_epoch(m, t->unit_us, out) ? 0 : -1;
	return temporal_since_epoch(m, 1, out) &&
			       !__builtin_mul_overflow(*out, 1000, out)
		       ? 0
		       : -1;
}

int connect_to_time(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	struct moment m = {0};
	int32_t zone_s;

	(void)scratch;
	if (!temporal_time(text, &m.us, &zone_s))
		return -1;
	return in_unit(t, &m, &out->i);
}

/* What Debezium makes of PostgreSQL's infinities, in whatever unit. */
#define TIMESTAMP_INFINITY INT64_C(9223372036825200000)
#define TIMESTAMP_MINUS_INFINITY INT64_C(-9223372036832400000)

int connect_to_timestamp(const struct connect_type *t, struct slice text,
			 struct buf *scratch, struct connect_value *out)
{
	struct moment m;

	(void)scratch;
	switch (temporal_timestamp(text, &m)) {
	case TEMPORAL_INFINITY:
		out->i = TIMESTAMP_INFINITY;
		return 0;
	case TEMPORAL_MINUS_INFINITY:
		out->i = TIMESTAMP_MINUS_INFINITY;
		return 0;
	case TEMPORAL_OK:
		return in_unit(t, &m, &out->i);
	default:
		return -1;
	}
}

int connect_to_iso_date(const struct connect_type *t, struct slice text,
			struct buf *scratch, struct connect_value *out)
{
	struct moment m;
	enum temporal is = temporal_date(text, &m);

	(void)t;
	if (is == TEMPORAL_BAD)
		return -1;
	if (is == TEMPORAL_OK) {
		temporal_print_date(scratch, &m);
		buf_u8(scratch, 'Z');
	}
	out->s = is == TEMPORAL_OK ? buf_get(scratch) : text;
	return 0;
}

/* "12:34:56.789Z": what has a zone is moved to UTC. */
int connect_to_iso_time(const struct connect_type *t, struct slice text,
			struct buf *scratch, struct connect_value *out)
{
	int32_t zone_s;
	int64_t us;

	(void)t;
	if (!temporal_time(text, &us, &zone_s))
		return -1;
	if (zone_s != 0)
		us = ((us - (int64_t)zone_s * 1000000) % DAY_US + DAY_US) % DAY_US;
	temporal_print_time(scratch, us);
	buf_u8(scratch, 'Z');
	out->s = buf_get(scratch);
	return 0;
}

/* Zeros behind a time of day, up to n digits of a second. */
static void fill_fraction(struct buf *b, size_t start, size_t n)
{
	size_t whole = sizeof("12:34:56") - 1, digits = 0;

	if (b->failed || n == 0)
		return;
	if (b->n - start > whole)
		digits = b->n - start - whole - 1;
	else
		buf_u8(b, '.');
	for (; digits < n; digits++)
		buf_u8(b, '0');
}

int connect_to_iso_timestamp(const struct connect_type *t, struct slice text,
			     struct buf *scratch, struct connect_value *out)
{
	struct moment m;
	enum temporal is = temporal_timestamp(text, &m);
	size_t start;

	if (is == TEMPORAL_BAD)
		return -1;
	if (is == TEMPORAL_OK) {
		temporal_print_date(scratch, &m);
		buf_u8(scratch, 'T');
		start = scratch->n;
		temporal_print_time(scratch, m.us);
		fill_fraction(scratch, start, (size_t)t->length);
		buf_u8(scratch, 'Z');
	}
	out->s = is == TEMPORAL_OK ? buf_get(scratch) : text;
	return 0;
}

/* A month is a twelfth of 365.25 days. */
#define MONTH_US INT64_C(2629800000000)

int connect_to_duration(const struct connect_type *t, struct slice text,
			struct buf *scratch, struct connect_value *out)
{
	struct interval iv;
	int64_t months, days;

	(void)t, (void)scratch;
	if (temporal_interval(text, &iv) != TEMPORAL_OK ||
	    __builtin_mul_overflow(iv.months, MONTH_US, &months) ||
	    __builtin_mul_overflow(iv.days, DAY_US, &days) ||
	    __builtin_add_overflow(months, days, &out->i) ||
	    __builtin_add_overflow(out->i, iv.us, &out->i))
		return -1;
	return 0;
}

int connect_to_iso_duration(const struct connect_type *t, struct slice text,
			    struct buf *scratch, struct connect_value *out)
{
	struct interval iv;

	(void)t;
	if (temporal_interval(text, &iv) != TEMPORAL_OK)
		return -1;
	temporal_print_interval(scratch, &iv);
	out->s = buf_get(scratch);
	return 0;
}

/* The last bit is the lowest one of the first byte. */
int connect_to_bits(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	size_t n = (text.n + 7) / 8;

	(void)t;
	if (!buf_room(scratch, n))
		return 0;
	memset(scratch->p, 0, n);
	for (size_t i = 0; i < text.n; i++) {
		size_t bit = text.n - 1 - i;

		if (text.p[i] != '0' && text.p[i] != '1')
			return -1;
		if (text.p[i] == '1')
			scratch->p[bit / 8] |= (char)(1 << bit % 8);
	}
	scratch->n = n;
	out->s = buf_get(scratch);
	return 0;
}

static void put_hex(struct buf *b, struct slice s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		buf_u8(b, (uint8_t)digits[(uint8_t)s.p[i] >> 4]);
		buf_u8(b, (uint8_t)digits[(uint8_t)s.p[i] & 15]);
	}
}

void connect_put_bytes(struct buf *b, enum binary_mode mode, struct slice s)
{
	size_t start = b->n;

	if (mode == BINARY_HEX)
		put_hex(b, s);
	else
		json_base64(b, s);
	for (size_t i = start; mode == BINARY_BASE64_URL && i < b->n; i++) {
		char *c = &b->p[i];

		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	}
}

/* Bytes, as they are or as text. */
int connect_to_bytes(const struct connect_type *t, struct slice text,
		     struct buf *scratch, struct connect_value *out)
{
	size_t start = scratch->n;

	if (t->binary == BINARY_BYTES) {
		out->s = text;
		return 0;
	}
	connect_put_bytes(scratch, t->binary, text);
	out->s = (struct slice){scratch->p + start, scratch->n - start};
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* An element of a bytea[]: "\x" and two digits a byte. */
int connect_to_bytes_of_hex(const struct connect_type *t, struct slice text,
			    struct buf *scratch, struct connect_value *out)
{
	size_t n = text.n / 2;

	if (text.n < 2 || text.n % 2 != 0 || text.p[0] != '\\' ||
	    text.p[1] != 'x')
		return -1;
	for (size_t i = 1; i < n; i++) {
		int hi = hex_digit(text.p[2 * i]);
		int lo = hex_digit(text.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		buf_u8(scratch, (uint8_t)(hi << 4 | lo));
	}
	/* as text it goes behind the bytes, which must not move then */
	if (!buf_room(scratch, 4 * n + 8))
		return 0;
	return connect_to_bytes(t, buf_get(scratch), scratch, out);
}

/* One dimension that begins at 1: what stands between the braces. */
int connect_to_list(const struct connect_type *t, struct slice text,
		    struct buf *scratch, struct connect_value *out)
{
	bool quoted = false;

	(void)t, (void)scratch;
	if (text.n < 2 || text.p[0] != '{' || text.p[text.n - 1] != '}')
		return -1;
	out->s = (struct slice){text.p + 1, text.n - 2};
	for (size_t i = 0; i < out->s.n; i++) {
		char c = out->s.p[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '}'))
			return -1;
	}
	return quoted ? -1 : 0;
}

/* strtod() reads it in the C locale. */
double connect_double(struct slice s)
{
	char text[64];

	if (s.n >= sizeof(text))
		s.n = sizeof(text) - 1;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return strtod(text, NULL);
}

/* More digits than a double has are not carried along: the fewest that read back
 * as the same one, or the infinity. */
int connect_to_double(const struct connect_type *t, struct slice text,
		      struct buf *scratch, struct connect_value *out)
{
	int digits = 15;
	size_t n;
	double d;

	out->s = text;
	if (text.n <= 15)
		return 0;
	(void)t;
	buf_slice(scratch, text);
	buf_u8(scratch, '\0');
	if (scratch->failed)
		return 0;
	d = strtod(scratch->p, NULL);
	if (isinf(d)) {
		out->s = d > 0 ? SLICE("Infinity") : SLICE("-Infinity");
		return 0;
	}
	do {
		scratch->n = 0;
		buf_printf(scratch, "%.*g", digits, d);
		n = scratch->n;
		buf_u8(scratch, '\0');
	} while (digits++ < 17 && !scratch->failed && strtod(scratch->p, NULL) != d);
	out->s = (struct slice){scratch->p, n};
	return 0;
}

static void put_le64(uint8_t *out, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(bits >> 8 * i);
}

void connect_wkb(struct slice text, uint8_t out[CONNECT_WKB_BYTES])
{
	static const uint8_t head[5] = {1, 1, 0, 0, 0}; /* little endian, point */
	struct slice y = text, x = slice_cut(&y, ',');

	memcpy(out, head, sizeof(head));
	put_le64(out + 5, connect_double(x));
	put_le64(out + 13, connect_double(y));
}

/* "(1.5,2)": what stands between the parentheses. */
int connect_to_point(const struct connect_type *t, struct slice text,
		     struct buf *scratch, struct connect_value *out)
{
	(void)t, (void)scratch;
	if (text.n < 2 || text.p[0] != '(' || text.p[text.n - 1] != ')' ||
	    memchr(text.p, ',', text.n) == NULL)
		return -1;
	out->s = (struct slice){text.p + 1, text.n - 2};
	return 0;
}

/* One "..." from the front of *rest, escaped by backslashes, as JSON. */
static bool put_hstore_word(struct slice *rest, struct buf *b)
{
	struct slice word = *rest;
	size_t i = 1;

	if (word.n == 0 || word.p[0] != '"')
		return false;
	buf_u8(b, '"');
	for (; i < word.n && word.p[i] != '"'; i++) {
		i += word.p[i] == '\\' && i + 1 < word.n;
		json_escaped(b, (struct slice){word.p + i, 1});
	}
	buf_u8(b, '"');
	*rest = (struct slice){word.p + i + 1, i < word.n ? word.n - i - 1 : 0};
	return i < word.n;
}

static bool skip_word(struct slice *rest, const char *word)
{
	if (!slice_has_prefix(*rest, word))
		return false;
	rest->p += strlen(word);
	rest->n -= strlen(word);
	return true;
}

/* "a"=>"1", "b"=>NULL: an object of strings and nulls. */
int connect_to_hstore(const struct connect_type *t, struct slice text,
		      struct buf *scratch, struct connect_value *out)
{
	struct slice rest = text;

	(void)t;
	buf_u8(scratch, '{');
	while (rest.n > 0) {
		if (rest.p != text.p) {
			if (!skip_word(&rest, ", "))
				return -1;
			buf_u8(scratch, ',');
		}
		if (!put_hstore_word(&rest, scratch) || !skip_word(&rest, "=>"))
			return -1;
		buf_u8(scratch, ':');
		if (skip_word(&rest, "NULL"))
			buf_text(scratch, "null");
		else if (!put_hstore_word(&rest, scratch))
			return -1;
	}
	buf_u8(scratch, '}');
	out->s = buf_get(scratch);
	return 0;
}

/* --- values ----------------------------------------------------------- */

static int refuse(const struct connect_type *t, const struct column *col,
		  struct err *e)
{
	err_set(e, CODE_event_rejected,
		"column \"%.*s\": a value of type %.*s cannot be carried as %s",
		SLICE_ARG(col->name), SLICE_ARG(col->type_name),
		t->kind == CONNECT_ARRAY ? "a list of one dimension"
		: t->name		 ? t->name
					 : "its Connect type");
	err_hint(e, "Choose another mode in the sink's section: see leat-envelope(7), WITH SCHEMAS.");
	return -1;
}

static int convert_text(const struct connect_type *t, const struct column *col,
			struct slice text, struct buf *scratch,
			struct connect_value *out, struct err *e)
{
	scratch->n = 0;
	if (t->convert(t, text, scratch, out) != 0)
		return refuse(t, col, e);
	return scratch->failed ? err_no_memory(e) : 0;
}

static void unchanged(const struct connect_type *t,
		      const struct connect_modes *m, struct connect_value *out)
{
	bool is_list = t->kind == CONNECT_ARRAY &&
		       t->element->kind == CONNECT_STRING &&
		       t->element->convert == connect_to_text;
	bool is_text = t->kind == CONNECT_STRING &&
		       (t->convert == connect_to_text ||
			t->convert == connect_to_hstore);

	out->is_null = m->unavailable.p == NULL ||
		       (!is_list && !is_text && t->convert != connect_to_bytes);
	if (!out->is_null)
		out->s = is_list ? m->unavailable_item : m->unavailable;
}

int connect_convert(const struct connect_type *t, const struct column *col,
		    const struct value *v, const struct connect_modes *m,
		    struct buf scratch[2], struct connect_value *out,
		    struct err *e)
{
	bool fits = true;

	*out = (struct connect_value){.is_null = v->tag == VALUE_NULL};
	switch (v->tag) {
	case VALUE_NULL:
		break;
	case VALUE_UNCHANGED:
		unchanged(t, m, out);
		break;
	case VALUE_BOOL:
		fits = t->kind == CONNECT_BOOLEAN;
		out->b = v->b;
		break;
	case VALUE_INT:
		fits = t->convert == connect_to_int;
		out->i = v->i;
		break;
	case VALUE_UINT:
		scratch[1].n = 0;
		buf_u64(&scratch[1], v->u);
		return convert_text(t, col, buf_get(&scratch[1]), scratch, out, e);
	case VALUE_TEXT:
	case VALUE_BYTES:
		if ((t->convert == connect_to_bytes) == (v->tag == VALUE_BYTES))
			return convert_text(t, col, v->s, scratch, out, e);
		fits = false;
		break;
	}
	return fits ? 0 : refuse(t, col, e);
}

/* One element from the front of *rest; what was escaped is in scratch. */
static struct slice cut_element(struct slice *rest, struct buf *scratch,
				bool *is_quoted)
{
	const char *p = rest->p, *end = p + rest->n;

	*is_quoted = *p == '"';
	if (!*is_quoted)
		return slice_cut(rest, ',');
	scratch->n = 0;
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		buf_u8(scratch, (uint8_t)*p);
	}
	*rest = (struct slice){p, (size_t)(end - p)};
	slice_cut(rest, ',');
	return buf_get(scratch);
}

int connect_next(const struct connect_type *array, const struct column *col,
		 struct slice *rest, struct buf scratch[2],
		 struct connect_value *out, struct err *e)
{
	struct slice text;
	bool is_quoted;

	if (rest->n == 0)
		return 0;
	text = cut_element(rest, &scratch[1], &is_quoted);
	*out = (struct connect_value){.is_null = !is_quoted &&
						 slice_is(text, "NULL")};
	if (scratch[1].failed)
		return err_no_memory(e);
	if (out->is_null)
		return 1;
	return convert_text(array->element, col, text, scratch, out, e) == 0
		       ? 1
		       : -1;
}
