/* pgoutput.c: the decoder fed with a whole stream, and resumed in it.
 *
 * Input: a byte that chooses where to resume, then messages, each behind its
 * length in two bytes, big-endian. */
#include "config.h"

#include <stdlib.h>

#include "t/fuzz/round_trip.h"
#include "t/pgmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Feeds the messages up to the first that is refused; *at and *seq become the
 * place after the `cut`th. */
static void run(struct world *w, struct slice input, unsigned cut,
		struct pgoutput_place *at, uint64_t *seq)
{
	struct wire in = wire_of(input);
	unsigned count = 0;

	while (wire_left(&in) > 0) {
		struct slice msg = wire_bytes(&in, wire_be16(&in));

		w->e = ERR_INIT;
		if (!wire_ok(&in) ||
		    pgoutput_message(w->d, msg, 0x1234, w->b, &w->e) != 0)
			break;
		round_trip(w->b);
		if (++count % 3 == 0)
			w_rest(w);
		if (count == cut) {
			*at = pgoutput_place(w->d);
			*seq = pgoutput_seq(w->d);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice input = {(const char *)p, n};
	struct pgoutput_place at = {.end = 0x1000};
	uint64_t seq = 0, unused;
	struct world w;
	unsigned cut;

	if (n == 0)
		return 0;
	cut = p[0];
	input.p++;
	input.n--;
	w_init(&w);
	w.pk[0] = 1;
	run(&w, input, cut, &at, &seq);
	w_rest(&w);
	w_connect(&w, &at, seq);
	run(&w, input, 0, &at, &unused);
	w_fini(&w);
	return 0;
}
