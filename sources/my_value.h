/* my_value.h: the bytes of a row's columns, as values.
 *
 * MySQL source documentation, "Rows_event" and "Protocol value formats"; the
 * texts are what the server's own SELECT prints in UTC. */
#ifndef LEAT_SOURCES_MY_VALUE_H
#define LEAT_SOURCES_MY_VALUE_H

#include "schema/value.h"
#include "sources/my_map.h"

enum my_read {
	MY_READ_OK,
	MY_READ_BAD,	  /* not a value of that type */
	MY_READ_NOT_TEXT, /* not in its character set, or that is not known */
	MY_READ_UNKNOWN,  /* a type whose values cannot be read */
};

/* The bytes of one value, without its length; the cursor fails where they are
 * not all there, and for types of which it is not known how long they are. */
struct slice my_value_take(const struct my_column *c, struct wire *w);
/* Can my_value_take() take values of it? */
bool my_value_is_known(const struct my_column *c);
/* The value; what is not in `bytes` is in the arena, and so must `bytes` be.  On
 * lack of memory the arena's flag is set. */
enum my_read my_value_read(const struct my_column *c, struct slice bytes,
			   struct arena *a, struct value *v);

#endif
