/* pg_row.c: see pg_row.h.
 *
 * PostgreSQL manual, "Logical Replication Message Formats": Insert, Update,
 * Delete, TupleData.  Values arrive as text; their bytes are copied into the
 * batch once, message by message, and values point there. */
#include "config.h"
#include "sources/pg_row.h"

#include "sources/pg_types.h"

static int truncated(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it is truncated");
}

/* The rest of the message, copied into the batch: values point there. */
static int keep_rest(struct wire *w, struct batch *b, struct err *e)
{
	size_t n = wire_left(w);
	char *p = arena_alloc(&b->arena, n);

	if (p == NULL)
		return err_no_memory(e);
	memcpy(p, w->p, n);
	*w = wire_of((struct slice){p, n});
	return 0;
}

static int bad_value(const struct table *tab, uint32_t i, enum pg_text why,
		     struct err *e)
{
	const struct column *c = &tab->cols[i];

	if (why == PG_TEXT_NOT_UTF8)
		err_set(e, CODE_value_invalid, "a value is not valid UTF-8");
	else
		err_set(e, CODE_source_protocol,
			"a value is not one of type %.*s in its text form",
			SLICE_ARG(c->type_name));
	err_wrap(e, "table \"%.*s\": column \"%.*s\"",
		 SLICE_ARG(tab->full_name), SLICE_ARG(c->name));
	if (why == PG_TEXT_NOT_UTF8)
		err_detail(e, "A database with encoding SQL_ASCII sends text as "
			      "it was stored.");
	return -1;
}

static int bad_tuple(const struct table *tab, uint32_t i, uint8_t kind,
		     struct err *e)
{
	if (kind == 'b')
		err_set(e, CODE_source_protocol,
			"a value in binary form, which was not asked for");
	else
		err_set(e, CODE_source_protocol, "unknown kind of value %u",
			kind);
	err_wrap(e, "table \"%.*s\": column \"%.*s\"",
		 SLICE_ARG(tab->full_name), SLICE_ARG(tab->cols[i].name));
	return -1;
}

/* NULL with err set. */
static struct value *read_tuple(struct wire *w, struct batch *b,
				const struct table *tab, struct err *e)
{
	uint32_t ncols = wire_be16(w), n;
	struct value *v;
	enum pg_text ok;
	uint8_t kind;
	char *p;

	if (wire_ok(w) && ncols != tab->ncols) {
		err_set(e, CODE_source_protocol,
			"table \"%.*s\" has %u columns, a row of it %u",
			SLICE_ARG(tab->full_name), tab->ncols, ncols);
		return NULL;
	}
	v = batch_values(b, tab->ncols);
	if (v == NULL) {
		err_no_memory(e);
		return NULL;
	}
	for (uint32_t i = 0; i < tab->ncols && wire_ok(w); i++) {
		switch (kind = wire_u8(w)) {
		case 't':
			n = wire_be32(w);
			p = (char *)wire_take(w, n);
			if (p == NULL)
				break;
			ok = pg_type_value(tab->cols[i].type, p, n, &v[i]);
			if (unlikely(ok != PG_TEXT_OK)) {
				bad_value(tab, i, ok, e);
				return NULL;
			}
			break;
		case 'n':
			v[i].tag = VALUE_NULL;
			break;
		case 'u':
			v[i].tag = VALUE_UNCHANGED;
			break;
		default:
			if (!wire_ok(w))
				break;
			bad_tuple(tab, i, kind, e);
			return NULL;
		}
	}
	if (!wire_ok(w)) {
		truncated(e);
		return NULL;
	}
	return v;
}

/* The row before, when it was sent; leaves *kind at the letter behind it. */
static int read_before(struct wire *w, struct batch *b, struct event *ev,
		       uint8_t *kind, struct err *e)
{
	*kind = wire_u8(w);
	if (*kind != 'K' && *kind != 'O')
		return 0;
	ev->before_kind = *kind == 'K' ? BEFORE_KEY : BEFORE_FULL;
	ev->before = read_tuple(w, b, ev->table, e);
	if (ev->before == NULL)
		return -1;
	if (ev->op == OP_UPDATE)
		*kind = wire_u8(w);
	return 0;
}

static int read_after(struct wire *w, struct batch *b, struct event *ev,
		      uint8_t kind, struct err *e)
{
	if (!wire_ok(w))
		return truncated(e);
	if (kind != 'N')
		return err_set(e, CODE_source_protocol, "it has no new row");
	ev->after = read_tuple(w, b, ev->table, e);
	return ev->after != NULL ? 0 : -1;
}

static bool is_key_changed(const struct event *ev)
{
	for (uint32_t i = 0; i < ev->table->ncols; i++)
		if (!value_eq(&ev->before[i], &ev->after[i]) &&
		    table_in_key(ev->table, i))
			return true;
	return false;
}

/* A value that was not sent because it did not change is that of the row
 * before.  The old key comes when a key column changed, and also when one is
 * stored out of line and did not: then it tells nothing. */
static void settle_update(struct event *ev)
{
	if (ev->before_kind == BEFORE_NONE)
		return;
	for (uint32_t i = 0; i < ev->table->ncols; i++)
		if (ev->after[i].tag == VALUE_UNCHANGED &&
		    (ev->before_kind == BEFORE_FULL ||
		     ev->table->cols[i].is_identity))
			ev->after[i] = ev->before[i];
	ev->key_changed = is_key_changed(ev);
	if (ev->before_kind == BEFORE_KEY && !ev->key_changed) {
		ev->before_kind = BEFORE_NONE;
		ev->before = NULL;
	}
}

int pg_row_read(struct wire *w, struct batch *b, struct event *ev,
		struct err *e)
{
	uint8_t kind;

	if (keep_rest(w, b, e) != 0)
		return -1;
	switch (ev->op) {
	case OP_INSERT:
		return read_after(w, b, ev, wire_u8(w), e);
	case OP_DELETE:
		if (read_before(w, b, ev, &kind, e) != 0)
			return -1;
		if (!wire_ok(w))
			return truncated(e);
		if (ev->before == NULL)
			return err_set(e, CODE_source_protocol,
				       "it has no old row");
		return 0;
	default:
		if (read_before(w, b, ev, &kind, e) != 0 ||
		    read_after(w, b, ev, kind, e) != 0)
			return -1;
		settle_update(ev);
		return 0;
	}
}
