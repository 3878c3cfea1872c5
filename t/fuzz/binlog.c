/* binlog.c: the decoder fed with a whole stream of events, and resumed in it.
 *
 * Input: a byte, MariaDB or MySQL by its lowest bit and where to resume by the
 * others; then events, each u16 length (big-endian), u8 type, body.  Headers are
 * made here. */
#include "config.h"

#include <stdlib.h>

#include "t/fuzz/round_trip.h"
#include "t/mymsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Feeds the events up to the first that is refused; *at and *seq become the place
 * after the `cut`th. */
static void run(struct my_world *w, struct slice input, unsigned cut,
		struct buf *at, uint64_t *seq)
{
	struct wire in = wire_of(input);
	unsigned count = 0;

	while (wire_left(&in) > 0) {
		struct slice body = wire_bytes(&in, wire_be16(&in));
		uint8_t type;

		if (!wire_ok(&in) || body.n == 0)
			break;
		type = (uint8_t)body.p[0];
		w->e = ERR_INIT;
		if (mw_event(w, type, (struct slice){body.p + 1, body.n - 1}) != 0)
			break;
		round_trip(w->b);
		if (++count % 3 == 0)
			mw_rest(w);
		if (count == cut) {
			buf_reset(at, SIZE_MAX);
			buf_slice(at, mw_place(w));
			*seq = my_binlog_seq(w->d);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice input = {(const char *)p, n};
	enum my_flavour flavour;
	struct buf at = BUF_INIT;
	uint64_t seq = 0, unused;
	struct my_world w;
	unsigned cut;

	if (n == 0)
		return 0;
	flavour = p[0] & 1 ? MY_MARIADB : MY_MYSQL;
	cut = p[0] >> 1;
	input.p++;
	input.n--;
	buf_text(&at, flavour == MY_MYSQL ? "mysql" : "mariadb");
	buf_text(&at, " server=- gtids= flight=- n=0 hash=0");
	mw_init(&w);
	mw_connect(&w, flavour, buf_get(&at), 0);
	run(&w, input, cut, &at, &seq);
	mw_rest(&w);
	mw_connect(&w, flavour, buf_get(&at), seq);
	run(&w, input, 0, &at, &unused);
	mw_rest(&w);
	mw_fini(&w);
	buf_fini(&at);
	return 0;
}
