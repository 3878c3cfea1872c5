#include "config.h"
#include "schema/rowbin.h"

#include "t/tap.h"

#define NTABLES 5u

static struct table *tables[NTABLES];
static uint64_t state = 88172645463325252u;

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

static struct slice rnd_text(struct arena *a)
{
	size_t n = (size_t)(rnd(4) ? rnd(30) : rnd(300));
	char *p = arena_alloc(a, n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)rnd(256);
	return (struct slice){p, n};
}

static uint64_t rnd_wide(void)
{
	uint64_t v = rnd(UINT64_MAX) << 11 ^ rnd(UINT64_MAX);

	return v >> rnd(64);
}

static void make_tables(void)
{
	struct column cols[40];

	for (uint32_t i = 0; i < NTABLES; i++) {
		char name[16];
		struct table proto = {.version = i + 1, .schema = SLICE("public")};

		memset(cols, 0, sizeof(cols));
		snprintf(name, sizeof(name), "t%u", i);
		proto.name = slice_of(name);
		proto.ncols = i * i * 2; /* 0, 2, 8, 18, 32 */
		proto.cols = cols;
		for (uint32_t c = 0; c < proto.ncols; c++)
			cols[c].name = SLICE("c");
		tables[i] = table_new(&proto);
	}
}

static struct table *find(void *arg, struct slice full_name, uint32_t version)
{
	size_t *calls = arg;

	++*calls;
	for (uint32_t i = 0; i < NTABLES; i++)
		if (slice_eq(tables[i]->full_name, full_name) &&
		    tables[i]->version == version)
			return tables[i];
	return NULL;
}

static struct value *rnd_row(struct batch *b, uint32_t n)
{
	struct value *v = batch_values(b, n);

	for (uint32_t i = 0; i < n; i++) {
		v[i].tag = (enum value_tag)rnd(VALUE_BYTES + 1);
		switch (v[i].tag) {
		case VALUE_BOOL:
			v[i].b = rnd(2);
			break;
		case VALUE_INT:
			v[i].i = (int64_t)rnd_wide() * (rnd(2) ? 1 : -1);
			break;
		case VALUE_UINT:
			v[i].u = rnd_wide();
			break;
		case VALUE_TEXT:
		case VALUE_BYTES:
			v[i].s = rnd_text(&b->arena);
			break;
		default:
			break;
		}
	}
	return v;
}

static const struct txn *rnd_txn(struct batch *b, const struct origin *o)
{
	struct txn *t = arena_new(&b->arena, struct txn);

	t->origin = o;
	t->coord = rnd_text(&b->arena);
	t->id = rnd_text(&b->arena);
	t->commit_us = (int64_t)rnd_wide();
	t->xid = rnd_wide();
	t->commit_pos = rnd_wide();
	t->prev_pos = rnd_wide();
	t->replicated_from = rnd_text(&b->arena);
	return t;
}

static void rnd_rare(struct batch *b, struct event *ev)
{
	struct arena *a = &b->arena;

	if (ev->op == OP_TRUNCATE) {
		ev->truncate = arena_new(a, struct truncate);
		ev->truncate->flags = (unsigned)rnd(4);
		ev->truncate->ntables = 1 + (uint32_t)rnd(4);
		ev->truncate->tables = arena_calloc(a, ev->truncate->ntables,
						    sizeof(struct table *));
		ev->truncate->tables[0] = ev->table;
		for (uint32_t i = 1; i < ev->truncate->ntables; i++)
			ev->truncate->tables[i] = tables[rnd(NTABLES)];
	} else if (ev->op == OP_SCHEMA) {
		ev->schema = arena_new(a, struct schema_change);
		ev->schema->cursor_source = rnd_text(a);
	} else if (ev->op == OP_MESSAGE) {
		ev->message = arena_new(a, struct message);
		ev->message->is_transactional = rnd(2);
		ev->message->prefix = rnd_text(a);
		ev->message->content = rnd_text(a);
	} else if (ev->op == OP_GAP) {
		ev->gap = arena_new(a, struct gap);
		ev->gap->from = rnd_text(a);
		ev->gap->to = rnd_text(a);
		ev->gap->reason = rnd_text(a);
	}
}

static void rnd_event(struct batch *b, const struct txn *txn, uint64_t *seq)
{
	struct event *ev = batch_add(b);

	ev->op = rnd(4) ? (enum op)(1 + rnd(4)) : (enum op)(1 + rnd(8));
	ev->txn = txn;
	ev->seq = *seq += rnd(5) ? 1 : rnd(1000);
	ev->ordinal = rnd(3) ? *seq : rnd_wide();
	ev->table_ordinal = rnd(3) ? *seq : rnd_wide();
	ev->pos = rnd_wide();
	ev->read_us = (int64_t)(1000000 + *seq / 10);
	if (ev->op == OP_MESSAGE || ev->op == OP_GAP) {
		rnd_rare(b, ev);
		return;
	}
	ev->table = tables[rnd(NTABLES)];
	rnd_rare(b, ev);
	if (ev->op > OP_READ)
		return;
	if (ev->op == OP_UPDATE || ev->op == OP_DELETE)
		ev->before_kind = (enum event_before)rnd(3);
	ev->key_changed = ev->op == OP_UPDATE && rnd(3) == 0;
	if (ev->before_kind != BEFORE_NONE)
		ev->before = rnd_row(b, ev->table->ncols);
	if (ev->op != OP_DELETE)
		ev->after = rnd_row(b, ev->table->ncols);
}

static void fill(struct batch *b, const struct origin *o, size_t n)
{
	const struct txn *txn = rnd_txn(b, &o[0]);
	uint64_t seq = rnd_wide() >> 1;

	for (size_t i = 0; i < n; i++) {
		if (rnd(10) == 0)
			txn = rnd_txn(b, &o[rnd(2)]);
		rnd_event(b, txn, &seq);
	}
}

/* --- comparing ------------------------------------------------------- */

static bool same_row(const struct value *a, const struct value *b, uint32_t n)
{
	if ((a == NULL) != (b == NULL))
		return false;
	for (uint32_t i = 0; a != NULL && i < n; i++)
		if (!value_eq(&a[i], &b[i]))
			return false;
	return true;
}

static bool same_txn(const struct txn *a, const struct txn *b)
{
	const struct origin *o = a->origin, *p = b->origin;

	return slice_eq(o->connector, p->connector) &&
	       slice_eq(o->name, p->name) && slice_eq(o->db, p->db) &&
	       slice_eq(o->version, p->version) &&
	       o->incarnation == p->incarnation &&
	       slice_eq(a->coord, b->coord) && slice_eq(a->id, b->id) &&
	       a->commit_us == b->commit_us && a->xid == b->xid &&
	       a->commit_pos == b->commit_pos && a->prev_pos == b->prev_pos &&
	       slice_eq(a->replicated_from, b->replicated_from);
}

static bool same_rare(const struct event *a, const struct event *b)
{
	switch (a->op) {
	case OP_TRUNCATE:
		return a->truncate->flags == b->truncate->flags &&
		       a->truncate->ntables == b->truncate->ntables &&
		       memcmp(a->truncate->tables, b->truncate->tables,
			      a->truncate->ntables * sizeof(struct table *)) == 0;
	case OP_SCHEMA:
		return slice_eq(a->schema->cursor_source,
				b->schema->cursor_source);
	case OP_MESSAGE:
		return a->message->is_transactional ==
			       b->message->is_transactional &&
		       slice_eq(a->message->prefix, b->message->prefix) &&
		       slice_eq(a->message->content, b->message->content);
	case OP_GAP:
		return slice_eq(a->gap->from, b->gap->from) &&
		       slice_eq(a->gap->to, b->gap->to) &&
		       slice_eq(a->gap->reason, b->gap->reason);
	default:
		return true;
	}
}

static bool same_event(const struct event *a, const struct event *b)
{
	uint32_t n = a->table ? a->table->ncols : 0;

	return a->op == b->op && a->before_kind == b->before_kind &&
	       a->key_changed == b->key_changed && a->table == b->table &&
	       same_row(a->before, b->before, n) &&
	       same_row(a->after, b->after, n) && same_txn(a->txn, b->txn) &&
	       a->seq == b->seq && a->ordinal == b->ordinal &&
	       a->table_ordinal == b->table_ordinal && a->pos == b->pos &&
	       a->read_us == b->read_us && same_rare(a, b);
}

/* --- tests ----------------------------------------------------------- */

static const struct origin origins[2] = {
	{{"postgresql", 10}, {"shop", 4}, {"shopdb", 6}, {"0.1.0", 5}, 1},
	{{"mysql", 5}, {"other", 5}, {"d", 1}, {"0.2.0", 5}, 7},
};

static void test_round_trip(void)
{
	struct rowbin_writer w = {0};
	struct buf body = BUF_INIT;
	struct batch *in = batch_new(), *out = batch_new();
	struct err e = ERR_INIT;
	bool all = true, again = true;

	for (int round = 0; round < 200; round++) {
		size_t calls = 0, first;

		batch_reset(in);
		batch_reset(out);
		fill(in, origins, (size_t)rnd(200));
		buf_reset(&body, SIZE_MAX);
		rowbin_begin(&w, &body);
		for (size_t i = 0; i < in->n; i++)
			rowbin_put(&w, &in->ev[i]);
		all = all && !w.failed &&
		      rowbin_read(buf_get(&body), out, find, &calls, &e) == 0 &&
		      out->n == in->n && calls == w.ntables;
		for (size_t i = 0; all && i < in->n; i++)
			all = same_event(&in->ev[i], &out->ev[i]);
		/* a second body goes behind the first in the same batch */
		first = out->n;
		again = again &&
			rowbin_read(buf_get(&body), out, find, &calls, &e) == 0 &&
			out->n == first * 2;
	}
	ok(all, "random events come back as they were: %s", e.msg);
	ok(again, "bodies are appended to what the batch has");
	rowbin_fini(&w);
	buf_fini(&body);
	batch_free(in);
	batch_free(out);
}

static void test_regular_rows_are_small(void)
{
	struct rowbin_writer w = {0};
	struct buf body = BUF_INIT;
	struct batch *b = batch_new();
	const struct txn *txn = rnd_txn(b, origins);
	size_t before;

	rowbin_begin(&w, &body);
	for (uint64_t i = 1; i <= 2; i++) {
		struct event *ev = batch_add(b);

		before = body.n;
		ev->op = OP_INSERT;
		ev->table = tables[1];
		ev->txn = txn;
		ev->seq = ev->ordinal = ev->table_ordinal = i;
		ev->pos = 1000 + 50 * i;
		ev->after = batch_values(b, 2);
		ev->after[0] = (struct value){.tag = VALUE_INT, .i = -64};
		ev->after[1] = (struct value){.tag = VALUE_TEXT,
					      .s = SLICE("0123456789")};
		rowbin_put(&w, ev);
	}
	is_int((long long)(body.n - before), 2 + 1 + 1 + 11,
	       "a row like the one before costs four bytes and its values");
	rowbin_fini(&w);
	buf_fini(&body);
	batch_free(b);
}

/* What comes out of a damaged body must be usable if it is not refused. */
static size_t touch(const struct batch *b)
{
	size_t sum = 0;
	struct buf id = BUF_INIT;

	for (size_t i = 0; i < b->n; i++) {
		const struct event *ev = &b->ev[i];

		buf_reset(&id, SIZE_MAX);
		event_id(ev, 0, &id);
		for (uint32_t c = 0; ev->table && c < ev->table->ncols; c++)
			for (int side = 0; side < 2; side++) {
				const struct value *v = side ? ev->before
							     : ev->after;

				if (v == NULL || v[c].tag < VALUE_TEXT)
					continue;
				for (size_t k = 0; k < v[c].s.n; k++)
					sum += (unsigned char)v[c].s.p[k];
			}
	}
	buf_fini(&id);
	return sum;
}

static void test_hostile(void)
{
	struct rowbin_writer w = {0};
	struct buf body = BUF_INIT;
	struct batch *in = batch_new(), *out = batch_new();
	size_t calls = 0, refused = 0, tries = 20000, cut_ok = 0, sum = 0;
	bool coded = true;
	struct err e;

	fill(in, origins, 60);
	rowbin_begin(&w, &body);
	for (size_t i = 0; i < in->n; i++)
		rowbin_put(&w, &in->ev[i]);
	for (size_t n = 0; n < body.n; n++) {
		char *exact = malloc(n ? n : 1);

		memcpy(exact, body.p, n);
		e = ERR_INIT;
		batch_reset(out);
		if (rowbin_read((struct slice){exact, n}, out, find, &calls,
				&e) == 0) {
			cut_ok += out->n < in->n;
			sum += touch(out);
		} else {
			coded = coded && e.code == CODE_log_corrupt;
		}
		free(exact);
	}
	ok(cut_ok > 0 && cut_ok < 2 * in->n,
	   "a body cut off is only taken where an entry ends");
	for (size_t t = 0; t < tries; t++) {
		size_t at = (size_t)rnd(body.n);
		char old = body.p[at];

		body.p[at] = (char)rnd(256);
		e = ERR_INIT;
		batch_reset(out);
		if (rowbin_read(buf_get(&body), out, find, &calls, &e) != 0) {
			coded = coded && e.code == CODE_log_corrupt;
			refused++;
		} else {
			sum += touch(out);
		}
		body.p[at] = old;
	}
	ok(refused > 0 && refused < tries && sum > 0,
	   "damaged bodies are refused or harmless");
	ok(coded, "a damaged body has the code log_corrupt");
	rowbin_fini(&w);
	buf_fini(&body);
	batch_free(in);
	batch_free(out);
}

static void test_unknown_table(void)
{
	struct rowbin_writer w = {0};
	struct buf body = BUF_INIT;
	struct batch *b = batch_new(), *out = batch_new();
	struct event *ev = batch_add(b);
	struct err e = ERR_INIT;
	size_t calls = 0;

	ev->op = OP_DELETE;
	ev->txn = rnd_txn(b, origins);
	ev->table = tables[1];
	tables[1]->version = 99;
	rowbin_begin(&w, &body);
	rowbin_put(&w, ev);
	tables[1]->version = 2;
	ok(rowbin_read(buf_get(&body), out, find, &calls, &e) < 0 &&
		   e.code == CODE_log_corrupt && strstr(e.msg, "version 99"),
	   "a version that is not there is named: %s", e.msg);
	rowbin_fini(&w);
	buf_fini(&body);
	batch_free(b);
	batch_free(out);
}

int main(void)
{
	make_tables();
	test_round_trip();
	test_regular_rows_are_small();
	test_hostile();
	test_unknown_table();
	for (uint32_t i = 0; i < NTABLES; i++)
		table_unref(tables[i]);
	return tap_done();
}
