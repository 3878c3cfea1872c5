#include "config.h"
#include "schema/connect_schema.h"

#include <stdio.h>

#include "base/json.h"

#define FIELDS(array) .fields = (array), .nfields = countof(array)
#define STRUCT CONNECT_STRUCT
#define REQUIRED(field, k) {field, {.kind = CONNECT_##k}}
#define OPTIONAL(field, k) {field, {.kind = CONNECT_##k, .is_optional = true}}

/* --- what is the same in every envelope -------------------------------- */

#define SNAPSHOT \
	{"snapshot", {.kind = CONNECT_STRING, .is_optional = true, \
		      .name = "io.debezium.data.Enum", .version = 1, \
		      .params = "\"allowed\":\"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental\"", \
		      .dflt = "\"false\""}}

static const struct connect_field source_fields[] = {
	REQUIRED("version", STRING),  REQUIRED("connector", STRING),
	REQUIRED("name", STRING),     REQUIRED("ts_ms", INT64),
	SNAPSHOT,		      REQUIRED("db", STRING),
	OPTIONAL("sequence", STRING), OPTIONAL("ts_us", INT64),
	OPTIONAL("ts_ns", INT64),     REQUIRED("schema", STRING),
	REQUIRED("table", STRING),    OPTIONAL("txId", INT64),
	OPTIONAL("lsn", INT64),	      OPTIONAL("xmin", INT64),
	OPTIONAL("origin", STRING),  OPTIONAL("origin_lsn", INT64),
};

#define SOURCE \
	{"source", {.kind = STRUCT, FIELDS(source_fields), .version = 1, \
		    .name = "io.debezium.connector.postgresql.Source"}}

static const struct connect_field transaction_fields[] = {
	REQUIRED("id", STRING),
	REQUIRED("total_order", INT64),
	REQUIRED("data_collection_order", INT64),
};

#define TRANSACTION \
	{"transaction", {.kind = STRUCT, .is_optional = true, \
			 FIELDS(transaction_fields), .name = "event.block", \
			 .version = 1}}

static const struct connect_schema text = {.kind = CONNECT_STRING};

static const struct connect_field version_fields[] = {
	REQUIRED("table", STRING),
	REQUIRED("version", INT64),
};

static const struct connect_field truncate_fields[] = {
	{"tables", {.kind = CONNECT_ARRAY, .item = &text}},
	REQUIRED("cascade", BOOLEAN),
	REQUIRED("restart_identity", BOOLEAN),
};

static const struct connect_field leat_fields[] = {
	REQUIRED("id", STRING),
	REQUIRED("seq", INT64),
	{"schema", {.kind = STRUCT, .is_optional = true, FIELDS(version_fields),
		    .name = "leat.Version"}},
	{"unchanged", {.kind = CONNECT_ARRAY, .is_optional = true,
		       .item = &text}},
	{"truncate", {.kind = STRUCT, .is_optional = true,
		      FIELDS(truncate_fields), .name = "leat.Truncate"}},
};

#define LEAT \
	{"leat", {.kind = STRUCT, .is_optional = true, FIELDS(leat_fields), \
		  .name = "leat.Provenance", .version = 1}}

static const struct connect_field message_block[] = {
	OPTIONAL("prefix", STRING),
	OPTIONAL("content", BYTES),
};

static const struct connect_field text_message_block[] = {
	OPTIONAL("prefix", STRING),
	OPTIONAL("content", STRING),
};

#define MESSAGE_FIELDS(block) \
	REQUIRED("op", STRING), OPTIONAL("ts_ms", INT64), SOURCE, TRANSACTION, \
	{"message", {.kind = STRUCT, FIELDS(block), .version = 1, \
		     .name = "io.debezium.connector.postgresql.Message"}}, \
	LEAT

static const struct connect_field message_fields[] = {
	MESSAGE_FIELDS(message_block)
};

static const struct connect_field text_message_fields[] = {
	MESSAGE_FIELDS(text_message_block)
};

#define MESSAGE(fields) \
	{.kind = STRUCT, FIELDS(fields), .version = 1, \
	 .name = "io.debezium.connector.postgresql.MessageValue"}

const struct connect_schema *connect_message(enum binary_mode content)
{
	static const struct connect_schema bytes = MESSAGE(message_fields);
	static const struct connect_schema texts = MESSAGE(text_message_fields);

	return content == BINARY_BYTES ? &bytes : &texts;
}

static const struct connect_field message_key[] = {OPTIONAL("prefix", STRING)};

const struct connect_schema connect_message_key = {
	.kind = STRUCT,
	FIELDS(message_key),
	.name = "io.debezium.connector.postgresql.MessageKey",
	.version = 1,
};

static const struct connect_field variable_decimal[] = {
	REQUIRED("scale", INT32),
	REQUIRED("value", BYTES),
};

static const struct connect_field point[] = {
	REQUIRED("x", FLOAT64),
	REQUIRED("y", FLOAT64),
	OPTIONAL("wkb", BYTES),
	OPTIONAL("srid", INT32),
};

static const struct connect_field envelope_fields[] = {
	{"before", {.kind = STRUCT, .is_optional = true}},
	{"after", {.kind = STRUCT, .is_optional = true}},
	SOURCE,
	TRANSACTION,
	REQUIRED("op", STRING),
	OPTIONAL("ts_ms", INT64),
	OPTIONAL("ts_us", INT64),
	OPTIONAL("ts_ns", INT64),
	LEAT,
};

/* --- names -------------------------------------------------------------- */

bool connect_in_topic(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

void connect_topic_part(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if ((c & 0xc0) == 0x80) /* inside of a character */
			continue;
		buf_u8(b, connect_in_topic(s.p[i]) ? c : '_');
		if (c >= 0xf0)
			buf_u8(b, '_');
	}
}

/* --- trees ------------------------------------------------------------- */

static const char *join(struct arena *a, const char *left, const char *right)
{
	size_t n = strlen(left), m = strlen(right) + 1;
	char *p = arena_alloc(a, n + m);

	if (p == NULL)
		return "";
	memcpy(p, left, n);
	memcpy(p + n, right, m);
	return p;
}

static const char *labels(const struct connect_type *t, struct arena *a)
{
	struct buf b = BUF_INIT;
	struct slice kept;

	buf_text(&b, "\"allowed\":");
	json_quoted(&b, t->labels);
	kept = slice_dup(a, buf_get(&b));
	a->failed |= b.failed;
	buf_fini(&b);
	return kept.p;
}

static const char *parameters(const struct connect_type *t, struct arena *a)
{
	char out[96] = "";

	if (t->name == NULL)
		return NULL;
	if (t->labels.n > 0)
		return labels(t, a);
	if (strcmp(t->name, "org.apache.kafka.connect.data.Decimal") == 0 &&
	    t->precision > 0)
		snprintf(out, sizeof(out),
			 "\"scale\":\"%d\",\"connect.decimal.precision\":\"%d\"",
			 t->scale, t->precision);
	else if (strcmp(t->name, "org.apache.kafka.connect.data.Decimal") == 0)
		snprintf(out, sizeof(out), "\"scale\":\"%d\"", t->scale);
	else if (strcmp(t->name, "io.debezium.data.Bits") == 0)
		snprintf(out, sizeof(out), "\"length\":\"%d\"", t->length);
	return out[0] ? join(a, out, "") : NULL;
}

struct connect_schema connect_column_schema(const struct connect_type *t,
					    bool is_optional, struct arena *a)
{
	struct connect_schema s = {
		.kind = t->kind,
		.is_optional = is_optional,
		.name = t->name,
		.version = t->name != NULL,
		.params = parameters(t, a),
		.precision = t->precision,
		.scale = t->scale,
	};
	struct connect_schema *item;

	if (t->kind == CONNECT_VARIABLE_DECIMAL) {
		s.kind = CONNECT_STRUCT;
		s.fields = variable_decimal;
		s.nfields = countof(variable_decimal);
		s.doc = "Variable scaled decimal";
	} else if (t->kind == CONNECT_POINT) {
		s.kind = CONNECT_STRUCT;
		s.fields = point;
		s.nfields = countof(point);
		s.doc = "Geometry (POINT)";
	} else if (t->kind == CONNECT_ARRAY) {
		item = arena_new(a, struct connect_schema);
		if (item != NULL)
			*item = connect_column_schema(t->element, true, a);
		s.item = item;
	}
	return s;
}

struct connect_schema connect_envelope(const char *table_name,
				       const struct connect_field *columns,
				       size_t ncolumns, struct arena *a)
{
	struct connect_field *f = arena_alloc(a, sizeof(envelope_fields));

	if (f == NULL)
		return (struct connect_schema){.kind = CONNECT_STRUCT};
	memcpy(f, envelope_fields, sizeof(envelope_fields));
	for (int i = 0; i < 2; i++) {
		f[i].schema.fields = columns;
		f[i].schema.nfields = ncolumns;
		f[i].schema.name = join(a, table_name, ".Value");
	}
	return (struct connect_schema){
		.kind = CONNECT_STRUCT,
		.name = join(a, table_name, ".Envelope"),
		.version = 2,
		.fields = f,
		.nfields = countof(envelope_fields),
	};
}

/* --- JSON --------------------------------------------------------------- */

static const char *const json_types[] = {
	[CONNECT_BOOLEAN] = "boolean", [CONNECT_INT16] = "int16",
	[CONNECT_INT32] = "int32",     [CONNECT_INT64] = "int64",
	[CONNECT_FLOAT32] = "float",   [CONNECT_FLOAT64] = "double",
	[CONNECT_STRING] = "string",   [CONNECT_BYTES] = "bytes",
	[CONNECT_ARRAY] = "array",     [CONNECT_STRUCT] = "struct",
};

static void put_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	json_quoted(b, slice_of(value));
}

void connect_schema_json(struct buf *b, const struct connect_schema *s,
			 const char *field)
{
	buf_printf(b, "{\"type\":\"%s\"", json_types[s->kind]);
	if (s->kind == CONNECT_STRUCT) {
		buf_text(b, ",\"fields\":[");
		for (size_t i = 0; i < s->nfields; i++) {
			if (i > 0)
				buf_u8(b, ',');
			connect_schema_json(b, &s->fields[i].schema,
					    s->fields[i].name);
		}
		buf_u8(b, ']');
	} else if (s->kind == CONNECT_ARRAY && s->item != NULL) {
		buf_text(b, ",\"items\":");
		connect_schema_json(b, s->item, NULL);
	}
	buf_text(b, s->is_optional ? ",\"optional\":true"
				   : ",\"optional\":false");
	if (s->name != NULL)
		put_member(b, "name", s->name);
	if (s->version > 0)
		buf_printf(b, ",\"version\":%d", s->version);
	if (s->doc != NULL)
		put_member(b, "doc", s->doc);
	if (s->params != NULL)
		buf_printf(b, ",\"parameters\":{%s}", s->params);
	if (s->dflt != NULL)
		buf_printf(b, ",\"default\":%s", s->dflt);
	if (field != NULL)
		put_member(b, "field", field);
	buf_u8(b, '}');
}

/* --- Avro ---------------------------------------------------------------- */

static const char *const avro_types[] = {
	[CONNECT_BOOLEAN] = "boolean", [CONNECT_INT16] = "int",
	[CONNECT_INT32] = "int",       [CONNECT_INT64] = "long",
	[CONNECT_FLOAT32] = "float",   [CONNECT_FLOAT64] = "double",
	[CONNECT_STRING] = "string",   [CONNECT_BYTES] = "bytes",
};

void connect_avro_name(struct buf *b, const char *name, bool dots)
{
	for (const char *p = name; *p != '\0'; p++) {
		bool is_letter = (*p >= 'A' && *p <= 'Z') ||
				 (*p >= 'a' && *p <= 'z') || *p == '_';
		bool is_digit = *p >= '0' && *p <= '9';
		bool is_first = p == name || (dots && p[-1] == '.');

		if (is_digit && is_first)
			buf_u8(b, '_');
		if (is_letter || is_digit || (dots && *p == '.'))
			buf_u8(b, (uint8_t)*p);
		else
			buf_u8(b, '_');
	}
}

/* Records that are spelled out once are named from then on. */
struct avro {
	struct buf *b;
	const char *seen[8];
	size_t nseen;
};

static bool is_seen(struct avro *av, const char *name)
{
	for (size_t i = 0; i < av->nseen; i++)
		if (strcmp(av->seen[i], name) == 0)
			return true;
	if (av->nseen < countof(av->seen))
		av->seen[av->nseen++] = name;
	return false;
}

static void put_avro(struct avro *av, const struct connect_schema *s);

static void put_connect_names(struct buf *b, const struct connect_schema *s)
{
	if (s->version > 0)
		buf_printf(b, ",\"connect.version\":%d", s->version);
	if (s->params != NULL)
		buf_printf(b, ",\"connect.parameters\":{%s}", s->params);
	if (s->dflt != NULL)
		buf_printf(b, ",\"connect.default\":%s", s->dflt);
	if (s->name != NULL)
		put_member(b, "connect.name", s->name);
}

static void put_avro_field(struct avro *av, const struct connect_field *f)
{
	struct buf *b = av->b;
	/* the branch of the default comes first in a union */
	bool null_first = f->schema.is_optional && f->schema.dflt == NULL;

	buf_text(b, "{\"name\":\"");
	connect_avro_name(b, f->name, false);
	buf_text(b, "\",\"type\":");
	if (f->schema.is_optional)
		buf_text(b, null_first ? "[\"null\"," : "[");
	put_avro(av, &f->schema);
	if (f->schema.is_optional)
		buf_text(b, null_first ? "]" : ",\"null\"]");
	if (null_first)
		buf_text(b, ",\"default\":null");
	else if (f->schema.dflt != NULL)
		buf_printf(b, ",\"default\":%s", f->schema.dflt);
	buf_u8(b, '}');
}

static void put_avro_record(struct avro *av, const struct connect_schema *s)
{
	struct buf *b = av->b;
	const char *name = s->name ? s->name : "leat.Struct";
	const char *dot = strrchr(name, '.');

	if (is_seen(av, name)) {
		buf_u8(b, '"');
		connect_avro_name(b, name, true);
		buf_u8(b, '"');
		return;
	}
	buf_text(b, "{\"type\":\"record\",\"name\":\"");
	connect_avro_name(b, dot ? dot + 1 : name, false);
	if (dot != NULL) {
		size_t start;

		buf_text(b, "\",\"namespace\":\"");
		start = b->n;
		connect_avro_name(b, name, true);
		while (!b->failed && b->n > start && b->p[b->n - 1] != '.')
			b->n--;
		b->n -= !b->failed && b->n > start;
	}
	buf_text(b, "\",\"fields\":[");
	for (size_t i = 0; i < s->nfields; i++) {
		if (i > 0)
			buf_u8(b, ',');
		put_avro_field(av, &s->fields[i]);
	}
	buf_u8(b, ']');
	put_connect_names(b, s);
	buf_u8(b, '}');
}

static void put_avro(struct avro *av, const struct connect_schema *s)
{
	struct buf *b = av->b;

	if (s->kind == CONNECT_STRUCT) {
		put_avro_record(av, s);
		return;
	}
	if (s->kind == CONNECT_ARRAY) {
		buf_text(b, "{\"type\":\"array\",\"items\":");
		if (s->item != NULL && s->item->is_optional) {
			buf_text(b, "[\"null\",");
			put_avro(av, s->item);
			buf_u8(b, ']');
		} else if (s->item != NULL)
			put_avro(av, s->item);
		buf_u8(b, '}');
		return;
	}
	if (s->name == NULL && s->kind != CONNECT_INT16) {
		buf_printf(b, "\"%s\"", avro_types[s->kind]);
		return;
	}
	buf_printf(b, "{\"type\":\"%s\"", avro_types[s->kind]);
	if (s->kind == CONNECT_INT16)
		buf_text(b, ",\"connect.type\":\"int16\"");
	if (s->precision > 0)
		buf_printf(b, ",\"scale\":%d,\"precision\":%d", s->scale,
			   s->precision);
	put_connect_names(b, s);
	if (s->precision > 0)
		buf_text(b, ",\"logicalType\":\"decimal\"");
	buf_u8(b, '}');
}

void connect_schema_avro(struct buf *b, const struct connect_schema *s)
{
	struct avro av = {.b = b};

	put_avro(&av, s);
}
