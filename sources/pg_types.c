/* pg_types.c: see pg_types.h.
 *
 * Canonical text form (PostgreSQL manual, "Data Types", with the settings of
 * schema/type.h): integers, booleans and bytea become native values, everything
 * else stays the text that the server printed. */
#include "config.h"
#include "sources/pg_types.h"

#include "base/utf8.h"

static const struct builtin {
	uint32_t oid, array; /* array: of the type whose elements are these */
	enum type type;
	const char *name;    /* pg_type.typname */
} builtins[] = {
	{16, 1000, TYPE_BOOL, "bool"},
	{17, 1001, TYPE_BYTES, "bytea"},
	{18, 1002, TYPE_TEXT, "char"},
	{19, 1003, TYPE_TEXT, "name"},
	{20, 1016, TYPE_INT64, "int8"},
	{21, 1005, TYPE_INT16, "int2"},
	{22, 1006, TYPE_OTHER, "int2vector"},
	{23, 1007, TYPE_INT32, "int4"},
	{24, 1008, TYPE_OTHER, "regproc"},
	{25, 1009, TYPE_TEXT, "text"},
	{26, 1028, TYPE_UINT32, "oid"},
	{27, 1010, TYPE_OTHER, "tid"},
	{28, 1011, TYPE_OTHER, "xid"},
	{29, 1012, TYPE_OTHER, "cid"},
	{30, 1013, TYPE_OTHER, "oidvector"},
	{114, 199, TYPE_JSON, "json"},
	{142, 143, TYPE_XML, "xml"},
	{600, 1017, TYPE_OTHER, "point"},
	{601, 1018, TYPE_OTHER, "lseg"},
	{602, 1019, TYPE_OTHER, "path"},
	{603, 1020, TYPE_OTHER, "box"},
	{604, 1027, TYPE_OTHER, "polygon"},
	{628, 629, TYPE_OTHER, "line"},
	{650, 651, TYPE_NET, "cidr"},
	{700, 1021, TYPE_FLOAT32, "float4"},
	{701, 1022, TYPE_FLOAT64, "float8"},
	{718, 719, TYPE_OTHER, "circle"},
	{774, 775, TYPE_NET, "macaddr8"},
	{790, 791, TYPE_MONEY, "money"},
	{829, 1040, TYPE_NET, "macaddr"},
	{869, 1041, TYPE_NET, "inet"},
	{1033, 1034, TYPE_OTHER, "aclitem"},
	{1042, 1014, TYPE_CHAR, "bpchar"},
	{1043, 1015, TYPE_TEXT, "varchar"},
	{1082, 1182, TYPE_DATE, "date"},
	{1083, 1183, TYPE_TIME, "time"},
	{1114, 1115, TYPE_TIMESTAMP, "timestamp"},
	{1184, 1185, TYPE_TIMESTAMPTZ, "timestamptz"},
	{1186, 1187, TYPE_INTERVAL, "interval"},
	{1266, 1270, TYPE_TIMETZ, "timetz"},
	{1560, 1561, TYPE_BITS, "bit"},
	{1562, 1563, TYPE_BITS, "varbit"},
	{1700, 1231, TYPE_DECIMAL, "numeric"},
	{1790, 2201, TYPE_OTHER, "refcursor"},
	{2202, 2207, TYPE_OTHER, "regprocedure"},
	{2203, 2208, TYPE_OTHER, "regoper"},
	{2204, 2209, TYPE_OTHER, "regoperator"},
	{2205, 2210, TYPE_OTHER, "regclass"},
	{2206, 2211, TYPE_OTHER, "regtype"},
	{2950, 2951, TYPE_UUID, "uuid"},
	{2970, 2949, TYPE_OTHER, "txid_snapshot"},
	{3220, 3221, TYPE_OTHER, "pg_lsn"},
	{3614, 3643, TYPE_OTHER, "tsvector"},
	{3615, 3645, TYPE_OTHER, "tsquery"},
	{3642, 3644, TYPE_OTHER, "gtsvector"},
	{3734, 3735, TYPE_OTHER, "regconfig"},
	{3769, 3770, TYPE_OTHER, "regdictionary"},
	{3802, 3807, TYPE_JSON, "jsonb"},
	{3904, 3905, TYPE_OTHER, "int4range"},
	{3906, 3907, TYPE_OTHER, "numrange"},
	{3908, 3909, TYPE_OTHER, "tsrange"},
	{3910, 3911, TYPE_OTHER, "tstzrange"},
	{3912, 3913, TYPE_OTHER, "daterange"},
	{3926, 3927, TYPE_OTHER, "int8range"},
	{4072, 4073, TYPE_OTHER, "jsonpath"},
	{4089, 4090, TYPE_OTHER, "regnamespace"},
	{4096, 4097, TYPE_OTHER, "regrole"},
	{4191, 4192, TYPE_OTHER, "regcollation"},
	{4451, 6150, TYPE_OTHER, "int4multirange"},
	{4532, 6151, TYPE_OTHER, "nummultirange"},
	{4533, 6152, TYPE_OTHER, "tsmultirange"},
	{4534, 6153, TYPE_OTHER, "tstzmultirange"},
	{4535, 6155, TYPE_OTHER, "datemultirange"},
	{4536, 6157, TYPE_OTHER, "int8multirange"},
	{5038, 5039, TYPE_OTHER, "pg_snapshot"},
	{5069, 271, TYPE_UINT64, "xid8"},
};

/* Looked up when a table's shape arrives, so a walk is good enough. */
static const struct builtin *find(uint32_t oid, bool *is_array)
{
	for (size_t i = 0; i < countof(builtins); i++) {
		*is_array = builtins[i].array == oid;
		if (*is_array || builtins[i].oid == oid)
			return &builtins[i];
	}
	*is_array = false;
	return NULL;
}

enum type pg_type_of(uint32_t oid, bool *is_known)
{
	bool is_array;
	const struct builtin *t = find(oid, &is_array);

	if (is_known != NULL)
		*is_known = t != NULL;
	if (t == NULL)
		return TYPE_OTHER;
	return is_array ? TYPE_ARRAY : t->type;
}

/* An array type's typname is its element's behind an underscore. */
uint32_t pg_type_oid(struct slice typname)
{
	bool is_array = slice_has_prefix(typname, "_");

	if (is_array) {
		typname.p++;
		typname.n--;
	}
	for (size_t i = 0; i < countof(builtins); i++)
		if (slice_is(typname, builtins[i].name))
			return is_array ? builtins[i].array : builtins[i].oid;
	return 0;
}

/* An interval's modifier: the fields' bit mask in the high half, the precision
 * in the low one; all bits set mean "not given". */
static void print_interval(int32_t modifier, struct buf *out)
{
	enum { MONTH = 2, YEAR = 4, DAY = 8, HOUR = 1024, MINUTE = 2048,
	       SECOND = 4096 };
	static const struct {
		unsigned mask;
		const char *text;
	} fields[] = {
		{YEAR, " year"},
		{MONTH, " month"},
		{DAY, " day"},
		{HOUR, " hour"},
		{MINUTE, " minute"},
		{SECOND, " second"},
		{YEAR | MONTH, " year to month"},
		{DAY | HOUR, " day to hour"},
		{DAY | HOUR | MINUTE, " day to minute"},
		{DAY | HOUR | MINUTE | SECOND, " day to second"},
		{HOUR | MINUTE, " hour to minute"},
		{HOUR | MINUTE | SECOND, " hour to second"},
		{MINUTE | SECOND, " minute to second"},
	};
	unsigned mask = (uint32_t)modifier >> 16 & 0x7fff;
	unsigned precision = (uint32_t)modifier & 0xffff;

	for (size_t i = 0; i < countof(fields); i++)
		if (fields[i].mask == mask)
			buf_text(out, fields[i].text);
	if (precision != 0xffff)
		buf_printf(out, "(%u)", precision);
}

static void print_modifier(const struct builtin *t, int32_t m, struct buf *out)
{
	switch (t->type) {
	case TYPE_DECIMAL:
		/* the scale is 11 bits, signed since PostgreSQL 15 */
		buf_printf(out, "(%d,%d)", (m - 4) >> 16 & 0xffff,
			   (((m - 4) & 0x7ff) ^ 0x400) - 0x400);
		break;
	case TYPE_TEXT:
	case TYPE_CHAR:
		buf_printf(out, "(%d)", m - 4);
		break;
	case TYPE_TIME:
	case TYPE_TIMETZ:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
	case TYPE_BITS:
		buf_printf(out, "(%d)", m);
		break;
	case TYPE_INTERVAL:
		print_interval(m, out);
		break;
	default:
		break;
	}
}

void pg_type_print(uint32_t oid, int32_t modifier, struct buf *out)
{
	bool is_array;
	const struct builtin *t = find(oid, &is_array);

	if (t == NULL)
		return;
	if (t->oid == 18)
		buf_text(out, "\"char\""); /* without quotes it is char(1) */
	else if (t->type == TYPE_CHAR && modifier >= 4)
		buf_text(out, "char");
	else
		buf_text(out, t->name);
	if (modifier >= 0)
		print_modifier(t, modifier, out);
	if (is_array)
		buf_text(out, "[]");
}

static bool read_int(const char *p, size_t n, int64_t least, int64_t most,
		     struct value *v)
{
	int64_t i;

	if (!slice_to_i64((struct slice){p, n}, &i) || i < least || i > most)
		return false;
	v->tag = VALUE_INT;
	v->i = i;
	return true;
}

static bool read_uint(const char *p, size_t n, uint64_t most, struct value *v)
{
	uint64_t u;

	if (!slice_to_u64((struct slice){p, n}, &u) || u > most)
		return false;
	v->tag = VALUE_UINT;
	v->u = u;
	return true;
}

static unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A' + 10);
	return 16;
}

/* "\x" and two digits a byte; the bytes take the place of the text. */
static bool read_bytea(char *p, size_t n, struct value *v)
{
	size_t bytes = n / 2 - 1;
	unsigned bad = 0;

	if (n < 2 || n % 2 != 0 || p[0] != '\\' || p[1] != 'x')
		return false;
	for (size_t i = 0; i < bytes; i++) {
		unsigned hi = hex_digit(p[2 + 2 * i]);
		unsigned lo = hex_digit(p[3 + 2 * i]);

		bad |= hi | lo;
		p[i] = (char)(hi << 4 | lo);
	}
	v->tag = VALUE_BYTES;
	v->s = (struct slice){p, bytes};
	return bad < 16;
}

enum pg_text pg_type_value(enum type t, char *p, size_t n, struct value *v)
{
	bool good;

	switch (t) {
	case TYPE_BOOL:
		good = n == 1 && (p[0] == 't' || p[0] == 'f');
		v->tag = VALUE_BOOL;
		v->b = good && p[0] == 't';
		break;
	case TYPE_INT16:
		good = read_int(p, n, INT16_MIN, INT16_MAX, v);
		break;
	case TYPE_INT32:
		good = read_int(p, n, INT32_MIN, INT32_MAX, v);
		break;
	case TYPE_INT64:
		good = read_int(p, n, INT64_MIN, INT64_MAX, v);
		break;
	case TYPE_UINT32:
		good = read_uint(p, n, UINT32_MAX, v);
		break;
	case TYPE_UINT64:
		good = read_uint(p, n, UINT64_MAX, v);
		break;
	case TYPE_BYTES:
		good = read_bytea(p, n, v);
		break;
	default:
		v->tag = VALUE_TEXT;
		v->s = (struct slice){p, n};
		return utf8_is_valid(v->s) ? PG_TEXT_OK : PG_TEXT_NOT_UTF8;
	}
	return good ? PG_TEXT_OK : PG_TEXT_BAD;
}
