#include "config.h"
#include "sources/pgoutput.h"

#include "t/pgmsg.h"

enum { INT4 = 23, TEXT = 25, BYTEA = 17, BOOL = 16, NUMERIC = 1700 };
#define USERS 16400u
#define OTHER 16410u

static const struct col users[] = {{"id", INT4, -1, true},
				   {"name", TEXT, -1, false},
				   {"bio", TEXT, -1, false}};
static const struct col users_full[] = {{"id", INT4, -1, true},
					{"name", TEXT, -1, true},
					{"bio", TEXT, -1, true}};

static struct world w;
static struct msgs m;

/* A world in which one table is known and a transaction is open. */
static void begin_known(char identity, const struct col *cols)
{
	w_init(&w);
	w.pk[0] = 1;
	msgs_reset(&m);
	m_begin(&m, 0x16E9BB8, 771);
	m_relation(&m, USERS, "public", "users", identity, 3, cols);
	m_insert(&m, 0x16E9B00, USERS, "1|first|x");
	ok(w_feed(&w, &m) == 0, "the first row of a table is read");
	w_rest(&w);
	msgs_reset(&m);
}

static struct event *last(void)
{
	return w.b->n ? &w.b->ev[w.b->n - 1] : NULL;
}

/* The values as the rows of pgmsg.h are written. */
static const char *show(const struct table *tab, const struct value *v)
{
	static struct buf b;

	buf_reset(&b, 1 << 20);
	for (uint32_t i = 0; v != NULL && i < tab->ncols; i++) {
		if (i > 0)
			buf_u8(&b, '|');
		switch (v[i].tag) {
		case VALUE_NULL: buf_u8(&b, '~'); break;
		case VALUE_UNCHANGED: buf_u8(&b, '?'); break;
		case VALUE_BOOL: buf_text(&b, v[i].b ? "true" : "false"); break;
		case VALUE_INT: buf_i64(&b, v[i].i); break;
		case VALUE_UINT: buf_u64(&b, v[i].u); break;
		default: buf_slice(&b, v[i].s);
		}
	}
	if (v == NULL)
		buf_text(&b, "none");
	buf_u8(&b, 0);
	return b.p;
}

static void test_lsn(void)
{
	char text[PG_LSN_SIZE];
	uint64_t lsn = 1;

	pg_lsn_print(text, 0x16B374D848);
	is_str(text, "16/B374D848", "an LSN is printed as the server does");
	pg_lsn_print(text, UINT64_MAX);
	is_str(text, "FFFFFFFF/FFFFFFFF", "the largest LSN fits");
	ok(pg_lsn_parse(SLICE("16/b374d848"), &lsn) && lsn == 0x16B374D848,
	   "an LSN is read, in small letters too");
	ok(pg_lsn_parse(SLICE("0/0"), &lsn) && lsn == 0, "0/0 is an LSN");
	ok(!pg_lsn_parse(SLICE("16"), &lsn) && !pg_lsn_parse(SLICE("/1"), &lsn) &&
		   !pg_lsn_parse(SLICE("1/"), &lsn) &&
		   !pg_lsn_parse(SLICE("1/2/3"), &lsn) &&
		   !pg_lsn_parse(SLICE("123456789/0"), &lsn) &&
		   !pg_lsn_parse(SLICE(""), &lsn),
	   "what is not an LSN is refused");
}

static void test_insert(void)
{
	static const struct col cols[] = {
		{"id", INT4, -1, true},	      {"ok", BOOL, -1, false},
		{"raw", BYTEA, -1, false},    {"total", NUMERIC, 655366, false},
		{"note", TEXT, -1, false},    {"gone", TEXT, -1, false},
		{"unsent", TEXT, -1, false},
	};
	struct pgoutput_place p;
	struct event *ev;

	w_init(&w);
	msgs_reset(&m);
	m_begin(&m, 0x16E9BB8, 771);
	m_relation(&m, USERS, "public", "users", 'd', 7, cols);
	m_insert(&m, 0x16E9B00, USERS, "-7|t|\\x6100ff|12.50|\xc3\xa9|~|?");
	ok(w_feed(&w, &m) == 0, "a transaction with one insert is read");
	is_int((long long)w.b->n, 2, "a new table and its row are two events");

	ev = &w.b->ev[0];
	is_str(op_name(ev->op), "schema", "the version comes before its row");
	ok(ev->schema->prev == NULL && ev->table->version == 1 &&
		   ev->table->from_seq == 1,
	   "it is version 1, from the row's seq on");
	ok(ev->seq == 1 && ev->ordinal == 0,
	   "it has the seq of its row and no ordinal");
	is_slice(ev->schema->cursor_source, "1000 0 0",
		 "the cursor in front of it is the one before the transaction");
	is_slice(ev->table->cols[3].type_name, "numeric(10,2)",
		 "types are named with their modifiers");

	ev = &w.b->ev[1];
	is_str(op_name(ev->op), "insert", "the row is an insert");
	ok(ev->seq == 1 && ev->ordinal == 1 && ev->table_ordinal == 1,
	   "it is number one of the transaction and of its table");
	ok(ev->pos == 0x16E9B00, "it has the LSN that came with it");
	ok(ev->before == NULL && ev->before_kind == BEFORE_NONE &&
		   !ev->key_changed,
	   "it has no row before");
	ok(ev->after[0].tag == VALUE_INT && ev->after[0].i == -7,
	   "an integer is native");
	ok(ev->after[1].tag == VALUE_BOOL && ev->after[1].b, "so is a boolean");
	ok(ev->after[2].tag == VALUE_BYTES &&
		   slice_eq(ev->after[2].s, (struct slice){"a\0\xff", 3}),
	   "bytea becomes the bytes");
	ok(ev->after[3].tag == VALUE_TEXT && slice_is(ev->after[3].s, "12.50"),
	   "a numeric keeps its text");
	is_slice(ev->after[4].s, "\xc3\xa9", "text is UTF-8");
	ok(ev->after[5].tag == VALUE_NULL, "NULL is NULL");
	ok(ev->after[6].tag == VALUE_UNCHANGED,
	   "an insert can have a value that was not sent");
	is_slice(ev->txn->coord, "16E9BB8", "the coordinate is the commit LSN");
	is_slice(ev->txn->id, "771:24026040",
		 "the transaction id is xid and commit LSN");
	ok(ev->txn->commit_us == 946684801000000 && ev->txn->xid == 771 &&
		   ev->txn->commit_pos == 0x16E9BB8 &&
		   ev->txn->prev_pos == 0x1000 &&
		   ev->txn->replicated_from.n == 0,
	   "the transaction says when and after what it was committed");

	p = pgoutput_place(w.d);
	ok(pgoutput_in_transaction(w.d) && p.end == 0x1000 &&
		   p.commit == 0x16E9BB8 && p.n == 1 && p.hash != 0,
	   "inside a transaction the place counts its changes");
	msgs_reset(&m);
	m_commit(&m, 0x16E9BB8);
	ok(w_feed(&w, &m) == 0 && w.b->n == 2, "a commit makes no event");
	p = pgoutput_place(w.d);
	ok(!pgoutput_in_transaction(w.d) && p.end == 0x16E9BC0 && p.commit == 0 &&
		   p.n == 0 && p.hash == 0,
	   "behind it the place is the transaction's end");
	is_int((long long)pgoutput_seq(w.d), 1, "seq counts changes");
	w_fini(&w);
}

static void test_update(void)
{
	begin_known('d', users);
	m_update(&m, 1, USERS, 0, NULL, "1|b|?");
	ok(w_feed(&w, &m) == 0 && last()->before == NULL &&
		   last()->before_kind == BEFORE_NONE && !last()->key_changed,
	   "an update of other columns has no row before");
	is_str(show(last()->table, last()->after), "1|b|?",
	       "what it did not send stays unchanged");

	msgs_reset(&m);
	m_update(&m, 1, USERS, 'K', "1|~|~", "2|b|?");
	ok(w_feed(&w, &m) == 0 && last()->key_changed &&
		   last()->before_kind == BEFORE_KEY,
	   "an update of the key has the old key");
	is_str(show(last()->table, last()->before), "1|~|~",
	       "and nothing else of the row before");

	msgs_reset(&m);
	m_update(&m, 1, USERS, 'K', "2|~|~", "?|c|d");
	ok(w_feed(&w, &m) == 0 && !last()->key_changed &&
		   last()->before == NULL &&
		   last()->before_kind == BEFORE_NONE,
	   "a key that was not sent again is no change of the key");
	is_str(show(last()->table, last()->after), "2|c|d",
	       "its value is taken from the old key");
	w_fini(&w);

	begin_known('f', users_full);
	m_update(&m, 1, USERS, 'O', "1|a|long", "1|b|?");
	ok(w_feed(&w, &m) == 0 && !last()->key_changed &&
		   last()->before_kind == BEFORE_FULL,
	   "identity FULL sends the row before");
	is_str(show(last()->table, last()->after), "1|b|long",
	       "what was not sent is what it was before");
	msgs_reset(&m);
	m_update(&m, 1, USERS, 'O', "1|a|long", "2|a|?");
	ok(w_feed(&w, &m) == 0 && last()->key_changed,
	   "the primary key of the catalog tells whether the key changed");
	w_fini(&w);

	w_init(&w);
	msgs_reset(&m);
	m_begin(&m, 0x2000, 1);
	m_relation(&m, USERS, "public", "users", 'f', 3, users_full);
	m_update(&m, 1, USERS, 'O', "1|a|b", "2|c|d");
	ok(w_feed(&w, &m) == 0 && !last()->key_changed,
	   "without a key no key changes");
	w_fini(&w);
}

static void test_delete(void)
{
	begin_known('d', users);
	m_delete(&m, 1, USERS, 'K', "1|~|~");
	ok(w_feed(&w, &m) == 0 && last()->op == OP_DELETE &&
		   last()->before_kind == BEFORE_KEY && last()->after == NULL,
	   "a delete has the key of the row before");
	w_fini(&w);
	begin_known('f', users_full);
	m_delete(&m, 1, USERS, 'O', "1|a|~");
	ok(w_feed(&w, &m) == 0 && last()->before_kind == BEFORE_FULL,
	   "with identity FULL it has the row");
	is_str(show(last()->table, last()->before), "1|a|~", "all of it");
	w_fini(&w);
}

static void test_ordinals(void)
{
	uint32_t both[] = {OTHER, USERS}, none[] = {OTHER};

	begin_known('d', users);
	m_relation(&m, OTHER, "public", "xlog", 'd', 3, users);
	m_insert(&m, 2, OTHER, "1|a|b");
	m_insert(&m, 3, USERS, "2|a|b");
	ok(w_feed(&w, &m) == 0, "a table that is not wanted is read over");
	ok(w.b->n == 1 && last()->ordinal == 3 && last()->table_ordinal == 2 &&
		   last()->seq == 3,
	   "its changes take ordinals and seqs, and make no event");
	ok(registry_get(&w.reg, SLICE("public.xlog")) == NULL,
	   "it gets no version");

	msgs_reset(&m);
	m_truncate(&m, 4, 3, 2, both);
	ok(w_feed(&w, &m) == 0 && last()->op == OP_TRUNCATE &&
		   last()->ordinal == 4 && last()->table_ordinal == 3,
	   "a truncate of several tables is one change");
	ok(last()->truncate->ntables == 1 &&
		   last()->truncate->tables[0] == last()->table &&
		   slice_is(last()->table->name, "users") &&
		   last()->truncate->flags ==
			   (TRUNCATE_CASCADE | TRUNCATE_RESTART_IDENTITY),
	   "it names the wanted ones and keeps its flags");
	msgs_reset(&m);
	m_truncate(&m, 5, 0, 1, none);
	m_message(&m, 6, true, "audit", SLICE("\xff\x00"));
	m_message(&m, 7, true, "leat:shop:x", SLICE(""));
	m_insert(&m, 8, USERS, "3|a|b");
	w_rest(&w);
	ok(w_feed(&w, &m) == 0 && w.b->n == 2,
	   "a truncate of unwanted tables and leat's own messages make no event");
	ok(w.b->ev[0].op == OP_MESSAGE && w.b->ev[0].ordinal == 6 &&
		   w.b->ev[0].table == NULL &&
		   w.b->ev[0].message->is_transactional &&
		   slice_is(w.b->ev[0].message->prefix, "audit") &&
		   w.b->ev[0].message->content.n == 2,
	   "a message is an event, whatever its bytes");
	ok(last()->ordinal == 8 && last()->seq == 8 &&
		   last()->table_ordinal == 4,
	   "all of them are counted");
	is_int((long long)pgoutput_place(w.d).n, 8, "the place counts them too");

	msgs_reset(&m);
	m_commit(&m, 0x16E9BB8);
	m_begin(&m, 0x17E9BB8, 772);
	m_insert(&m, 9, USERS, "3|a|b");
	ok(w_feed(&w, &m) == 0 && last()->ordinal == 1 &&
		   last()->table_ordinal == 1 && last()->seq == 9 &&
		   last()->txn->prev_pos == 0x16E9BC0,
	   "the next transaction begins with 1; seq goes on");
	w_fini(&w);
}

static void test_lone_message(void)
{
	struct pgoutput_place p;

	w_init(&w);
	msgs_reset(&m);
	m_message(&m, 0x2040, false, "audit", SLICE("hello"));
	ok(w_feed(&w, &m) == 0 && w.b->n == 1,
	   "a message outside of transactions is an event");
	ok(last()->ordinal == 0 && last()->seq == 1 && last()->txn->xid == 0 &&
		   !last()->message->is_transactional && last()->pos == 0x2040,
	   "it has a seq, no ordinal and no transaction");
	is_slice(last()->txn->coord, "2040", "its LSN is its coordinate");
	ok(last()->txn->commit_us > 1000000000000000,
	   "its time is the time of reading");
	p = pgoutput_place(w.d);
	ok(p.end == 0x2040 && p.commit == 0 && p.n == 0,
	   "it is a boundary of its own");
	msgs_reset(&m);
	m_message(&m, 0x2080, false, "leat:shop", SLICE(""));
	ok(w_feed(&w, &m) == 0 && w.b->n == 1 &&
		   pgoutput_place(w.d).end == 0x2080 && pgoutput_seq(w.d) == 2,
	   "leat's own is counted and not shown");
	w_fini(&w);
}

static void test_boundaries(void)
{
	w_init(&w);
	msgs_reset(&m);
	m_begin(&m, 0x2000, 5);
	m_commit(&m, 0x2000);
	ok(w_feed(&w, &m) == 0 && w.b->n == 0 &&
		   pgoutput_place(w.d).end == 0x2008 && pgoutput_seq(w.d) == 0,
	   "an empty transaction moves the place and is nothing else");
	pgoutput_idle(w.d, 0x3000);
	pgoutput_idle(w.d, 0x2500);
	ok(pgoutput_place(w.d).end == 0x3000,
	   "between transactions the place follows the server, never back");
	msgs_reset(&m);
	m_begin(&m, 0x4000, 6);
	ok(w_feed(&w, &m) == 0 && pgoutput_place(w.d).commit == 0,
	   "a transaction without changes so far is not in the place");
	pgoutput_idle(w.d, 0x3800);
	ok(pgoutput_place(w.d).end == 0x3000, "inside one it does not move");
	msgs_reset(&m);
	m_origin(&m, "upstream");
	m_relation(&m, USERS, "public", "users", 'd', 3, users);
	m_insert(&m, 1, USERS, "1|a|b");
	ok(w_feed(&w, &m) == 0, "a replicated transaction is read");
	is_slice(last()->txn->replicated_from, "upstream",
		 "it tells where it comes from");
	w_rest(&w);
	msgs_reset(&m);
	m_insert(&m, 1, USERS, "2|a|b");
	ok(w_feed(&w, &m) == 0 && w.b->n == 1 && last()->ordinal == 2,
	   "a transaction goes on in the next batch");
	ok(slice_is(last()->txn->coord, "4000") &&
		   slice_is(last()->txn->replicated_from, "upstream"),
	   "with a copy of what is known of it");
	msgs_reset(&m);
	m_commit(&m, 0x4000);
	m_begin(&m, 0x5000, 7);
	m_insert(&m, 1, USERS, "3|a|b");
	ok(w_feed(&w, &m) == 0 && last()->txn->replicated_from.n == 0,
	   "the next transaction is the server's own");
	w_fini(&w);
}

static void test_versions(void)
{
	static const struct col wider[] = {{"id", INT4, -1, true},
					   {"name", TEXT, -1, false},
					   {"bio", TEXT, -1, false},
					   {"age", INT4, -1, false}};
	struct table *first;

	begin_known('d', users);
	first = registry_get(&w.reg, SLICE("public.users"));
	m_relation(&m, USERS, "public", "users", 'd', 3, users);
	m_insert(&m, 2, USERS, "2|a|b");
	ok(w_feed(&w, &m) == 0 && w.b->n == 1 && last()->table == first &&
		   w.describes == 1,
	   "a shape that is sent again is the same version");
	msgs_reset(&m);
	m_relation(&m, USERS, "public", "users", 'd', 4, wider);
	ok(w_feed(&w, &m) == 0 && w.b->n == 1 && w.describes == 1,
	   "another shape is nothing as long as no row has it");
	msgs_reset(&m);
	m_insert(&m, 3, USERS, "3|a|b|40");
	ok(w_feed(&w, &m) == 0 && w.b->n == 3 && w.describes == 2,
	   "with its first row it is a version");
	ok(w.b->ev[1].op == OP_SCHEMA && w.b->ev[1].schema->prev == first &&
		   w.b->ev[1].table->version == 2 &&
		   w.b->ev[1].table->from_seq == 3 && w.b->ev[1].seq == 3,
	   "which follows the one before and says so");
	is_slice(w.b->ev[1].schema->cursor_source, "1000 16E9BB8 2",
		 "the cursor in front of it lies inside the transaction");
	ok(w.b->ev[2].table == w.b->ev[1].table && w.b->ev[0].table == first,
	   "rows have the version of their place");
	w_fini(&w);
}

static void test_names(void)
{
	struct col user_types[] = {{"d", 16500, -1, true},
				   {"mood", 16501, -1, false},
				   {"v", 1043, 24, false},
				   {"far", 16502, -1, false}};
	struct table *tab;

	w_init(&w);
	msgs_reset(&m);
	m_begin(&m, 0x2000, 1);
	m_type(&m, 16500, "", "int4");
	m_type(&m, 16501, "public", "mood");
	m_relation(&m, USERS, "public", "t", 'd', 4, user_types);
	m_insert(&m, 1, USERS, "5|sad|x|y");
	ok(w_feed(&w, &m) == 0, "a table with types of users is read");
	tab = last()->table;
	ok(last()->after[0].tag == VALUE_INT && tab->cols[0].type == TYPE_INT32,
	   "a domain is read as its base type");
	ok(tab->cols[1].type == TYPE_OTHER &&
		   slice_is(tab->cols[1].type_name, "public.mood"),
	   "another type is text, named by its Type message");
	ok(tab->cols[3].type == TYPE_OTHER && tab->cols[3].type_name.n == 0,
	   "one without a message is text too");
	w_fini(&w);

	w_init(&w);
	w.enum_type = "mood_of_today";
	ok(w_feed(&w, &m) == 0, "it is read with a catalog that knows more");
	tab = last()->table;
	ok(tab->cols[1].type == TYPE_ENUM &&
		   slice_is(tab->cols[1].type_name, "mood_of_today"),
	   "the catalog tells that a type is an enum, and its name");
	is_slice(tab->cols[2].type_name, "varchar(20)",
		 "the names of built-in types are the stream's");
	w_fini(&w);
}

static void test_keys(void)
{
	static const struct col by_name[] = {{"id", INT4, -1, false},
					     {"name", TEXT, -1, true},
					     {"bio", TEXT, -1, false}};
	struct table *tab;

	w_init(&w);
	w.pk[0] = 2; /* the catalog of now */
	w.not_null = 3;
	msgs_reset(&m);
	m_begin(&m, 0x2000, 1);
	m_relation(&m, USERS, "public", "users", 'd', 3, users);
	m_insert(&m, 1, USERS, "1|a|b");
	ok(w_feed(&w, &m) == 0, "a table is described");
	tab = last()->table;
	ok(table_in_key(tab, 0) && !table_in_key(tab, 1),
	   "a primary key that was not the identity then is not believed");
	ok(!tab->cols[0].is_nullable && tab->cols[1].is_nullable &&
		   !tab->cols[2].is_nullable,
	   "an identity column is not null, others as the catalog says");
	w_fini(&w);

	w_init(&w);
	w.pk[0] = 1;
	msgs_reset(&m);
	m_begin(&m, 0x2000, 1);
	m_relation(&m, USERS, "public", "users", 'i', 3, by_name);
	m_update(&m, 1, USERS, 'K', "~|a|~", "1|b|x");
	ok(w_feed(&w, &m) == 0 && last()->key_changed,
	   "with identity INDEX its columns are the key");
	tab = last()->table;
	ok(tab->identity == IDENTITY_INDEX && !table_in_key(tab, 0) &&
		   table_in_key(tab, 1),
	   "also where there is a primary key that updates do not carry");
	w_fini(&w);
}

/* Two tables can be called a.b.c: a."b.c" and "a.b".c. */
static void test_dotted_names(void)
{
	begin_known('d', users);
	m_relation(&m, 1, "a.b", "c", 'd', 3, users);
	m_insert(&m, 2, 1, "1|a|b");
	m_relation(&m, 2, "a", "b.c", 'd', 3, users);
	m_insert(&m, 3, 2, "1|a|b");
	m_insert(&m, 4, 1, "2|a|b");
	ok(w_feed(&w, &m) == 0, "tables with dots in their names are read");
	ok(w.b->n == 5 && w.b->ev[1].table->version == 1 &&
		   w.b->ev[3].table->version == 1 &&
		   last()->table == w.b->ev[1].table,
	   "and each has versions of its own");
	w_fini(&w);
}

/* A world that goes on where another agent stood: E 0x3000, of transaction 7 it has
 * delivered the changes up to 0x2500. */
static void begin_taken(uint64_t n)
{
	const struct pgoutput_place from = {.end = 0x3000, .taken_xid = 7,
					    .taken_lsn = 0x2500, .taken_n = n};

	w_init(&w);
	w_connect(&w, &from, 0);
	msgs_reset(&m);
}

static void put_rows(uint64_t commit, uint32_t xid, const uint64_t *lsn, size_t n)
{
	m_begin(&m, commit, xid);
	m_relation(&m, USERS, "public", "users", 'd', 3, users);
	for (size_t i = 0; i < n; i++)
		m_insert(&m, lsn[i], USERS, "1|a|b");
}

static void test_taken(void)
{
	static const uint64_t other[] = {0x2100, 0x2200}, lsn[] = {0x2400, 0x2500, 0x2600},
			      copied[] = {0x2500, 0x2500, 0x2500};

	begin_taken(0);
	put_rows(0x4000, 6, other, 2);
	m_commit(&m, 0x4000);
	ok(w_feed(&w, &m) == 0 && w.b->n == 3,
	   "of another transaction nothing was taken, whatever its LSNs");
	ok(pgoutput_place(w.d).taken_xid == 7, "the place still says what was");
	w_rest(&w);
	msgs_reset(&m);
	put_rows(0x5000, 7, lsn, 3);
	ok(w_feed(&w, &m) == 0 && w.b->n == 1 && w.b->ev[0].ordinal == 3 &&
		   w.b->ev[0].seq == 3,
	   "what was taken has ordinals, and no seq and no event");
	ok(pgoutput_place(w.d).n == 3 && pgoutput_place(w.d).taken_xid == 0,
	   "behind it the place counts as ever");
	w_fini(&w);

	begin_taken(0);
	put_rows(0x5000, 7, lsn, 2);
	m_commit(&m, 0x5000);
	ok(w_feed(&w, &m) == 0 && w.b->n == 0 && pgoutput_place(w.d).end == 0x5008 &&
		   pgoutput_place(w.d).taken_xid == 0,
	   "a transaction that was taken whole makes nothing");
	w_fini(&w);

	begin_taken(0);
	put_rows(0x5000, 7, copied, 3);
	ok(w_feed(&w, &m) == -1 && w.e.code == CODE_taken_doubt,
	   "of several changes with one LSN it must be known how many were taken");
	w_fini(&w);
	begin_taken(2);
	put_rows(0x5000, 7, copied, 3);
	ok(w_feed(&w, &m) == 0 && last()->ordinal == 3, "and the others are delivered");
	w_fini(&w);
}

int main(void)
{
	test_lsn();
	test_insert();
	test_update();
	test_delete();
	test_ordinals();
	test_lone_message();
	test_boundaries();
	test_versions();
	test_names();
	test_keys();
	test_dotted_names();
	test_taken();
	buf_fini(&m.bytes);
	return tap_done();
}
