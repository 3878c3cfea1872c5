#include "config.h"
#include "sinks/registry.h"

#include <stddef.h>

#ifdef HAVE_KAFKA
#include "sinks/kafka.h"
#endif
#include "sinks/log_sink.h"
#include "sinks/null.h"
#include "sinks/stdout.h"

const struct sink_ops *const sink_registry[] = {
#ifdef HAVE_KAFKA
	&kafka_sink,
#endif
	&log_sink,
	&null_sink,
	&stdout_sink,
	NULL,
};
