/* round_trip.h: events that were read can be stored, and read from there as the
 * same. */
#ifndef LEAT_T_FUZZ_ROUND_TRIP_H
#define LEAT_T_FUZZ_ROUND_TRIP_H

#include <stdlib.h>

#include "schema/rowbin.h"
#include "t/encodings.h"

static inline struct table *round_trip_find(void *arg, struct slice full_name,
					    uint32_t version)
{
	const struct batch *b = arg;

	for (size_t i = 0; i < b->ntables; i++)
		if (b->tables[i]->version == version &&
		    slice_eq(b->tables[i]->full_name, full_name))
			return b->tables[i];
	return NULL;
}

/* The version before a change of shape is not stored. */
static inline void round_trip_compare(const struct event *a,
				      const struct event *b)
{
	struct encoded one = ENCODED_INIT, two = ENCODED_INIT;

	if (a->op != b->op || a->seq != b->seq || !encodes_all(a, &one))
		abort();
	for (size_t i = 0; i < countof(encodings) && a->op != OP_SCHEMA; i++) {
		struct err e1 = ERR_INIT, e2 = ERR_INIT;
		int rc1 = encode_event(encoding_get(i), a, &one, &e1);
		int rc2 = encode_event(encoding_get(i), b, &two, &e2);

		if (rc1 != rc2 || e1.code != e2.code ||
		    (rc1 == 0 &&
		     !slice_eq(buf_get(&one.bytes), buf_get(&two.bytes))))
			abort();
	}
	encoded_fini(&one);
	encoded_fini(&two);
}

static inline void round_trip(struct batch *b)
{
	struct rowbin_writer w = {0};
	struct buf body = BUF_INIT;
	struct batch *again = batch_new();
	struct err e = ERR_INIT;

	rowbin_begin(&w, &body);
	for (size_t i = 0; i < b->n; i++)
		rowbin_put(&w, &b->ev[i]);
	if (again == NULL || w.failed || body.failed ||
	    rowbin_read(buf_get(&body), again, round_trip_find, b, &e) != 0 ||
	    again->n != b->n)
		abort();
	for (size_t i = 0; i < b->n; i++)
		round_trip_compare(&b->ev[i], &again->ev[i]);
	rowbin_fini(&w);
	batch_free(again);
	buf_fini(&body);
}

#endif
