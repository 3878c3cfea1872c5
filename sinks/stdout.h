/* stdout.h: the sink `stdout`: one JSON document a line, for pipes and eyes. */
#ifndef LEAT_SINKS_STDOUT_H
#define LEAT_SINKS_STDOUT_H

#include "sinks/sink.h"

extern const struct sink_ops stdout_sink;

#endif
