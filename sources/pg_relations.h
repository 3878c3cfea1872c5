/* pg_relations.h: what the Relation and Type messages of one connection said.
 *
 * PostgreSQL sends a table's shape before the table's first change and after
 * each alteration; later changes refer to it by oid.  A shape becomes a version
 * of the table (schema/registry.h) when a change of it is to be delivered, not
 * before, so that replay makes the same versions at the same places. */
#ifndef LEAT_SOURCES_PG_RELATIONS_H
#define LEAT_SOURCES_PG_RELATIONS_H

#include "base/arena.h"
#include "base/wire.h"
#include "sources/pgoutput.h"

struct pg_relation {
	uint32_t oid;
	bool is_wanted;
	struct table *tab;   /* the version in force: a reference, or NULL */
	struct table *shape; /* owned; wanted, and not a version so far */
	bool is_stale;	     /* another relation has got its name */
	uint64_t txn;	     /* number of the transaction that it was last in */
	uint64_t changes;    /* of it in that transaction */
};

struct pg_user_type;

struct pg_relations {
	struct map by_oid;
	uint32_t nstale;
	struct pg_relation *last; /* found last: rows come in runs */
	struct registry *reg;
	struct pgoutput_hooks hooks;
	struct arena scratch;	     /* of one Relation message */
	struct arena types_arena;    /* Type messages since the last Relation */
	struct pg_user_type *types;
	uint32_t ntypes;
};

void pg_relations_init(struct pg_relations *rs, struct registry *reg,
		       const struct pgoutput_hooks *hooks);
void pg_relations_fini(struct pg_relations *rs);

/* The bodies of Type and Relation messages, behind the type byte. */
int pg_relations_read_type(struct pg_relations *rs, struct wire *w,
			   struct err *e) MUST_CHECK;
int pg_relations_read(struct pg_relations *rs, struct wire *w, struct err *e)
	MUST_CHECK;

/* *Borrows*; NULL when no Relation message had that oid. */
struct pg_relation *pg_relations_get(struct pg_relations *rs, uint32_t oid);

/* Makes sure of rel->tab.  *is_new: the version begins here, at seq; *prev then
 * is a reference to the one before, or NULL. */
int pg_relations_settle(struct pg_relations *rs, struct pg_relation *rel,
			uint64_t seq, bool *is_new, struct table **prev,
			struct err *e) MUST_CHECK;

#endif
