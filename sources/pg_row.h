/* pg_row.h: the rows of an Insert, Update or Delete message. */
#ifndef LEAT_SOURCES_PG_ROW_H
#define LEAT_SOURCES_PG_ROW_H

#include "base/wire.h"
#include "schema/batch.h"

/* w stands behind the relation's oid; ev->op and ev->table are set.  Fills in
 * before, before_kind, after and key_changed, and leaves w (then in the batch)
 * behind the last row.  Takes nothing for granted of a message that is not
 * whole: CODE_source_protocol, CODE_value_invalid. */
int pg_row_read(struct wire *w, struct batch *b, struct event *ev,
		struct err *e) MUST_CHECK;

#endif
