/* connect.c: see connect.h.
 *
 * Names and units are those of Debezium's io.debezium.time and io.debezium.data
 * packages and of Kafka Connect's Decimal, Date, Time and Timestamp. */
#include "config.h"
#include "schema/connect.h"

#include "schema/connect_value.h"

/* The numbers in "numeric(10,2)" or "timestamp(3) without time zone"; false when
 * there are none. */
static bool modifiers_of(const struct column *col, int32_t *first,
			 int32_t *second)
{
	struct slice s = col->base_name.n ? col->base_name : col->type_name;
	const char *open = s.n ? memchr(s.p, '(', s.n) : NULL;
	const char *close = s.n ? memchr(s.p, ')', s.n) : NULL;
	struct slice rest, word;
	int64_t a, b = 0;

	if (open == NULL || close == NULL || close < open)
		return false;
	rest = (struct slice){open + 1, (size_t)(close - open - 1)};
	word = slice_cut(&rest, ',');
	if (!slice_to_i64(word, &a) ||
	    (rest.n > 0 && !slice_to_i64(rest, &b)) || a < 0 ||
	    a > INT32_MAX || b < INT16_MIN || b > INT16_MAX)
		return false;
	*first = (int32_t)a;
	*second = (int32_t)b;
	return true;
}

static struct connect_type as(enum connect_kind kind, connect_fn *convert,
			      const char *name)
{
	return (struct connect_type){.kind = kind, .convert = convert,
				     .name = name};
}

#define DATA(name) "io.debezium.data." name
#define TIME(name) "io.debezium.time." name
#define CONNECT(name) "org.apache.kafka.connect.data." name

static struct connect_type decimal_type(const struct column *col,
					const struct connect_modes *m)
{
	struct connect_type t;

	if (m->decimal == DECIMAL_STRING)
		return as(CONNECT_STRING, connect_to_text, NULL);
	if (m->decimal == DECIMAL_DOUBLE)
		return as(CONNECT_FLOAT64, connect_to_double, NULL);
	t = as(CONNECT_BYTES, connect_to_decimal, CONNECT("Decimal"));
	if (!modifiers_of(col, &t.precision, &t.scale))
		return as(CONNECT_VARIABLE_DECIMAL, connect_to_variable_decimal,
			  DATA("VariableScaleDecimal"));
	return t;
}

static struct connect_type money_type(const struct connect_modes *m)
{
	struct connect_type t = as(CONNECT_BYTES, connect_to_money, CONNECT("Decimal"));

	t.scale = 2;
	if (m->decimal == DECIMAL_STRING)
		return as(CONNECT_STRING, connect_to_money_number, NULL);
	if (m->decimal == DECIMAL_DOUBLE)
		return as(CONNECT_FLOAT64, connect_to_money_number, NULL);
	return t;
}

static struct connect_type uint64_type(const struct connect_modes *m)
{
	struct connect_type t = as(CONNECT_BYTES, connect_to_decimal, CONNECT("Decimal"));

	t.precision = 20;
	return m->decimal == DECIMAL_STRING ? as(CONNECT_STRING, connect_to_text, NULL)
					    : t;
}

static struct connect_type in(enum connect_kind kind, connect_fn *convert,
			      const char *name, int64_t unit_us)
{
	struct connect_type t = as(kind, convert, name);

	t.unit_us = unit_us;
	return t;
}

static struct connect_type time_type(const struct column *col,
				     const struct connect_modes *m)
{
	int32_t digits = 6, unused;

	modifiers_of(col, &digits, &unused);
	switch (m->time) {
	case TIME_ISOSTRING:
		return as(CONNECT_STRING, connect_to_iso_time, TIME("IsoTime"));
	case TIME_CONNECT:
		return in(CONNECT_INT32, connect_to_time, CONNECT("Time"), 1000);
	case TIME_NANOSECONDS:
		return in(CONNECT_INT64, connect_to_time, TIME("NanoTime"), 0);
	case TIME_ADAPTIVE:
		if (digits <= 3)
			return in(CONNECT_INT32, connect_to_time, TIME("Time"), 1000);
		/* fallthrough */
	default:
		return in(CONNECT_INT64, connect_to_time, TIME("MicroTime"), 1);
	}
}

static struct connect_type timestamp_type(const struct column *col,
					  const struct connect_modes *m)
{
	int32_t digits = 6, unused;

	modifiers_of(col, &digits, &unused);
	switch (m->time) {
	case TIME_ISOSTRING:
		return as(CONNECT_STRING, connect_to_iso_timestamp, TIME("IsoTimestamp"));
	case TIME_CONNECT:
		return in(CONNECT_INT64, connect_to_timestamp, CONNECT("Timestamp"), 1000);
	case TIME_NANOSECONDS:
		return in(CONNECT_INT64, connect_to_timestamp, TIME("NanoTimestamp"), 0);
	case TIME_ADAPTIVE:
	case TIME_ADAPTIVE_MICROSECONDS:
		if (digits <= 3)
			return in(CONNECT_INT64, connect_to_timestamp, TIME("Timestamp"),
				  1000);
		/* fallthrough */
	default:
		return in(CONNECT_INT64, connect_to_timestamp, TIME("MicroTimestamp"), 1);
	}
}

/* With as many digits as were declared. */
static struct connect_type zoned_type(const struct column *col)
{
	struct connect_type t = as(CONNECT_STRING, connect_to_iso_timestamp,
				   TIME("ZonedTimestamp"));
	int32_t unused;

	t.length = 6;
	modifiers_of(col, &t.length, &unused);
	if (t.length > 6) /* no server has them */
		t.length = 6;
	return t;
}

static struct connect_type temporal_type(const struct column *col,
					 const struct connect_modes *m)
{
	if (m->time == TIME_ISO)
		return as(CONNECT_STRING, connect_to_text, NULL);
	switch (col->type) {
	case TYPE_DATE:
		if (m->time == TIME_ISOSTRING)
			return as(CONNECT_STRING, connect_to_iso_date, TIME("IsoDate"));
		return as(CONNECT_INT32, connect_to_days,
			  m->time == TIME_CONNECT ? CONNECT("Date")
						  : TIME("Date"));
	case TYPE_TIME:
		return time_type(col, m);
	case TYPE_TIMETZ:
		return as(CONNECT_STRING, connect_to_iso_time, TIME("ZonedTime"));
	case TYPE_TIMESTAMP:
		return timestamp_type(col, m);
	default:
		return zoned_type(col);
	}
}

static struct connect_type interval_type(const struct connect_modes *m)
{
	if (m->interval == INTERVAL_NUMERIC)
		return as(CONNECT_INT64, connect_to_duration, TIME("MicroDuration"));
	if (m->interval == INTERVAL_STRING)
		return as(CONNECT_STRING, connect_to_iso_duration, TIME("Interval"));
	return as(CONNECT_STRING, connect_to_text, NULL);
}

static struct connect_type bits_type(const struct column *col)
{
	struct connect_type t = as(CONNECT_BYTES, connect_to_bits, DATA("Bits"));
	int32_t unused;

	t.length = INT32_MAX;
	modifiers_of(col, &t.length, &unused);
	if (t.length == 1 && !slice_has_prefix(col->type_name, "bit varying"))
		return as(CONNECT_BOOLEAN, connect_to_bool, NULL);
	return t;
}

/* Names of elements, as format_type() prints them and as pg_type has them. */
static enum type type_by_name(struct slice name)
{
	static const struct {
		const char *name;
		enum type type;
	} names[] = {
		{"smallint", TYPE_INT16}, {"int2", TYPE_INT16},
		{"integer", TYPE_INT32}, {"int4", TYPE_INT32},
		{"bigint", TYPE_INT64}, {"int8", TYPE_INT64},
		{"oid", TYPE_UINT32}, {"boolean", TYPE_BOOL},
		{"bool", TYPE_BOOL}, {"real", TYPE_FLOAT32},
		{"float4", TYPE_FLOAT32}, {"double precision", TYPE_FLOAT64},
		{"float8", TYPE_FLOAT64}, {"numeric", TYPE_DECIMAL},
		{"money", TYPE_MONEY}, {"bytea", TYPE_BYTES},
		{"date", TYPE_DATE}, {"time without time zone", TYPE_TIME},
		{"time", TYPE_TIME}, {"time with time zone", TYPE_TIMETZ},
		{"timetz", TYPE_TIMETZ}, {"timestamp", TYPE_TIMESTAMP},
		{"timestamp without time zone", TYPE_TIMESTAMP},
		{"timestamp with time zone", TYPE_TIMESTAMPTZ},
		{"timestamptz", TYPE_TIMESTAMPTZ}, {"interval", TYPE_INTERVAL},
		{"uuid", TYPE_UUID}, {"json", TYPE_JSON},
		{"jsonb", TYPE_JSON}, {"xml", TYPE_XML},
	};
	const char *open = name.n ? memchr(name.p, '(', name.n) : NULL;
	const char *close = name.n ? memchr(name.p, ')', name.n) : NULL;

	for (size_t i = 0; i < countof(names); i++) {
		struct slice known = slice_of(names[i].name);
		size_t head = open ? (size_t)(open - name.p) : name.n;
		size_t tail = close ? (size_t)(name.p + name.n - close - 1) : 0;

		if (known.n == head + tail && memcmp(known.p, name.p, head) == 0 &&
		    (tail == 0 || memcmp(known.p + head, close + 1, tail) == 0))
			return names[i].type;
	}
	return TYPE_TEXT;
}

static void list_type(const struct column *col, const struct connect_modes *m,
		      struct arena *a, struct connect_type *out)
{
	struct column element = *col;

	*out = as(CONNECT_STRING, connect_to_text, NULL);
	/* box has another delimiter */
	if (!m->unfold || col->type_name.n < 2 ||
	    slice_has_prefix(col->type_name, "box"))
		return;
	element.type_name.n -= 2; /* [] */
	element.type = col->labels.n > 0 ? TYPE_ENUM
					 : type_by_name(element.type_name);
	*out = as(CONNECT_ARRAY, connect_to_list, NULL);
	out->element = arena_new(a, struct connect_type);
	if (out->element == NULL)
		return;
	connect_type_of(&element, m, a, out->element);
	if (out->element->convert == connect_to_bytes)
		out->element->convert = connect_to_bytes_of_hex;
}

/* Types that have no enum type of their own go by their names, in whatever schema
 * they are. */
static struct connect_type other_type(const struct column *col,
				      const struct connect_modes *m)
{
	struct slice name = col->type_name, rest = name;

	while (rest.n > 0) {
		name = rest;
		slice_cut(&rest, '.');
	}
	if (slice_is(name, "ltree"))
		return as(CONNECT_STRING, connect_to_text, DATA("Ltree"));
	if (slice_is(name, "tsvector"))
		return as(CONNECT_STRING, connect_to_text, DATA("Tsvector"));
	if (m->unfold && slice_is(name, "hstore"))
		return as(CONNECT_STRING, connect_to_hstore, DATA("Json"));
	if (m->unfold && slice_is(name, "point"))
		return as(CONNECT_POINT, connect_to_point, DATA("geometry.Point"));
	return as(CONNECT_STRING, connect_to_text, NULL);
}

void connect_type_of(const struct column *col, const struct connect_modes *m,
		     struct arena *a, struct connect_type *out)
{
	switch (col->type) {
	case TYPE_BOOL:
		*out = as(CONNECT_BOOLEAN, connect_to_bool, NULL);
		break;
	case TYPE_INT16:
		*out = as(CONNECT_INT16, connect_to_int, NULL);
		break;
	case TYPE_INT32:
		*out = as(CONNECT_INT32, connect_to_int, NULL);
		break;
	case TYPE_INT64:
	case TYPE_UINT32:
		*out = as(CONNECT_INT64, connect_to_int, NULL);
		break;
	case TYPE_UINT64:
		*out = uint64_type(m);
		break;
	case TYPE_FLOAT32:
		*out = as(CONNECT_FLOAT32, connect_to_text, NULL);
		break;
	case TYPE_FLOAT64:
		*out = as(CONNECT_FLOAT64, connect_to_text, NULL);
		break;
	case TYPE_DECIMAL:
		*out = decimal_type(col, m);
		break;
	case TYPE_MONEY:
		*out = money_type(m);
		break;
	case TYPE_BYTES:
		*out = as(m->binary == BINARY_BYTES ? CONNECT_BYTES
						    : CONNECT_STRING,
			  connect_to_bytes, NULL);
		out->binary = m->binary;
		break;
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_TIMETZ:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		*out = temporal_type(col, m);
		break;
	case TYPE_INTERVAL:
		*out = interval_type(m);
		break;
	case TYPE_UUID:
		*out = as(CONNECT_STRING, connect_to_text, DATA("Uuid"));
		break;
	case TYPE_JSON:
		*out = as(CONNECT_STRING, connect_to_text, DATA("Json"));
		break;
	case TYPE_XML:
		*out = as(CONNECT_STRING, connect_to_text, DATA("Xml"));
		break;
	case TYPE_BITS:
		*out = bits_type(col);
		break;
	case TYPE_ENUM:
		*out = as(CONNECT_STRING, connect_to_text, DATA("Enum"));
		out->labels = col->labels;
		break;
	case TYPE_ARRAY:
		list_type(col, m, a, out);
		break;
	case TYPE_OTHER:
		*out = other_type(col, m);
		break;
	default:
		*out = as(CONNECT_STRING, connect_to_text, NULL);
		break;
	}
}
