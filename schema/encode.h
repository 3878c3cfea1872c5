/* encode.h: from events to what the world reads.
 *
 * leat-envelope(7) describes the formats and the modes of their values. */
#ifndef LEAT_SCHEMA_ENCODE_H
#define LEAT_SCHEMA_ENCODE_H

#include "base/opt.h"
#include "schema/batch.h"

enum format { FORMAT_DEBEZIUM, FORMAT_ROW, FORMAT_CLOUDEVENTS, FORMAT_AVRO };

/* What a person chose, as part of a conf struct; cleared: debezium, plain. */
struct encoding {
	int format; /* enum format */
	bool schemas;
	int compat; /* 0: none, 1: debezium */
	int decimal, time, binary, interval; /* 0: as the format has it; else
						what connect.h calls it, + 1 */
	char *unavailable;
};

extern const char *const format_names[]; /* ends in NULL */
extern const char *const encoding_compats[], *const encoding_decimals[],
	*const encoding_times[], *const encoding_binaries[],
	*const encoding_intervals[];

/* Rows of an option table whose conf struct has a struct encoding at `at`. */
#define ENCODING_OPTS(at)                                                     \
	{.name = "format", .type = OPT_CHOICE, .dflt = "debezium",            \
	 .choices = format_names,                                             \
	 .offset = (at) + offsetof(struct encoding, format),                  \
	 .help = "How an event is written: see leat-envelope(7)."},           \
	{.name = "schemas", .type = OPT_BOOL, .dflt = "no",                   \
	 .offset = (at) + offsetof(struct encoding, schemas),                 \
	 .help = "With format debezium: put the schema into each record."},   \
	{.name = "compat", .type = OPT_CHOICE, .dflt = "none",                \
	 .choices = encoding_compats,                                         \
	 .offset = (at) + offsetof(struct encoding, compat),                  \
	 .help = "debezium: values as Debezium writes them by default."},     \
	{.name = "decimal", .type = OPT_CHOICE, .dflt = "auto",               \
	 .choices = encoding_decimals,                                        \
	 .offset = (at) + offsetof(struct encoding, decimal),                 \
	 .help = "How exact decimals are written."},                          \
	{.name = "time", .type = OPT_CHOICE, .dflt = "auto",                  \
	 .choices = encoding_times,                                           \
	 .offset = (at) + offsetof(struct encoding, time),                    \
	 .help = "How dates and times are written."},                         \
	{.name = "binary", .type = OPT_CHOICE, .dflt = "auto",                \
	 .choices = encoding_binaries,                                        \
	 .offset = (at) + offsetof(struct encoding, binary),                  \
	 .help = "How bytes are written."},                                   \
	{.name = "interval", .type = OPT_CHOICE, .dflt = "auto",              \
	 .choices = encoding_intervals,                                       \
	 .offset = (at) + offsetof(struct encoding, interval),                \
	 .help = "How intervals are written."},                               \
	{.name = "unavailable", .type = OPT_TEXT,                             \
	 .offset = (at) + offsetof(struct encoding, unavailable),             \
	 .help = "What stands for a text that was not sent because it had not changed."}

/* One event becomes one record, two when its key changed (delete, insert). */
struct record {
	size_t key_at, key_n; /* in bytes; key_n = 0: no key */
	size_t value_at, value_n;
	size_t name_at, name_n; /* of a branch: the key as JSON without schema */
	char branch; /* 'd', 'i' or 0 */
};

struct encoded {
	struct buf bytes;
	struct record rec[2];
	size_t n;
};

#define ENCODED_INIT ((struct encoded){0})

/* Options that do not go together: -1 with CODE_conf_value.  Avro needs a place
 * for its schemas. */
int encoding_check(const struct encoding *how, bool has_registry, struct err *e)
	MUST_CHECK;

/* Who gives Avro schemas their numbers: called once for each schema, before the
 * first record that needs it.  tab is NULL for logical messages. */
struct encoder_registry {
	void *arg;
	int (*schema_id)(void *arg, const struct table *tab, bool is_key,
			 struct slice schema, uint32_t *id, struct err *e);
};

struct encoder;

/* *Borrows* how and, for avro, reg; else reg may be NULL.  *Returns owned*, or
 * NULL on lack of memory.  One thread's. */
struct encoder *encoder_new(const struct encoding *how,
			    const struct encoder_registry *reg);
void encoder_free(struct encoder *enc);

/* Rows of the event's table are to come: gets their schemas their numbers. */
int encoder_prepare(struct encoder *enc, const struct event *ev, struct err *e)
	MUST_CHECK;

/* Replaces what `out` held.  -1 on lack of memory, with CODE_event_rejected when
 * a value does not fit the modes, and when a schema got no number.  Avro has no
 * records for OP_SCHEMA and OP_GAP. */
int encode_event(struct encoder *enc, const struct event *ev,
		 struct encoded *out, struct err *e) MUST_CHECK;
void encoded_fini(struct encoded *out);

#endif
