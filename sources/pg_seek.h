/* pg_seek.h: positions typed by people, and leaving for good. */
#ifndef LEAT_SOURCES_PG_SEEK_H
#define LEAT_SOURCES_PG_SEEK_H

#include "sources/pg.h"

int pg_seek(struct source *src, struct slice position,
	    const struct cursor *current, struct seek *out, struct err *e);
int pg_drop(struct source *src, struct err *e);

#endif
