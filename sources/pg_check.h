/* pg_check.h: leat check for a Postgres source: what is missing, the statements
 * that mend it, and what the pipeline will cost the server. */
#ifndef LEAT_SOURCES_PG_CHECK_H
#define LEAT_SOURCES_PG_CHECK_H

#include "sources/pg.h"

int pg_check(struct source *src, struct report *r, struct err *e);

/* Would synchronous_standby_names take a walsender of this application_name for
 * one that commits have to wait for? */
bool pg_check_is_synchronous(struct slice names, const char *application);

#endif
