#include "config.h"
#include "agent/dead_event.h"

#include <stdlib.h>

#include "schema/rowbin.h"

/* --- places of values -------------------------------------------------- */

/* A row's slots are the columns before, then the columns after. */
static uint32_t slots_of(const struct event *ev)
{
	if (ev->op == OP_MESSAGE)
		return 2;
	return ev->op <= OP_READ ? 2 * ev->table->ncols : 0;
}

static struct slice *row_slot(const struct event *ev, uint32_t slot)
{
	uint32_t n = ev->table->ncols;
	bool is_before = slot < n;
	struct value *row = is_before ? ev->before : ev->after, *v;

	if (row == NULL || (is_before && ev->before_kind == BEFORE_NONE))
		return NULL;
	v = &row[is_before ? slot : slot - n];
	return v->tag == VALUE_TEXT || v->tag == VALUE_BYTES ? &v->s : NULL;
}

static struct slice *slot_at(const struct event *ev, uint32_t slot)
{
	if (slot >= slots_of(ev))
		return NULL;
	if (ev->op == OP_MESSAGE)
		return slot == 0 ? &ev->message->prefix : &ev->message->content;
	return row_slot(ev, slot);
}

struct slice *dead_event_slot(struct event *ev, uint32_t slot)
{
	return slot_at(ev, slot);
}

bool dead_event_large(const struct event *ev, uint32_t *slot,
		      struct slice *value)
{
	for (; *slot < slots_of(ev); (*slot)++) {
		const struct slice *s = slot_at(ev, *slot);

		if (s == NULL || s->n < DEAD_EVENT_LARGE)
			continue;
		*value = *s;
		return true;
	}
	return false;
}

/* --- writing ----------------------------------------------------------- */

static void put_tables(const struct event *ev, struct buf *out)
{
	bool is_many = ev->op == OP_TRUNCATE;
	uint32_t n = is_many ? ev->truncate->ntables : ev->table != NULL;
	struct buf form = BUF_INIT;

	buf_varint(out, n);
	for (uint32_t i = 0; i < n; i++) {
		buf_reset(&form, SIZE_MAX);
		table_encode(is_many ? ev->truncate->tables[i] : ev->table, &form);
		buf_lenslice(out, buf_get(&form));
		out->failed |= form.failed;
	}
	buf_fini(&form);
}

/* A copy without the large values; NULL for none, or on lack of memory. */
static struct value *slim_row(const struct value *row, uint32_t n, bool *failed)
{
	struct value *slim;

	if (row == NULL)
		return NULL;
	slim = malloc((n > 0 ? n : 1) * sizeof(*slim));
	if (slim == NULL) {
		*failed = true;
		return NULL;
	}
	memcpy(slim, row, n * sizeof(*slim));
	for (uint32_t i = 0; i < n; i++)
		if ((slim[i].tag == VALUE_TEXT || slim[i].tag == VALUE_BYTES) &&
		    slim[i].s.n >= DEAD_EVENT_LARGE)
			slim[i].s = (struct slice){0};
	return slim;
}

static struct message slim_message(const struct message *m)
{
	struct message slim = *m;

	if (slim.prefix.n >= DEAD_EVENT_LARGE)
		slim.prefix = (struct slice){0};
	if (slim.content.n >= DEAD_EVENT_LARGE)
		slim.content = (struct slice){0};
	return slim;
}

static void put_slim(struct rowbin_writer *w, const struct event *ev)
{
	struct event slim = *ev;
	struct message m;
	bool failed = false;

	if (ev->op == OP_MESSAGE) {
		m = slim_message(ev->message);
		slim.message = &m;
		rowbin_put(w, &slim);
		return;
	}
	slim.before = slim_row(ev->before, ev->table->ncols, &failed);
	slim.after = slim_row(ev->after, ev->table->ncols, &failed);
	if (!failed)
		rowbin_put(w, &slim);
	w->failed |= failed;
	free(slim.before);
	free(slim.after);
}

int dead_event_pack(const struct event *ev, struct buf *out, struct err *e)
{
	struct rowbin_writer w = {0};
	struct slice value;
	uint32_t slot = 0;
	bool failed;

	put_tables(ev, out);
	rowbin_begin(&w, out);
	if (dead_event_large(ev, &slot, &value))
		put_slim(&w, ev);
	else
		rowbin_put(&w, ev);
	failed = w.failed || out->failed;
	rowbin_fini(&w);
	return failed ? err_no_memory(e) : 0;
}

/* --- reading ----------------------------------------------------------- */

static struct table *find_table(void *arg, struct slice full_name,
				uint32_t version)
{
	struct batch *b = arg;

	for (size_t i = 0; i < b->ntables; i++)
		if (b->tables[i]->version == version &&
		    slice_eq(b->tables[i]->full_name, full_name))
			return b->tables[i];
	return NULL;
}

static int read_table(struct wire *w, struct batch *b, struct err *e)
{
	struct wire form = wire_of(wire_lenslice(w));
	struct table *tab = table_decode(&form, e);
	bool is_kept;

	if (tab == NULL)
		return -1;
	is_kept = batch_use_table(b, tab) != NULL;
	table_unref(tab);
	return is_kept ? 0 : err_no_memory(e);
}

int dead_event_unpack(struct slice packed, struct batch *b, struct err *e)
{
	struct slice own = slice_dup(&b->arena, packed);
	struct wire w = wire_of(own);
	size_t before = b->n;
	uint64_t n;

	if (b->arena.failed)
		return err_no_memory(e);
	n = wire_varint(&w);
	for (uint64_t i = 0; i < n && wire_ok(&w); i++)
		if (read_table(&w, b, e) != 0)
			return -1;
	if (wire_ok(&w) &&
	    rowbin_read((struct slice){(const char *)w.p, wire_left(&w)}, b,
			find_table, b, e) != 0)
		return -1;
	if (!wire_ok(&w) || b->n != before + 1 || b->ev[before].op == OP_SCHEMA)
		return err_set(e, CODE_log_corrupt, "it is no event");
	return 0;
}
