#include "config.h"
#include "sources/pg_types.h"

#include "base/utf8.h"
#include "t/tap.h"

static struct value v;

static enum pg_text read_text(enum type t, const char *text)
{
	static char copy[64];

	memcpy(copy, text, strlen(text) + 1);
	return pg_type_value(t, copy, strlen(text), &v);
}

static void prints(uint32_t oid, int32_t modifier, const char *want)
{
	struct buf b = BUF_INIT;

	pg_type_print(oid, modifier, &b);
	is_slice(b, want, "type %u with modifier %d is %s", oid, modifier,
		 want[0] ? want : "not named");
	buf_fini(&b);
}

static void test_oids(void)
{
	static const struct {
		uint32_t oid;
		enum type type;
	} cases[] = {
		{16, TYPE_BOOL},	 {17, TYPE_BYTES},
		{18, TYPE_TEXT},	 {19, TYPE_TEXT},
		{20, TYPE_INT64},	 {21, TYPE_INT16},
		{23, TYPE_INT32},	 {25, TYPE_TEXT},
		{26, TYPE_UINT32},	 {114, TYPE_JSON},
		{142, TYPE_XML},	 {650, TYPE_NET},
		{700, TYPE_FLOAT32},	 {701, TYPE_FLOAT64},
		{774, TYPE_NET},	 {790, TYPE_MONEY},
		{829, TYPE_NET},	 {869, TYPE_NET},
		{1042, TYPE_CHAR},	 {1043, TYPE_TEXT},
		{1082, TYPE_DATE},	 {1083, TYPE_TIME},
		{1114, TYPE_TIMESTAMP},	 {1184, TYPE_TIMESTAMPTZ},
		{1186, TYPE_INTERVAL},	 {1266, TYPE_TIMETZ},
		{1560, TYPE_BITS},	 {1562, TYPE_BITS},
		{1700, TYPE_DECIMAL},	 {2950, TYPE_UUID},
		{3802, TYPE_JSON},	 {5069, TYPE_UINT64},
		{1007, TYPE_ARRAY},	 {1231, TYPE_ARRAY},
		{3905, TYPE_ARRAY},	 {600, TYPE_OTHER},
		{3904, TYPE_OTHER},	 {22, TYPE_OTHER},
		{99999, TYPE_OTHER},
	};
	bool is_known;

	for (size_t i = 0; i < countof(cases); i++)
		is_str(type_name(pg_type_of(cases[i].oid, NULL)),
		       type_name(cases[i].type), "type %u is %s", cases[i].oid,
		       type_name(cases[i].type));
	pg_type_of(600, &is_known);
	ok(is_known, "a built-in type is known even where it is mere text");
	pg_type_of(16384, &is_known);
	ok(!is_known, "a user's type is not");
	is_int(pg_type_oid(SLICE("int4")), 23, "a base type is found by name");
	is_int(pg_type_oid(SLICE("_int4")), 1007, "an array type too");
	is_int(pg_type_oid(SLICE("int")), 0, "an alias is no name of a type");
	is_int(pg_type_oid(SLICE("")), 0, "the empty name is none");
}

static void test_names(void)
{
	prints(23, -1, "int4");
	prints(1700, -1, "numeric");
	prints(1700, ((10 << 16) | 2) + 4, "numeric(10,2)");
	prints(1700, ((3 << 16) | (-2 & 0x7ff)) + 4, "numeric(3,-2)");
	prints(1700, ((1000 << 16) | 1000) + 4, "numeric(1000,1000)");
	prints(1231, ((10 << 16) | 2) + 4, "numeric(10,2)[]");
	prints(1043, 24, "varchar(20)");
	prints(1042, 9, "char(5)");
	prints(1042, -1, "bpchar");
	prints(18, -1, "\"char\"");
	prints(1114, 3, "timestamp(3)");
	prints(1184, 0, "timestamptz(0)");
	prints(1083, -1, "time");
	prints(1560, 8, "bit(8)");
	prints(1563, 9, "varbit(9)[]");
	prints(1186, -1, "interval");
	prints(1186, 0x7fff0003, "interval(3)");
	prints(1186, (6 << 16) | 0xffff, "interval year to month");
	prints(1186, (7176 << 16) | 3, "interval day to second(3)");
	prints(16384, -1, "");
}

static void test_values(void)
{
	ok(read_text(TYPE_BOOL, "t") == PG_TEXT_OK && v.tag == VALUE_BOOL && v.b,
	   "t is true");
	ok(read_text(TYPE_BOOL, "f") == PG_TEXT_OK && !v.b, "f is false");
	ok(read_text(TYPE_BOOL, "true") == PG_TEXT_BAD &&
		   read_text(TYPE_BOOL, "") == PG_TEXT_BAD,
	   "nothing else is a boolean");
	ok(read_text(TYPE_INT64, "-9223372036854775808") == PG_TEXT_OK &&
		   v.tag == VALUE_INT && v.i == INT64_MIN,
	   "the smallest int8 is exact");
	ok(read_text(TYPE_INT64, "9223372036854775807") == PG_TEXT_OK &&
		   v.i == INT64_MAX,
	   "so is the largest");
	ok(read_text(TYPE_INT64, "9223372036854775808") == PG_TEXT_BAD &&
		   read_text(TYPE_INT32, "2147483648") == PG_TEXT_BAD &&
		   read_text(TYPE_INT16, "-32769") == PG_TEXT_BAD &&
		   read_text(TYPE_UINT32, "4294967296") == PG_TEXT_BAD,
	   "what does not fit the type is refused");
	ok(read_text(TYPE_INT16, "-32768") == PG_TEXT_OK && v.i == INT16_MIN,
	   "the smallest int2");
	ok(read_text(TYPE_UINT32, "4294967295") == PG_TEXT_OK &&
		   v.tag == VALUE_UINT && v.u == UINT32_MAX,
	   "the largest oid");
	ok(read_text(TYPE_UINT64, "18446744073709551615") == PG_TEXT_OK &&
		   v.u == UINT64_MAX,
	   "the largest xid8");
	ok(read_text(TYPE_INT32, "") == PG_TEXT_BAD &&
		   read_text(TYPE_INT32, "1 ") == PG_TEXT_BAD &&
		   read_text(TYPE_UINT32, "-1") == PG_TEXT_BAD,
	   "what is no number is refused");
	ok(read_text(TYPE_BYTES, "\\x") == PG_TEXT_OK && v.tag == VALUE_BYTES &&
		   v.s.n == 0,
	   "empty bytea");
	ok(read_text(TYPE_BYTES, "\\x00fFA0") == PG_TEXT_OK &&
		   slice_eq(v.s, (struct slice){"\0\xff\xa0", 3}),
	   "bytea is decoded");
	ok(read_text(TYPE_BYTES, "\\x0") == PG_TEXT_BAD &&
		   read_text(TYPE_BYTES, "\\x0g") == PG_TEXT_BAD &&
		   read_text(TYPE_BYTES, "\\xg0") == PG_TEXT_BAD &&
		   read_text(TYPE_BYTES, "\\") == PG_TEXT_BAD &&
		   read_text(TYPE_BYTES, "") == PG_TEXT_BAD &&
		   read_text(TYPE_BYTES, "\\336\\255") == PG_TEXT_BAD,
	   "bytea in another form is refused");
	ok(read_text(TYPE_DECIMAL, "NaN") == PG_TEXT_OK && v.tag == VALUE_TEXT &&
		   slice_is(v.s, "NaN"),
	   "a numeric is its text");
	ok(read_text(TYPE_CHAR, "ab   ") == PG_TEXT_OK && v.s.n == 5,
	   "padding is kept");
	ok(read_text(TYPE_TEXT, "") == PG_TEXT_OK && v.tag == VALUE_TEXT &&
		   v.s.n == 0,
	   "the empty text is a text");
	ok(read_text(TYPE_JSON, "{\"a\": \"\xff\"}") == PG_TEXT_NOT_UTF8 &&
		   read_text(TYPE_OTHER, "\xc3") == PG_TEXT_NOT_UTF8,
	   "text that is not UTF-8 is told apart");
}

static bool utf8(const char *s, size_t n)
{
	return utf8_is_valid((struct slice){s, n});
}

static void test_utf8(void)
{
	static const char *const good[] = {
		"",	    "plain",	    "\xc2\x80",		"\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		("12345678\xc3\xa9" "12345678\xf0\x9f\x98\x80"),
	};
	static const char *const bad[] = {
		"\x80",		"\xbf",		    "\xc0\x80",	 "\xc1\xbf",
		"\xc2",		"\xc2\x41",	    "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xe2\x82",	    "\xe2\x82\x41", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98",
		"12345678\xe9", "1234567\xc3", "123456789012345\xf0\x9f\x98",
	};

	for (size_t i = 0; i < countof(good); i++)
		ok(utf8(good[i], strlen(good[i])), "good UTF-8, case %zu", i);
	for (size_t i = 0; i < countof(bad); i++)
		ok(!utf8(bad[i], strlen(bad[i])), "bad UTF-8, case %zu", i);
	ok(utf8("a\0b", 3), "NUL is a character like others");
}

int main(void)
{
	test_oids();
	test_names();
	test_values();
	test_utf8();
	return tap_done();
}
