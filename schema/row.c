/* row.c: see row.h and leat-envelope(7).
 *
 * Everything is put as `name:value,`; the last comma becomes the brace. */
#include "config.h"
#include "schema/row.h"

static void put_columns(struct buf *b, const struct shown *s)
{
	if (s->after != NULL)
		json_columns(b, s, s->after, COLUMNS_FLAT);
	else if (s->before != NULL)
		json_columns(b, s, s->before,
			     s->ev->before_kind == BEFORE_KEY
				     ? COLUMNS_FLAT | COLUMNS_IDENTITY
				     : COLUMNS_FLAT);
}

static bool is_row(enum op op)
{
	return op == OP_INSERT || op == OP_UPDATE || op == OP_DELETE ||
	       op == OP_READ;
}

static void put_special(struct buf *b, const struct shown *s)
{
	const struct event *ev = s->ev;

	switch (s->op) {
	case OP_TRUNCATE:
		json_lit(b, "\"__tables\":");
		json_table_names(b, ev->truncate);
		json_lit(b, ",\"__cascade\":");
		json_bool(b, ev->truncate->flags & TRUNCATE_CASCADE);
		json_lit(b, ",\"__restart_identity\":");
		json_bool(b, ev->truncate->flags & TRUNCATE_RESTART_IDENTITY);
		buf_u8(b, ',');
		break;
	case OP_MESSAGE:
		json_lit(b, "\"__prefix\":");
		json_quoted(b, ev->message->prefix);
		json_lit(b, ",\"__content\":\"");
		json_base64(b, ev->message->content);
		json_lit(b, "\",");
		break;
	case OP_SCHEMA:
		json_lit(b, "\"__schema_change\":");
		json_schema_change(b, s->scratch, ev);
		buf_u8(b, ',');
		break;
	case OP_GAP:
		json_lit(b, "\"__gap\":");
		json_gap(b, ev->gap);
		buf_u8(b, ',');
		break;
	default:
		break;
	}
}

void row_value(struct buf *b, const struct shown *s)
{
	const struct event *ev = s->ev;

	buf_u8(b, '{');
	if (is_row(s->op))
		put_columns(b, s);
	json_lit(b, "\"__op\":\"");
	buf_text(b, json_op(s->op));
	json_lit(b, "\",");
	if (is_row(s->op)) {
		json_lit(b, "\"__deleted\":\"");
		json_bool(b, s->op == OP_DELETE);
		json_lit(b, "\",");
	}
	json_lit(b, "\"__id\":");
	json_id(b, s);
	json_lit(b, ",\"__version\":");
	buf_u64(b, ev->seq);
	if (ev->table != NULL) {
		json_lit(b, ",\"__table\":");
		json_quoted(b, ev->table->full_name);
	}
	json_lit(b, ",\"__ts_ms\":");
	json_ms(b, ev->txn->commit_us);
	buf_u8(b, ',');
	if (json_has_unchanged(ev->table, s->after)) {
		json_lit(b, "\"__unchanged\":");
		json_unchanged(b, ev->table, s->after, COLUMNS_FLAT);
		buf_u8(b, ',');
	}
	put_special(b, s);
	json_close(b, '}');
}
