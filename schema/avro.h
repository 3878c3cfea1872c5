/* avro.h: the format `avro`: Avro binary (specification 1.11, "Data Serialization
 * and Deserialization") behind the five bytes of Confluent's wire format (a zero,
 * the schema's id in network order). */
#ifndef LEAT_SCHEMA_AVRO_H
#define LEAT_SCHEMA_AVRO_H

#include "schema/json_encode.h"

/* Append one datum of connect_envelope(), of connect_message, of the record's key
 * (nothing when a part of it is not known) and of connect_message_key. */
void avro_value(struct buf *b, const struct shown *s, uint32_t schema_id);
void avro_message(struct buf *b, const struct shown *s, uint32_t schema_id);
void avro_key(struct buf *b, const struct shown *s, uint32_t schema_id);
void avro_message_key(struct buf *b, const struct shown *s, uint32_t schema_id);

#endif
