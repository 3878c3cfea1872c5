/* Events as JSON: each case is compared with t/golden/encode/NAME.out, one line
 * a record, format, key and value divided by tabs.  LEAT_GOLDEN=write writes
 * them anew; read the difference before it is committed. */
#include "config.h"

#include <jansson.h>

#include "base/arena.h"
#include "t/encodings.h"
#include "t/tap.h"

#define T(lit) {.tag = VALUE_TEXT, .s = SLICE(lit)}
#define I(v) {.tag = VALUE_INT, .i = (v)}
#define U(v) {.tag = VALUE_UINT, .u = (v)}
#define B(v) {.tag = VALUE_BOOL, .b = (v)}
#define X(lit) {.tag = VALUE_BYTES, .s = SLICE(lit)}
#define NUL {.tag = VALUE_NULL}
#define UNCHANGED {.tag = VALUE_UNCHANGED}
#define COL(n, t, native, key, ident) \
	{.name = SLICE(n), .type = TYPE_##t, .type_name = SLICE(native), \
	 .modifier = -1, .key_position = (key), .is_identity = (ident), \
	 .is_nullable = (key) == 0}

static const struct origin shop = {
	.connector = SLICE("postgresql"),
	.name = SLICE("shop"),
	.db = SLICE("shopdb"),
	.version = SLICE("0.1.0"),
	.incarnation = 1,
};

static const struct txn txn = {
	.origin = &shop,
	.coord = SLICE("16E9BB8"),
	.id = SLICE("771:24023096"),
	.commit_us = 1704067200123456,
	.xid = 771,
	.commit_pos = 24023096,
	.prev_pos = 24022000,
};

static struct column users_cols[] = {
	COL("id", INT64, "bigint", 1, true),
	COL("email", TEXT, "text", 0, false),
	COL("bio", TEXT, "text", 0, false),
};
static struct table *users;

static struct table *make_table(const char *name, struct column *cols,
				uint32_t n, enum identity identity)
{
	struct table proto = {
		.version = 3,
		.source_id = 16384,
		.identity = identity,
		.schema = SLICE("public"),
		.name = slice_of(name),
		.ncols = n,
		.cols = cols,
	};
	struct table *tab = table_new(&proto);

	if (tab == NULL)
		abort();
	return tab;
}

static struct event event_of(enum op op, struct table *tab,
			     struct value *before, enum event_before kind,
			     struct value *after)
{
	return (struct event){
		.op = op,
		.table = tab,
		.before = before,
		.before_kind = kind,
		.after = after,
		.txn = &txn,
		.seq = 90211,
		.ordinal = 2,
		.table_ordinal = 1,
		.pos = 24023128,
		.read_us = 1704067200234567,
	};
}

static void compare(const char *name, const struct buf *got)
{
	const char *dir = getenv("LEAT_SRCDIR");
	const char *mode = getenv("LEAT_GOLDEN");
	bool writes = mode != NULL && !strcmp(mode, "write");
	char path[1024], want[65536];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/t/golden/encode/%s.out",
		 dir ? dir : ".", name);
	f = fopen(path, writes ? "w" : "r");
	if (!ok(f != NULL, "%s is there", path))
		return;
	if (writes)
		fwrite(got->p, 1, got->n, f);
	n = writes ? 0 : fread(want, 1, sizeof(want), f);
	fclose(f);
	if (!writes)
		is_mem(got->p, got->n, want, n, "%s: as in the golden file", name);
}

/* Every value is one JSON object without a name given twice. */
static json_t *parse(struct slice s)
{
	json_error_t error;
	json_t *doc = json_loadb(s.p, s.n, JSON_REJECT_DUPLICATES |
				 JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL,
				 &error);

	if (doc == NULL)
		printf("# %s at %d: %.*s\n", error.text, error.position,
		       SLICE_ARG(s));
	return doc;
}

static bool is_object(struct slice s)
{
	json_t *doc = parse(s);
	bool good = json_is_object(doc) && memchr(s.p, '\n', s.n) == NULL;

	json_decref(doc);
	return good;
}

static struct encoded out;

static struct slice value_of(size_t i)
{
	return (struct slice){out.bytes.p + out.rec[i].value_at,
			      out.rec[i].value_n};
}

static struct slice key_of(size_t i)
{
	return (struct slice){out.bytes.p + out.rec[i].key_at, out.rec[i].key_n};
}

/* f: of encodings[], which begin with the formats */
static void encode(size_t f, const struct event *ev)
{
	struct err e = ERR_INIT;

	ok(encode_event(encoding_get(f), ev, &out, &e) == 0,
	   "%s event is encoded as %s", op_name(ev->op), encodings[f].name);
}

static void golden(const char *name, const struct event *ev)
{
	struct buf got = BUF_INIT;

	for (size_t f = 0; encodings[f].how.format != FORMAT_AVRO; f++) {
		encode(f, ev);
		for (size_t i = 0; i < out.n; i++) {
			ok(is_object(value_of(i)), "%s: %s record %zu is one "
			   "line of correct JSON", name, encodings[f].name, i);
			ok(key_of(i).n == 0 || is_object(key_of(i)),
			   "%s: so is its key", name);
			buf_printf(&got, "%s\t%.*s\t%.*s\n", encodings[f].name,
				   SLICE_ARG(key_of(i)), SLICE_ARG(value_of(i)));
		}
	}
	compare(name, &got);
	buf_fini(&got);
}

static void rows(void)
{
	struct value row[] = {I(7), T("a@b"), T("says \"hi\"\n\\ \x01 \xc3\xa4")};
	struct value partial[] = {I(7), T("a@c"), UNCHANGED};
	struct value full[] = {I(7), T("a@b"), NUL};
	struct value key[] = {I(7), NUL, NUL};
	struct value moved[] = {I(8), T("a@b"), UNCHANGED};
	struct event ev = event_of(OP_INSERT, users, NULL, BEFORE_NONE, row);

	golden("insert", &ev);
	ev.op = OP_READ;
	golden("read", &ev);
	ev = event_of(OP_UPDATE, users, NULL, BEFORE_NONE, partial);
	golden("update", &ev);
	ev = event_of(OP_UPDATE, users, full, BEFORE_FULL, row);
	golden("update_full", &ev);
	ev = event_of(OP_DELETE, users, key, BEFORE_KEY, NULL);
	golden("delete", &ev);
	ev = event_of(OP_DELETE, users, full, BEFORE_FULL, NULL);
	golden("delete_full", &ev);
	ev = event_of(OP_UPDATE, users, key, BEFORE_KEY, moved);
	ev.key_changed = true;
	golden("key_change", &ev);
	is_int(out.rec[0].branch, 'd', "a key change deletes first");
	is_int(out.rec[1].branch, 'i', "and then inserts");
}

static void others(void)
{
	struct column cols[] = {COL("id", INT64, "bigint", 1, true)};
	struct table *orders = make_table("or\"ders", cols, 1, IDENTITY_DEFAULT);
	struct message msg = {true, SLICE("audit"), SLICE("\x00\xff\x01")};
	struct truncate tr = {
		.flags = TRUNCATE_CASCADE,
		.ntables = 2,
		.tables = (struct table *[]){users, orders},
	};
	struct schema_change change = {0};
	struct gap gap = {SLICE("pg1 a"), SLICE("pg1 b"), SLICE("slot_lost")};
	struct event ev = event_of(OP_TRUNCATE, users, NULL, BEFORE_NONE, NULL);
	struct txn alone = txn;

	ev.truncate = &tr;
	golden("truncate", &ev);
	ev = event_of(OP_MESSAGE, NULL, NULL, BEFORE_NONE, NULL);
	ev.message = &msg;
	golden("message", &ev);
	alone.xid = 0;
	ev.txn = &alone;
	ev.ordinal = ev.table_ordinal = 0;
	msg.content = SLICE("");
	golden("message_alone", &ev);
	ev = event_of(OP_SCHEMA, users, NULL, BEFORE_NONE, NULL);
	ev.ordinal = ev.table_ordinal = 0;
	ev.schema = &change;
	golden("schema_new", &ev);
	change.prev = make_table("users", users_cols, 2, IDENTITY_DEFAULT);
	change.prev->version = 2;
	golden("schema_change", &ev);
	ev = event_of(OP_GAP, NULL, NULL, BEFORE_NONE, NULL);
	ev.ordinal = ev.table_ordinal = 0;
	ev.gap = &gap;
	golden("gap", &ev);
	table_unref(change.prev);
	table_unref(orders);
}

static void types(void)
{
	struct column cols[] = {
		COL("b", BOOL, "boolean", 0, false),
		COL("i2", INT16, "smallint", 0, false),
		COL("i8", INT64, "bigint", 1, true),
		COL("u8", UINT64, "xid8", 0, false),
		COL("f4", FLOAT32, "real", 0, false),
		COL("f8", FLOAT64, "double precision", 0, false),
		COL("nan", FLOAT64, "double precision", 0, false),
		COL("inf", FLOAT64, "double precision", 0, false),
		COL("n", DECIMAL, "numeric(12,2)", 0, false),
		COL("m", MONEY, "money", 0, false),
		COL("c", CHAR, "character(4)", 0, false),
		COL("by", BYTES, "bytea", 0, false),
		COL("d", DATE, "date", 0, false),
		COL("t", TIME, "time without time zone", 0, false),
		COL("tz", TIMETZ, "time with time zone", 0, false),
		COL("ts", TIMESTAMP, "timestamp without time zone", 0, false),
		COL("ts_inf", TIMESTAMP, "timestamp without time zone", 0, false),
		COL("tstz", TIMESTAMPTZ, "timestamp with time zone", 0, false),
		COL("tstz_bc", TIMESTAMPTZ, "timestamp with time zone", 0, false),
		COL("iv", INTERVAL, "interval", 0, false),
		COL("u", UUID, "uuid", 0, false),
		COL("j", JSON, "jsonb", 0, false),
		COL("x", XML, "xml", 0, false),
		COL("bits", BITS, "bit varying(8)", 0, false),
		COL("e", ENUM, "mood", 0, false),
		COL("net", NET, "inet", 0, false),
		COL("a", ARRAY, "integer[]", 0, false),
		COL("o", OTHER, "tsvector", 0, false),
		COL("null", TEXT, "text", 0, false),
	};
	struct value v[] = {
		B(true),
		I(-32768),
		I(INT64_MIN),
		U(UINT64_MAX),
		T("-0"),
		T("1e+308"),
		T("NaN"),
		T("-Infinity"),
		T("12345.60"),
		T("-$1,234.56"),
		T("ab  "),
		X("\xde\xad\xbe\xef"),
		T("2024-02-29"),
		T("24:00:00"),
		T("12:34:56+05:30:15"),
		T("2024-01-01 00:00:00.123456"),
		T("infinity"),
		T("2024-01-01 00:00:00.5+00"),
		T("0044-03-15 00:00:00+00 BC"),
		T("10 mons 3 days -04:05:06.789"),
		T("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
		T("{\"a\": 2.50}"),
		T("<a/>"),
		T("10101"),
		T("sad"),
		T("192.168.1.5/24"),
		T("{1,NULL,3}"),
		T("'a':1 'b':2A"),
		NUL,
	};
	struct table *tab = make_table("types", cols, countof(cols),
				       IDENTITY_DEFAULT);
	struct event ev = event_of(OP_INSERT, tab, NULL, BEFORE_NONE, v);

	golden("types", &ev);
	table_unref(tab);
}

/* One text of one type, as `after` of the row format shows it. */
static void shows(enum type type, const char *text, const char *want)
{
	struct column cols[] = {{.name = SLICE("v"), .type = type}};
	struct value v[] = {{.tag = VALUE_TEXT, .s = slice_of(text)}};
	struct table *tab = make_table("t", cols, 1, IDENTITY_NOTHING);
	struct event ev = event_of(OP_INSERT, tab, NULL, BEFORE_NONE, v);
	char got[256] = "";
	const char *end;

	encode(FORMAT_ROW, &ev);
	end = memmem(out.bytes.p, out.bytes.n, ",\"__op\"", 7);
	if (end != NULL)
		snprintf(got, sizeof(got), "%.*s", (int)(end - out.bytes.p),
			 out.bytes.p);
	is_str(got, want, "%s '%s' is shown as it should", type_name(type), text);
	ok(key_of(0).n == 0, "a table without a key makes records without one");
	table_unref(tab);
}

static void texts(void)
{
	shows(TYPE_ARRAY, "{{1,2},{3,NULL}}", "{\"v\":\"{{1,2},{3,NULL}}\"");
	shows(TYPE_FLOAT64, "0.1", "{\"v\":0.1");
	shows(TYPE_FLOAT64, "-1.5e-07", "{\"v\":-1.5e-07");
	shows(TYPE_FLOAT64, "Infinity", "{\"v\":\"Infinity\"");
	shows(TYPE_FLOAT64, "", "{\"v\":\"\"");
	shows(TYPE_FLOAT64, "-", "{\"v\":\"-\"");
	shows(TYPE_FLOAT64, "01", "{\"v\":\"01\"");
	shows(TYPE_FLOAT64, "1.", "{\"v\":\"1.\"");
	shows(TYPE_FLOAT64, ".5", "{\"v\":\".5\"");
	shows(TYPE_FLOAT64, "1e", "{\"v\":\"1e\"");
	shows(TYPE_FLOAT64, "1e+", "{\"v\":\"1e+\"");
	shows(TYPE_FLOAT64, "1,\"x\":2", "{\"v\":\"1,\\\"x\\\":2\"");
	shows(TYPE_DECIMAL, "NaN", "{\"v\":\"NaN\"");
	shows(TYPE_TIMESTAMP, "2024-01-01 00:00:00", "{\"v\":\"2024-01-01T00:00:00\"");
	shows(TYPE_TIMESTAMP, "12024-01-01 00:00:00", "{\"v\":\"12024-01-01 00:00:00\"");
	shows(TYPE_TIMESTAMP, "0044-03-15 00:00:00 BC", "{\"v\":\"0044-03-15 00:00:00 BC\"");
	shows(TYPE_TIMESTAMP, "-infinity", "{\"v\":\"-infinity\"");
	shows(TYPE_TIMESTAMP, "", "{\"v\":\"\"");
	shows(TYPE_TIMESTAMPTZ, "2024-01-01 00:00:00+00", "{\"v\":\"2024-01-01T00:00:00Z\"");
	shows(TYPE_TIMESTAMPTZ, "2024-01-01 00:00:00+05:30", "{\"v\":\"2024-01-01 00:00:00+05:30\"");
	shows(TYPE_TIMESTAMPTZ, "12024-01-01 00:00:00+00", "{\"v\":\"12024-01-01 00:00:00+00\"");
	shows(TYPE_TIMESTAMPTZ, "+00", "{\"v\":\"+00\"");
	shows(TYPE_TIMESTAMPTZ, "2024-01-01 0\":00:00+00", "{\"v\":\"2024-01-01T0\\\":00:00Z\"");
	shows(TYPE_INT32, "not a number", "{\"v\":\"not a number\"");
}

static void keys(void)
{
	struct column cols[] = {
		COL("b", TEXT, "text", 2, true),
		COL("x", TEXT, "text", 0, false),
		COL("a", INT32, "integer", 1, true),
	};
	struct column index_cols[] = {
		COL("id", INT32, "integer", 1, false),
		COL("nick", TEXT, "text", 0, true),
	};
	struct column free_cols[] = {
		COL("x", TEXT, "text", 0, true),
		COL("y", TEXT, "text", 0, true),
	};
	struct value v[] = {T("z"), NUL, I(-1)};
	struct value stored_elsewhere[] = {UNCHANGED, T("x"), I(-1)};
	struct value nick[] = {NUL, T("n")};
	struct value xy[] = {T("1"), T("2")};
	struct table *tab = make_table("k", cols, 3, IDENTITY_DEFAULT);
	struct table *by_index = make_table("i", index_cols, 2, IDENTITY_INDEX);
	struct table *full = make_table("f", free_cols, 2, IDENTITY_FULL);
	struct event ev = event_of(OP_INSERT, tab, NULL, BEFORE_NONE, v);

	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "{\"a\":-1,\"b\":\"z\"}",
		 "a key is in the order of the primary key");
	ev = event_of(OP_UPDATE, tab, v, BEFORE_KEY, stored_elsewhere);
	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "{\"a\":-1,\"b\":\"z\"}",
		 "a key column that was not sent is taken from the old key");
	ev = event_of(OP_UPDATE, tab, NULL, BEFORE_NONE, stored_elsewhere);
	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "", "a key of which a part is unknown is left out");
	ev = event_of(OP_DELETE, by_index, nick, BEFORE_KEY, NULL);
	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "", "so is one that a delete does not carry");
	index_cols[0].key_position = 0;
	table_unref(by_index);
	by_index = make_table("i", index_cols, 2, IDENTITY_INDEX);
	ev.table = by_index;
	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "{\"nick\":\"n\"}",
		 "without a primary key the identity index is the key");
	ev = event_of(OP_INSERT, full, NULL, BEFORE_NONE, xy);
	encode(FORMAT_DEBEZIUM, &ev);
	is_slice(key_of(0), "", "identity FULL makes no key");
	table_unref(tab);
	table_unref(by_index);
	table_unref(full);
}

static void collisions(void)
{
	struct column cols[] = {
		COL("__op", INT32, "integer", 1, true),
		COL("__op_", INT32, "integer", 0, false),
		COL("__deleted", BOOL, "boolean", 0, false),
		COL("__other", INT32, "integer", 0, false),
	};
	struct value v[] = {I(1), I(2), B(true), UNCHANGED};
	struct table *tab = make_table("under", cols, countof(cols),
				       IDENTITY_DEFAULT);
	struct event ev = event_of(OP_UPDATE, tab, NULL, BEFORE_NONE, v);

	golden("collision", &ev);
	table_unref(tab);
}

static void hostile(void)
{
	struct column cols[] = {COL("a\"\n", TEXT, "te\"xt", 1, true)};
	struct value v[] = {T("\x7f\x00\x1f")};
	struct origin o = shop;
	struct txn t = txn;
	struct table *tab = make_table("t\\", cols, 1, IDENTITY_DEFAULT);
	struct event ev = event_of(OP_INSERT, tab, NULL, BEFORE_NONE, v);

	o.name = SLICE("sh\"op");
	t.origin = &o;
	t.replicated_from = SLICE("pg_\"16389");
	t.commit_us = -1;
	t.prev_pos = 0;
	ev.txn = &t;
	ev.read_us = 0;
	golden("quoting", &ev);
	table_unref(tab);
}

static void steady(void)
{
	struct value row[] = {I(7), T("a@b"), T("x")};
	struct event ev = event_of(OP_INSERT, users, NULL, BEFORE_NONE, row);
	char *p;

	encode(FORMAT_DEBEZIUM, &ev);
	p = out.bytes.p;
	encode(FORMAT_ROW, &ev);
	encode(FORMAT_DEBEZIUM, &ev);
	ok(p == out.bytes.p,
	   "the second event uses the memory of the first");
}

int main(void)
{
	users = make_table("users", users_cols, countof(users_cols),
			   IDENTITY_DEFAULT);
	rows();
	others();
	types();
	texts();
	keys();
	collisions();
	hostile();
	steady();
	table_unref(users);
	encoded_fini(&out);
	return tap_done();
}
