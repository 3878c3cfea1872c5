#include "config.h"
#include "sources/my_event.h"

#include <zlib.h>

#include "t/mymsg.h"

#define UUID "2dcbaa1f-e4f9-11f1-ad2e-02fc00000001"

static struct err e;

static const char *begun(enum my_flavour flavour, uint8_t type, const char *text,
			 size_t checksum, struct my_begin *b)
{
	static char out[MY_GTID_SIZE];
	struct my_header h = {.type = type, .server_id = 1};
	struct wire w = body_of(text, checksum);

	e = ERR_INIT;
	if (my_event_begin(&h, &w, b, &e) < 0)
		return e.msg;
	my_gtid_print(out, flavour, &b->id);
	return out;
}

static const char gtid[] =
	"002dcbaa1fe4f911f1ad2e02fc00000001080000000000000002010000000000000002"
	"00000000000000a2c0fd24b76006fc1b01506201009b5648f1";
static const char tagged[] =
	"0274000000025a2d03a9023e9103e50322c503b5025c04f103000000020404060a6d7974"
	"616708040a100c7f60c6fd24b7600610b1041283120b1294751a";

static void test_begin(void)
{
	struct my_begin b;

	is_str(begun(MY_MYSQL, MY_GTID, gtid, 4, &b), UUID ":8", "a GTID event");
	is_int(b.commit_us, 0x0660b724fdc0a2, "has the time of the commit");
	is_str(begun(MY_MYSQL, MY_GTID_TAGGED, tagged, 4, &b), UUID ":mytag:1",
	       "a tagged one");
	is_int(b.commit_us, 1795189576156768, "has it too");
	is_str(begun(MY_MARIADB, MY_MARIA_GTID,
		     "0d00000000000000 00000000 29 000000000000", 0, &b),
	       "0-1-13", "MariaDB's");
	ok(b.is_standalone && !b.is_prepared_xa, "says that one statement is all");
	begun(MY_MYSQL, MY_ANONYMOUS_GTID, gtid, 4, &b);
	is_int((long long)b.id.number, 0, "an anonymous one has no number");
	for (size_t cut = 0; cut < 12; cut++) {
		begun(MY_MARIADB, MY_MARIA_GTID,
		      "0d00000000000000 00000000 29", 13 - cut, &b);
		is_int(e.code, CODE_source_protocol, "of %zu bytes it is refused", cut);
	}
}

static void is_gtids(uint8_t type, enum my_flavour flavour, const char *text,
		     size_t checksum, const char *want)
{
	struct my_header h = {.type = type};
	struct wire w = body_of(text, checksum);
	struct my_gtid_set set;
	struct buf b = BUF_INIT;

	my_gtid_set_init(&set, flavour);
	e = ERR_INIT;
	ok(my_event_gtids(&h, &w, &set, &e) == 0, "a set of GTIDs is read");
	my_gtid_set_print(&set, &b);
	is_slice(b, want, "as what it is");
	buf_fini(&b);
	my_gtid_set_fini(&set);
}

static void test_sets(void)
{
	is_gtids(MY_PREVIOUS_GTIDS, MY_MYSQL,
		 "01000000000000002dcbaa1fe4f911f1ad2e02fc0000000101000000000000"
		 "00010000000000000007000000000000007879810d",
		 4, UUID ":1-6");
	is_gtids(MY_PREVIOUS_GTIDS, MY_MYSQL,
		 "01020000000000012dcbaa1fe4f911f1ad2e02fc0000000100010000000000"
		 "000001000000000000000e000000000000002dcbaa1fe4f911f1ad2e02fc00"
		 "0000010a6d79746167010000000000000001000000000000000200000000000"
		 "000ec756e2a",
		 4, UUID ":1-13:mytag:1");
	is_gtids(MY_MARIA_GTID_LIST, MY_MARIADB,
		 "02000000 050000000200000001000000 00000000"
		 " 00000000020000000c00000000000000",
		 0, "0-2-12,5-2-1");
}

static struct slice with_checksum(struct slice ev)
{
	struct buf b = BUF_INIT;

	buf_slice(&b, ev);
	b.p[9] = (char)(ev.n + 4); /* small ones only */
	buf_le32(&b, (uint32_t)crc32(0, (const Bytef *)b.p, (uInt)b.n));
	return stays(&b);
}

static void test_envelope(void)
{
	struct slice plain = event_of(MY_XID, unhex("0102030405060708"));
	struct slice sealed = with_checksum(plain);
	struct my_header h;
	struct wire w;

	e = ERR_INIT;
	ok(my_event_open(plain, false, &h, &w, &e) == 0 && wire_left(&w) == 8,
	   "an event without a checksum is opened");
	ok(h.type == MY_XID && h.end == 4711 && h.time == 1700000000,
	   "its header is read");
	ok(my_event_open(sealed, true, &h, &w, &e) == 0 && wire_left(&w) == 8,
	   "one with a checksum is opened, and the checksum is no part of it");
	((char *)sealed.p)[20] ^= 1;
	ok(my_event_open(sealed, true, &h, &w, &e) < 0 &&
		   e.code == CODE_source_protocol,
	   "one that was damaged is refused");
	for (size_t n = 0; n < sealed.n; n++) {
		e = ERR_INIT;
		if (my_event_open((struct slice){sealed.p, n}, true, &h, &w, &e) == 0)
			ok(false, "%zu bytes of it are none", n);
	}
	ok(true, "nor is a part of it one");
}

static void test_query(void)
{
	struct wire w = body_of("01000000 02000000 02 0000 0300 aabbcc 6462 00"
				" 424547494e", 0);
	struct my_query q;

	e = ERR_INIT;
	ok(my_event_query(&w, &q, &e) == 0, "a statement is read");
	is_slice(q.db, "db", "with its database");
	is_slice(q.sql, "BEGIN", "and its text");
}

static void test_numbers(void)
{
	struct wire w = body_of("fb", 0);

	my_lenenc(&w);
	ok(!wire_ok(&w), "NULL is no length");
	w = body_of("fa fcffff fd010203 fe0102030405060708", 0);
	is_int((long long)my_lenenc(&w), 0xfa, "a length of one byte");
	is_int((long long)my_lenenc(&w), 0xffff, "of two");
	is_int((long long)my_lenenc(&w), 0x030201, "of three");
	is_int((long long)my_lenenc(&w), 0x0807060504030201, "of eight");
	ok(wire_ok(&w), "all are there");
	w = body_of("05 0102", 0);
	my_lenenc_slice(&w);
	ok(!wire_ok(&w), "a text that ends early is refused");
}

int main(void)
{
	test_begin();
	test_sets();
	test_envelope();
	test_query();
	test_numbers();
	return tap_done();
}
