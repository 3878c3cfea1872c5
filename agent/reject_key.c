#include "config.h"
#include "agent/reject_key.h"

#include "schema/json_encode.h"

/* The first byte of a key. */
enum kind {
	KIND_ROW = 'k',	    /* full name, values of the key's columns */
	KIND_WHOLE = 'a',   /* full name: of letters that are about all rows */
	KIND_TABLE = 't',   /* full name: of every letter of a table */
	KIND_MESSAGE = 'm', /* prefix */
};

static void put_name(struct buf *out, enum kind kind, struct slice name)
{
	buf_varint(out, 1 + name.n);
	buf_u8(out, (uint8_t)kind);
	buf_slice(out, name);
}

static void put_value(struct buf *out, const struct value *v)
{
	buf_u8(out, (uint8_t)v->tag);
	if (v->tag == VALUE_TEXT || v->tag == VALUE_BYTES)
		buf_lenslice(out, v->s);
	else if (v->tag == VALUE_BOOL)
		buf_u8(out, v->b);
	else if (v->tag == VALUE_INT || v->tag == VALUE_UINT)
		buf_varint(out, v->u);
}

/* The key of a row as `s` shows it; false, and nothing is left of it, when a column
 * of it is not known. */
static bool put_row(struct buf *out, const struct shown *s)
{
	const struct table *tab = s->ev->table;
	struct buf key = BUF_INIT;
	bool is_known = true;

	buf_u8(&key, KIND_ROW);
	buf_lenslice(&key, tab->full_name);
	for (uint32_t i = 0; i < tab->ncols && is_known; i++) {
		const struct value *v;

		if (!table_in_key(tab, i))
			continue;
		v = shown_key_value(s, i);
		is_known = v != NULL;
		if (is_known)
			put_value(&key, v);
	}
	if (is_known)
		buf_lenslice(out, buf_get(&key));
	out->failed |= key.failed;
	buf_fini(&key);
	return is_known;
}

static struct shown shown_of(const struct event *ev)
{
	return (struct shown){
		.ev = ev,
		.op = ev->op,
		.before = ev->before_kind == BEFORE_NONE ? NULL : ev->before,
		.after = ev->after,
	};
}

/* All keys of a row; false, and nothing is left of them, when one is not known. */
static bool put_rows(struct buf *out, const struct event *ev)
{
	struct shown s = shown_of(ev);
	size_t start = out->n;
	bool is_known = table_has_key(ev->table) && put_row(out, &s);

	if (is_known && ev->key_changed) {
		s.after = NULL;
		is_known = put_row(out, &s);
	}
	if (!is_known)
		out->n = start;
	return is_known;
}

void reject_key_table(const struct table *tab, struct buf *out)
{
	put_name(out, KIND_TABLE, tab->full_name);
}

static void put_tables(struct buf *out, enum kind kind, const struct event *ev)
{
	if (ev->op != OP_TRUNCATE)
		put_name(out, kind, ev->table->full_name);
	else
		for (uint32_t i = 0; i < ev->truncate->ntables; i++)
			put_name(out, kind, ev->truncate->tables[i]->full_name);
}

static bool is_row(const struct event *ev)
{
	return ev->op <= OP_READ;
}

void reject_keys_letter(const struct event *ev, struct buf *out)
{
	if (ev->op == OP_MESSAGE)
		put_name(out, KIND_MESSAGE, ev->message->prefix);
	if (ev->table == NULL)
		return;
	if (!is_row(ev) || !put_rows(out, ev))
		put_tables(out, KIND_WHOLE, ev);
	put_tables(out, KIND_TABLE, ev);
}

void reject_keys_event(const struct event *ev, struct buf *out)
{
	if (ev->op == OP_MESSAGE)
		put_name(out, KIND_MESSAGE, ev->message->prefix);
	if (ev->table == NULL)
		return;
	if (is_row(ev) && put_rows(out, ev))
		put_tables(out, KIND_WHOLE, ev);
	else
		put_tables(out, KIND_TABLE, ev);
}

bool reject_key_differs(const struct table *a, const struct table *b)
{
	uint32_t i = 0, j = 0;

	for (;; i++, j++) {
		while (i < a->ncols && !table_in_key(a, i))
			i++;
		while (j < b->ncols && !table_in_key(b, j))
			j++;
		if (i == a->ncols || j == b->ncols)
			return i < a->ncols || j < b->ncols;
		if (a->cols[i].type != b->cols[j].type ||
		    !slice_eq(a->cols[i].name, b->cols[j].name))
			return true;
	}
}

void reject_key_text(const struct event *ev, struct buf *out)
{
	struct shown s = shown_of(ev);

	if (ev->op == OP_MESSAGE)
		json_quoted(out, ev->message->prefix);
	if (!is_row(ev) || !table_has_key(ev->table))
		return;
	buf_u8(out, '{');
	for (uint32_t i = 0; i < ev->table->ncols; i++) {
		const struct value *v = NULL;

		if (table_in_key(ev->table, i))
			v = shown_key_value(&s, i);
		if (v == NULL)
			continue;
		json_quoted(out, ev->table->cols[i].name);
		buf_u8(out, ':');
		json_value(out, &ev->table->cols[i], v);
		buf_u8(out, ',');
	}
	json_close(out, '}');
}
