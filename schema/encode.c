/* encode.c: see encode.h.
 *
 * Splits an event into records, makes their keys, and hands the values to the
 * formats.  A record's key holds the columns of the table's key in their order;
 * it is empty when one of them is not known (a delete that carries the columns
 * of another index only). */
#include "config.h"
#include "schema/encode.h"

#include "schema/debezium.h"
#include "schema/row.h"

/* What one huge row needed is not kept. */
#define KEEP_BYTES (1u << 20)

const char *const format_names[] = {"debezium", "row", NULL};

/* NULL: the record does not tell. */
static const struct value *key_value(const struct shown *s, uint32_t i)
{
	const struct event *ev = s->ev;

	if (s->after != NULL && s->after[i].tag != VALUE_UNCHANGED)
		return &s->after[i];
	if (ev->before == NULL || ev->before_kind == BEFORE_NONE ||
	    ev->before[i].tag == VALUE_UNCHANGED)
		return NULL;
	if (ev->before_kind == BEFORE_KEY && !ev->table->cols[i].is_identity)
		return NULL;
	return &ev->before[i];
}

static bool put_key_column(struct buf *b, const struct shown *s, uint32_t i,
			   unsigned flags)
{
	const struct value *v = key_value(s, i);

	if (v == NULL)
		return false;
	json_column_name(b, s->ev->table, i, flags);
	buf_u8(b, ':');
	json_value(b, &s->ev->table->cols[i], v);
	buf_u8(b, ',');
	return true;
}

/* Without a primary key: the columns of the identity index, in their order. */
static bool put_index_columns(struct buf *b, const struct shown *s,
			      unsigned flags)
{
	const struct table *tab = s->ev->table;

	if (tab->identity == IDENTITY_FULL)
		return false;
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (tab->cols[i].is_identity && table_in_key(tab, i) &&
		    !put_key_column(b, s, i, flags))
			return false;
	return true;
}

static bool put_key_columns(struct buf *b, const struct shown *s,
			    unsigned flags)
{
	const struct table *tab = s->ev->table;
	uint32_t n = 0, last = 0;

	for (uint32_t i = 0; i < tab->ncols; i++) {
		if (tab->cols[i].key_position > 0) {
			n++;
			last = i;
		}
	}
	if (n == 0)
		return put_index_columns(b, s, flags);
	if (n == 1)
		return put_key_column(b, s, last, flags);
	for (uint32_t pos = 1; pos <= n; pos++)
		for (uint32_t i = 0; i < tab->ncols; i++)
			if (tab->cols[i].key_position == pos &&
			    !put_key_column(b, s, i, flags))
				return false;
	return true;
}

static void put_key(struct buf *b, const struct shown *s, unsigned flags)
{
	size_t start = b->n;

	if (s->op == OP_MESSAGE) {
		json_lit(b, "{\"prefix\":");
		json_string(b, s->ev->message->prefix);
		buf_u8(b, '}');
		return;
	}
	if (s->before == NULL && s->after == NULL)
		return;
	buf_u8(b, '{');
	if (put_key_columns(b, s, flags) && b->n > start + 1)
		json_close(b, '}');
	else
		b->n = start;
}

static void put_record(enum format f, const struct shown *s,
		       struct encoded *out)
{
	struct record *rec = &out->rec[out->n++];
	struct buf *b = &out->bytes;

	rec->branch = s->branch;
	rec->key_at = b->n;
	put_key(b, s, f == FORMAT_ROW ? COLUMNS_FLAT : 0);
	rec->key_n = b->n - rec->key_at;
	rec->value_at = b->n;
	if (f == FORMAT_ROW)
		row_value(b, &out->scratch, s);
	else
		debezium_value(b, &out->scratch, s);
	rec->value_n = b->n - rec->value_at;
}

int encode_event(enum format f, const struct event *ev, struct encoded *out,
		 struct err *e)
{
	const struct value *before =
		ev->before_kind == BEFORE_NONE ? NULL : ev->before;

	buf_reset(&out->bytes, KEEP_BYTES);
	buf_reset(&out->scratch, KEEP_BYTES);
	out->n = 0;
	if (ev->op == OP_UPDATE && ev->key_changed && before != NULL) {
		put_record(f, &(struct shown){ev, 'd', OP_DELETE, before, NULL},
			   out);
		put_record(f, &(struct shown){ev, 'i', OP_INSERT, NULL,
					      ev->after}, out);
	} else {
		put_record(f, &(struct shown){ev, 0, ev->op, before, ev->after},
			   out);
	}
	return out->bytes.failed ? err_no_memory(e) : 0;
}

void encoded_fini(struct encoded *out)
{
	buf_fini(&out->bytes);
	buf_fini(&out->scratch);
}
