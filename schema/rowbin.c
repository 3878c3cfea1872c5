/* rowbin.c: see rowbin.h.
 *
 * A body is a sequence of entries.  varint is LEB128, zigzag its signed form,
 * text a varint length and bytes.
 *
 *	ORIGIN	  connector, name, db, version: text; incarnation: varint
 *	TXN	  coord, id: text; commit_us: zigzag; xid, commit_pos,
 *		  prev_pos: varint; replicated_from: text.  Belongs to the last
 *		  ORIGIN; the ordinals before it count as 0
 *	TABLE	  full name: text; version: varint.  Gets the next index, from 0
 *	READ_TIME zigzag difference to the one before: of the events that follow
 *	event	  the op, then
 *	  flags	    u8: before_kind (2 bits: no before row if 0), key changed,
 *		    after row, regular, table
 *	  if not regular:
 *	    table index (varint, with the table flag) and the zigzag differences
 *	    of seq, ordinal and table_ordinal to the event before.  Regular is
 *	    what has the table of the event before, and all differences 1
 *	  pos	    zigzag difference
 *	  rows	    before, after: as many values as the table has columns
 *	  truncate  flags, count, that many table indexes: varint
 *	  schema    source part of the cursor before: text
 *	  message   transactional: u8; prefix, content: text
 *	  gap	    from, to, reason: text
 *
 * A value is one byte, which for most is all but the text itself:
 *
 *	0 NULL   1 UNCHANGED   2 false   3 true   4 int: zigzag
 *	5 uint: varint   6 text   7 bytes   8..127 text of (byte - 8) bytes
 *	128..255 int whose zigzag form is (byte - 128) */
#include "config.h"
#include "schema/rowbin.h"

#include <stdlib.h>

enum entry { ENTRY_ORIGIN = 16, ENTRY_TXN, ENTRY_TABLE, ENTRY_READ_TIME };

enum {
	FLAG_BEFORE_KIND = 3,
	FLAG_KEY_CHANGED = 4,
	FLAG_AFTER = 8,
	FLAG_REGULAR = 16,
	FLAG_TABLE = 32,
};

enum value_head {
	HEAD_NULL,
	HEAD_UNCHANGED,
	HEAD_FALSE,
	HEAD_TRUE,
	HEAD_INT,
	HEAD_UINT,
	HEAD_TEXT,
	HEAD_BYTES,
	HEAD_SHORT_TEXT,
	HEAD_SMALL_INT = 128,
};

#define SHORT_TEXT_MAX (HEAD_SMALL_INT - HEAD_SHORT_TEXT - 1u)
#define VARINT_MAX 10u

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static uint64_t zigzag_diff(uint64_t to, uint64_t from)
{
	return zigzag((int64_t)(to - from));
}

/* --- writing --------------------------------------------------------- */

struct rowbin_slot {
	struct table *table;
	uint32_t index, generation;
};

static char *write_varint(char *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (char)(v | 0x80);
		v >>= 7;
	}
	*p++ = (char)v;
	return p;
}

void rowbin_begin(struct rowbin_writer *w, struct buf *out)
{
	struct rowbin_slot *slots = w->slots;
	uint32_t nslots = w->nslots, generation = w->generation + 1;

	if (generation == 0 && nslots > 0)
		memset(slots, 0, nslots * sizeof(*slots));
	*w = (struct rowbin_writer){.out = out,
				    .slots = slots,
				    .nslots = nslots,
				    .generation = generation ? generation : 1};
}

void rowbin_fini(struct rowbin_writer *w)
{
	free(w->slots);
	*w = (struct rowbin_writer){0};
}

static struct rowbin_slot *slot_of(struct rowbin_slot *slots, uint32_t n,
				   const struct table *tab, uint32_t generation)
{
	uint64_t h = (uintptr_t)tab * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	for (uint32_t i = (uint32_t)h & (n - 1);; i = (i + 1) & (n - 1))
		if (slots[i].generation != generation || slots[i].table == tab)
			return &slots[i];
}

static bool slots_grow(struct rowbin_writer *w)
{
	uint32_t n = w->nslots ? w->nslots * 2 : 16;
	struct rowbin_slot *slots = calloc(n, sizeof(*slots));

	if (slots == NULL)
		return false;
	for (uint32_t i = 0; i < w->nslots; i++)
		if (w->slots[i].generation == w->generation)
			*slot_of(slots, n, w->slots[i].table, w->generation) =
				w->slots[i];
	free(w->slots);
	w->slots = slots;
	w->nslots = n;
	return true;
}

static uint32_t table_index(struct rowbin_writer *w, struct table *tab)
{
	struct rowbin_slot *s;

	if (w->ntables * 2 >= w->nslots && !slots_grow(w)) {
		w->failed = true;
		return 0;
	}
	s = slot_of(w->slots, w->nslots, tab, w->generation);
	if (s->generation != w->generation) {
		*s = (struct rowbin_slot){tab, w->ntables++, w->generation};
		buf_u8(w->out, ENTRY_TABLE);
		buf_lenslice(w->out, tab->full_name);
		buf_varint(w->out, tab->version);
	}
	return s->index;
}

static void put_txn(struct rowbin_writer *w, const struct txn *txn)
{
	const struct origin *o = txn->origin;
	struct buf *out = w->out;

	w->txn = txn;
	if (o != w->origin) {
		buf_u8(out, ENTRY_ORIGIN);
		buf_lenslice(out, o->connector);
		buf_lenslice(out, o->name);
		buf_lenslice(out, o->db);
		buf_lenslice(out, o->version);
		buf_varint(out, o->incarnation);
		w->origin = o;
	}
	buf_u8(out, ENTRY_TXN);
	buf_lenslice(out, txn->coord);
	buf_lenslice(out, txn->id);
	buf_zigzag(out, txn->commit_us);
	buf_varint(out, txn->xid);
	buf_varint(out, txn->commit_pos);
	buf_varint(out, txn->prev_pos);
	buf_lenslice(out, txn->replicated_from);
	w->ordinal = w->table_ordinal = 0;
}

static void put_head(struct rowbin_writer *w, const struct event *ev,
		     uint32_t index)
{
	bool regular = (ev->table == NULL || ev->table == w->table) &&
		       ev->seq == w->seq + 1 && ev->ordinal == w->ordinal + 1 &&
		       ev->table_ordinal == w->table_ordinal + 1;
	unsigned flags = (unsigned)ev->before_kind & FLAG_BEFORE_KIND;
	char *p;

	if (!buf_room(w->out, 2 + 5 * VARINT_MAX))
		return;
	flags |= ev->key_changed ? FLAG_KEY_CHANGED : 0u;
	flags |= ev->after ? FLAG_AFTER : 0u;
	flags |= regular ? FLAG_REGULAR : 0u;
	flags |= ev->table ? FLAG_TABLE : 0u;
	p = w->out->p + w->out->n;
	*p++ = (char)ev->op;
	*p++ = (char)flags;
	if (!regular) {
		if (ev->table != NULL)
			p = write_varint(p, index);
		p = write_varint(p, zigzag_diff(ev->seq, w->seq));
		p = write_varint(p, zigzag_diff(ev->ordinal, w->ordinal));
		p = write_varint(p, zigzag_diff(ev->table_ordinal,
						w->table_ordinal));
	}
	p = write_varint(p, zigzag_diff(ev->pos, w->pos));
	w->out->n = (size_t)(p - w->out->p);
	w->seq = ev->seq;
	w->ordinal = ev->ordinal;
	w->table_ordinal = ev->table_ordinal;
	w->pos = ev->pos;
	if (ev->table != NULL) {
		w->table = ev->table;
		w->table_index = index;
	}
}

static char *write_text(char *p, struct slice s, unsigned long_head)
{
	if (long_head == HEAD_TEXT && s.n <= SHORT_TEXT_MAX) {
		*p++ = (char)(HEAD_SHORT_TEXT + s.n);
	} else {
		*p++ = (char)long_head;
		p = write_varint(p, s.n);
	}
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

static char *write_int(char *p, int64_t v)
{
	uint64_t z = zigzag(v);

	if (z < 128) {
		*p++ = (char)(HEAD_SMALL_INT + z);
		return p;
	}
	*p++ = HEAD_INT;
	return write_varint(p, z);
}

/* The caller has made room for what a value needs besides its text. */
static char *write_value(char *p, const struct value *v)
{
	switch (v->tag) {
	case VALUE_TEXT:
		return write_text(p, v->s, HEAD_TEXT);
	case VALUE_INT:
		return write_int(p, v->i);
	case VALUE_NULL:
		*p++ = HEAD_NULL;
		break;
	case VALUE_UNCHANGED:
		*p++ = HEAD_UNCHANGED;
		break;
	case VALUE_BOOL:
		*p++ = v->b ? HEAD_TRUE : HEAD_FALSE;
		break;
	case VALUE_UINT:
		*p++ = HEAD_UINT;
		return write_varint(p, v->u);
	case VALUE_BYTES:
		return write_text(p, v->s, HEAD_BYTES);
	}
	return p;
}

static size_t text_size(const struct value *v)
{
	return v->tag == VALUE_TEXT || v->tag == VALUE_BYTES ? v->s.n : 0;
}

static void put_row(struct rowbin_writer *w, const struct value *v, uint32_t n)
{
	struct buf *out = w->out;
	size_t room = 0;
	char *p;

	for (uint32_t i = 0; i < n; i++)
		room += 1 + VARINT_MAX + text_size(&v[i]);
	if (!buf_room(out, room))
		return;
	p = out->p + out->n;
	for (uint32_t i = 0; i < n; i++)
		p = write_value(p, &v[i]);
	out->n = (size_t)(p - out->p);
}

static void put_truncate(struct rowbin_writer *w, const struct truncate *t)
{
	buf_varint(w->out, t->flags);
	buf_varint(w->out, t->ntables);
	/* the tables have their entries before the event */
	for (uint32_t i = 0; i < t->ntables; i++)
		buf_varint(w->out, table_index(w, t->tables[i]));
}

static void put_rare(struct rowbin_writer *w, const struct event *ev)
{
	struct buf *out = w->out;

	if (ev->op == OP_TRUNCATE) {
		put_truncate(w, ev->truncate);
	} else if (ev->op == OP_SCHEMA) {
		buf_lenslice(out, ev->schema->cursor_source);
	} else if (ev->op == OP_MESSAGE) {
		buf_u8(out, ev->message->is_transactional);
		buf_lenslice(out, ev->message->prefix);
		buf_lenslice(out, ev->message->content);
	} else if (ev->op == OP_GAP) {
		buf_lenslice(out, ev->gap->from);
		buf_lenslice(out, ev->gap->to);
		buf_lenslice(out, ev->gap->reason);
	}
}

void rowbin_put(struct rowbin_writer *w, const struct event *ev)
{
	uint32_t index = w->table_index;

	if (unlikely(ev->txn != w->txn))
		put_txn(w, ev->txn);
	if (ev->table != w->table && ev->table != NULL)
		index = table_index(w, ev->table);
	if (unlikely(ev->op == OP_TRUNCATE))
		for (uint32_t i = 0; i < ev->truncate->ntables; i++)
			table_index(w, ev->truncate->tables[i]);
	if (unlikely(ev->read_us != w->read_us)) {
		buf_u8(w->out, ENTRY_READ_TIME);
		buf_varint(w->out, zigzag_diff((uint64_t)ev->read_us,
					       (uint64_t)w->read_us));
		w->read_us = ev->read_us;
	}
	put_head(w, ev, index);
	if (ev->before_kind != BEFORE_NONE)
		put_row(w, ev->before, ev->table->ncols);
	if (ev->after != NULL)
		put_row(w, ev->after, ev->table->ncols);
	if (ev->op > OP_READ)
		put_rare(w, ev);
	w->failed |= w->out->failed;
}

/* --- reading --------------------------------------------------------- */

struct reader {
	struct wire w;
	struct batch *b;
	rowbin_find_table *find;
	void *arg;
	const struct origin *origin;
	const struct txn *txn;
	struct table **tables; /* in the arena */
	uint32_t ntables, cap;
	struct table *table;
	uint64_t seq, ordinal, table_ordinal, pos;
	int64_t read_us;
};

static int damaged(struct reader *r, struct err *e, const char *what)
{
	if (r->b->arena.failed)
		return err_no_memory(e);
	return err_set(e, CODE_log_corrupt, "stored events are damaged: %s",
		       what);
}

static int read_origin(struct reader *r, struct err *e)
{
	struct origin *o = arena_new(&r->b->arena, struct origin);

	if (o == NULL)
		return err_no_memory(e);
	o->connector = wire_lenslice(&r->w);
	o->name = wire_lenslice(&r->w);
	o->db = wire_lenslice(&r->w);
	o->version = wire_lenslice(&r->w);
	o->incarnation = (uint32_t)wire_varint(&r->w);
	r->origin = o;
	return 0;
}

static int read_txn(struct reader *r, struct err *e)
{
	struct txn *t;

	if (r->origin == NULL)
		return damaged(r, e, "a transaction without an origin");
	if ((t = arena_new(&r->b->arena, struct txn)) == NULL)
		return err_no_memory(e);
	t->origin = r->origin;
	t->coord = wire_lenslice(&r->w);
	t->id = wire_lenslice(&r->w);
	t->commit_us = wire_zigzag(&r->w);
	t->xid = wire_varint(&r->w);
	t->commit_pos = wire_varint(&r->w);
	t->prev_pos = wire_varint(&r->w);
	t->replicated_from = wire_lenslice(&r->w);
	r->txn = t;
	r->ordinal = r->table_ordinal = 0;
	return 0;
}

static int read_table(struct reader *r, struct err *e)
{
	struct slice name = wire_lenslice(&r->w);
	uint64_t version = wire_varint(&r->w);
	struct table *tab = NULL;

	if (!wire_ok(&r->w) || version > UINT32_MAX)
		return damaged(r, e, "a table entry");
	if (r->ntables == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 16;
		struct table **t =
			arena_alloc(&r->b->arena, cap * sizeof(struct table *));

		if (t == NULL)
			return err_no_memory(e);
		if (r->ntables > 0)
			memcpy(t, r->tables, r->ntables * sizeof(struct table *));
		r->tables = t;
		r->cap = cap;
	}
	tab = r->find(r->arg, name, (uint32_t)version);
	if (tab == NULL) {
		if (r->b->arena.failed)
			return err_no_memory(e);
		return err_set(e, CODE_log_corrupt,
			       "stored events refer to version %u of table \"%.*s\", which is not there",
			       (unsigned)version, SLICE_ARG(name));
	}
	if (batch_use_table(r->b, tab) == NULL)
		return err_no_memory(e);
	r->tables[r->ntables++] = tab;
	return 0;
}

static void read_value(struct wire *w, struct value *v)
{
	uint8_t head = wire_u8(w);

	if (head >= HEAD_SMALL_INT) {
		unsigned z = head - (unsigned)HEAD_SMALL_INT;

		v->tag = VALUE_INT;
		v->i = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
		return;
	}
	if (head >= HEAD_SHORT_TEXT) {
		v->tag = VALUE_TEXT;
		v->s = wire_bytes(w, head - (size_t)HEAD_SHORT_TEXT);
		return;
	}
	switch ((enum value_head)head) {
	case HEAD_UNCHANGED:
		v->tag = VALUE_UNCHANGED;
		break;
	case HEAD_FALSE:
	case HEAD_TRUE:
		v->tag = VALUE_BOOL;
		v->b = head == HEAD_TRUE;
		break;
	case HEAD_INT:
		v->tag = VALUE_INT;
		v->i = wire_zigzag(w);
		break;
	case HEAD_UINT:
		v->tag = VALUE_UINT;
		v->u = wire_varint(w);
		break;
	case HEAD_TEXT:
	case HEAD_BYTES:
		v->tag = head == HEAD_TEXT ? VALUE_TEXT : VALUE_BYTES;
		v->s = wire_lenslice(w);
		break;
	default:
		v->tag = VALUE_NULL;
		break;
	}
}

/* A value has at least one byte, so what is allocated is bounded by what there
 * is to read. */
static struct value *read_row(struct reader *r, const struct table *tab)
{
	struct value *v;

	if (tab == NULL || wire_left(&r->w) < tab->ncols) {
		r->w.failed = true;
		return NULL;
	}
	v = batch_values(r->b, tab->ncols);
	if (v == NULL) {
		r->w.failed = true;
		return NULL;
	}
	for (uint32_t i = 0; i < tab->ncols; i++)
		read_value(&r->w, &v[i]);
	return v;
}

static struct table *table_at(struct reader *r)
{
	uint64_t i = wire_varint(&r->w);

	if (i < r->ntables)
		return r->tables[i];
	r->w.failed = true;
	return NULL;
}

static void read_truncate(struct reader *r, struct event *ev)
{
	struct truncate *t = arena_new(&r->b->arena, struct truncate);
	uint64_t flags = wire_varint(&r->w), n = wire_varint(&r->w);

	if (t == NULL || n == 0 || n > wire_left(&r->w) || n > UINT32_MAX) {
		r->w.failed = true;
		return;
	}
	t->flags = (unsigned)flags;
	t->tables = arena_calloc(&r->b->arena, n, sizeof(struct table *));
	if (t->tables == NULL) {
		r->w.failed = true;
		return;
	}
	t->ntables = (uint32_t)n;
	for (uint32_t i = 0; i < t->ntables; i++)
		t->tables[i] = table_at(r);
	ev->truncate = t;
}

static void read_message(struct reader *r, struct event *ev)
{
	struct message *m = arena_new(&r->b->arena, struct message);

	if (m == NULL) {
		r->w.failed = true;
		return;
	}
	m->is_transactional = wire_u8(&r->w) != 0;
	m->prefix = wire_lenslice(&r->w);
	m->content = wire_lenslice(&r->w);
	ev->message = m;
}

static void read_rare(struct reader *r, struct event *ev)
{
	struct arena *a = &r->b->arena;

	if (ev->op == OP_TRUNCATE) {
		read_truncate(r, ev);
	} else if (ev->op == OP_MESSAGE) {
		read_message(r, ev);
	} else if (ev->op == OP_SCHEMA) {
		ev->schema = arena_new(a, struct schema_change);
		if (ev->schema != NULL)
			ev->schema->cursor_source = wire_lenslice(&r->w);
	} else if (ev->op == OP_GAP) {
		ev->gap = arena_new(a, struct gap);
		if (ev->gap != NULL) {
			ev->gap->from = wire_lenslice(&r->w);
			ev->gap->to = wire_lenslice(&r->w);
			ev->gap->reason = wire_lenslice(&r->w);
		}
	}
	r->w.failed |= a->failed;
}

static uint64_t read_diff(struct reader *r, uint64_t from)
{
	return from + (uint64_t)wire_zigzag(&r->w);
}

static void read_place(struct reader *r, unsigned flags)
{
	if (flags & FLAG_REGULAR) {
		r->seq++;
		r->ordinal++;
		r->table_ordinal++;
	} else {
		if (flags & FLAG_TABLE)
			r->table = table_at(r);
		r->seq = read_diff(r, r->seq);
		r->ordinal = read_diff(r, r->ordinal);
		r->table_ordinal = read_diff(r, r->table_ordinal);
	}
	r->pos = read_diff(r, r->pos);
}

/* Has it all that an event of its op has? */
static bool is_whole(const struct event *ev)
{
	if (ev->txn == NULL || ev->before_kind > BEFORE_FULL)
		return false;
	if (ev->op == OP_MESSAGE || ev->op == OP_GAP)
		return ev->before == NULL && ev->after == NULL;
	if (ev->op == OP_INSERT || ev->op == OP_UPDATE || ev->op == OP_READ)
		return ev->table != NULL && ev->after != NULL;
	return ev->table != NULL;
}

static int read_event(struct reader *r, enum op op, struct err *e)
{
	unsigned flags = wire_u8(&r->w);
	struct event *ev = batch_add(r->b);

	if (ev == NULL)
		return err_no_memory(e);
	read_place(r, flags);
	ev->op = op;
	ev->before_kind = (enum event_before)(flags & FLAG_BEFORE_KIND);
	ev->key_changed = flags & FLAG_KEY_CHANGED;
	ev->table = flags & FLAG_TABLE ? r->table : NULL;
	ev->txn = r->txn;
	ev->seq = r->seq;
	ev->ordinal = r->ordinal;
	ev->table_ordinal = r->table_ordinal;
	ev->pos = r->pos;
	ev->read_us = r->read_us;
	if (ev->before_kind != BEFORE_NONE)
		ev->before = read_row(r, ev->table);
	if (flags & FLAG_AFTER)
		ev->after = read_row(r, ev->table);
	if (op > OP_READ)
		read_rare(r, ev);
	return wire_ok(&r->w) && is_whole(ev) ? 0 : damaged(r, e, op_name(op));
}

static int read_entry(struct reader *r, struct err *e)
{
	uint8_t kind = wire_u8(&r->w);

	if (kind >= OP_INSERT && kind <= OP_GAP)
		return read_event(r, (enum op)kind, e);
	switch (kind) {
	case ENTRY_ORIGIN:
		return read_origin(r, e);
	case ENTRY_TXN:
		return read_txn(r, e);
	case ENTRY_TABLE:
		return read_table(r, e);
	case ENTRY_READ_TIME:
		r->read_us = (int64_t)read_diff(r, (uint64_t)r->read_us);
		return 0;
	default:
		return damaged(r, e, "an entry of unknown kind");
	}
}

int rowbin_read(struct slice body, struct batch *b, rowbin_find_table *find,
		void *arg, struct err *e)
{
	struct reader r = {
		.w = wire_of(body), .b = b, .find = find, .arg = arg};

	while (wire_left(&r.w) > 0)
		if (read_entry(&r, e) != 0)
			return -1;
	if (!wire_ok(&r.w))
		return damaged(&r, e, "the end is missing");
	return 0;
}
