/* shape.h: what encoding knows of one version of a table, worked out once: the
 * Connect types of its columns and the schemas that go along with records. */
#ifndef LEAT_SCHEMA_SHAPE_H
#define LEAT_SCHEMA_SHAPE_H

#include "schema/connect.h"
#include "schema/event.h"

struct shape_plan {
	struct connect_modes modes;
	/* every column stands in every row, null where it was not sent */
	bool whole;
	bool schemas; /* key_head and value_head are made */
};

struct shape {
	struct table *tab;
	const struct shape_plan *plan;
	struct arena arena;
	struct connect_type *types; /* of tab->ncols columns */
	uint32_t *key;		    /* columns of a record's key, in order */
	uint32_t nkey;
	struct slice source; /* the name that is part of the schemas' */
	/* {"schema":...,"payload": */
	struct slice key_head, value_head;
	struct buf scratch[2]; /* connect_convert() */
};

/* *Borrows* plan, takes a reference to tab.  *Returns owned*, or NULL. */
struct shape *shape_new(struct table *tab, struct slice source,
			const struct shape_plan *plan);
void shape_free(struct shape *sh);

#endif
