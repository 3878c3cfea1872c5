/* Frames of the replication protocol, names, and what an SQLSTATE means. */
#include "config.h"
#include "sources/pg_stream.h"

#include "sources/pg.h"
#include "sources/pg_check.h"
#include "sources/pg_read.h"
#include "sources/pg_state.h"

#include "t/tap.h"

#define BYTES(lit) ((struct slice){(lit), sizeof(lit) - 1})
#define TIME "\0\0\0\0\0\0\0\1"

static void test_frames(void)
{
	struct pg_frame f;
	uint8_t out[PG_STATUS_SIZE];
	static const char want[] = "r\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\3"
				   "\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\5\1";

	ok(pg_frame_parse(BYTES("w\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\3" TIME "Bxyz"),
			  &f) && f.type == 'w',
	   "a message is a frame");
	ok(f.start == UINT64_C(0x100000002) && f.end == UINT64_C(0x100000003),
	   "with two positions");
	is_slice(f.payload, "Bxyz", "and a payload");
	ok(!pg_frame_parse(BYTES("w\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\3" TIME), &f),
	   "a message without one is malformed");
	ok(pg_frame_parse(BYTES("k\0\0\0\0\0\0\0\7" TIME "\1"), &f) &&
		   f.type == 'k' && f.end == 7 && f.asks,
	   "a keepalive that asks");
	ok(pg_frame_parse(BYTES("k\0\0\0\0\0\0\0\7" TIME "\0"), &f) && !f.asks,
	   "one that does not");
	for (size_t n = 0; n < 18; n++)
		ok(!pg_frame_parse((struct slice){"k\0\0\0\0\0\0\0\7" TIME, n}, &f),
		   "a keepalive of %zu bytes is malformed", n);
	ok(!pg_frame_parse(BYTES("x"), &f), "so is an unknown kind");
	pg_status_put(out, UINT64_C(0x100000002), 3,
		      INT64_C(946684800000000) + 5, true);
	is_mem((const char *)out, sizeof(out), want, sizeof(want) - 1,
	       "feedback: written, flushed, applied, time, asking");
}

static void test_feedback(void)
{
	struct pg_stream st = {.sent_ms = 1000, .interval_ms = 10000};

	is_int(pg_stream_due(&st), 11000, "feedback goes out on a timer");
	st.asked = true;
	is_int(pg_stream_due(&st), 1100, "soon when the server asks");
	st.asked = false;
	pg_stream_flushed(&st, 7);
	is_int(pg_stream_due(&st), 1100, "soon when something was committed");
	pg_stream_flushed(&st, 5);
	ok(st.flush == 7, "what was confirmed never falls back");
}

static void is_name(const char *pipeline, const char *want, const char *what)
{
	char out[PG_NAME_SIZE];

	pg_default_name(out, pipeline);
	is_str(out, want, "%s", what);
}

static void test_names(void)
{
	char out[PG_NAME_SIZE], other[PG_NAME_SIZE];
	char longest[59] = "", longer[60] = "";

	memset(longest, 'x', 58);
	memset(longer, 'x', 59);
	is_name("shop_to_log", "leat_shop_to_log", "a slot is named like its pipeline");
	pg_default_name(out, longest);
	ok(strlen(out) == 63 && strncmp(out + 5, longest, 58) == 0,
	   "as far as a name can be long");
	pg_default_name(out, longer);
	ok(strlen(out) <= 63 && strncmp(out, "leat_xxx", 8) == 0,
	   "a longer one is cut");
	pg_default_name(out, "Shop-1");
	pg_default_name(other, "shop_1");
	ok(strncmp(out, "leat_shop_1_", 12) == 0, "what a slot cannot be called is replaced");
	is_str(other, "leat_shop_1", "what it can stays");
	ok(strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(out),
	   "and there is nothing else in it");
}

static void test_synchronous(void)
{
	static const struct {
		const char *names;
		bool is;
	} cases[] = {
		{"", false},
		{"*", true},
		{"replica1, replica2", false},
		{"leat/p", false}, /* must be quoted, but harmless */
		{"\"LEAT/P1\"", true},
		{"FIRST 1 (a, \"leat/p1\")", true},
		{"ANY 2 (*)", true},
		{"ANY 2 (a, b )", false},
		{"2 (\"leat/p1\", b)", true},
		{"\"leat/p11\"", false},
	};

	for (size_t i = 0; i < countof(cases); i++)
		ok(pg_check_is_synchronous(slice_of(cases[i].names), "leat/p1") ==
			   cases[i].is,
		   "synchronous_standby_names '%s' %s us", cases[i].names,
		   cases[i].is ? "means" : "does not mean");
}

static enum code code_of(const char *state)
{
	struct err e = ERR_INIT;

	pg_state_error(state, "x", NULL, &e);
	return e.code;
}

static void test_states(void)
{
	ok(code_of("57P03") == CODE_source_unreachable, "a server that starts up is away");
	ok(code_of("") == CODE_source_unreachable, "so is one that says nothing");
	ok(code_of("28P01") == CODE_source_refused, "a wrong password is a refusal");
	ok(code_of("42501") == CODE_source_refused, "so is a lack of privilege");
	ok(code_of("53300") == CODE_source_refused, "so is a lack of walsenders");
	ok(code_of("53400") == CODE_source_config, "a lack of slots is a matter of settings");
	ok(code_of("55006") == CODE_slot_busy, "a slot in use is busy");
	ok(code_of("0A000") == CODE_source_config, "what nobody has thought of stops");
	ok(code_of("08P01") == CODE_source_config, "a pooler in between stops");
}

static void test_pending(void)
{
	static const struct pgoutput_place from = {.end = 1};
	struct pgoutput_hooks hooks = {0};
	struct registry reg;
	struct batch *b = batch_new();
	struct err e = ERR_INIT;
	struct pg pg = {.pending = ERR_INIT};

	registry_init(&reg);
	pg.decoder = pgoutput_new(&pg.origin, &reg, &hooks, &from, 0);
	err_set(&pg.pending, CODE_poisoned, "it fails there");
	ok(pg_ack(&pg.base, NULL, &e) == 0,
	   "a stream that broke needs no feedback");
	ok(pg_read(&pg.base, b, 0, &e) == -1 && e.code == CODE_poisoned,
	   "and read() says what broke it");
	pgoutput_free(pg.decoder);
	batch_free(b);
	registry_fini(&reg);
}

int main(void)
{
	test_pending();
	test_frames();
	test_feedback();
	test_names();
	test_synchronous();
	test_states();
	return tap_done();
}
