/* pg_orphans.h: replication slots that look like leat's and belong to no
 * pipeline of the conf.  leat-sources(7), "The replication slot". */
#ifndef LEAT_SOURCES_PG_ORPHANS_H
#define LEAT_SOURCES_PG_ORPHANS_H

#include "sources/pg.h"

/* As findings of `leat check`. */
int pg_orphans_check(struct pg *pg, struct report *r, const char *where,
		     struct err *e) MUST_CHECK;
/* As log lines of the agent, when it has asked for that.  Not being able to ask
 * is no error. */
void pg_orphans_note(struct pg *pg);

#endif
