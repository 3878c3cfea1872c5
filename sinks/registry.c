#include "config.h"
#include "sinks/registry.h"

#include "sinks/log_sink.h"
#include "sinks/null.h"
#include "sinks/stdout.h"

const struct sink_ops *const sink_registry[] = {
	&log_sink,
	&null_sink,
	&stdout_sink,
	NULL,
};
