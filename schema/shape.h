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
	bool avro;    /* the schemas are Avro's, and bare */
};

struct shape {
	struct table *tab;
	const struct shape_plan *plan;
	struct arena arena;
	struct connect_type *types; /* of tab->ncols columns */
	uint32_t *key;		    /* columns of a record's key, in order */
	uint32_t nkey;
	struct slice source; /* the name that is part of the schemas' */
	/* {"schema":...,"payload": or Avro's schema; of no key: empty */
	struct slice key_head, value_head;
	uint32_t key_id, value_id; /* whoever registers Avro's sets them */
	struct buf scratch[2]; /* connect_convert() */
};

/* *Borrows* plan, takes a reference to tab.  *Returns owned*, or NULL. */
struct shape *shape_new(struct table *tab, struct slice source,
			const struct shape_plan *plan);
void shape_free(struct shape *sh);

/* May column i be null in a row?  A key that every row before has may not. */
bool shape_is_optional(const struct shape *sh, uint32_t i);

#endif
