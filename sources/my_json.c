/* my_json.c: see my_json.h.
 *
 * A document is u8 kind and a value.  Objects and arrays: count of elements,
 * size in bytes, for an object the keys (offset, u16 length), then the elements
 * (u8 kind, offset or, where it fits, the value itself).  Counts, sizes and
 * offsets are u16 in small ones and u32 in large ones; offsets count from the
 * count.  Strings and opaque values have a length of seven bits a byte. */
#include "config.h"
#include "sources/my_json.h"

#include <stdio.h>

#include "base/wire.h"
#include "sources/my_event.h"
#include "sources/my_map.h"
#include "sources/my_text.h"

#define MAX_DEPTH 101

enum kind {
	SMALL_OBJECT,
	LARGE_OBJECT,
	SMALL_ARRAY,
	LARGE_ARRAY,
	LITERAL,
	INT16,
	UINT16,
	INT32,
	UINT32,
	INT64,
	UINT64,
	DOUBLE,
	STRING,
	OPAQUE = 15,
};

struct printer {
	struct buf *out;
	size_t limit; /* a damaged document may name an element many times */
};

static bool put_value(struct printer *pr, uint8_t kind, struct slice s,
		      unsigned depth);

/* --- scalars ----------------------------------------------------------------- */

static void put_string(struct buf *b, struct slice s)
{
	static const char hex[] = "0123456789abcdef";

	buf_u8(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		const char *at = c ? strchr("\bb\ff\nn\rr\tt", c) : NULL;

		if (c == '"' || c == '\\') {
			buf_u8(b, '\\');
			buf_u8(b, c);
		} else if (c < 0x20 && at != NULL) {
			buf_u8(b, '\\');
			buf_u8(b, (uint8_t)at[1]);
		} else if (c < 0x20) {
			buf_text(b, "\\u00");
			buf_u8(b, (uint8_t)hex[c >> 4]);
			buf_u8(b, (uint8_t)hex[c & 15]);
		} else {
			buf_u8(b, c);
		}
	}
	buf_u8(b, '"');
}

static bool put_literal(struct buf *b, uint8_t v)
{
	static const char *const names[] = {"null", "true", "false"};

	if (v >= countof(names))
		return false;
	buf_text(b, names[v]);
	return true;
}

static bool put_double(struct buf *b, struct wire *w)
{
	uint64_t bits = wire_le64(w);
	char text[MY_FLOAT_SIZE];
	double d;

	memcpy(&d, &bits, sizeof(d));
	if (!wire_ok(w) || d != d || d - d != 0)
		return false;
	buf_put(b, text, my_double_print(text, d));
	return true;
}

/* Lengths of seven bits a byte, at most five of them. */
static struct slice take_string(struct wire *w)
{
	uint64_t n = wire_varint(w);

	if (n > wire_left(w)) {
		w->failed = true;
		return (struct slice){0};
	}
	return wire_bytes(w, (size_t)n);
}

static void put_base64(struct buf *b, struct slice s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = (const uint8_t *)s.p;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)p[i] << 16 |
			     (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);

		buf_u8(b, (uint8_t)set[v >> 18]);
		buf_u8(b, (uint8_t)set[v >> 12 & 63]);
		buf_u8(b, left > 1 ? (uint8_t)set[v >> 6 & 63] : '=');
		buf_u8(b, left > 2 ? (uint8_t)set[v & 63] : '=');
	}
}

/* precision, scale, the decimal's bytes */
static bool put_decimal(struct buf *b, struct slice s)
{
	struct wire w = wire_of(s);
	uint8_t precision = wire_u8(&w), scale = wire_u8(&w);
	char text[MY_DECIMAL_SIZE];
	size_t n = my_decimal_print(text, precision, scale,
				    wire_bytes(&w, wire_left(&w)));

	buf_put(b, text, n);
	return n > 0;
}

/* Date and time above, 24 bits of microseconds below. */
static bool put_time(struct buf *b, uint8_t type, struct slice s)
{
	struct wire w = wire_of(s);
	int64_t packed = (int64_t)wire_le64(&w);
	uint64_t all = packed < 0 ? 0 - (uint64_t)packed : (uint64_t)packed;
	uint32_t us = all & 0xffffff;
	char text[MY_TIME_SIZE];
	size_t n;

	if (!wire_ok(&w) || (packed < 0 && type != MY_TYPE_TIME))
		return false;
	if (type == MY_TYPE_TIME)
		n = my_duration_print(text, packed < 0, (uint32_t)(all >> 24), us,
				      6);
	else
		n = my_datetime_print(text, all >> 24, us, 6);
	buf_u8(b, '"');
	buf_put(b, text, type == MY_TYPE_DATE && n > 10 ? 10 : n);
	buf_u8(b, '"');
	return n > 0;
}

static bool put_opaque(struct buf *b, struct wire *w)
{
	uint8_t type = wire_u8(w);
	struct slice s = take_string(w);

	if (!wire_ok(w))
		return false;
	switch (type) {
	case MY_TYPE_NEWDECIMAL:
		return put_decimal(b, s);
	case MY_TYPE_DATE:
	case MY_TYPE_TIME:
	case MY_TYPE_DATETIME:
	case MY_TYPE_TIMESTAMP:
		return put_time(b, type, s);
	default:
		buf_printf(b, "\"base64:type%u:", type);
		put_base64(b, s);
		buf_u8(b, '"');
		return true;
	}
}

static bool put_scalar(struct buf *b, uint8_t kind, struct slice s)
{
	struct wire w = wire_of(s);

	switch (kind) {
	case LITERAL:
		return put_literal(b, wire_u8(&w)) && wire_ok(&w);
	case INT16:
		buf_i64(b, (int16_t)wire_le16(&w));
		break;
	case UINT16:
		buf_u64(b, wire_le16(&w));
		break;
	case INT32:
		buf_i64(b, (int32_t)wire_le32(&w));
		break;
	case UINT32:
		buf_u64(b, wire_le32(&w));
		break;
	case INT64:
		buf_i64(b, (int64_t)wire_le64(&w));
		break;
	case UINT64:
		buf_u64(b, wire_le64(&w));
		break;
	case DOUBLE:
		return put_double(b, &w);
	case STRING:
		put_string(b, take_string(&w));
		break;
	case OPAQUE:
		return put_opaque(b, &w);
	default:
		return false;
	}
	return wire_ok(&w);
}

/* --- objects and arrays -------------------------------------------------------- */

struct tree {
	struct slice all; /* from the count on */
	bool is_large, is_object;
	size_t width; /* of counts and offsets */
	uint32_t n;
	size_t keys, elements; /* where the entries begin */
};

static uint32_t number_at(const struct tree *t, size_t at, size_t width)
{
	struct wire w = wire_of((struct slice){t->all.p + at, width});

	return (uint32_t)my_le(&w, width);
}

static bool open_tree(struct tree *t, uint8_t kind, struct slice s)
{
	size_t entry;

	t->is_large = kind == LARGE_OBJECT || kind == LARGE_ARRAY;
	t->is_object = kind == SMALL_OBJECT || kind == LARGE_OBJECT;
	t->width = t->is_large ? 4 : 2;
	t->all = s;
	if (s.n < 2 * t->width)
		return false;
	t->n = number_at(t, 0, t->width);
	t->all.n = number_at(t, t->width, t->width);
	t->keys = 2 * t->width;
	if (t->all.n > s.n || t->all.n < t->keys)
		return false;
	entry = 1 + t->width + (t->is_object ? t->width + 2 : 0);
	if (t->n > (t->all.n - t->keys) / entry)
		return false;
	t->elements = t->keys + (t->is_object ? t->n * (t->width + 2) : 0);
	return true;
}

static bool put_key(struct buf *b, const struct tree *t, uint32_t i)
{
	size_t at = t->keys + i * (t->width + 2);
	uint32_t offset = number_at(t, at, t->width);
	uint32_t n = number_at(t, at + t->width, 2);

	if (offset > t->all.n || n > t->all.n - offset)
		return false;
	put_string(b, (struct slice){t->all.p + offset, n});
	buf_text(b, ": ");
	return true;
}

static bool is_inline(const struct tree *t, uint8_t kind)
{
	return kind == LITERAL || kind == INT16 || kind == UINT16 ||
	       (t->is_large && (kind == INT32 || kind == UINT32));
}

static bool put_element(struct printer *pr, const struct tree *t, uint32_t i,
			unsigned depth)
{
	size_t at = t->elements + i * (1 + t->width);
	uint8_t kind = (uint8_t)t->all.p[at];
	uint32_t offset;

	if (is_inline(t, kind))
		return put_scalar(pr->out, kind,
				  (struct slice){t->all.p + at + 1, t->width});
	offset = number_at(t, at + 1, t->width);
	if (offset > t->all.n)
		return false;
	return put_value(pr, kind,
			 (struct slice){t->all.p + offset, t->all.n - offset},
			 depth + 1);
}

static bool put_tree(struct printer *pr, uint8_t kind, struct slice s,
		     unsigned depth)
{
	struct tree t;

	if (depth >= MAX_DEPTH || !open_tree(&t, kind, s))
		return false;
	buf_u8(pr->out, t.is_object ? '{' : '[');
	for (uint32_t i = 0; i < t.n; i++) {
		if (i > 0)
			buf_text(pr->out, ", ");
		if ((t.is_object && !put_key(pr->out, &t, i)) ||
		    !put_element(pr, &t, i, depth) || pr->out->n > pr->limit ||
		    pr->out->failed)
			return false;
	}
	buf_u8(pr->out, t.is_object ? '}' : ']');
	return true;
}

static bool put_value(struct printer *pr, uint8_t kind, struct slice s,
		      unsigned depth)
{
	if (kind <= LARGE_ARRAY)
		return put_tree(pr, kind, s, depth);
	return put_scalar(pr->out, kind, s);
}

bool my_json_print(struct slice doc, struct buf *out)
{
	struct printer pr = {.out = out, .limit = out->n + doc.n * 16 + 64};

	/* what UPDATE IGNORE and the like leave of a value that was none */
	if (doc.n == 0) {
		buf_text(out, "null");
		return true;
	}
	return put_value(&pr, (uint8_t)doc.p[0],
			 (struct slice){doc.p + 1, doc.n - 1}, 0);
}
