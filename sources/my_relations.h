/* my_relations.h: what the TABLE_MAP events of one binlog file said.
 *
 * A map comes in front of the rows of each statement, mostly the same as before:
 * then comparing its bytes is all the work.  A shape becomes a version of the
 * table (schema/registry.h) when a change of it is to be delivered, not before,
 * so that replay makes the same versions at the same places. */
#ifndef LEAT_SOURCES_MY_RELATIONS_H
#define LEAT_SOURCES_MY_RELATIONS_H

#include "schema/registry.h"
#include "sources/my_binlog.h"
#include "sources/my_map.h"

struct my_relation {
	struct arena arena; /* of all that follows */
	struct slice bytes; /* the map's, as it came */
	struct my_map map;
	struct slice full_name;
	bool is_wanted;
	struct table *tab;   /* the version in force: a reference, or NULL */
	struct table *shape; /* owned; wanted, and not a version so far */
	uint64_t txn;	     /* number of the transaction that it was last in */
	uint64_t changes;    /* of it in that transaction */
};

struct my_relations {
	struct map by_id;
	struct my_relation *last; /* found last: rows come in runs */
	const struct my_charsets *charsets;
	struct registry *reg;
	struct my_hooks hooks;
};

void my_relations_init(struct my_relations *rs, struct registry *reg,
		       const struct my_charsets *charsets,
		       const struct my_hooks *hooks);
void my_relations_fini(struct my_relations *rs);
/* A file ends, or a server begins anew: the numbers of tables may too. */
void my_relations_forget(struct my_relations *rs);

/* The body of a TABLE_MAP. */
int my_relations_read(struct my_relations *rs, struct wire *w, struct err *e)
	MUST_CHECK;
/* *Borrows*; NULL when no map had that number. */
struct my_relation *my_relations_get(struct my_relations *rs, uint64_t id);

/* Makes sure of rel->tab.  *is_new: the version begins here, at seq; *prev then
 * is a reference to the one before, or NULL. */
int my_relations_settle(struct my_relations *rs, struct my_relation *rel,
			uint64_t seq, bool *is_new, struct table **prev,
			struct err *e) MUST_CHECK;

#endif
