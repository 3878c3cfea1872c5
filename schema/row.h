/* row.h: the format `row`: the columns, flat, and a few fields that begin with
 * two underscores. */
#ifndef LEAT_SCHEMA_ROW_H
#define LEAT_SCHEMA_ROW_H

#include "schema/json_encode.h"

/* Appends one JSON object; scratch is overwritten. */
void row_value(struct buf *b, const struct shown *s);

#endif
