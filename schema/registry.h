/* registry.h: the version of each table that is in force.
 *
 * Belongs to the thread that reads the source.  Filled from the sink or the
 * state file when a pipeline starts, so that replay makes the same versions
 * with the same catalog facts again. */
#ifndef LEAT_SCHEMA_REGISTRY_H
#define LEAT_SCHEMA_REGISTRY_H

#include "base/map.h"
#include "schema/table.h"

struct registry {
	struct map by_name; /* full_name -> struct table *, one reference each */
};

void registry_init(struct registry *r);
void registry_fini(struct registry *r);

/* *Borrows*; NULL when the table has not been seen. */
struct table *registry_get(const struct registry *r, struct slice full_name);
/* Takes over a version that is known from before: kept if it is newer than what
 * is there.  *Takes* tab in any case. */
int registry_load(struct registry *r, struct table *tab, struct err *e)
	MUST_CHECK;
/* A new version comes into force at from_seq: makes it from proto, numbers it
 * one above the one before.  *Borrows* into *tab; *prev gets a reference of its
 * own to the version before, or NULL. */
int registry_add(struct registry *r, const struct table *proto,
		 uint64_t from_seq, struct table **tab, struct table **prev,
		 struct err *e) MUST_CHECK;

#endif
