#include "config.h"
#include "schema/debezium_table.h"

#include "schema/debezium.h"

/* java.sql.Types */
static const int jdbc_types[TYPE_COUNT] = {
	[TYPE_OTHER] = 1111,	    [TYPE_BOOL] = -7,	   [TYPE_INT16] = 5,
	[TYPE_INT32] = 4,	    [TYPE_INT64] = -5,	   [TYPE_UINT32] = -5,
	[TYPE_UINT64] = -5,	    [TYPE_FLOAT32] = 7,	   [TYPE_FLOAT64] = 8,
	[TYPE_DECIMAL] = 2,	    [TYPE_MONEY] = 8,	   [TYPE_TEXT] = 12,
	[TYPE_CHAR] = 1,	    [TYPE_BYTES] = -2,	   [TYPE_DATE] = 91,
	[TYPE_TIME] = 92,	    [TYPE_TIMETZ] = 2013,  [TYPE_TIMESTAMP] = 93,
	[TYPE_TIMESTAMPTZ] = 2014, [TYPE_INTERVAL] = 1111, [TYPE_UUID] = 1111,
	[TYPE_JSON] = 1111,	    [TYPE_XML] = 2009,	   [TYPE_BITS] = -7,
	[TYPE_ENUM] = 1111,	    [TYPE_NET] = 1111,	   [TYPE_ARRAY] = 2003,
};

/* numeric(10,2): name is before the parenthesis, size and scale are in it. */
static void split_type(struct slice text, struct slice *name, struct slice *size,
		       struct slice *scale)
{
	*size = *scale = (struct slice){0};
	*name = slice_cut(&text, '(');
	if (text.p == NULL)
		return;
	*scale = slice_cut(&text, ')');
	*size = slice_cut(scale, ',');
}

static void put_digits(struct buf *b, const char *field, struct slice text)
{
	uint64_t v;

	buf_text(b, field);
	if (slice_to_u64(text, &v))
		buf_u64(b, v);
	else
		json_lit(b, "null");
}

static void put_column(struct buf *b, const struct column *col, uint32_t position)
{
	struct slice name, size, scale;

	split_type(col->type_name, &name, &size, &scale);
	json_lit(b, "{\"name\":");
	json_quoted(b, col->name);
	json_lit(b, ",\"jdbcType\":");
	buf_i64(b, jdbc_types[col->type]);
	json_lit(b, ",\"nativeType\":");
	buf_u64(b, col->source_type);
	json_lit(b, ",\"typeName\":");
	json_quoted(b, name);
	json_lit(b, ",\"typeExpression\":");
	json_quoted(b, col->type_name);
	json_lit(b, ",\"charsetName\":null");
	put_digits(b, ",\"length\":", size);
	put_digits(b, ",\"scale\":", scale);
	json_lit(b, ",\"position\":");
	buf_u64(b, position);
	json_lit(b, ",\"optional\":");
	json_bool(b, col->is_nullable);
	json_lit(b, ",\"autoIncremented\":false,\"generated\":false,\"comment\":null},");
}

static void put_table(struct buf *b, const struct table *tab)
{
	json_lit(b, "{\"defaultCharsetName\":null,\"primaryKeyColumnNames\":[");
	for (uint32_t i = 0; i < tab->ncols; i++) {
		if (!table_in_key(tab, i))
			continue;
		json_quoted(b, tab->cols[i].name);
		buf_u8(b, ',');
	}
	json_close(b, ']');
	json_lit(b, ",\"columns\":[");
	for (uint32_t i = 0; i < tab->ncols; i++)
		put_column(b, &tab->cols[i], i + 1);
	json_close(b, ']');
	json_lit(b, ",\"comment\":null}");
}

/* "\"db\".\"schema\".\"table\"" */
static void put_name(struct buf *b, const struct event *ev)
{
	const struct slice part[] = {ev->txn->origin->db, ev->table->schema,
				     ev->table->name};

	buf_u8(b, '"');
	for (size_t i = 0; i < countof(part); i++) {
		buf_text(b, i == 0 ? "\\\"" : ".\\\"");
		json_escaped(b, part[i]);
		buf_text(b, "\\\"");
	}
	buf_u8(b, '"');
}

static void put_value(struct buf *b, const struct event *ev)
{
	const struct shown s = {.ev = ev, .op = OP_SCHEMA};

	json_lit(b, "{\"source\":");
	debezium_source(b, &s);
	json_lit(b, ",\"ts_ms\":");
	json_ms(b, ev->read_us);
	json_lit(b, ",\"databaseName\":");
	json_quoted(b, ev->txn->origin->db);
	json_lit(b, ",\"schemaName\":");
	json_quoted(b, ev->table->schema);
	json_lit(b, ",\"ddl\":null,\"tableChanges\":[{\"type\":");
	buf_text(b, ev->schema->prev ? "\"ALTER\"" : "\"CREATE\"");
	json_lit(b, ",\"id\":");
	put_name(b, ev);
	json_lit(b, ",\"table\":");
	put_table(b, ev->table);
	json_lit(b, "}]}");
}

int debezium_table_change(const struct event *ev, bool with_schemas,
			  struct encoded *out, struct err *e)
{
	const char *head = with_schemas ? "{\"schema\":null,\"payload\":" : "";
	const char *tail = with_schemas ? "}" : "";
	struct record *rec = &out->rec[0];
	struct buf *b = &out->bytes;

	b->failed = false;
	buf_reset(b, SIZE_MAX);
	buf_text(b, head);
	json_lit(b, "{\"databaseName\":");
	json_quoted(b, ev->txn->origin->db);
	buf_u8(b, '}');
	buf_text(b, tail);
	rec->key_at = 0;
	rec->key_n = rec->value_at = b->n;
	buf_text(b, head);
	put_value(b, ev);
	buf_text(b, tail);
	rec->value_n = b->n - rec->value_at;
	rec->branch = 0;
	out->n = 1;
	return b->failed ? err_no_memory(e) : 0;
}
