/* cloudevents.c: see cloudevents.h and leat-envelope(7).
 *
 * CloudEvents 1.0.2: names of attributes are lower-case letters and digits,
 * values are never null, so what is not known is left out; 64-bit numbers are
 * strings, as its integers have 32 bits.  Source and id together are unique,
 * which Debezium's id (name, LSN, transaction) is not: leat's is. */
#include "config.h"
#include "schema/cloudevents.h"

#include "schema/temporal.h"

static void put_text(struct buf *b, const char *name, struct slice value)
{
	if (value.n == 0)
		return;
	buf_printf(b, ",\"%s\":", name);
	json_quoted(b, value);
}

static void put_number(struct buf *b, const char *name, uint64_t value)
{
	if (value == 0)
		return;
	buf_printf(b, ",\"%s\":\"", name);
	buf_u64(b, value);
	buf_u8(b, '"');
}

static void put_time(struct buf *b, int64_t us)
{
	struct moment m = {us / DAY_US - (us % DAY_US < 0), 0};

	m.us = us - m.days * DAY_US;
	buf_u8(b, '"');
	temporal_print_date(b, &m);
	buf_u8(b, 'T');
	temporal_print_time(b, m.us);
	json_lit(b, "Z\"");
}

static void put_origin(struct buf *b, const struct shown *s)
{
	const struct txn *txn = s->ev->txn;
	const struct origin *o = txn->origin;
	const struct table *tab = s->ev->table;

	put_text(b, "iodebeziumversion", o->version);
	put_text(b, "iodebeziumconnector", o->connector);
	put_text(b, "iodebeziumname", o->name);
	json_lit(b, ",\"iodebeziumtsms\":\"");
	json_ms(b, txn->commit_us);
	buf_u8(b, '"');
	put_text(b, "iodebeziumsnapshot", s->op == OP_READ ? SLICE("incremental")
							   : SLICE("false"));
	put_text(b, "iodebeziumdb", o->db);
	if (tab != NULL) {
		put_text(b, "iodebeziumschema", tab->schema);
		put_text(b, "iodebeziumtable", tab->name);
	}
	put_number(b, "iodebeziumtxid", txn->xid);
	put_number(b, "iodebeziumlsn", s->ev->pos);
	if (s->ev->ordinal == 0 || s->op == OP_READ)
		return;
	put_number(b, "iodebeziumtxtotalorder", s->ev->ordinal);
	put_number(b, "iodebeziumtxdatacollectionorder", s->ev->table_ordinal);
}

static void put_leat(struct buf *b, const struct shown *s)
{
	const struct table *tab = s->ev->table;
	struct slice names;

	put_number(b, "leatseq", s->ev->seq);
	if (tab == NULL)
		return;
	put_number(b, "leatversion", tab->version);
	if (!json_has_unchanged(tab, s->after))
		return;
	/* a list in a string: attributes are scalars */
	s->scratch->n = 0;
	json_unchanged(s->scratch, tab, s->after, 0);
	b->failed |= s->scratch->failed;
	names = buf_get(s->scratch);
	put_text(b, "leatunchanged", names);
}

static void put_data(struct buf *b, const struct shown *s)
{
	switch (s->op) {
	case OP_TRUNCATE:
		json_lit(b, "{\"tables\":");
		json_table_names(b, s->ev->truncate);
		json_lit(b, ",\"cascade\":");
		json_bool(b, s->ev->truncate->flags & TRUNCATE_CASCADE);
		json_lit(b, ",\"restart_identity\":");
		json_bool(b, s->ev->truncate->flags & TRUNCATE_RESTART_IDENTITY);
		break;
	case OP_MESSAGE:
		json_lit(b, "{\"prefix\":");
		json_quoted(b, s->ev->message->prefix);
		json_lit(b, ",\"content\":\"");
		json_base64(b, s->ev->message->content);
		buf_u8(b, '"');
		break;
	case OP_SCHEMA:
		json_schema_change(b, s->scratch, s->ev);
		return;
	case OP_GAP:
		json_gap(b, s->ev->gap);
		return;
	default:
		json_lit(b, "{\"before\":");
		json_image(b, s, s->before);
		json_lit(b, ",\"after\":");
		json_image(b, s, s->after);
		break;
	}
	buf_u8(b, '}');
}

void cloudevents_value(struct buf *b, const struct shown *s)
{
	const struct origin *o = s->ev->txn->origin;
	bool is_row = s->op <= OP_READ;

	json_lit(b, "{\"id\":");
	json_id(b, s);
	json_lit(b, ",\"source\":\"/debezium/");
	json_escaped(b, o->connector);
	buf_u8(b, '/');
	json_escaped(b, o->name);
	json_lit(b, "\",\"specversion\":\"1.0\",\"type\":\"");
	if (is_row) {
		json_lit(b, "io.debezium.connector.");
		json_escaped(b, o->connector);
		json_lit(b, ".DataChangeEvent");
	} else {
		json_lit(b, "leat.");
		buf_text(b, op_name(s->op));
	}
	json_lit(b, "\",\"time\":");
	put_time(b, s->ev->txn->commit_us);
	json_lit(b, ",\"datacontenttype\":\"application/json\",\"iodebeziumop\":\"");
	buf_text(b, json_op(s->op));
	buf_u8(b, '"');
	put_origin(b, s);
	put_leat(b, s);
	json_lit(b, ",\"data\":");
	put_data(b, s);
	buf_u8(b, '}');
}
