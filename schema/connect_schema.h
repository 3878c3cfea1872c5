/* connect_schema.h: the schemas of records as trees, and how they are written:
 * as Kafka Connect's JsonConverter does it, and as Avro in the way of Confluent's
 * AvroData (connect.name, connect.version beside Avro's own).
 *
 * The tree of an envelope is Debezium's, with the struct `leat` behind. */
#ifndef LEAT_SCHEMA_CONNECT_SCHEMA_H
#define LEAT_SCHEMA_CONNECT_SCHEMA_H

#include "schema/connect.h"

struct connect_field;

struct connect_schema {
	enum connect_kind kind;
	bool is_optional;
	const char *name;   /* NULL: none */
	int version;	    /* 0: none */
	const char *params; /* JSON members; NULL: none */
	const char *dflt;   /* JSON; NULL: none */
	const char *doc;    /* NULL: none */
	int32_t precision, scale; /* of a Decimal */
	const struct connect_field *fields; /* CONNECT_STRUCT */
	size_t nfields;
	const struct connect_schema *item; /* CONNECT_ARRAY */
};

struct connect_field {
	const char *name;
	struct connect_schema schema;
};

/* The schema of a column of that type; texts in the arena. */
struct connect_schema connect_column_schema(const struct connect_type *t,
					    bool is_optional, struct arena *a);
/* A part of a topic's name and so of a schema's: letters, digits, dots, dashes and
 * underscores; what else there is becomes underscores, as many as UTF-16 has units,
 * as Debezium counts them. */
bool connect_in_topic(char c);
void connect_topic_part(struct buf *b, struct slice s);
/* Envelope and key of a table: fields are the columns' and live in the arena,
 * whose flag tells of a lack of memory. */
struct connect_schema connect_envelope(const char *table_name,
				       const struct connect_field *columns,
				       size_t ncolumns, struct arena *a);
/* Of logical messages, whose content is bytes or text. */
extern const struct connect_schema connect_message_key;
const struct connect_schema *connect_message(enum binary_mode content);

/* {"type":"struct",...,"field":"before"}; field may be NULL. */
void connect_schema_json(struct buf *b, const struct connect_schema *s,
			 const char *field);
/* Of a record that is no union itself. */
void connect_schema_avro(struct buf *b, const struct connect_schema *s);
/* A name as Avro allows it: letters, digits and underscores, no digit first;
 * dots stay where `dots` is set. */
void connect_avro_name(struct buf *b, const char *name, bool dots);

#endif
