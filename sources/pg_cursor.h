/* pg_cursor.h: the source part of a Postgres pipeline's cursor, and what can be
 * told from it alone about a server.
 *
 *	pg sysid=7343 tli=1 end=0/16E9BB8 commit=0/0 n=0 hash=0 opt=9A3B11C0
 *
 * end is E of restart rule R7 and lies on timeline tli; commit, n and hash tell
 * of the transaction in flight; opt is a hash of the options that change the
 * numbering of changes.  Behind it may stand taken=XID,LSN,N: what another agent
 * had delivered of a transaction.  The word "intent" stands for: nothing was ever read. */
#ifndef LEAT_SOURCES_PG_CURSOR_H
#define LEAT_SOURCES_PG_CURSOR_H

#include "base/buf.h"
#include "base/err.h"
#include "sources/pgoutput.h"

struct pg_cursor {
	uint64_t sysid;
	uint32_t tli;
	struct pgoutput_place place;
	uint32_t opt;
};

#define PG_CURSOR_SIZE 280

/* Returns its length. */
size_t pg_cursor_print(char out[PG_CURSOR_SIZE], const struct pg_cursor *c);
bool pg_cursor_parse(struct slice text, struct pg_cursor *c);

/* A9: what was delivered up to the cursor, on its timeline, is part of the
 * history of a server on timeline tli, whose TIMELINE_HISTORY is given (may be
 * empty when the timelines are the same). */
int pg_cursor_on_history(const struct pg_cursor *c, uint32_t tli,
			 struct slice history, struct err *e) MUST_CHECK;

/* Is a before b; would changes be skipped or repeated by going from `from` to
 * `to`? */
void pg_cursor_compare(const struct pg_cursor *from, const struct pg_cursor *to,
		       bool *skips, bool *repeats);

#endif
