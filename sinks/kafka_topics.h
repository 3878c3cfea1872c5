/* kafka_topics.h: which topic and which partition a record goes to.
 *
 * A table's topic is named by a template.  Its number of partitions is what the
 * pipeline knew it to be: a key must stay in its partition, or its order is lost.
 * What is known is kept in the progress topic (kafka_progress.h), one note for
 * each topic. */
#ifndef LEAT_SINKS_KAFKA_TOPICS_H
#define LEAT_SINKS_KAFKA_TOPICS_H

#include "base/map.h"
#include "schema/event.h"
#include "sinks/kafka_conf.h"

/* Topics that are no table's. */
enum kafka_side { SIDE_OTHER, SIDE_TRANSACTION, SIDE_SCHEMA, SIDE_HEARTBEAT, SIDES };

struct kafka_topics {
	const struct kafka_conf *conf;
	const char *pipeline;
	rd_kafka_t *rk;
	struct map by_table; /* full name -> struct kafka_route */
	struct map by_topic; /* topic -> struct kafka_note */
	size_t nnew;	     /* notes that are not yet in the progress topic */
	struct kafka_route *side[SIDES];
	/* False while a transaction is open that need not wait for an answer
	 * about a topic: then what is not known is not asked but wanted. */
	bool may_ask, is_wanting;
};

/* What the pipeline knows of a topic.  One malloc with its texts. */
struct kafka_note {
	struct slice topic, table; /* table: full name, empty: not one table's */
	int32_t partitions;
	bool is_new;
	bool is_asked, is_compacted; /* the second is known once the first is */
};

struct kafka_route {
	struct slice table; /* full name; empty: what is no row */
	rd_kafka_topic_t *rkt;
	struct kafka_note *note;
	uint32_t checked; /* version of the table that may go there; 0: none */
};

void kafka_topics_init(struct kafka_topics *t, const struct kafka_conf *c,
		       const char *pipeline);
void kafka_topics_fini(struct kafka_topics *t);

/* "{source}.{table}" made into a name that Kafka takes; NULL parts are empty.
 * CODE_sink_config for an unknown word or an impossible name. */
int kafka_topic_name(const char *template, const char *pipeline,
		     const struct origin *o, const struct table *tab,
		     struct buf *out, struct err *e);

/* What was noted by an earlier run. */
int kafka_topics_remember(struct kafka_topics *t, struct slice topic,
			  struct slice table, int32_t partitions, struct err *e);

/* May the brokers, or a registry, be asked now?  Else it is noted. */
bool kafka_topics_may_ask(struct kafka_topics *t);

/* Where an event goes.  The first time it asks the broker, and makes the topic
 * if it may; NULL without an error where it may not ask. */
struct kafka_route *kafka_topics_route(struct kafka_topics *t,
				       const struct event *ev, struct err *e);

/* Where rows of the event's table go, whatever the event is. */
struct kafka_route *kafka_topics_rows(struct kafka_topics *t,
				      const struct event *ev, struct err *e);

/* The template of its name; NULL where the conf wants no such topic. */
const char *kafka_side_template(const struct kafka_conf *c, enum kafka_side side);
/* The same for a topic that is no table's; it has one partition. */
struct kafka_route *kafka_topics_side(struct kafka_topics *t,
				      enum kafka_side side,
				      const struct origin *o, struct err *e);

struct kafka_route *kafka_topics_side_called(struct kafka_topics *t,
					     enum kafka_side side,
					     const char *topic, struct err *e);

/* Java's: the positive part of murmur2, modulo.  Without a key a table keeps its
 * order in one partition. */
int32_t kafka_partition(const struct kafka_route *r, struct slice key);
uint32_t kafka_murmur2(struct slice key);

#endif
