/* my_cursor.h: the source part of a cursor of a MySQL or MariaDB source, and what
 * can be told from it alone.
 *
 *	mysql server=3e11fa47-... gtids=3e11fa47-...:1-23 flight=3e11fa47-...:24 n=7 hash=A1
 *	mariadb server=- gtids=0-1-23,1-1-5 flight=- n=0 hash=0
 *
 * gtids are the complete transactions, flight the one of which n changes are
 * done; server is only for people.  The word "intent" stands for: nothing was
 * ever read. */
#ifndef LEAT_SOURCES_MY_CURSOR_H
#define LEAT_SOURCES_MY_CURSOR_H

#include "sources/my_binlog.h"

/* Appends it. */
void my_cursor_print(const struct my_place *place, struct slice server,
		     struct buf *out);
/* place->done is initialised in any case, and *owned by the caller*. */
bool my_cursor_parse(struct slice text, enum my_flavour flavour,
		     struct my_place *place);
/* Would changes be skipped or repeated by going from `from` to `to`? */
void my_cursor_compare(const struct my_place *from, const struct my_place *to,
		       bool *skips, bool *repeats);

#endif
