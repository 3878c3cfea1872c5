/* kafka_admin.h: questions to the brokers, and the making of topics. */
#ifndef LEAT_SINKS_KAFKA_ADMIN_H
#define LEAT_SINKS_KAFKA_ADMIN_H

#include "sinks/kafka_conf.h"

/* *Returns owned* or NULL: a handle for a few questions. */
rd_kafka_t *kafka_admin_open(const struct kafka_conf *c, struct kafka_owner *owner,
			     struct err *e);
/* Makes a topic; 0 also when it is there. */
int kafka_admin_create(rd_kafka_t *rk, const char *name, int partitions,
		       int replication, const char *policy, struct err *e);
/* How many partitions it has; 0: it does not exist; -1: could not be asked. */
int kafka_admin_partitions(rd_kafka_t *rk, rd_kafka_topic_t *rkt, struct err *e);
/* The same, waiting a little for one that was just made. */
int kafka_admin_await(rd_kafka_t *rk, rd_kafka_topic_t *rkt, struct err *e);
/* Removes a topic; 0 also when there is none. */
int kafka_admin_delete(const struct kafka_conf *c, const char *topic,
		       const char *component, struct err *e);
/* A setting of a topic or broker: out, or NULL when it cannot be had. */
char *kafka_admin_setting(rd_kafka_t *rk, rd_kafka_ResourceType_t type,
			  const char *of, const char *name, char *out, size_t size);

#endif
