/* my_seek.h: positions of a MySQL or MariaDB source, typed by people. */
#ifndef LEAT_SOURCES_MY_SEEK_H
#define LEAT_SOURCES_MY_SEEK_H

#include "sources/my.h"

int my_seek(struct source *src, struct slice position,
	    const struct cursor *current, struct seek *out, struct err *e)
	MUST_CHECK;

#endif
