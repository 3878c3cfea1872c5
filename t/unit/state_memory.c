/* Every allocation of the state fails once, SQLite's own too: an error, and
 * never a state that looks as if something had not been stored. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/state.h"
#include "t/tap.h"
#include "t/unit/memory_lib.h"

static char dir[128];

/* --- SQLite's allocations count with ours ----------------------------- */

static sqlite3_mem_methods real;

static void *sql_malloc(int n)
{
	return memory_fails() ? NULL : real.xMalloc(n);
}

static void *sql_realloc(void *p, int n)
{
	return memory_fails() ? NULL : real.xRealloc(p, n);
}

static void take_over(void)
{
	sqlite3_mem_methods ours;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
		abort();
	ours = real;
	ours.xMalloc = sql_malloc;
	ours.xRealloc = sql_realloc;
	/* with the small allocations as real ones */
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
	    sqlite3_initialize() != SQLITE_OK)
		abort();
}

/* --- */

static void clean(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/p", dir);
	if (system(cmd) != 0)
		abort();
}

static struct table *shape(uint32_t version)
{
	struct column col = {.name = SLICE("id"), .type = TYPE_INT64,
			     .modifier = -1};
	struct table proto = {.schema = SLICE("public"), .name = SLICE("t"),
			      .version = version, .from_seq = version,
			      .ncols = 1, .cols = &col};

	return table_new(&proto);
}

static int count(void *arg, struct table *tab, struct err *e)
{
	(void)tab, (void)e;
	++*(unsigned *)arg;
	return 0;
}

/* What a state says: its cursor and how many versions of tables. */
static int read_all(struct buf *text, unsigned *tables, struct err *e)
{
	struct state *st = state_open(dir, "p", STATE_CREATE, true, e);
	uint32_t pending;
	int rc = -1;

	*tables = 0;
	if (st != NULL && state_cursor(st, text, e) == 0 &&
	    state_pending(st, &pending, e) == 0 &&
	    state_each_table(st, count, tables, e) == 0)
		rc = 0;
	state_close(st);
	return rc;
}

static int write_all(const struct table *tab, uint64_t seq, struct err *e)
{
	struct state *st = state_open(dir, "p", STATE_CREATE, true, e);
	struct cursor c = {1, seq, SLICE("here"), 0, false};
	int rc = -1;

	if (st != NULL && state_add_table(st, tab, e) == 0 &&
	    state_set_pending(st, 2, e) == 0 &&
	    state_set_cursor(st, &c, e) == 0 &&
	    state_forget_tables(st, 9, e) == 0)
		rc = 0;
	state_close(st);
	return rc;
}

static void test_read(void)
{
	struct table *tab = shape(1);
	struct err e = ERR_INIT;
	bool good, failed = true;
	long n = 0;

	clean();
	good = write_all(tab, 5, &e) == 0;
	for (; good && failed && n < 20000; n++) {
		struct buf text = BUF_INIT;
		unsigned tables;
		int rc;

		e = ERR_INIT;
		memory_fail(n);
		rc = read_all(&text, &tables, &e);
		failed = memory_has_failed();
		good = rc != 0 ? e.code == CODE_no_memory
			       : tables == 1 && slice_is(buf_get(&text),
							 "leat1 1 5 here");
		if (!good)
			printf("# allocation %ld: %d, %.*s, %u tables, %s: %s\n",
			       n, rc, (int)text.n, text.p ? text.p : "", tables,
			       code_name(e.code), e.msg);
		buf_fini(&text);
	}
	ok(good && n > 100,
	   "a state that is read without memory, at any of %ld allocations, says so",
	   n - 1);
	table_unref(tab);
}

static void test_write(void)
{
	struct table *one = shape(1), *two = shape(2);
	bool good = true, failed = true;
	long n = 0;

	for (; good && failed && n < 20000; n++) {
		struct buf text = BUF_INIT;
		struct err e = ERR_INIT;
		unsigned tables;
		int rc;

		/* in turn a new one, and one that has something */
		clean();
		if (n % 2 == 1 && write_all(one, 5, &e) != 0)
			abort();
		memory_fail(n / 2);
		rc = write_all(two, 6, &e);
		failed = memory_has_failed() || n % 2 == 0;
		good = rc == 0 || e.code == CODE_no_memory;
		e = ERR_INIT;
		good = read_all(&text, &tables, &e) == 0 && good;
		good = good && (tables == n % 2 + 1 || (rc != 0 && tables == n % 2));
		good = good && (slice_is(buf_get(&text), "leat1 1 6 here") ||
				(rc != 0 && slice_is(buf_get(&text), n % 2 == 1
						     ? "leat1 1 5 here" : "")));
		if (!good)
			printf("# allocation %ld: %d, %.*s, %u tables, %s\n", n,
			       rc, (int)text.n, text.p ? text.p : "", tables, e.msg);
		buf_fini(&text);
	}
	ok(good && n > 200,
	   "one that is written so, at any of %ld, has the old or the new",
	   n / 2);
	table_unref(one);
	table_unref(two);
}

int main(void)
{
	take_over();
	tap_dir(dir, "state");
	test_read();
	test_write();
	clean();
	rmdir(dir);
	return tap_done();
}
