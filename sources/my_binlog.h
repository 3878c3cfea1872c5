/* my_binlog.h: from a binlog's events to leat's, for MySQL and MariaDB.
 *
 * Knows nothing of sockets: whoever has events feeds them, in the order of the
 * log, and from the FORMAT event of a file on.
 */
#ifndef LEAT_SOURCES_MY_BINLOG_H
#define LEAT_SOURCES_MY_BINLOG_H

#include "schema/batch.h"
#include "schema/registry.h"
#include "sources/my_charset.h"
#include "sources/my_progress.h"

struct my_hooks {
	void *arg;
	/* Does the conf want this table? */
	bool (*is_wanted)(void *arg, struct slice db, struct slice name);
	/* The source part of a cursor for the place, into the arena (that of
	 * the batch). */
	struct slice (*cursor_source)(void *arg, const struct my_place *place,
				      struct arena *a);
};

struct my_binlog;

/* *Returns owned* or NULL.  Borrows origin, reg and charsets, copies hooks and
 * place.  seq is that of the cursor whose place it is.  has_checksum: of what
 * comes before the first FORMAT event. */
struct my_binlog *my_binlog_new(const struct origin *origin,
				struct registry *reg,
				const struct my_charsets *charsets,
				const struct my_hooks *hooks,
				const struct my_place *from, uint64_t seq,
				bool has_checksum);
void my_binlog_free(struct my_binlog *d);

/* One event into the batch.  It is copied as far as needed; only one for which
 * my_binlog_has_more() is true afterwards must stay where it is until that is
 * false.  The batch must be the same until my_binlog_rest() was called.  After -1
 * batch, place and seq are what they were before the event, and there must be no
 * other. */
int my_binlog_event(struct my_binlog *d, struct slice event, struct batch *b,
		    struct err *e) MUST_CHECK;
/* The last event holds others; my_binlog_more() is the next of them. */
bool my_binlog_has_more(const struct my_binlog *d);
int my_binlog_more(struct my_binlog *d, struct batch *b, struct err *e) MUST_CHECK;
/* The batch is handed over: keep nothing that points into it. */
void my_binlog_rest(struct my_binlog *d);

bool my_binlog_in_transaction(const struct my_binlog *d);
/* *Borrows*, until the next event. */
const struct my_place *my_binlog_place(const struct my_binlog *d);
uint64_t my_binlog_seq(const struct my_binlog *d);
/* "binlog.000003:4711" */
#define MY_AT_SIZE 112
void my_binlog_at(const struct my_binlog *d, char out[MY_AT_SIZE]);

#endif
