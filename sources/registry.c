/* registry.c: one line for each source that is built in. */
#include "config.h"
#include "sources/registry.h"

#include <stddef.h>

#include "sources/log_source.h"
#ifdef HAVE_MYSQL
#include "sources/my.h"
#endif
#ifdef HAVE_POSTGRES
#include "sources/pg.h"
#endif

const struct source_ops *const source_registry[] = {
	&log_source,
#ifdef HAVE_POSTGRES
	&pg_source,
#endif
#ifdef HAVE_MYSQL
	&my_source_mariadb,
	&my_source_mysql,
#endif
	NULL,
};
