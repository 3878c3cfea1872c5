/* cursor.h: where a pipeline stands; everything resumes from this token.
 *
 * The source's part is opaque to all but the source that made it: one line of
 * printable text without control characters.
 * Text form, stored in logs and state and shown by `leat offsets show`:
 *
 *	leat1 INCARNATION SEQ[+LETTER] SOURCE-PART
 *
 * LETTER is there in a commit that delivers nothing but a dead letter again: what
 * tells after a crash that it has been delivered. */
#ifndef LEAT_SCHEMA_CURSOR_H
#define LEAT_SCHEMA_CURSOR_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct cursor {
	uint32_t incarnation; /* from 1; 0: no cursor */
	uint64_t seq;	      /* of the last event before it; 0: none yet */
	struct slice source;
	uint64_t letter;      /* agent/dlq.h; 0: none */
	bool in_txn; /* it stands inside a transaction of the source, of which
			there is more to come; no part of the text form, and
			not compared */
};

void cursor_print(const struct cursor *c, struct buf *out);
/* c->source points into text. */
int cursor_parse(struct slice text, struct cursor *c, struct err *e) MUST_CHECK;
/* The same place; letters do not count. */
bool cursor_eq(const struct cursor *a, const struct cursor *b);

#endif
