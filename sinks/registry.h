/* registry.h: the sinks that were built in. */
#ifndef LEAT_SINKS_REGISTRY_H
#define LEAT_SINKS_REGISTRY_H

#include "sinks/sink.h"

extern const struct sink_ops *const sink_registry[]; /* ends in NULL */

#endif
