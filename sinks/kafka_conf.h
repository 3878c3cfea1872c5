/* kafka_conf.h: the options of a Kafka sink, and librdkafka's from them;
 * leat.conf(5), section "Kafka". */
#ifndef LEAT_SINKS_KAFKA_CONF_H
#define LEAT_SINKS_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "base/opt.h"
#include "schema/encode.h"
#include "sinks/schema_registry.h"

enum kafka_delivery { DELIVERY_EXACTLY_ONCE, DELIVERY_AT_LEAST_ONCE };
enum kafka_tls { TLS_OFF, TLS_REQUIRE, TLS_VERIFY_CA, TLS_VERIFY_FULL };
enum kafka_partition_change { PARTITION_CHANGE_STOP, PARTITION_CHANGE_CONTINUE };

struct kafka_conf {
	char *brokers, *topic, *other_topic;
	char *transaction_topic, *schema_topic, *heartbeat_topic;
	int64_t heartbeat_interval;
	char *progress_topic, *transactional_id;
	struct encoding encoding;
	int delivery, cleanup_policy, on_partition_change;
	bool create_topics, tombstones, partial_rows;
	int64_t partitions, replication;
	int64_t transaction_timeout;
	int tls, sasl_mechanism;
	char *tls_ca, *tls_cert, *tls_key, *tls_key_password;
	char *sasl_user, *sasl_password;
	struct opt_list properties;
	struct schema_registry_conf registry;
};

/* Whoever owns a handle begins with this; it is the handle's opaque. */
struct kafka_owner {
	const char *component; /* for what librdkafka logs */
	/* Why the brokers let nobody in, as librdkafka last said; written by
	 * rd_kafka_poll(). */
	rd_kafka_resp_err_t barred;
	char barred_why[400];
};

extern const struct opt kafka_opts[];
/* What cleanup.policy a new topic gets; NULL: the broker's. */
const char *kafka_cleanup_policy(const struct kafka_conf *c);

/* librdkafka's settings of either kind of handle; secrets are read now.  What
 * `properties` may not set is refused (CODE_sink_config).  *Borrows* the owner
 * until the handle is destroyed.  *Returns owned*, or NULL. */
rd_kafka_conf_t *kafka_conf_make(const struct kafka_conf *c, rd_kafka_type_t type,
				 struct kafka_owner *owner, struct err *e);
/* Sets one, of ours. */
int kafka_conf_set(rd_kafka_conf_t *rkc, const char *name, const char *value,
		   struct err *e) MUST_CHECK;
/* *Takes* rkc.  *Returns owned* or NULL. */
rd_kafka_t *kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *rkc,
			     struct err *e);
/* A call failed, by a timeout perhaps: if the login was refused, that is why.  Then
 * err is set anew.  Served from the handle's queue, so it may call back. */
bool kafka_conf_explain(rd_kafka_t *rk, struct err *e);
/* A setting that is in force; 0 when it is no number. */
int64_t kafka_conf_number(rd_kafka_t *rk, const char *name);

#endif
