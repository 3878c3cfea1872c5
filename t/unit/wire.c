#include "config.h"
#include "base/wire.h"

#include "base/buf.h"
#include "t/tap.h"

static void test_round_trip(void)
{
	static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384,
					  UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	struct buf b = BUF_INIT;
	struct wire w;

	for (size_t i = 0; i < countof(values); i++) {
		buf_varint(&b, values[i]);
		buf_zigzag(&b, (int64_t)values[i]);
		buf_le64(&b, values[i]);
		buf_be64(&b, values[i]);
		buf_le32(&b, (uint32_t)values[i]);
		buf_le16(&b, (uint16_t)values[i]);
		buf_lenslice(&b, SLICE("text"));
	}
	w = wire_of(buf_get(&b));
	for (size_t i = 0; i < countof(values); i++) {
		bool same = wire_varint(&w) == values[i] &&
			    wire_zigzag(&w) == (int64_t)values[i] &&
			    wire_le64(&w) == values[i] &&
			    wire_be64(&w) == values[i] &&
			    wire_le32(&w) == (uint32_t)values[i] &&
			    wire_le16(&w) == (uint16_t)values[i] &&
			    slice_is(wire_lenslice(&w), "text");

		ok(same, "%llu reads back in every form",
		   (unsigned long long)values[i]);
	}
	ok(wire_ok(&w) && wire_left(&w) == 0, "and nothing is left");
	buf_fini(&b);
}

static void test_short(void)
{
	static const char bytes[] = "\x01\x02\x03";
	struct wire w = wire_of((struct slice){bytes, 3});

	is_int(wire_be32(&w), 0, "a read past the end gives zero");
	ok(!wire_ok(&w), "and is remembered");
	is_int(wire_u8(&w), 0, "nothing can be read after it");
	w = wire_of((struct slice){bytes, 3});
	is_int(wire_be16(&w), 0x0102, "big-endian");
	ok(wire_cstr(&w).p == NULL && !wire_ok(&w),
	   "text without its NUL is an error");
	w = wire_of(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
	wire_varint(&w);
	ok(!wire_ok(&w), "a number above 64 bits is an error");
	w = wire_of(SLICE("\x05" "abc"));
	ok(wire_lenslice(&w).n == 0 && !wire_ok(&w),
	   "a length past the end is an error");
	w = wire_of((struct slice){NULL, 0});
	ok(wire_left(&w) == 0 && wire_u8(&w) == 0 && !wire_ok(&w),
	   "no bytes at all are short too");
}

int main(void)
{
	test_round_trip();
	test_short();
	return tap_done();
}
