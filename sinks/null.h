/* null.h: the sink `null`: counts and throws away, for measuring. */
#ifndef LEAT_SINKS_NULL_H
#define LEAT_SINKS_NULL_H

#include "sinks/sink.h"

extern const struct sink_ops null_sink;

#endif
