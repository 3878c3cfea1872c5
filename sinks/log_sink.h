/* log_sink.h: `log NAME { }` as a sink; leat.conf(5), leat-log(1).
 *
 * Transactional: the commit frame holds the cursor, so the log is the truth
 * about where the pipeline stands, and about the versions of its tables. */
#ifndef LEAT_SINKS_LOG_SINK_H
#define LEAT_SINKS_LOG_SINK_H

#include "sinks/sink.h"

extern const struct sink_ops log_sink;

#endif
