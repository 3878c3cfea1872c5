/* encode.h: from events to what the world reads.
 *
 * leat-envelope(7) describes the formats. */
#ifndef LEAT_SCHEMA_ENCODE_H
#define LEAT_SCHEMA_ENCODE_H

#include "schema/batch.h"

enum format { FORMAT_DEBEZIUM, FORMAT_ROW };

extern const char *const format_names[]; /* ends in NULL */

/* One event becomes one record, two when its key changed (delete, insert). */
struct record {
	size_t key_at, key_n; /* in bytes; key_n = 0: no key */
	size_t value_at, value_n;
	char branch; /* 'd', 'i' or 0 */
};

struct encoded {
	struct buf bytes;
	struct record rec[2];
	size_t n;
	struct buf scratch; /* private */
};

#define ENCODED_INIT ((struct encoded){0})

/* Replaces what `out` held.  -1 on lack of memory. */
int encode_event(enum format f, const struct event *ev, struct encoded *out,
		 struct err *e) MUST_CHECK;
void encoded_fini(struct encoded *out);

#endif
