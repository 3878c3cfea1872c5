/* debezium.c: see debezium.h and leat-envelope(7).
 *
 * The order of fields is the one that Debezium writes: consumers that read
 * with a schema do not care, people who compare do. */
#include "config.h"
#include "schema/debezium.h"

/* A number as JSON text inside of a JSON string, null for 0. */
static void put_sequence(struct buf *b, uint64_t v)
{
	if (v == 0) {
		json_lit(b, "null");
		return;
	}
	json_lit(b, "\\\"");
	buf_u64(b, v);
	json_lit(b, "\\\"");
}

static void put_number(struct buf *b, uint64_t v)
{
	if (v == 0)
		json_lit(b, "null");
	else
		buf_u64(b, v);
}

/* With Debezium's values also its members. */
static bool is_unfolded(const struct shown *s)
{
	return s->plan != NULL && s->plan->modes.unfold;
}

void debezium_source(struct buf *b, const struct shown *s)
{
	const struct event *ev = s->ev;
	const struct txn *txn = ev->txn;
	const struct origin *o = txn->origin;

	json_lit(b, "{\"version\":");
	json_quoted(b, o->version);
	json_lit(b, ",\"connector\":");
	json_quoted(b, o->connector);
	json_lit(b, ",\"name\":");
	json_quoted(b, o->name);
	json_lit(b, ",\"ts_ms\":");
	json_ms(b, txn->commit_us);
	if (s->op == OP_READ)
		json_lit(b, ",\"snapshot\":\"incremental\",\"db\":");
	else
		json_lit(b, ",\"snapshot\":\"false\",\"db\":");
	json_quoted(b, o->db);
	json_lit(b, ",\"sequence\":\"[");
	put_sequence(b, txn->prev_pos);
	buf_u8(b, ',');
	put_sequence(b, ev->pos);
	json_lit(b, "]\",\"ts_us\":");
	buf_i64(b, txn->commit_us);
	json_lit(b, ",\"ts_ns\":");
	json_ns(b, txn->commit_us);
	json_lit(b, ",\"schema\":");
	json_quoted(b, ev->table ? ev->table->schema : SLICE(""));
	json_lit(b, ",\"table\":");
	json_quoted(b, ev->table ? ev->table->name : SLICE(""));
	json_lit(b, ",\"txId\":");
	put_number(b, txn->xid);
	json_lit(b, ",\"lsn\":");
	put_number(b, ev->pos);
	json_lit(b, ",\"xmin\":null");
	if (txn->replicated_from.n > 0) {
		json_lit(b, ",\"origin\":");
		json_quoted(b, txn->replicated_from);
	} else if (is_unfolded(s)) {
		json_lit(b, ",\"origin\":null");
	}
	if (is_unfolded(s))
		json_lit(b, ",\"origin_lsn\":null");
	buf_u8(b, '}');
}

static void put_transaction(struct buf *b, const struct event *ev)
{
	/* a read, a schema or gap event, or a message that is no part of one */
	if (ev->ordinal == 0 || ev->op == OP_READ) {
		json_lit(b, "null");
		return;
	}
	json_lit(b, "{\"id\":");
	json_quoted(b, ev->txn->id);
	json_lit(b, ",\"total_order\":");
	buf_u64(b, ev->ordinal);
	json_lit(b, ",\"data_collection_order\":");
	buf_u64(b, ev->table_ordinal);
	buf_u8(b, '}');
}

static void put_truncate(struct buf *b, const struct truncate *t)
{
	json_lit(b, ",\"truncate\":{\"tables\":");
	json_table_names(b, t);
	json_lit(b, ",\"cascade\":");
	json_bool(b, t->flags & TRUNCATE_CASCADE);
	json_lit(b, ",\"restart_identity\":");
	json_bool(b, t->flags & TRUNCATE_RESTART_IDENTITY);
	buf_u8(b, '}');
}

static void put_leat(struct buf *b, const struct shown *s)
{
	const struct event *ev = s->ev;

	json_lit(b, ",\"leat\":{\"id\":");
	json_id(b, s);
	json_lit(b, ",\"seq\":");
	buf_u64(b, ev->seq);
	if (ev->table != NULL) {
		json_lit(b, ",\"schema\":{\"table\":");
		json_quoted(b, ev->table->full_name);
		json_lit(b, ",\"version\":");
		buf_u64(b, ev->table->version);
		buf_u8(b, '}');
	}
	if (json_has_unchanged(ev->table, s->after)) {
		json_lit(b, ",\"unchanged\":");
		json_unchanged(b, ev->table, s->after, 0);
	}
	if (s->op == OP_TRUNCATE)
		put_truncate(b, ev->truncate);
	buf_u8(b, '}');
}

static void put_message(struct buf *b, const struct shown *s)
{
	const struct message *m = s->ev->message;

	json_lit(b, ",\"message\":{\"prefix\":");
	json_quoted(b, m->prefix);
	json_lit(b, ",\"content\":\"");
	connect_put_bytes(b, s->plan->modes.binary, m->content);
	json_lit(b, "\"}");
}

/* What only some operations have. */
static void put_special(struct buf *b, const struct shown *s)
{
	switch (s->op) {
	case OP_MESSAGE:
		put_message(b, s);
		break;
	case OP_SCHEMA:
		json_lit(b, ",\"schema_change\":");
		json_schema_change(b, s->scratch, s->ev);
		break;
	case OP_GAP:
		json_lit(b, ",\"gap\":");
		json_gap(b, s->ev->gap);
		break;
	default:
		break;
	}
}

/* With Debezium's values also its members: a message has no rows, and one time. */
static void put_bare_message(struct buf *b, const struct shown *s)
{
	json_lit(b, "{\"op\":\"m\",\"ts_ms\":");
	json_ms(b, s->ev->read_us);
	json_lit(b, ",\"source\":");
	debezium_source(b, s);
	json_lit(b, ",\"transaction\":");
	put_transaction(b, s->ev);
	put_message(b, s);
	put_leat(b, s);
	buf_u8(b, '}');
}

void debezium_value(struct buf *b, const struct shown *s)
{
	if (is_unfolded(s) && s->op == OP_MESSAGE) {
		put_bare_message(b, s);
		return;
	}
	json_lit(b, "{\"before\":");
	json_image(b, s, s->before);
	json_lit(b, ",\"after\":");
	json_image(b, s, s->after);
	json_lit(b, ",\"source\":");
	debezium_source(b, s);
	json_lit(b, ",\"transaction\":");
	put_transaction(b, s->ev);
	json_lit(b, ",\"op\":\"");
	buf_text(b, json_op(s->op));
	json_lit(b, "\",\"ts_ms\":");
	json_ms(b, s->ev->read_us);
	json_lit(b, ",\"ts_us\":");
	buf_i64(b, s->ev->read_us);
	json_lit(b, ",\"ts_ns\":");
	json_ns(b, s->ev->read_us);
	put_special(b, s);
	put_leat(b, s);
	buf_u8(b, '}');
}
