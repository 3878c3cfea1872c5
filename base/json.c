#include "config.h"
#include "base/json.h"

/* 0: as it is, 1: \u00XX, else the letter behind the backslash */
static const char escape[256] = {
	1, 1, 1, 1, 1, 1, 1, 1, 'b', 't', 'n', 1, 'f', 'r', 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ['"'] = '"', ['\\'] = '\\',
	[127] = 1,
};

/* Each byte of the word that is 0 gets its high bit set; bytes above one that
 * is may get it too. */
static uint64_t zero_bytes(uint64_t w)
{
	return (w - 0x0101010101010101u) & ~w & 0x8080808080808080u;
}

/* Do eight bytes go as they are? */
static bool is_plain(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t w, control;

	memcpy(&w, p, sizeof(w));
	control = (w - ones * 0x20) & ~w & (ones * 0x80);
	return (control | zero_bytes(w ^ ones * '"') |
		zero_bytes(w ^ ones * '\\') | zero_bytes(w ^ ones * 127)) == 0;
}

static void put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	buf_u8(b, '\\');
	if (escape[c] != 1) {
		buf_u8(b, (uint8_t)escape[c]);
		return;
	}
	buf_put(b, "u00", 3);
	buf_u8(b, (uint8_t)hex[c >> 4]);
	buf_u8(b, (uint8_t)hex[c & 15]);
}

void json_escaped(struct buf *b, struct slice s)
{
	size_t from = 0, i = 0;

	while (i < s.n) {
		unsigned char c = (unsigned char)s.p[i];

		if (s.n - i >= 8 && is_plain(s.p + i)) {
			i += 8;
			continue;
		}
		i++;
		if (likely(escape[c] == 0))
			continue;
		buf_put(b, s.p + from, i - 1 - from);
		put_escape(b, c);
		from = i;
	}
	if (from < s.n)
		buf_put(b, s.p + from, s.n - from);
}

void json_quoted(struct buf *b, struct slice s)
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
