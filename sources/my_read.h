/* my_read.h: read() and ack() of the MySQL and MariaDB sources. */
#ifndef LEAT_SOURCES_MY_READ_H
#define LEAT_SOURCES_MY_READ_H

#include "sources/my.h"

int my_read(struct source *src, struct batch *b, int64_t deadline_ms,
	    struct err *e) MUST_CHECK;
int my_ack(struct source *src, const struct cursor *committed, struct err *e)
	MUST_CHECK;
struct slice my_cursor_source(void *arg, const struct my_place *place,
			      struct arena *a);

#endif
