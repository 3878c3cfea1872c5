/* kafka_meta.h: what Debezium writes beside the rows, as JSON: where transactions
 * of the source begin and end, and that an idle pipeline is alive.
 *
 * Debezium, "Transaction metadata" and "Generating heartbeat events". */
#ifndef LEAT_SINKS_KAFKA_META_H
#define LEAT_SINKS_KAFKA_META_H

#include "base/map.h"
#include "schema/event.h"

/* The source's transaction that is being written. */
struct kafka_meta {
	bool with_schemas; /* as Kafka Connect's JsonConverter writes them */
	bool is_open;	   /* BEGIN was written, END was not */
	bool is_untold;	   /* of this one BEGIN was not written, nor will END be */
	struct buf id, topic; /* topic: where BEGIN stands, with a NUL behind */
	int64_t commit_us;
	uint64_t events;
	struct map counts; /* full name of a table -> struct kafka_count */
};

/* A record that is to be written. */
struct kafka_meta_record {
	struct buf key, value;
};

void kafka_meta_init(struct kafka_meta *m, bool with_schemas);
void kafka_meta_fini(struct kafka_meta *m);
void kafka_meta_record_fini(struct kafka_meta_record *r);

/* Is the event one of a transaction at all, and of the one that is open? */
bool kafka_meta_has(const struct event *ev);
bool kafka_meta_is_in(const struct kafka_meta *m, const struct event *ev);

/* The event's transaction begins, and r is what is to be written. */
int kafka_meta_begin(struct kafka_meta *m, const struct event *ev,
		     struct slice topic, struct kafka_meta_record *r,
		     struct err *e) MUST_CHECK;
/* One record in the topic of the event's table. */
int kafka_meta_count(struct kafka_meta *m, const struct event *ev,
		     struct err *e) MUST_CHECK;
/* The transaction that is open ends, and r is what is to be written. */
int kafka_meta_end(struct kafka_meta *m, struct kafka_meta_record *r,
		   struct err *e) MUST_CHECK;

/* Of a transaction that is open, what a successor must know; stored in the
 * progress topic.  `id`: the transaction that is open there; a state that is not
 * of it, or none, makes it untold. */
void kafka_meta_save(const struct kafka_meta *m, struct buf *out);
int kafka_meta_load(struct kafka_meta *m, struct slice stored, struct slice id,
		    struct err *e) MUST_CHECK;

/* source: name of the source section. */
int kafka_heartbeat(bool with_schemas, const char *source, int64_t now_us,
		    struct kafka_meta_record *r, struct err *e) MUST_CHECK;

#endif
