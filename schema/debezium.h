/* debezium.h: the format `debezium`: Debezium's JSON payload and one object
 * more, "leat". */
#ifndef LEAT_SCHEMA_DEBEZIUM_H
#define LEAT_SCHEMA_DEBEZIUM_H

#include "schema/json_encode.h"

/* Appends one JSON object; scratch is overwritten. */
void debezium_value(struct buf *b, const struct shown *s);
/* Its field "source" alone. */
void debezium_source(struct buf *b, const struct shown *s);

#endif
