/* my_inflate.h: what the servers compress. */
#ifndef LEAT_SOURCES_MY_INFLATE_H
#define LEAT_SOURCES_MY_INFLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* A value of a COMPRESSED column of MariaDB; into the arena, or `in` itself.
 * False when it is damaged, or on lack of memory (the arena's flag). */
bool my_inflate_column(struct slice in, struct arena *a, struct slice *out);
/* The same for the statement of a QUERY_COMPRESSED event, and for the rows of a
 * compressed rows event: all that is left of the event. */
int my_inflate_event(struct slice in, struct arena *a, struct slice *out,
		     struct err *e) MUST_CHECK;

/* The events of a TRANSACTION_PAYLOAD, one after the other. */
struct my_payload;

/* *Returns owned*, or NULL with err set.  body is the event's, and must stay. */
struct my_payload *my_payload_open(struct slice body, struct err *e);
void my_payload_close(struct my_payload *p);
/* 1 and an event (without checksum; lives until the next call), 0 at the end. */
int my_payload_next(struct my_payload *p, struct slice *event, struct err *e)
	MUST_CHECK;

#endif
