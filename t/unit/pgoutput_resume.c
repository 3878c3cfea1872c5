/* Resuming anywhere, hostile input, lack of memory.  A small history is served
 * the way the server does it: from a given LSN on, each shape before its first
 * row on the connection. */
#include "config.h"
#include "sources/pgoutput.h"

#include "t/pgmsg.h"

enum { USERS = 16400, LOGS = 16410, XTRA = 16420 };

static const struct col narrow[] = {{"id", 23, -1, true},
				    {"name", 25, -1, false}};
static const struct col wide[] = {{"id", 23, -1, true},
				  {"name", 25, -1, false},
				  {"age", 23, -1, false}};

struct step {
	char kind; /* B C, I U D T M, m: outside of transactions */
	uint32_t oid;
	bool is_wide;
	const char *old, *row;
	uint64_t lsn; /* B C: of the commit */
};

static const struct step history[] = {
	{.kind = 'B', .lsn = 0x2000},
	{'I', USERS, false, NULL, "1|a", 0x1f00},
	{'I', USERS, false, NULL, "2|b", 0x1f10},
	{'I', XTRA, false, NULL, "1|x", 0x1f20},
	{'U', USERS, false, "1|~", "9|?", 0x1f30},
	{.kind = 'C', .lsn = 0x2000},
	{.kind = 'm', .lsn = 0x2100},
	{.kind = 'B', .lsn = 0x2800},
	{.kind = 'C', .lsn = 0x2800},
	{.kind = 'B', .lsn = 0x3000},
	{'I', USERS, false, NULL, "3|c", 0x2f00},
	{'I', LOGS, false, NULL, "1|l", 0x2f08},
	{'I', USERS, true, NULL, "4|d|40", 0x2f10},
	{'T', USERS, true, NULL, NULL, 0x2f18},
	{.kind = 'M', .lsn = 0x2f20},
	{'I', XTRA, false, NULL, "2|x", 0x2f28},
	{'I', USERS, true, NULL, "5|e|50", 0x2f30},
	{'D', USERS, false, "5|~", NULL, 0x2f38},
	{'I', LOGS, false, NULL, "2|l", 0x2f40},
	{.kind = 'C', .lsn = 0x3000},
	{.kind = 'B', .lsn = 0x4000},
	{'I', LOGS, true, NULL, "3|l|1", 0x3f00},
	{.kind = 'C', .lsn = 0x4000},
};

/* What a connection has been told of the tables. */
struct told {
	bool is_told[3], is_wide[3];
};

static void tell(struct msgs *m, struct told *t, const struct step *s)
{
	static const char *const names[] = {"users", "logs", "xtra"};
	unsigned i = (s->oid - USERS) / 10;

	if (t->is_told[i] && t->is_wide[i] == s->is_wide)
		return;
	m_relation(m, s->oid, "public", names[i], 'd', s->is_wide ? 3 : 2,
		   s->is_wide ? wide : narrow);
	t->is_told[i] = true;
	t->is_wide[i] = s->is_wide;
}

static void serve_step(struct msgs *m, struct told *t, const struct step *s)
{
	if (s->oid != 0)
		tell(m, t, s);
	switch (s->kind) {
	case 'B': m_begin(m, s->lsn, (uint32_t)s->lsn); break;
	case 'C': m_commit(m, s->lsn); break;
	case 'I': m_insert(m, s->lsn, s->oid, s->row); break;
	case 'U': m_update(m, s->lsn, s->oid, 'K', s->old, s->row); break;
	case 'D': m_delete(m, s->lsn, s->oid, 'K', s->old); break;
	case 'T': m_truncate(m, s->lsn, 0, 1, &s->oid); break;
	case 'M': m_message(m, s->lsn, true, "audit", SLICE("x")); break;
	case 'm': m_message(m, s->lsn, false, "audit", SLICE("y")); break;
	}
}

/* Rules R1 and R3: transactions by their commit, lone messages by the start of
 * their record. */
static void serve(struct msgs *m, uint64_t from)
{
	struct told told = {0};
	bool is_sent = false;

	msgs_reset(m);
	for (size_t i = 0; i < countof(history); i++) {
		const struct step *s = &history[i];

		if (s->kind == 'B')
			is_sent = s->lsn >= from;
		if (s->kind == 'm' ? s->lsn - 0x30 >= from : is_sent)
			serve_step(m, &told, s);
	}
}

static void put_values(struct buf *b, const struct table *tab,
		       const struct value *v)
{
	for (uint32_t i = 0; v != NULL && i < tab->ncols; i++) {
		buf_printf(b, "%d:", (int)v[i].tag);
		if (v[i].tag == VALUE_INT)
			buf_i64(b, v[i].i);
		else if (v[i].tag == VALUE_TEXT)
			buf_slice(b, v[i].s);
		buf_u8(b, ',');
	}
	buf_u8(b, ';');
}

static void put_event(struct buf *b, const struct event *ev)
{
	event_id(ev, 0, b);
	buf_printf(b, " %s seq %" PRIu64 " ordinal %" PRIu64 ":%" PRIu64
		   " pos %" PRIX64 " after %" PRIX64 " key %d/%d ",
		   op_name(ev->op), ev->seq, ev->ordinal, ev->table_ordinal,
		   ev->pos, ev->txn->prev_pos, ev->key_changed,
		   (int)ev->before_kind);
	if (ev->table != NULL) {
		buf_slice(b, ev->table->full_name);
		buf_printf(b, " v%u ", ev->table->version);
		put_values(b, ev->table, ev->before);
		put_values(b, ev->table, ev->after);
	}
	if (ev->op == OP_SCHEMA)
		buf_slice(b, ev->schema->cursor_source);
	buf_u8(b, '\n');
}

static void put_events(struct buf *b, const struct batch *from)
{
	for (size_t i = 0; i < from->n; i++)
		put_event(b, &from->ev[i]);
}

/* The whole history in one go, and what stood after each message. */
struct run {
	struct buf text;
	struct pgoutput_place place[64];
	uint64_t seq[64];
	size_t text_n[64], n;
	struct table *versions[8];
	size_t nversions;
};

static void keep_versions(struct run *r, const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->ev[i].op == OP_SCHEMA)
			r->versions[r->nversions++] =
				table_ref(b->ev[i].table);
}

static void run_all(struct run *r)
{
	struct msgs m = {0};
	struct world w;

	w_init(&w);
	serve(&m, 0x1000);
	for (size_t i = 0; i < m.n; i++) {
		struct err e = ERR_INIT;

		if (pgoutput_message(w.d, msg_get(&m, i), m.lsn[i], w.b, &e))
			ok(false, "message %zu is read: %s", i, e.msg);
		r->place[i] = pgoutput_place(w.d);
		r->seq[i] = pgoutput_seq(w.d);
		put_events(&r->text, w.b);
		r->text_n[i] = r->text.n;
		keep_versions(r, w.b);
		w_rest(&w);
	}
	r->n = m.n;
	w_fini(&w);
	buf_fini(&m.bytes);
}

static void load_versions(struct world *w, const struct run *r, uint64_t seq)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < r->nversions; i++)
		if (r->versions[i]->from_seq <= seq &&
		    registry_load(&w->reg, table_ref(r->versions[i]), &e) != 0)
			ok(false, "a version is loaded: %s", e.msg);
}

/* Resumes after message i; the places while changes are skipped must be the one
 * that was resumed at. */
static bool resume_at(const struct run *r, size_t i, struct buf *text)
{
	const struct pgoutput_place *from = &r->place[i];
	struct msgs m = {0};
	struct world w;
	bool good = true;

	w_init(&w);
	load_versions(&w, r, r->seq[i]);
	w_connect(&w, from, r->seq[i]);
	serve(&m, from->end);
	for (size_t j = 0; j < m.n && good; j++) {
		struct pgoutput_place p;

		good = pgoutput_message(w.d, msg_get(&m, j), m.lsn[j], w.b,
					&w.e) == 0;
		if (!good)
			printf("# %s %s\n", w.e.msg, w.e.detail);
		p = pgoutput_place(w.d);
		if (pgoutput_seq(w.d) == r->seq[i] && p.commit == from->commit)
			good = good && p.n == from->n && p.hash == from->hash &&
			       (p.end == from->end || from->n == 0);
	}
	put_events(text, w.b);
	w_fini(&w);
	buf_fini(&m.bytes);
	return good;
}

static void test_resume(struct run *r)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < r->n; i++) {
		struct slice want = {r->text.p + r->text_n[i],
				     r->text.n - r->text_n[i]};

		buf_reset(&text, 1 << 20);
		ok(resume_at(r, i, &text), "resumed after message %zu", i);
		is_mem(text.p, text.n, want.p, want.n,
		       "the same events follow");
	}
	buf_fini(&text);
}

/* Resumes at a place that the served history does not have. */
static void is_diverged(const struct run *r, size_t i,
			const struct pgoutput_place *from, uint64_t start,
			const char *what)
{
	struct msgs m = {0};
	struct world w;

	w_init(&w);
	load_versions(&w, r, r->seq[i]);
	w_connect(&w, from, r->seq[i]);
	serve(&m, start);
	ok(w_feed(&w, &m) != 0, "%s", what);
	is_str(code_name(w.e.code), "diverged", "and is told by name");
	ok(w.b->n == 0, "nothing was let through");
	w_fini(&w);
	buf_fini(&m.bytes);
}

static void test_diverged(const struct run *r)
{
	struct pgoutput_place p;
	size_t i = 0;

	while (r->place[i].commit != 0x3000 || r->place[i].n != 3)
		i++;
	p = r->place[i];
	p.hash++;
	is_diverged(r, i, &p, p.end, "other changes than before are noticed");
	p = r->place[i];
	p.n = 100;
	is_diverged(r, i, &p, p.end, "fewer changes than before are noticed");
	p = r->place[i];
	p.commit = 0x3008;
	is_diverged(r, i, &p, p.end, "another transaction is noticed");
	p = r->place[i];
	is_diverged(r, i, &p, 0x3001, "a missing transaction is noticed");
	p = r->place[i];
	p.end = 0x2008;
	is_diverged(r, i, &p, p.end, "a message in between is noticed");
}

/* A server that begins before the place (the catch-up gear may have to). */
static void test_older(const struct run *r)
{
	struct msgs m = {0};
	struct buf text = BUF_INIT;
	struct world w;
	size_t i = 0;

	while (r->place[i].commit != 0x3000 || r->place[i].n != 3)
		i++;
	w_init(&w);
	load_versions(&w, r, r->seq[i]);
	w_connect(&w, &r->place[i], r->seq[i]);
	serve(&m, 0x1000);
	ok(w_feed(&w, &m) == 0, "transactions before the place are no error");
	put_events(&text, w.b);
	is_mem(text.p, text.n, r->text.p + r->text_n[i],
	       r->text.n - r->text_n[i], "and not delivered again");
	w_fini(&w);
	buf_fini(&text);
	buf_fini(&m.bytes);
}

/* --- hostile input --- */

static struct err hostile(const struct msgs *m, size_t before, struct slice bad)
{
	struct err e = ERR_INIT;
	struct world w;
	char *copy = malloc(bad.n); /* exact, for ASan */

	if (bad.n > 0)
		memcpy(copy, bad.p, bad.n);
	w_init(&w);
	for (size_t i = 0; i < before; i++)
		if (pgoutput_message(w.d, msg_get(m, i), 1, w.b, &e) != 0)
			ok(false, "the messages before are good: %s", e.msg);
	if (pgoutput_message(w.d, (struct slice){copy, bad.n}, 0x16B374D848,
			     w.b, &e) == 0)
		e = ERR_INIT;
	free(copy);
	w_fini(&w);
	return e;
}

static bool is_protocol(const struct err *e)
{
	return e->code == CODE_source_protocol &&
	       strstr(e->msg, "16/B374D848") != NULL;
}

static void test_truncated(void)
{
	struct msgs m = {0};
	struct buf longer = BUF_INIT;
	unsigned bad = 0, tried = 0;

	msgs_reset(&m);
	m_begin(&m, 0x2000, 1);
	m_origin(&m, "o");
	m_type(&m, 16500, "public", "mood");
	m_relation(&m, USERS, "public", "users", 'f', 2, narrow);
	m_insert(&m, 1, USERS, "1|abc");
	m_update(&m, 1, USERS, 'O', "1|abc", "2|?");
	m_update(&m, 1, USERS, 0, NULL, "2|~");
	m_delete(&m, 1, USERS, 'K', "1|~");
	m_truncate(&m, 1, 1, 1, &history[1].oid);
	m_message(&m, 1, true, "prefix", SLICE("content"));
	m_commit(&m, 0x2000);
	for (size_t i = 0; i < m.n; i++) {
		struct slice s = msg_get(&m, i);
		struct err e;

		for (size_t n = 0; n < s.n; n++, tried++) {
			e = hostile(&m, i, (struct slice){s.p, n});
			bad += !is_protocol(&e);
		}
		buf_reset(&longer, 1 << 16);
		buf_slice(&longer, s);
		buf_u8(&longer, 0);
		e = hostile(&m, i, buf_get(&longer));
		ok(is_protocol(&e), "message %c with a byte too many is refused",
		   s.p[0]);
	}
	is_int(bad, 0, "each of %u cut messages is refused with its LSN", tried);
	buf_fini(&longer);
	buf_fini(&m.bytes);
}

static void refuses(const struct msgs *m, enum code code, const char *text,
		    const char *what)
{
	struct err e = hostile(m, m->n - 1, msg_get(m, m->n - 1));

	if (!ok(e.code == code && strstr(e.msg, text) != NULL, "%s", what))
		printf("# %s: %s\n", code_name(e.code), e.msg);
}

static void start(struct msgs *m)
{
	msgs_reset(m);
	m_begin(m, 0x2000, 1);
	m_relation(m, USERS, "public", "users", 'd', 2, narrow);
}

static void test_values_refused(void)
{
	struct msgs m = {0};
	struct buf *b;

	start(&m);
	m_insert(&m, 1, USERS, "1|\xff");
	refuses(&m, CODE_value_invalid,
		"table \"public.users\": column \"name\": a value is not valid",
		"text that is not UTF-8 is refused, naming table and column");
	refuses(&m, CODE_value_invalid, "at 16/B374D848", "and the LSN");
	start(&m);
	m_insert(&m, 1, USERS, "x|a");
	refuses(&m, CODE_source_protocol, "column \"id\": a value is not one of "
		"type int4", "text that is not of its type is refused");
	start(&m);
	m_insert(&m, 1, USERS, "1|a|b");
	refuses(&m, CODE_source_protocol, "has 2 columns, a row of it 3",
		"a row with too many columns is refused");
	start(&m);
	b = msg(&m, 'I', 1);
	be32(b, USERS);
	buf_u8(b, 'N');
	be16(b, 2);
	buf_u8(b, 'n');
	buf_u8(b, 'b');
	be32(b, 0);
	refuses(&m, CODE_source_protocol, "column \"name\": a value in binary",
		"a binary value is refused, naming the column");
	m.bytes.p[m.bytes.n - 5] = 'z';
	refuses(&m, CODE_source_protocol, "unknown kind of value 122",
		"so is one of an unknown kind");
	start(&m);
	m_insert(&m, 1, 4711, "1|a");
	refuses(&m, CODE_source_protocol, "relation 4711",
		"a relation that was not described is refused");
	start(&m);
	m_truncate(&m, 1, 0, 1, &history[3].oid);
	refuses(&m, CODE_source_protocol, "relation 16420",
		"in a truncate as well");
	start(&m);
	m_truncate(&m, 1, 4, 1, &history[1].oid);
	refuses(&m, CODE_source_protocol, "flags",
		"unknown flags of a truncate are refused");
	start(&m);
	m_relation(&m, 1, "public", "b\xff", 'd', 2, narrow);
	refuses(&m, CODE_value_invalid, "the name of a table",
		"a name that is not UTF-8 is refused");
	start(&m);
	m_relation(&m, 1, "public", "t", 'x', 2, narrow);
	refuses(&m, CODE_source_protocol, "replica identity",
		"an unknown replica identity is refused");
	buf_fini(&m.bytes);
}

static void test_order_refused(void)
{
	static const char kinds[] = "SEcAbPKrpZ\x01";
	struct msgs m = {0};

	for (const char *k = kinds; *k != '\0'; k++) {
		msgs_reset(&m);
		buf_u8(msg(&m, *k, 1), 0);
		refuses(&m, CODE_source_protocol, "not part of protocol version 1",
			"messages of other protocol versions are refused");
	}
	start(&m);
	m_begin(&m, 0x3000, 2);
	refuses(&m, CODE_source_protocol, "inside another",
		"a transaction in a transaction is refused");
	start(&m);
	m_commit(&m, 0x2008);
	refuses(&m, CODE_source_protocol, "another LSN",
		"a commit of something else is refused");
	msgs_reset(&m);
	m_commit(&m, 0x2008);
	refuses(&m, CODE_source_protocol, "did not begin",
		"a commit of nothing is refused");
	msgs_reset(&m);
	m_relation(&m, USERS, "public", "users", 'd', 2, narrow);
	m_insert(&m, 1, USERS, "1|a");
	refuses(&m, CODE_source_protocol, "outside a transaction",
		"a row outside of transactions is refused");
	start(&m);
	m_insert(&m, 1, USERS, "1|a");
	m_origin(&m, "o");
	refuses(&m, CODE_source_protocol, "beginning",
		"an origin behind the first change is refused");
	start(&m);
	m_message(&m, 0x2100, false, "p", SLICE(""));
	refuses(&m, CODE_source_protocol, "inside a transaction",
		"a lone message inside a transaction is refused");
	start(&m);
	m_commit(&m, 0x2000);
	m_begin(&m, 0x1800, 2);
	refuses(&m, CODE_source_protocol, "out of order",
		"transactions out of order are refused");
	buf_fini(&m.bytes);
}

/* --- memory --- */

static unsigned long allocs, fail_at;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return ++allocs == fail_at ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	return ++allocs == fail_at ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return ++allocs == fail_at ? NULL : __real_realloc(p, n);
}

static void test_no_memory(void)
{
	struct msgs m = {0};
	struct world w;
	unsigned long n, failed = 0, other = 0;
	bool was_hit;

	serve(&m, 0x1000);
	for (n = 1;; n++) {
		w_init(&w);
		allocs = 0;
		fail_at = n;
		if (w_feed(&w, &m) != 0) {
			failed++;
			other += w.e.code != CODE_no_memory;
		}
		was_hit = allocs >= n;
		fail_at = 0;
		w_fini(&w);
		if (!was_hit)
			break;
	}
	ok(failed > 10 && failed == n - 1,
	   "each of %lu allocations can fail, and is told", n - 1);
	is_int((long long)other, 0, "as a lack of memory");
	buf_fini(&m.bytes);
}

static void test_no_malloc(void)
{
#ifndef LEAT_ARENA_MALLOC
	struct msgs head = {0}, rows = {0};
	struct world w;
	unsigned long warm = 0;

	w_init(&w);
	m_begin(&head, 0x2000, 1);
	m_relation(&head, USERS, "public", "users", 'd', 2, narrow);
	for (int i = 0; i < 30; i++)
		m_insert(&rows, 1, USERS, "1|abcdefghijklmnopqrstuvwxyz");
	m_message(&rows, 1, true, "p", SLICE("content"));
	ok(w_feed(&w, &head) == 0, "a transaction begins");
	for (int batch = 0; batch < 100; batch++) {
		if (batch == 2)
			warm = allocs;
		for (int i = 0; i < 40; i++)
			if (w_feed(&w, &rows) != 0)
				ok(false, "rows are read");
		w_rest(&w);
	}
	is_int((long long)(allocs - warm), 0,
	       "121,520 changes in 98 batches allocate nothing after warm-up");
	w_fini(&w);
	buf_fini(&head.bytes);
	buf_fini(&rows.bytes);
#endif
}

static void test_describe_away(void)
{
	struct msgs m = {0};
	struct world w;

	w_init(&w);
	w.is_away = true;
	start(&m);
	m_insert(&m, 1, USERS, "1|a");
	ok(w_feed(&w, &m) != 0 && w.e.code == CODE_source_unreachable,
	   "when the catalog cannot be asked, that is the error");
	is_str(w.e.msg, "table \"public.users\": it is away",
	       "with the table that was asked for");
	w_fini(&w);
	buf_fini(&m.bytes);
}

int main(void)
{
	static struct run r;

	run_all(&r);
	test_resume(&r);
	test_diverged(&r);
	test_older(&r);
	test_truncated();
	test_values_refused();
	test_order_refused();
	test_no_memory();
	test_no_malloc();
	test_describe_away();
	for (size_t i = 0; i < r.nversions; i++)
		table_unref(r.versions[i]);
	buf_fini(&r.text);
	return tap_done();
}
