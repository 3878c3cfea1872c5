/* registry.c: one line for each source that is built in. */
#include "config.h"
#include "sources/registry.h"

#include <stddef.h>

#include "sources/log_source.h"
#ifdef HAVE_POSTGRES
#include "sources/pg.h"
#endif

const struct source_ops *const source_registry[] = {
	&log_source,
#ifdef HAVE_POSTGRES
	&pg_source,
#endif
	NULL,
};
