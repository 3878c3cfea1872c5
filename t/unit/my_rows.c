/* Shapes and values: what a server has sent, byte by byte. */
#include "config.h"
#include "sources/my_rows.h"

#include <math.h>

#include "sources/my_json.h"
#include "sources/my_text.h"
#include "sources/my_value.h"
#include "t/mymsg.h"

static struct err e;
static struct arena arena;
static struct my_charsets *charsets;

static bool read_map(struct slice body, struct my_map *map)
{
	struct wire w = wire_of(body);

	*map = (struct my_map){.id = my_map_id(&w)};
	e = ERR_INIT;
	return my_map_read(&w, charsets, &arena, map, &e) == 0;
}

static struct slice recorded(const char *text)
{
	struct slice s = unhex(text);

	s.n -= 4;
	return s;
}

/* --- shapes -------------------------------------------------------------- */

static void test_map(void)
{
	static const char *const types[] = {
		"id bigint unsigned", "c255 char(255)", "c10 char(10)",
		"vc varchar(300)", "vb varbinary(10)", "b10 binary(10)",
		"e enum('a','b')", "s set('x','y','z')", "bt bit(10)",
		"d1 decimal(10,2)", "d2 decimal(65,30)", "t3 time(3)", "t0 time",
		"dt6 datetime(6)", "dt0 datetime", "ts3 timestamp(3)", "y year",
		"da date", "j json", "g geometry", "v vector", "tb tinyblob",
		"lb longtext", "f float", "dd double", "ti tinyint",
		"mi mediumint unsigned",
	};
	struct my_map map;
	struct table proto;

	ok(read_map(recorded(my_recorded_map), &map), "a table map is read");
	is_slice(map.db, "t", "with its database");
	is_slice(map.name, "ty", "and its name");
	ok(my_map_shape(&map, &arena, &proto, &e) == 0, "it makes a shape");
	is_slice(proto.full_name, "t.ty", "with a full name");
	is_int(proto.ncols, countof(types), "and all columns");
	for (uint32_t i = 0; i < countof(types) && i < proto.ncols; i++) {
		char got[80];

		snprintf(got, sizeof(got), "%.*s %.*s",
			 SLICE_ARG(proto.cols[i].name),
			 SLICE_ARG(proto.cols[i].type_name));
		is_str(got, types[i], "column %u", i + 1);
	}
	ok(proto.cols[0].key_position == 1 && !proto.cols[0].is_nullable,
	   "the first is the primary key");
	ok(proto.cols[1].key_position == 0 && proto.cols[1].is_nullable,
	   "the second is not");
}

static void test_map_cut(void)
{
	struct slice whole = recorded(my_recorded_map);
	struct my_map map;
	size_t good = 0;

	for (size_t n = 6; n < whole.n; n++)
		good += read_map((struct slice){whole.p, n}, &map);
	/* between two of the blocks at the end nothing is missing */
	ok(good <= 10, "a table map that is cut short is refused (%zu)", good);
}

/* --- rows ------------------------------------------------------------------ */

static const char *show(const struct value *v)
{
	static struct buf b;

	buf_reset(&b, SIZE_MAX);
	switch (v->tag) {
	case VALUE_NULL: buf_text(&b, "NULL"); break;
	case VALUE_UNCHANGED: buf_text(&b, "?"); break;
	case VALUE_BOOL: buf_text(&b, v->b ? "true" : "false"); break;
	case VALUE_INT: buf_i64(&b, v->i); break;
	case VALUE_UINT: buf_u64(&b, v->u); break;
	case VALUE_TEXT: buf_slice(&b, v->s); break;
	case VALUE_BYTES:
		for (size_t i = 0; i < v->s.n; i++)
			buf_printf(&b, "%02x", (uint8_t)v->s.p[i]);
	}
	buf_u8(&b, 0);
	return b.p;
}

static void test_row(void)
{
	static const char *const want[] = {
		"18446744073709551615", "\xc3\xa9", "\xc3\xa9", "v\xc3\xa9",
		"00ff00", "01020000000000000000", "b", "x,z", "1010101010",
		"-1234.56",
		"-123456789012345678901234567890.500000000000000000000000000000",
		"-12:34:56.789", "-838:59:59", "2024-02-29 23:59:59.123456",
		"0000-00-00 00:00:00", "1970-01-01 00:00:01.500+00", "1901",
		"0000-00-00",
		"{\"a\": 1, \"d\": {}, \"bb\": [true, null, 1.5, \"x\", -70000, "
		"18446744073709551615]}",
		"e6100000010100000000000000000000400000" "00000000f03f",
		"0000803f00000040", "7462", "lb", "1.5", "-2.5", "-1", "16777215",
	};
	struct batch *b = batch_new();
	struct value *before, *after;
	struct my_header h = {.type = MY_WRITE};
	struct wire w = wire_of(recorded(my_recorded_row));
	struct my_rows rows;
	struct my_map map;

	read_map(recorded(my_recorded_map), &map);
	e = ERR_INIT;
	ok(my_rows_open(&h, &w, &arena, &rows, &e) == 0, "a rows event is opened");
	ok(rows.op == OP_INSERT && rows.is_full && rows.table_id == map.id,
	   "it is an insert with all columns");
	if (!ok(my_rows_read(&rows, &map, b, &before, &after, &e) == 0,
		"its row is read"))
		printf("# %s\n", e.msg);
	for (uint32_t i = 0; after != NULL && i < countof(want); i++)
		is_str(show(&after[i]), want[i], "column %.*s",
		       SLICE_ARG(map.cols[i].name));
	ok(before == NULL && wire_left(&rows.rows) == 0, "there is no other");
	w = wire_of(recorded(my_recorded_row));
	ok(my_rows_open(&h, &w, &arena, &rows, &e) == 0 &&
		   my_rows_skip(&rows, &map, &e) == 0 &&
		   wire_left(&rows.rows) == 0,
	   "it is passed over as far as it goes");
	batch_free(b);
}

static void test_row_cut(void)
{
	struct slice whole = recorded(my_recorded_row);
	struct my_header h = {.type = MY_WRITE};
	struct my_map map;
	bool any = false;

	read_map(recorded(my_recorded_map), &map);
	for (size_t n = 20; n < whole.n; n++) {
		struct wire w = wire_of((struct slice){whole.p, n});
		struct batch *b = batch_new();
		struct value *before, *after;
		struct my_rows rows;

		e = ERR_INIT;
		any |= my_rows_open(&h, &w, &arena, &rows, &e) == 0 &&
		       my_rows_read(&rows, &map, b, &before, &after, &e) == 0;
		batch_free(b);
	}
	ok(!any, "a row that is cut short is refused");
}

/* --- single values --------------------------------------------------------- */

static void is_value(struct my_column c, const char *bytes, const char *want,
		     const char *what)
{
	struct wire w = wire_of(unhex(bytes));
	struct slice s = my_value_take(&c, &w);
	struct value v = {0};

	ok(wire_ok(&w) && wire_left(&w) == 0, "%s: it has a length", what);
	is_int(my_value_read(&c, s, &arena, &v), MY_READ_OK, "%s is read", what);
	is_str(show(&v), want, "%s", what);
}

static void test_values(void)
{
	static struct slice labels[] = {{"a", 1}};

	is_value((struct my_column){.type = MY_TYPE_STRING, .meta = 16,
				    .collation = 63},
		 "0e 123e4567e89b12d3a45642665544",
		 "123e4567e89b12d3a456426655440000",
		 "zeros at the end of a UUID of MariaDB");
	is_value((struct my_column){.type = MY_TYPE_ENUM, .meta = 1,
				    .labels = labels, .nlabels = 1},
		 "00", "", "an enum's value that is none of its labels");
	is_value((struct my_column){.type = MY_TYPE_SET, .meta = 1,
				    .labels = labels, .nlabels = 1},
		 "00", "", "an empty set");
	is_value((struct my_column){.type = MY_TYPE_YEAR}, "00", "0", "year 0");
	is_value((struct my_column){.type = MY_TYPE_TIMESTAMP2}, "ffffffff",
		 "2106-02-07 06:28:15+00", "the last timestamp");
	is_value((struct my_column){.type = MY_TYPE_TIMESTAMP2, .meta = 6},
		 "00000000 000000", "0000-00-00 00:00:00.000000+00",
		 "the zero timestamp");
	is_value((struct my_column){.type = MY_TYPE_TIMESTAMP2}, "65e07280",
		 "2024-02-29 12:03:12+00", "a timestamp on a leap day");
	is_value((struct my_column){.type = MY_TYPE_TIME2, .meta = 2},
		 "7fffff ff", "-00:00:00.01", "a hundredth below zero");
	is_value((struct my_column){.type = MY_TYPE_TIME2}, "800000",
		 "00:00:00", "no time at all");
	is_value((struct my_column){.type = MY_TYPE_NEWDECIMAL, .meta = 0x0402},
		 "8c 32", "12.50", "a decimal");
	is_value((struct my_column){.type = MY_TYPE_NEWDECIMAL, .meta = 0x0202},
		 "80", "0.00", "zero of two digits behind the point");
	is_value((struct my_column){.type = MY_TYPE_NEWDECIMAL, .meta = 0x0a00},
		 "80 00000007", "7", "a decimal without a point");
	is_value((struct my_column){.type = MY_TYPE_TINY}, "80", "-128",
		 "the least tinyint");
	is_value((struct my_column){.type = MY_TYPE_INT24}, "000080", "-8388608",
		 "the least mediumint");
	is_value((struct my_column){.type = MY_TYPE_BIT, .meta = 1}, "01", "1",
		 "one bit");
	is_value((struct my_column){.type = MY_TYPE_JSON, .meta = 4}, "00000000",
		 "null", "a JSON value of no bytes");
}

static void test_compressed(void)
{
	struct my_column c = {.type = MY_TYPE_VARCHAR_COMPRESSED, .meta = 1000,
			      .collation = 45,
			      .charset = my_charsets_get(charsets, 45)};
	struct wire w = wire_of(unhex("0b00 8a 01f4 abaa1a05230d0000"));
	struct slice s = my_value_take(&c, &w);
	struct value v = {0};

	ok(my_value_read(&c, s, &arena, &v) == MY_READ_OK && v.s.n == 500,
	   "a compressed column is read");
	ok(v.s.p[0] == 'z' && memcmp(v.s.p, v.s.p + 1, 499) == 0,
	   "as what was put into it");
	w = wire_of(unhex("0a00 8a 01f4 abaa1a05230d00"));
	s = my_value_take(&c, &w);
	ok(my_value_read(&c, s, &arena, &v) == MY_READ_BAD,
	   "one that is cut short is refused");
}

static void is_float(double v, bool single, const char *want)
{
	char text[MY_FLOAT_SIZE];
	size_t n = my_float_print(text, v, single);

	is_mem(text, n, want, strlen(want), "%s is printed like that", want);
}

static void is_double(double v, const char *want)
{
	char text[MY_FLOAT_SIZE];
	size_t n = my_double_print(text, v);

	is_mem(text, n, want, strlen(want), "%s in JSON", want);
}

static void test_floats(void)
{
	is_float(0, false, "0");
	is_float(-0.0, false, "-0");
	is_float(0.1, false, "0.1");
	is_float((double)0.1f, true, "0.1");
	is_float((double)3.4028235e38f, true, "3.4028235e+38");
	is_float(1e15, false, "1e+15");
	is_float(123456789012345.0, false, "123456789012345");
	is_float(0.0001, false, "0.0001");
	is_float(0.00001, false, "1e-05");
	is_float(1.7976931348623157e308, false, "1.7976931348623157e+308");
	is_float(4.94065645841247e-324, false, "4.94065645841247e-324");
	is_float((double)1e6f, true, "1e+06");
	is_float((double)123456.0f, true, "123456");
	is_double(1, "1.0");
	is_double(1.5, "1.5");
	is_double(1e20, "1e20");
	is_double(-1.25e-20, "-1.25e-20");
	is_double(100000, "100000.0");
}

/* --- JSON ------------------------------------------------------------------ */

static void is_json(const char *bytes, const char *want)
{
	struct buf b = BUF_INIT;

	ok(my_json_print(unhex(bytes), &b), "a document is read");
	is_slice(b, want, "%s", want);
	buf_fini(&b);
}

static void test_json(void)
{
	static const char bad[] = "00 0100 0d00 0b00 0100 00 0b00 61";
	struct slice whole = unhex("00 0100 0f00 0b00 0100 0c 0c00 61 02 6162");
	struct buf b = BUF_INIT;
	bool any = false;

	is_json("04 00", "null");
	is_json("05 feff", "-2");
	is_json("0c 03 22 5c 0a", "\"\\\"\\\\\\n\"");
	is_json("0c 02 01 1f", "\"\\u0001\\u001f\"");
	is_json("00 0000 0400", "{}");
	is_json("02 0000 0400", "[]");
	is_json("0f f6 04 0402 8c32", "12.50");
	is_json("0f 0c 08 70580a053144b219", "\"2024-01-02 03:04:05.678000\"");
	is_json("0f 0f 03 616263", "\"base64:type15:YWJj\"");
	is_json("0f 10 01 01", "\"base64:type16:AQ==\"");
	is_json("00 0100 0f00 0b00 0100 0c 0c00 61 02 6162", "{\"a\": \"ab\"}");
	ok(!my_json_print(unhex(bad), &b), "an object that is in itself is refused");
	for (size_t n = 1; n < whole.n; n++)
		any |= my_json_print((struct slice){whole.p, n}, &b);
	ok(!any, "a document that is cut short is refused");
	buf_fini(&b);
}

int main(void)
{
	arena_init(&arena, 1 << 16);
	charsets = my_charsets_new();
	test_map();
	test_map_cut();
	test_row();
	test_row_cut();
	test_values();
	test_compressed();
	test_floats();
	test_json();
	my_charsets_free(charsets);
	arena_fini(&arena);
	return tap_done();
}
