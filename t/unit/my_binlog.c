/* Transactions, and going on inside of them. */
#include "config.h"
#include "sources/my_binlog.h"

#include "t/mymsg.h"

#define UUID "2dcbaa1f-e4f9-11f1-ad2e-02fc00000001"
static const char start[] = "mysql server=- gtids=" UUID ":1-7 flight=- n=0 hash=0";

static struct my_world w;

static struct slice cut4(const char *text)
{
	struct slice s = unhex(text);

	s.n -= 4;
	return s;
}

static struct slice gtid(void)
{
	return unhex("002dcbaa1fe4f911f1ad2e02fc000000010800000000000000");
}

static struct slice query(const char *sql)
{
	struct buf b = BUF_INIT;

	buf_put(&b, "\0\0\0\0\0\0\0\0\1\0\0\0\0t", 15);
	buf_text(&b, sql);
	return stays(&b);
}

/* The first n events of a transaction of three rows; those that were read. */
static int feed(int n)
{
	const struct {
		uint8_t type;
		struct slice body;
	} all[] = {
		{MY_GTID, gtid()},
		{MY_QUERY, query("BEGIN")},
		{MY_TABLE_MAP, cut4(my_recorded_map)},
		{MY_WRITE, cut4(my_recorded_row)},
		{MY_WRITE, cut4(my_recorded_row)},
		{MY_DELETE, cut4(my_recorded_row)},
		{MY_XID, unhex("0000000000000000")},
	};
	int i;

	for (i = 0; i < n; i++)
		if (mw_event(&w, all[i].type, all[i].body) < 0)
			break;
	return i;
}

static void begin(const char *from, uint64_t seq)
{
	mw_fini(&w);
	mw_init(&w);
	mw_connect(&w, MY_MYSQL, slice_of(from), seq);
}

static void test_whole(void)
{
	begin(start, 100);
	is_int(feed(7), 7, "a transaction is read");
	is_int((long long)w.b->n, 4, "a shape and three rows");
	is_str(op_name(w.b->ev[0].op), "schema", "the shape first");
	is_slice(w.b->ev[0].schema->cursor_source, start,
		 "in front of which the place is that of before");
	is_str(op_name(w.b->ev[3].op), "delete", "the last is a delete");
	ok(w.b->ev[3].seq == 103 && w.b->ev[3].ordinal == 3 &&
		   w.b->ev[3].table_ordinal == 3,
	   "numbered");
	is_slice(w.b->ev[1].txn->id, UUID ":8", "of a transaction called by its GTID");
	is_slice(mw_place(&w), "mysql server=- gtids=" UUID ":1-8 flight=- n=0 hash=0",
		 "and that is complete then");
}

/* Cut behind each of its rows it goes on with the next. */
static void test_resume(void)
{
	for (int at = 4; at <= 6; at++) {
		char from[300];
		uint64_t seq;

		begin(start, 100);
		feed(at);
		snprintf(from, sizeof(from), "%.*s", SLICE_ARG(mw_place(&w)));
		seq = my_binlog_seq(w.d);
		ok(my_binlog_in_transaction(w.d), "cut behind %d rows", at - 3);
		mw_rest(&w);
		mw_connect(&w, MY_MYSQL, slice_of(from), seq);
		is_int(feed(7), 7, "it is read again");
		is_int((long long)w.b->n, 6 - at, "and what was delivered is not again");
		if (w.b->n > 0)
			ok(w.b->ev[0].seq == seq + 1 &&
				   w.b->ev[0].ordinal == (uint64_t)at - 2,
			   "the numbers go on");
		is_slice(mw_place(&w),
			 "mysql server=- gtids=" UUID ":1-8 flight=- n=0 hash=0",
			 "up to its end");
	}
}

static void is_refused(const char *from, int reads, enum code code,
		       const char *what)
{
	begin(from, 1);
	is_int(feed(7), reads, "%s: so far it is read", what);
	is_str(code_name(w.e.code), code_name(code), "%s", what);
}

static void test_diverged(void)
{
	is_refused("mysql server=- gtids=" UUID ":1-7 flight=" UUID ":8 n=2 hash=1",
		   4, CODE_diverged, "other rows than were delivered");
	is_refused("mysql server=- gtids=" UUID ":1-7 flight=" UUID ":8 n=9 hash=1",
		   6, CODE_diverged, "fewer rows than were delivered");
	is_refused("mysql server=- gtids=" UUID ":1-7 flight=" UUID ":9 n=2 hash=1",
		   3, CODE_diverged, "another transaction first");
}

static void test_refused(void)
{
	begin(start, 0);
	feed(4);
	ok(mw_event(&w, MY_QUERY, query("ROLLBACK")) < 0 && w.e.code == CODE_poisoned,
	   "rows that were rolled back");
	begin(start, 0);
	feed(1);
	ok(mw_event(&w, MY_QUERY, query("INSERT INTO x VALUES (1)")) < 0 &&
		   w.e.code == CODE_source_config,
	   "a change as a statement");
	begin(start, 0);
	ok(mw_event(&w, MY_INCIDENT, unhex("0100 03 616263")) < 0 &&
		   w.e.code == CODE_poisoned,
	   "an incident");
	begin(start, 0);
	ok(mw_event(&w, MY_ANONYMOUS_GTID, gtid()) < 0 &&
		   w.e.code == CODE_source_config,
	   "a transaction without a GTID");
	begin(start, 0);
	ok(mw_event(&w, 99, unhex("00")) < 0 && w.e.code == CODE_source_config,
	   "an event that nobody knows");
	begin(start, 0);
	ok(mw_event(&w, MY_WRITE, cut4(my_recorded_row)) < 0, "rows out of nowhere");
}

static void test_statements(void)
{
	begin(start, 0);
	feed(1);
	ok(mw_event(&w, MY_QUERY, query("ALTER TABLE x ADD y int")) == 0 &&
		   !my_binlog_in_transaction(w.d) && w.b->n == 0,
	   "a statement is a transaction without changes");
	is_slice(mw_place(&w), "mysql server=- gtids=" UUID ":1-8 flight=- n=0 hash=0",
		 "that is complete");
	is_int(feed(7), 7, "one that is complete comes again");
	is_int((long long)w.b->n, 0, "and is passed over");
}

int main(void)
{
	mw_init(&w);
	test_whole();
	test_resume();
	test_diverged();
	test_refused();
	test_statements();
	mw_fini(&w);
	return tap_done();
}
