/* JSON texts and numbers, against the plainest way to make the same. */
#include "config.h"

#include "base/json.h"
#include "t/tap.h"

static void escapes(const char *text, size_t n, const char *want)
{
	struct buf b = BUF_INIT;

	json_quoted(&b, (struct slice){text, n});
	is_slice(b, want, "%s is escaped as it should be", want);
	buf_fini(&b);
}

/* One byte after the other, by the book. */
static void plainly(struct buf *b, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		static const char from[] = "\b\t\n\f\r\"\\", to[] = "btnfr\"\\";
		const char *short_form = p[i] ? strchr(from, p[i]) : NULL;

		if (short_form != NULL)
			buf_printf(b, "\\%c", to[short_form - from]);
		else if (p[i] < 0x20 || p[i] == 127)
			buf_printf(b, "\\u%04x", p[i]);
		else
			buf_u8(b, p[i]);
	}
}

static void every_byte_at_every_place(void)
{
	struct buf got = BUF_INIT, want = BUF_INIT;
	size_t wrong = 0;

	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 20; at++) {
			unsigned char text[20];

			memset(text, c % 2 ? 'x' : 0x80, sizeof(text));
			text[at] = (unsigned char)c;
			got.n = want.n = 0;
			json_escaped(&got, (struct slice){(char *)text, 20});
			plainly(&want, text, sizeof(text));
			wrong += !slice_eq(buf_get(&got), buf_get(&want));
		}
	}
	is_int((long long)wrong, 0,
	       "every byte is escaped the same wherever it stands");
	buf_fini(&got);
	buf_fini(&want);
}

static void numbers(void)
{
	static const uint64_t some[] = {
		0, 9, 10, 99, 100, 101, 999, 1000, 12345, 4294967295, 4294967296,
		999999999999999999, 1000000000000000000, UINT64_MAX,
	};
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < countof(some); i++) {
		char want[32];

		b.n = 0;
		buf_u64(&b, some[i]);
		snprintf(want, sizeof(want), "%llu",
			 (unsigned long long)some[i]);
		is_slice(b, want, "%s is printed", want);
	}
	b.n = 0;
	buf_i64(&b, INT64_MIN);
	is_slice(b, "-9223372036854775808", "so is the least of all");
	buf_fini(&b);
}

static void base64(const char *text, const char *want)
{
	struct buf b = BUF_INIT;

	json_base64(&b, slice_of(text));
	is_slice(b, want, "base64 of \"%s\"", text);
	buf_fini(&b);
}

int main(void)
{
	escapes("", 0, "\"\"");
	escapes("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
	escapes("\0\x1f\n\t\r\b\f\x7f", 8, "\"\\u0000\\u001f\\n\\t\\r\\b\\f\\u007f\"");
	escapes("gr\xc3\xbc\xc3\x9f dich, welt", 17, "\"gr\xc3\xbc\xc3\x9f dich, welt\"");
	every_byte_at_every_place();
	numbers();
	/* RFC 4648, section 10 */
	base64("", "");
	base64("f", "Zg==");
	base64("fo", "Zm8=");
	base64("foo", "Zm9v");
	base64("foob", "Zm9vYg==");
	base64("fooba", "Zm9vYmE=");
	base64("foobar", "Zm9vYmFy");
	return tap_done();
}
