#include "config.h"
#include "sinks/registry.h"

#include "sinks/null.h"
#include "sinks/stdout.h"

const struct sink_ops *const sink_registry[] = {
	&null_sink,
	&stdout_sink,
	NULL,
};
