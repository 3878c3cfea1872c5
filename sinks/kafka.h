/* kafka.h: the sink `kafka`; leat.conf(5), leat-sinks(7).
 *
 * Transactional: the progress record, which holds the cursor, is the last one of
 * each Kafka transaction (kafka_progress.h), so the topics are the truth about
 * where the pipeline stands, and about the versions of its tables. */
#ifndef LEAT_SINKS_KAFKA_H
#define LEAT_SINKS_KAFKA_H

#include "sinks/sink.h"

extern const struct sink_ops kafka_sink;

#endif
