/* The catch-up gear: when, how large the next chunk, and the rows of one. */
#include "config.h"
#include "sources/pg_gear.h"

#include "base/err.h"
#include "sources/pg_peek.h"

#include "t/tap.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define BYTES(lit) ((struct slice){(lit), sizeof(lit) - 1})

static struct pg_gear gear;
static struct pg_gear_view view;
static uint64_t upto;

/* threshold 64 MiB, results of 1 GiB; everything is read up to `at`, confirmed
 * and where decoding begins */
static void begin(uint64_t at, uint64_t server)
{
	pg_gear_init(&gear, 64 << 20, 1 << 30);
	view = (struct pg_gear_view){at, at, at, at, server};
}

static void test_when(void)
{
	begin(MIB(1000), MIB(1063));
	ok(!pg_gear_pays(&gear, &view), "a small backlog is streamed");
	view.server = MIB(1064);
	ok(pg_gear_pays(&gear, &view), "one of the threshold is not");
	view.restart = MIB(900);
	ok(!pg_gear_pays(&gear, &view),
	   "if no more has to be decoded again than is new");
	view.restart = MIB(1000) - KIB(10);
	view.server = view.at;
	gear.threshold = 0;
	ok(!pg_gear_pays(&gear, &view), "nothing is no backlog");
	view.server++;
	ok(pg_gear_pays(&gear, &view), "a byte is, at threshold 0");
	view.server = view.at - 10;
	ok(!pg_gear_pays(&gear, &view), "a log that ends before us is none");
	/* it stood still for an hour */
	begin(MIB(1000), MIB(9000));
	view.restart -= MIB(400);
	ok(pg_gear_pays(&gear, &view),
	   "with much to catch up with, much may be decoded again");
	gear.limit = MIB(1);
	ok(!pg_gear_pays(&gear, &view), "but not for chunks of next to nothing");
	view.restart = view.at - MIB(16);
	ok(pg_gear_pays(&gear, &view), "unless that is little");
}

static void test_chunks(void)
{
	begin(MIB(1000), MIB(1100));
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_CHUNK &&
		   upto == view.server,
	   "a backlog that fits is one chunk");
	view.server = MIB(1015);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_DONE,
	   "less than a quarter of the threshold ends it");
	view.server = MIB(1016);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_CHUNK, "more does not");
	view.server = MIB(1000) + 2 * MIB(512) + MIB(100);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_CHUNK &&
		   upto == MIB(1100),
	   "the odd piece comes first");
	view.at = view.ended = view.confirmed = MIB(1100);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_CHUNK &&
		   upto == MIB(1100) + MIB(512),
	   "then the largest that half of the limit allows");
	view.at = view.ended = MIB(1100) + MIB(300);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_CHUNK &&
		   upto <= view.confirmed + MIB(512),
	   "what is not confirmed comes again and counts");
	view.at = view.ended = view.confirmed + MIB(512);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_WAIT,
	   "when it fills a chunk there is nothing to do but wait");
	view.ended = view.confirmed;
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_STREAM,
	   "unless a transaction in flight fills it: then nothing would be confirmed");
	gear.threshold = 0;
	view.restart = view.at;
	ok(!pg_gear_pays(&gear, &view), "nor is such a one begun with");
	view.ended = view.at;
	ok(pg_gear_pays(&gear, &view), "but the next one behind it");
	view.confirmed = view.at;
	view.restart = 1;
	view.server += MIB(2000);
	ok(pg_gear_plan(&gear, &view, &upto) == PG_GEAR_STREAM,
	   "where decoding would begin far back each time, stream");
}

static void test_results(void)
{
	begin(MIB(1000), MIB(9000));
	pg_gear_succeeded(&gear, &view, MIB(1100), MIB(400));
	pg_gear_plan(&gear, &view, &upto);
	ok(upto - view.at <= MIB(128), "a dense result makes the next chunk smaller");
	for (int i = 0; i < 60; i++)
		pg_gear_succeeded(&gear, &view, MIB(1100), 1);
	view.server = MIB(1000) + MIB(4096);
	pg_gear_plan(&gear, &view, &upto);
	ok(upto - view.at == MIB(4096), "sparse ones larger, eight times at most");
	view.server += MIB(1);
	pg_gear_plan(&gear, &view, &upto);
	ok(upto - view.at == MIB(1), "and no more");
	pg_gear_succeeded(&gear, &view, MIB(1000), UINT64_MAX);
	pg_gear_plan(&gear, &view, &upto);
	ok(upto > view.at && upto - view.at <= MIB(1),
	   "a count beyond measure is survived");
}

static void test_failures(void)
{
	uint64_t hold;

	begin(MIB(1000), MIB(9000));
	pg_gear_plan(&gear, &view, &upto);
	pg_gear_failed(&gear, &view, upto);
	ok(!pg_gear_pays(&gear, &view), "after a failure it streams");
	view.at = view.ended = view.confirmed = view.restart = upto;
	ok(pg_gear_pays(&gear, &view), "past the end of the chunk it tries again");
	pg_gear_plan(&gear, &view, &upto);
	ok(upto - view.at <= MIB(256), "with half of the size");
	pg_gear_failed(&gear, &view, upto);
	hold = gear.hold;
	ok(hold > upto, "fails it there too, it streams for longer");
	for (int i = 0; i < 200; i++) {
		view.at = view.ended = view.confirmed = view.restart = gear.hold;
		view.server = view.at + MIB(9000);
		pg_gear_plan(&gear, &view, &upto);
		pg_gear_failed(&gear, &view, upto);
	}
	ok(gear.hold > view.at && upto - view.at >= KIB(64),
	   "chunks do not shrink to nothing");
	view.at = view.ended = view.confirmed = view.restart = gear.hold;
	view.server = view.at + MIB(9000);
	for (int i = 0; i < 10; i++)
		pg_gear_succeeded(&gear, &view, view.at + MIB(1), MIB(1));
	pg_gear_plan(&gear, &view, &upto);
	ok(upto - view.at > MIB(200), "success makes them large again");
}

static void test_rows(void)
{
	static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
				   "\0\2\0\0\0\x8\0\0\0\1\0\0\0\2\0\0\0\3abc";
	static const char row[] = "\0\2\0\0\0\x8\0\0\0\0\0\0\0\7\0\0\0\0";
	struct err e = ERR_INIT;
	struct pg_peek k = {0};
	struct slice msg;
	uint64_t lsn;

	ok(pg_peek_row(&k, BYTES(head), &lsn, &msg, &e) == 1 &&
		   lsn == UINT64_C(0x100000002),
	   "the first row comes behind the head");
	is_slice(msg, "abc", "with its message");
	ok(pg_peek_row(&k, BYTES(row), &lsn, &msg, &e) == 1 && lsn == 7 &&
		   msg.n == 0,
	   "the next by itself");
	for (size_t n = 0; n < sizeof(row) - 1; n++) {
		struct err why = ERR_INIT;

		ok(pg_peek_row(&k, (struct slice){row, n}, &lsn, &msg, &why) < 0 &&
			   why.code == CODE_source_protocol,
		   "one of %zu bytes is malformed", n);
	}
	ok(k.rows == 2 && !k.has_ended, "two rows so far");
	ok(pg_peek_row(&k, BYTES("\377\377"), &lsn, &msg, &e) == 0 && k.has_ended,
	   "the end");
	ok(pg_peek_row(&k, BYTES(row), &lsn, &msg, &e) < 0,
	   "a row behind it is malformed");
	for (size_t n = 0; n < 19; n++) {
		struct err why = ERR_INIT;
		struct pg_peek fresh = {0};

		ok(pg_peek_row(&fresh, (struct slice){head, n}, &lsn, &msg,
			       &why) < 0,
		   "a head of %zu bytes is malformed", n);
	}
}

int main(void)
{
	test_when();
	test_chunks();
	test_results();
	test_failures();
	test_rows();
	return tap_done();
}
