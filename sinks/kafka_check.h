/* kafka_check.h: `leat check` of a Kafka sink; changes nothing. */
#ifndef LEAT_SINKS_KAFKA_CHECK_H
#define LEAT_SINKS_KAFKA_CHECK_H

#include "base/report.h"
#include "sinks/kafka_conf.h"

/* topic: that of the progress.  -1 only when the brokers could not be asked. */
int kafka_check(const struct kafka_conf *c, const char *pipeline,
		const char *topic, const char *where, struct report *r,
		struct err *e);

#endif
