#include "config.h"
#include "agent/state.h"

#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "t/tap.h"

static char dir[128];

static struct state *must_open(enum state_mode mode)
{
	struct err e = ERR_INIT;
	struct state *st = state_open(dir, "p", mode, true, &e);

	if (st == NULL)
		printf("# %s\n", e.msg);
	return st;
}

static void test_cursor(void)
{
	struct err e = ERR_INIT;
	struct state *st = must_open(STATE_CREATE);
	struct cursor c = {3, 42, SLICE("pg end=0/1"), 0, false};
	struct buf text = BUF_INIT;
	uint32_t pending = 9;

	ok(state_cursor(st, &text, &e) == 0 && text.n == 0,
	   "a new state has no cursor");
	ok(state_set_cursor(st, &c, &e) == 0, "a cursor is stored");
	ok(state_set_pending(st, 4, &e) == 0, "so is a pending incarnation");
	ok(state_open(dir, "p", STATE_LOCK, true, &e) == NULL &&
	   e.code == CODE_state_held, "a second one finds it locked");
	state_close(st);
	st = must_open(STATE_LOOK);
	e = ERR_INIT;
	ok(state_cursor(st, &text, &e) == 0, "it is read without a lock");
	is_slice(text, "leat1 3 42 pg end=0/1", "and says what was stored");
	ok(state_pending(st, &pending, &e) == 0 && pending == 4,
	   "also the pending incarnation");
	state_close(st);
	buf_fini(&text);
}

static int count(void *arg, struct table *tab, struct err *e)
{
	(void)e;
	*(unsigned *)arg = *(unsigned *)arg * 10 + tab->version;
	return 0;
}

static void test_tables(void)
{
	struct err e = ERR_INIT;
	struct state *st = must_open(STATE_LOCK);
	struct column col = {.name = SLICE("id"), .type = TYPE_INT64,
			     .modifier = -1};
	struct table proto = {.schema = SLICE("public"), .name = SLICE("t"),
			      .ncols = 1, .cols = &col};
	unsigned seen = 0;

	for (uint32_t v = 1; v <= 3; v++) {
		struct table *tab;

		proto.version = v;
		proto.from_seq = v * 10;
		tab = table_new(&proto);
		ok(state_add_table(st, tab, &e) == 0, "version %u is stored", v);
		table_unref(tab);
	}
	ok(state_each_table(st, count, &seen, &e) == 0, "versions are read");
	is_int(seen, 123, "in order");
	ok(state_forget_tables(st, 20, &e) == 0, "later ones are forgotten");
	seen = 0;
	ok(state_each_table(st, count, &seen, &e) == 0 && seen == 12,
	   "a version that began at the cursor stays");
	state_close(st);
}

/* Alters the file behind leat's back, and reads all of it. */
static enum code read_after(const char *sql)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	struct state *st;
	uint32_t pending;
	unsigned seen = 0;
	char path[160];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/p/state.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		printf("# %s: %s\n", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
	st = state_open(dir, "p", STATE_CREATE, true, &e);
	if (st != NULL && state_cursor(st, &text, &e) == 0 &&
	    state_pending(st, &pending, &e) == 0 &&
	    state_each_table(st, count, &seen, &e) == 0)
		e = ERR_INIT;
	state_close(st);
	buf_fini(&text);
	return e.code;
}

static void test_altered(void)
{
	ok(read_after("BEGIN; COMMIT") == CODE_none, "what is whole can be read");
	ok(read_after("UPDATE table_version SET shape = shape || x'00'") ==
		   CODE_state_corrupt, "a shape that is too long is damage");
	ok(read_after("UPDATE table_version SET shape = x'01'") ==
		   CODE_state_corrupt, "so is one cut short");
	ok(read_after("DELETE FROM table_version; UPDATE pipeline SET pending = -1") ==
		   CODE_state_corrupt, "an incarnation that there cannot be");
	ok(read_after("DELETE FROM pipeline") == CODE_state_corrupt,
	   "a missing row");
	ok(read_after("DROP TABLE pipeline") == CODE_state_corrupt,
	   "and a missing table");
}

static void test_damage(void)
{
	struct err e = ERR_INIT;
	struct state *st;
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/p/state.db", dir);
	f = fopen(path, "r+");
	fputs("this is not a database at all, is it?", f);
	fclose(f);
	st = state_open(dir, "p", STATE_CREATE, true, &e);
	ok(st == NULL && e.code == CODE_state_corrupt,
	   "a damaged file is said to be one");
	is_int(code_exit(e.code), 9, "with exit status 9");
	state_close(st);
	e = ERR_INIT;
	ok(state_open(dir, "nope", STATE_LOCK, true, &e) == NULL &&
	   e.code == CODE_failed, "a state that must exist is not made");
}

int main(void)
{
	char cmd[160];

	tap_dir(dir, "state");
	test_cursor();
	test_tables();
	test_altered();
	test_damage();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# could not remove %s\n", dir);
	return tap_done();
}
