/* cloudevents.h: the format `cloudevents`: CloudEvents 1.0 in structured mode,
 * the attributes those of Debezium's CloudEvents converter and a few of leat's. */
#ifndef LEAT_SCHEMA_CLOUDEVENTS_H
#define LEAT_SCHEMA_CLOUDEVENTS_H

#include "schema/json_encode.h"

/* Appends one JSON object; scratch is overwritten. */
void cloudevents_value(struct buf *b, const struct shown *s);

#endif
