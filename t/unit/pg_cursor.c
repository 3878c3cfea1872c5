/* The cursor's text, timelines, and going from one place to another. */
#include "config.h"
#include "sources/pg_cursor.h"

#include "t/tap.h"

static const char text[] = "pg sysid=7343161711345203361 tli=2 end=16/B374D848"
			   " commit=16/B374E000 n=7 hash=9F01 opt=0000BEEF";
static const char history[] = "1\t0/5000\tno recovery target specified\n"
			      "2\t16/C0000000\tno recovery target specified\n";

static bool parses(const char *s)
{
	struct pg_cursor c;

	return pg_cursor_parse(slice_of(s), &c);
}

static void test_text(void)
{
	struct pg_cursor c;
	char out[PG_CURSOR_SIZE];

	ok(pg_cursor_parse(slice_of(text), &c), "a cursor is read");
	ok(c.sysid == UINT64_C(7343161711345203361) && c.tli == 2,
	   "system identifier and timeline");
	ok(c.place.end == UINT64_C(0x16B374D848) &&
		   c.place.commit == UINT64_C(0x16B374E000) && c.place.n == 7 &&
		   c.place.hash == 0x9f01 && c.opt == 0xbeef,
	   "the place and the options' hash");
	is_int((long long)pg_cursor_print(out, &c), (long long)strlen(text),
	       "printing tells the length");
	is_str(out, text, "what is printed is what was read");
	ok(!parses("intent"), "the intent is no cursor");
	ok(!parses(""), "nothing is no cursor");
	ok(!parses("pg sysid=1 tli=0 end=0/1 commit=0/0 n=0 hash=0 opt=0"),
	   "there is no timeline 0");
	ok(!parses("pg sysid=1 tli=1 end=0/0 commit=0/0 n=0 hash=0 opt=0"),
	   "a cursor stands somewhere");
	ok(!parses("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0 opt=0 x=1"),
	   "nothing may follow");
	ok(!parses("pg tli=1 sysid=1 end=0/1 commit=0/0 n=0 hash=0 opt=0"),
	   "the order is fixed");
	ok(!parses("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0"),
	   "every part must be there");
	ok(!parses("pg sysid=1 tli=4294967296 end=0/1 commit=0/0 n=0 hash=0 "
		   "opt=0"),
	   "a timeline has 32 bits");
	ok(pg_cursor_parse(SLICE("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0 opt=0 taken=7,0/2500,2"),
			   &c) &&
		   c.place.taken_xid == 7 && c.place.taken_lsn == 0x2500 &&
		   c.place.taken_n == 2,
	   "what another agent had delivered may follow");
	ok(!parses("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0 opt=0 taken=0,0/1,0") &&
		   !parses("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0 opt=0 taken=7,1,0") &&
		   !parses("pg sysid=1 tli=1 end=0/1 commit=0/0 n=0 hash=0 opt=0 taken=7,0/1"),
	   "but only whole");
	memset(&c, 0xff, sizeof(c));
	ok(pg_cursor_print(out, &c) < PG_CURSOR_SIZE,
	   "the longest cursor fits its buffer");
	ok(parses(out), "and is read again");
}

static enum code on_history(uint64_t end, uint64_t commit, uint32_t was,
			    uint32_t is, const char *lines)
{
	struct pg_cursor c = {.tli = was, .place = {.end = end, .commit = commit}};
	struct err e = ERR_INIT;
	int rc = pg_cursor_on_history(&c, is, slice_of(lines), &e);

	return rc == 0 ? CODE_none : e.code;
}

static void test_timelines(void)
{
	ok(on_history(0x9000, 0, 3, 3, "") == CODE_none,
	   "the same timeline needs no history");
	ok(on_history(0x5000, 0, 1, 3, history) == CODE_none,
	   "a cursor at the switch point is on the new timeline");
	ok(on_history(0x5001, 0, 1, 3, history) == CODE_diverged,
	   "one behind it is not");
	ok(on_history(0x4000, 0x4800, 1, 3, history) == CODE_none,
	   "a transaction in flight that committed before the switch is there");
	ok(on_history(0x4000, 0x5000, 1, 3, history) == CODE_diverged,
	   "one whose commit record would begin at the switch point is not");
	ok(on_history(UINT64_C(0x16B0000000), 0, 2, 3, history) == CODE_none,
	   "the switch of the cursor's own timeline counts");
	ok(on_history(0x9000, 0, 4, 3, history) == CODE_wrong_server,
	   "a server on an older timeline is not the one");
	ok(on_history(0x100, 0, 1, 3, "2\t0/5000\tx\n") == CODE_diverged,
	   "a history without the cursor's timeline is another history");
	ok(on_history(0x100, 0, 1, 3, "1\tgarbage\n1") == CODE_diverged,
	   "a history that cannot be read is another history");
}

static void test_compare(void)
{
	struct pg_cursor at = {.place = {.end = 0x100}};
	struct pg_cursor in = {.place = {.end = 0x100, .commit = 0x200, .n = 5}};
	struct pg_cursor to;
	bool skips, repeats;

#define GO(from, e, c, k) \
	(to = (struct pg_cursor){.place = {.end = (e), .commit = (c), .n = (k)}}, \
	 pg_cursor_compare(&(from), &to, &skips, &repeats))
	GO(at, 0x100, 0, 0);
	ok(!skips && !repeats, "going nowhere loses and repeats nothing");
	GO(at, 0x101, 0, 0);
	ok(skips && !repeats, "forwards skips");
	GO(at, 0xff, 0, 0);
	ok(!skips && repeats, "backwards repeats");
	GO(in, 0x100, 0, 0);
	ok(!skips && repeats, "to the start of the transaction in flight repeats");
	GO(in, 0x180, 0, 0);
	ok(!skips && repeats, "up to its commit record there is nothing else");
	GO(in, 0x100, 0x200, 3);
	ok(!skips && repeats, "back inside it repeats");
	GO(in, 0x100, 0x200, 9);
	ok(skips && !repeats, "on inside it skips");
	GO(in, 0x201, 0, 0);
	ok(skips && !repeats, "past it skips its rest");
	GO(at, 0x100, 0x200, 3);
	ok(skips && !repeats, "into the next transaction skips");
#undef GO
}

int main(void)
{
	test_text();
	test_timelines();
	test_compare();
	return tap_done();
}
