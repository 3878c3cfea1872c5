/* Values as Debezium's types: what each mode makes of each text, and what it
 * refuses.  Binary results are shown in hexadecimal. */
#include "config.h"

#include "schema/connect.h"
#include "schema/decimal.h"
#include "schema/temporal.h"
#include "t/tap.h"

static const struct connect_modes defaults = {
	.decimal = DECIMAL_PRECISE,
	.time = TIME_ADAPTIVE,
	.interval = INTERVAL_NUMERIC,
	.unfold = true,
};
static struct buf scratch[2], shown;

static void show(const struct connect_type *t, const struct connect_value *v)
{
	if (v->is_null) {
		buf_text(&shown, "null");
		return;
	}
	switch (t->kind) {
	case CONNECT_BOOLEAN:
		buf_text(&shown, v->b ? "true" : "false");
		break;
	case CONNECT_INT16:
	case CONNECT_INT32:
	case CONNECT_INT64:
		buf_i64(&shown, v->i);
		break;
	case CONNECT_VARIABLE_DECIMAL:
		buf_printf(&shown, "%d:", v->scale);
		/* fallthrough */
	case CONNECT_BYTES:
		for (size_t i = 0; i < v->s.n; i++)
			buf_printf(&shown, "%02x", (uint8_t)v->s.p[i]);
		break;
	default:
		buf_slice(&shown, v->s);
		break;
	}
}

static int show_list(const struct connect_type *t, const struct column *col,
		     struct slice rest, struct err *e)
{
	struct connect_value v;
	int rc;

	while ((rc = connect_next(t, col, &rest, scratch, &v, e)) == 1) {
		show(t->element, &v);
		buf_u8(&shown, '|');
	}
	return rc;
}

/* want NULL: the value is refused. */
static void becomes(const struct connect_modes *m, enum type type,
		    const char *native, const char *text, const char *name,
		    const char *want)
{
	struct column col = {.name = SLICE("c"), .type = type,
			     .type_name = slice_of(native)};
	struct value v = {.tag = type == TYPE_BYTES ? VALUE_BYTES : VALUE_TEXT,
			  .s = slice_of(text)};
	struct connect_value out;
	struct connect_type t;
	struct arena a;
	struct err e = ERR_INIT;
	int rc;

	arena_init(&a, 256);
	shown.n = 0;
	connect_type_of(&col, m, &a, &t);
	rc = connect_convert(&t, &col, &v, m, scratch, &out, &e);
	if (rc == 0 && t.kind == CONNECT_ARRAY)
		rc = show_list(&t, &col, out.s, &e);
	else if (rc == 0)
		show(&t, &out);
	if (want == NULL)
		ok(rc != 0 && e.code == CODE_event_rejected && e.hint[0],
		   "%s \"%s\" is refused: %s", native, text, e.msg);
	else
		is_slice(rc == 0 ? buf_get(&shown) : slice_of(e.msg), want,
			 "%s \"%s\"", native, text);
	ok((t.name == NULL) == (name == NULL) &&
		   (name == NULL || strcmp(t.name, name) == 0),
	   "its name is %s", t.name ? t.name : "none");
	arena_fini(&a);
}

#define DECIMAL "org.apache.kafka.connect.data.Decimal"
#define VARIABLE "io.debezium.data.VariableScaleDecimal"

static void decimals(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "1.27", DECIMAL, "7f");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "1.28", DECIMAL, "0080");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "-1.28", DECIMAL, "80");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "-1.29", DECIMAL, "ff7f");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "0.00", DECIMAL, "00");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "5", DECIMAL, "01f4");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "5.000", DECIMAL, "01f4");
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "5.001", DECIMAL, NULL);
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "NaN", DECIMAL, NULL);
	becomes(&m, TYPE_DECIMAL, "numeric(3,-2)", "12300", DECIMAL, "7b");
	becomes(&m, TYPE_DECIMAL, "numeric(38,0)",
		"99999999999999999999999999999999999999", DECIMAL,
		"4b3b4ca85a86c47a098a223fffffffff");
	becomes(&m, TYPE_DECIMAL, "numeric(38,0)",
		"-99999999999999999999999999999999999999", DECIMAL,
		"b4c4b357a5793b85f675ddc000000001");
	becomes(&m, TYPE_DECIMAL, "numeric", "12345.60", VARIABLE, "2:12d680");
	becomes(&m, TYPE_DECIMAL, "numeric", "Infinity", VARIABLE, NULL);
	becomes(&m, TYPE_MONEY, "money", "-$1,234.56", DECIMAL, "fe1dc0");
	m.decimal = DECIMAL_STRING;
	becomes(&m, TYPE_DECIMAL, "numeric", "NaN", NULL, "NaN");
	becomes(&m, TYPE_MONEY, "money", "-$1,234.56", NULL, "-1234.56");
	m.decimal = DECIMAL_DOUBLE;
	becomes(&m, TYPE_DECIMAL, "numeric(10,2)", "1.50", NULL, "1.50");
}

static void long_decimal(void)
{
	struct buf digits = BUF_INIT, out = BUF_INIT;
	bool right = true;

	/* 2^8000 - 1 is a thousand bytes of ones: made by doubling */
	buf_u8(&digits, '1');
	for (int i = 0; i < 8000; i++) {
		int carry = 0;

		for (size_t k = digits.n; k-- > 0;) {
			int d = (digits.p[k] - '0') * 2 + carry;

			digits.p[k] = (char)('0' + d % 10);
			carry = d / 10;
		}
		if (carry > 0) {
			buf_u8(&digits, '0');
			memmove(digits.p + 1, digits.p, digits.n - 1);
			digits.p[0] = (char)('0' + carry);
		}
	}
	ok(decimal_unscaled(buf_get(&digits), 0, &out) && out.n == 1001,
	   "2^8000 has 1001 bytes");
	for (size_t i = 1; i < out.n; i++)
		right &= out.p[i] == 0;
	ok(right && out.p[0] == 1, "and they are right");
	buf_fini(&digits);
	buf_fini(&out);
}

#define TIME(n) "io.debezium.time." n
#define CONNECT(n) "org.apache.kafka.connect.data." n

static void dates(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_DATE, "date", "1970-01-01", TIME("Date"), "0");
	becomes(&m, TYPE_DATE, "date", "2024-02-29", TIME("Date"), "19782");
	becomes(&m, TYPE_DATE, "date", "1969-12-31", TIME("Date"), "-1");
	becomes(&m, TYPE_DATE, "date", "0001-01-01 BC", TIME("Date"), "-719528");
	becomes(&m, TYPE_DATE, "date", "5874897-12-31", TIME("Date"), "2145042905");
	becomes(&m, TYPE_DATE, "date", "infinity", TIME("Date"), "2147483647");
	becomes(&m, TYPE_DATE, "date", "yesterday", TIME("Date"), NULL);
	m.time = TIME_CONNECT;
	becomes(&m, TYPE_DATE, "date", "1970-01-02", CONNECT("Date"), "1");
	m.time = TIME_ISOSTRING;
	becomes(&m, TYPE_DATE, "date", "2024-02-29", TIME("IsoDate"), "2024-02-29Z");
	becomes(&m, TYPE_DATE, "date", "0044-03-15 BC", TIME("IsoDate"), "-0043-03-15Z");
	becomes(&m, TYPE_DATE, "date", "12345-06-07", TIME("IsoDate"), "+12345-06-07Z");
}

static void times(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_TIME, "time(3) without time zone", "12:34:56.789", TIME("Time"), "45296789");
	becomes(&m, TYPE_TIME, "time without time zone", "24:00:00", TIME("MicroTime"), "86400000000");
	becomes(&m, TYPE_TIMETZ, "time with time zone", "12:34:56.7+05:30:15", TIME("ZonedTime"), "07:04:41.7Z");
	becomes(&m, TYPE_TIMETZ, "time with time zone", "01:00:00+02", TIME("ZonedTime"), "23:00:00Z");
	m.time = TIME_ADAPTIVE_MICROSECONDS;
	becomes(&m, TYPE_TIME, "time(3) without time zone", "00:00:01", TIME("MicroTime"), "1000000");
	m.time = TIME_NANOSECONDS;
	becomes(&m, TYPE_TIME, "time without time zone", "00:00:01", TIME("NanoTime"), "1000000000");
	m.time = TIME_ISOSTRING;
	becomes(&m, TYPE_TIME, "time without time zone", "01:02:03.5", TIME("IsoTime"), "01:02:03.5Z");
}

static void timestamps(void)
{
	struct connect_modes m = defaults;
	const char *plain = "timestamp without time zone";

	becomes(&m, TYPE_TIMESTAMP, plain, "2024-01-01 00:00:00.123456", TIME("MicroTimestamp"), "1704067200123456");
	becomes(&m, TYPE_TIMESTAMP, "timestamp(3) without time zone", "2024-01-01 00:00:00.123", TIME("Timestamp"), "1704067200123");
	becomes(&m, TYPE_TIMESTAMP, plain, "1969-12-31 23:59:59.999999", TIME("MicroTimestamp"), "-1");
	becomes(&m, TYPE_TIMESTAMP, plain, "infinity", TIME("MicroTimestamp"), "9223372036825200000");
	becomes(&m, TYPE_TIMESTAMP, plain, "-infinity", TIME("MicroTimestamp"), "-9223372036832400000");
	becomes(&m, TYPE_TIMESTAMP, plain, "294276-12-31 23:59:59.999999", TIME("MicroTimestamp"), NULL);
	becomes(&m, TYPE_TIMESTAMP, "timestamp(0) without time zone", "294276-12-31 23:59:59", TIME("Timestamp"), "9224318015999000");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp with time zone", "2024-01-01 00:00:00.5+00", TIME("ZonedTimestamp"), "2024-01-01T00:00:00.500000Z");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp(3) with time zone", "2024-01-01 00:00:00.5+00", TIME("ZonedTimestamp"), "2024-01-01T00:00:00.500Z");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp(0) with time zone", "2024-01-01 00:00:00+00", TIME("ZonedTimestamp"), "2024-01-01T00:00:00Z");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp(999999999) with time zone", "2024-01-01 00:00:00+00", TIME("ZonedTimestamp"), "2024-01-01T00:00:00.000000Z");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp with time zone", "0044-03-15 00:00:00+00 BC", TIME("ZonedTimestamp"), "-0043-03-15T00:00:00.000000Z");
	becomes(&m, TYPE_TIMESTAMPTZ, "timestamp with time zone", "infinity", TIME("ZonedTimestamp"), "infinity");
	m.time = TIME_NANOSECONDS;
	becomes(&m, TYPE_TIMESTAMP, plain, "2024-01-01 00:00:00.000001", TIME("NanoTimestamp"), "1704067200000001000");
	becomes(&m, TYPE_TIMESTAMP, plain, "2300-01-01 00:00:00", TIME("NanoTimestamp"), NULL);
	m.time = TIME_CONNECT;
	becomes(&m, TYPE_TIMESTAMP, plain, "2024-01-01 00:00:00.9999", CONNECT("Timestamp"), "1704067200999");
}

static void intervals(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_INTERVAL, "interval", "1 year 2 mons 3 days 04:05:06.78", TIME("MicroDuration"), "37091106780000");
	becomes(&m, TYPE_INTERVAL, "interval", "-1 days +25:00:00", TIME("MicroDuration"), "3600000000");
	becomes(&m, TYPE_INTERVAL, "interval", "00:00:00", TIME("MicroDuration"), "0");
	becomes(&m, TYPE_INTERVAL, "interval", "infinity", TIME("MicroDuration"), NULL);
	becomes(&m, TYPE_INTERVAL, "interval", "2147483647 years", TIME("MicroDuration"), NULL);
	becomes(&m, TYPE_INTERVAL, "interval", "1 fortnight", TIME("MicroDuration"), NULL);
	m.interval = INTERVAL_STRING;
	becomes(&m, TYPE_INTERVAL, "interval", "1 year 2 mons 3 days 04:05:06.78", TIME("Interval"), "P1Y2M3DT4H5M6.78S");
	becomes(&m, TYPE_INTERVAL, "interval", "10 mons 3 days -04:05:06.789", TIME("Interval"), "P0Y10M3DT-4H-5M-6.789S");
	becomes(&m, TYPE_INTERVAL, "interval", "-00:00:00.5", TIME("Interval"), "P0Y0M0DT0H0M-0.5S");
	becomes(&m, TYPE_INTERVAL, "interval", "00:00:00", TIME("Interval"), "P0Y0M0DT0H0M0S");
	becomes(&m, TYPE_INTERVAL, "interval", "1 day", TIME("Interval"), "P0Y0M1DT0H0M0S");
	becomes(&m, TYPE_INTERVAL, "interval", "02:00:00", TIME("Interval"), "P0Y0M0DT2H0M0S");
}

static void by_name(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_OTHER, "ltree", "a.b", "io.debezium.data.Ltree", "a.b");
	becomes(&m, TYPE_OTHER, "tsvector", "'a':1", "io.debezium.data.Tsvector", "'a':1");
	becomes(&m, TYPE_ENUM, "mood", "sad", "io.debezium.data.Enum", "sad");
	becomes(&m, TYPE_OTHER, "point", "(1.5,2)", "io.debezium.data.geometry.Point", "1.5,2");
	becomes(&m, TYPE_OTHER, "point", "1.5,2", "io.debezium.data.geometry.Point", NULL);
	becomes(&m, TYPE_OTHER, "ext.hstore", "\"a\"=>\"1\", \"b\\\"\"=>NULL", "io.debezium.data.Json", "{\"a\":\"1\",\"b\\\"\":null}");
	becomes(&m, TYPE_OTHER, "hstore", "", "io.debezium.data.Json", "{}");
	becomes(&m, TYPE_OTHER, "hstore", "\"a\"=>", "io.debezium.data.Json", NULL);
	becomes(&m, TYPE_OTHER, "hstore", "\"a", "io.debezium.data.Json", NULL);
	m.unfold = false;
	becomes(&m, TYPE_OTHER, "hstore", "\"a\"=>\"1\"", NULL, "\"a\"=>\"1\"");
	m.decimal = DECIMAL_DOUBLE;
	becomes(&m, TYPE_DECIMAL, "numeric", "12345678901234567890.5", NULL, "1.2345678901234567e+19");
	becomes(&m, TYPE_DECIMAL, "numeric", "0.1000000000000000000000000000", NULL, "0.1");
}

static void others(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_BITS, "bit(1)", "1", NULL, "true");
	becomes(&m, TYPE_BITS, "bit(10)", "1000000011", "io.debezium.data.Bits", "0302");
	becomes(&m, TYPE_BITS, "bit varying(1)", "1", "io.debezium.data.Bits", "01");
	becomes(&m, TYPE_BITS, "bit varying", "", "io.debezium.data.Bits", "");
	becomes(&m, TYPE_BITS, "bit(3)", "012", "io.debezium.data.Bits", NULL);
	becomes(&m, TYPE_BYTES, "bytea", "\xff\x01", NULL, "ff01");
	m.binary = BINARY_HEX;
	becomes(&m, TYPE_BYTES, "bytea", "\xff\x01", NULL, "ff01");
	m.binary = BINARY_BASE64;
	becomes(&m, TYPE_BYTES, "bytea", "\xff\xfe\xfa", NULL, "//76");
	m.binary = BINARY_BASE64_URL;
	becomes(&m, TYPE_BYTES, "bytea", "\xff\xfe\xfa", NULL, "__76");
}

static void lists(void)
{
	struct connect_modes m = defaults;

	becomes(&m, TYPE_ARRAY, "integer[]", "{1,NULL,-3}", NULL, "1|null|-3|");
	becomes(&m, TYPE_ARRAY, "integer[]", "{}", NULL, "");
	becomes(&m, TYPE_ARRAY, "text[]", "{\"a,b\",\"c\\\"d\",\"NULL\",NULL,\"\",x}", NULL, "a,b|c\"d|NULL|null||x|");
	becomes(&m, TYPE_ARRAY, "text[]", "{\"{}\"}", NULL, "{}|");
	becomes(&m, TYPE_ARRAY, "numeric(4,1)[]", "{1.5,NULL}", NULL, "0f|null|");
	becomes(&m, TYPE_ARRAY, "timestamp(3) without time zone[]", "{\"1970-01-01 00:00:01\"}", NULL, "1000|");
	becomes(&m, TYPE_ARRAY, "bytea[]", "{\"\\\\xff01\"}", NULL, "ff01|");
	becomes(&m, TYPE_ARRAY, "boolean[]", "{t,f}", NULL, "true|false|");
	becomes(&m, TYPE_ARRAY, "integer[]", "{{1,2},{3,4}}", NULL, NULL);
	becomes(&m, TYPE_ARRAY, "integer[]", "[0:1]={1,2}", NULL, NULL);
	becomes(&m, TYPE_ARRAY, "integer[]", "{1,x}", NULL, NULL);
	becomes(&m, TYPE_ARRAY, "box[]", "{(1,1),(0,0);(2,2),(1,1)}", NULL, "{(1,1),(0,0);(2,2),(1,1)}");
	m.binary = BINARY_HEX;
	becomes(&m, TYPE_ARRAY, "bytea[]", "{\"\\\\xff01\"}", NULL, "ff01|");
	m.unfold = false;
	becomes(&m, TYPE_ARRAY, "integer[]", "{{1,2}}", NULL, "{{1,2}}");
}

static void numbers(void)
{
	struct column col = {.name = SLICE("c"), .type = TYPE_UINT64,
			     .type_name = SLICE("xid8")};
	struct value v = {.tag = VALUE_UINT, .u = UINT64_MAX};
	struct connect_modes m = defaults;
	struct connect_value out;
	struct connect_type t;
	struct err e = ERR_INIT;

	connect_type_of(&col, &m, NULL, &t);
	ok(connect_convert(&t, &col, &v, &m, scratch, &out, &e) == 0 &&
		   out.s.n == 9 && (uint8_t)out.s.p[1] == 0xff,
	   "2^64 - 1 is a decimal of nine bytes");
	m.decimal = DECIMAL_STRING;
	connect_type_of(&col, &m, NULL, &t);
	ok(connect_convert(&t, &col, &v, &m, scratch, &out, &e) == 0 &&
		   slice_is(out.s, "18446744073709551615"),
	   "or a text");
	col.type = TYPE_UINT32;
	v.u = UINT32_MAX;
	connect_type_of(&col, &m, NULL, &t);
	ok(connect_convert(&t, &col, &v, &m, scratch, &out, &e) == 0 &&
		   out.i == UINT32_MAX, "2^32 - 1 is an int64");
	v = (struct value){.tag = VALUE_BYTES, .s = SLICE("x")};
	ok(connect_convert(&t, &col, &v, &m, scratch, &out, &e) != 0,
	   "bytes in a column of numbers are refused: %s", e.msg);
}

int main(void)
{
	decimals();
	long_decimal();
	dates();
	times();
	timestamps();
	intervals();
	by_name();
	others();
	lists();
	numbers();
	buf_fini(&scratch[0]);
	buf_fini(&scratch[1]);
	buf_fini(&shown);
	return tap_done();
}
