#include "config.h"
#include "base/json.h"

/* 0: as it is, 1: \u00XX, else the letter behind the backslash */
static const char escape[256] = {
	1, 1, 1, 1, 1, 1, 1, 1, 'b', 't', 'n', 1, 'f', 'r', 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ['"'] = '"', ['\\'] = '\\',
	[127] = 1,
};

void json_escaped(struct buf *b, struct slice s)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (likely(escape[c] == 0))
			continue;
		buf_put(b, s.p + from, i - from);
		from = i + 1;
		if (escape[c] == 1)
			buf_printf(b, "\\u%04x", c);
		else {
			buf_u8(b, '\\');
			buf_u8(b, (uint8_t)escape[c]);
		}
	}
	buf_put(b, s.p + from, s.n - from);
}

void json_string(struct buf *b, struct slice s)
{
	buf_u8(b, '"');
	json_escaped(b, s);
	buf_u8(b, '"');
}

void json_base64(struct buf *b, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;
	char *o;

	if (s.n > SIZE_MAX / 2 || !buf_room(b, (s.n + 2) / 3 * 4)) {
		b->failed = true;
		return;
	}
	o = b->p + b->n;
	for (; s.n - i >= 3; i += 3, o += 4) {
		o[0] = digits[p[i] >> 2];
		o[1] = digits[(p[i] & 3) << 4 | p[i + 1] >> 4];
		o[2] = digits[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
		o[3] = digits[p[i + 2] & 63];
	}
	if (s.n - i > 0) {
		unsigned next = s.n - i == 2 ? p[i + 1] : 0;

		o[0] = digits[p[i] >> 2];
		o[1] = digits[(p[i] & 3) << 4 | next >> 4];
		o[2] = s.n - i == 2 ? digits[(next & 15) << 2] : '=';
		o[3] = '=';
		o += 4;
	}
	b->n = (size_t)(o - b->p);
}
