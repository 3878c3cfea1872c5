/* debezium_table.h: a new version of a table, as Debezium's connectors for MySQL
 * write it into the topic of schema changes (Debezium, "Schema change topic").
 *
 * There is no DDL: shapes come from the stream. */
#ifndef LEAT_SCHEMA_DEBEZIUM_TABLE_H
#define LEAT_SCHEMA_DEBEZIUM_TABLE_H

#include "schema/encode.h"

/* ev: an OP_SCHEMA event.  One record with a key, in JSON; with_schemas: in the
 * wrapping that Kafka Connect's JsonConverter expects then. */
int debezium_table_change(const struct event *ev, bool with_schemas,
			  struct encoded *out, struct err *e) MUST_CHECK;

#endif
