/* registry.h: the sources that were built in. */
#ifndef LEAT_SOURCES_REGISTRY_H
#define LEAT_SOURCES_REGISTRY_H

#include "sources/source.h"

extern const struct source_ops *const source_registry[]; /* ends in NULL */

#endif
