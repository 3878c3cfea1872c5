/* pg_catalog.h: what the catalog knows of a table that the stream does not say.
 *
 * The catalog is read as it is now, the stream as it was (A13): a column counts
 * only if name, type and modifier still agree, and what cannot be known stays
 * nullable and out of the key. */
#ifndef LEAT_SOURCES_PG_CATALOG_H
#define LEAT_SOURCES_PG_CATALOG_H

#include "sources/pg.h"

/* The describe hook; arg is a struct pg. */
int pg_catalog_describe(void *arg, struct table *proto, struct arena *a,
			struct err *e);

#endif
