/* tables.h: the table versions that a log has shown so far.
 *
 * The body of a table frame is, for each version, its stored form (table.h) and
 * its schema event as a rowbin body of one event, each with its length before.
 * Of each table the version that came last holds. */
#ifndef LEAT_LOG_TABLES_H
#define LEAT_LOG_TABLES_H

#include "base/map.h"
#include "schema/rowbin.h"

struct log_table {
	struct table *tab;  /* one reference */
	struct slice event; /* owned */
};

struct log_tables {
	struct map by_name; /* full name -> struct log_table * */
};

void log_tables_fini(struct log_tables *t);
/* *Borrows*; NULL when the log has not shown it. */
struct log_table *log_tables_get(const struct log_tables *t,
				 struct slice full_name);
/* Takes over what is there now for its name.  Copies event. */
int log_tables_put(struct log_tables *t, struct table *tab, struct slice event,
		   struct err *e) MUST_CHECK;
/* All versions of a table frame's body. */
int log_tables_read(struct log_tables *t, struct slice body, uint32_t count,
		    struct err *e) MUST_CHECK;

/* One version in a body; ev is its OP_SCHEMA event. */
void log_table_write(struct rowbin_writer *w, struct buf *scratch,
		     const struct table *tab, const struct event *ev,
		     struct buf *out);
/* Takes the next off the body.  *whole is all its bytes.  *Returns owned* or
 * NULL. */
struct table *log_table_next(struct wire *w, struct slice *whole,
			     struct slice *event, struct err *e);

#endif
