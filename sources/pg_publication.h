/* pg_publication.h: which tables the conf wants, and the publication that makes
 * the server send them.  leat-sources(7), "Tables and publication". */
#ifndef LEAT_SOURCES_PG_PUBLICATION_H
#define LEAT_SOURCES_PG_PUBLICATION_H

#include "sources/pg.h"

enum pg_kind {
	PG_TABLE,
	PG_PARTITIONED,
	PG_UNPUBLISHABLE, /* unlogged or foreign */
};

/* A table of the database. */
struct pg_table {
	struct slice schema, name;
	uint32_t oid;
	enum pg_kind kind;
	bool is_matched;   /* by the conf's patterns */
	bool is_partition;
	bool by_parent;	   /* it is published by way of a table above it */
	bool is_wanted;	   /* to be in the publication under its own name */
	bool is_published; /* it is */
	bool has_identity; /* its updates and deletes can be published */
	bool is_full;	   /* REPLICA IDENTITY FULL */
	bool is_owned;	   /* by the role, so that it may publish it */
	int64_t rows, bytes; /* estimates; -1: never counted */
};

struct pg_publication {
	bool exists, all_tables, via_root;
	bool inserts, updates, deletes, truncates;
	struct pg_table *v;
	size_t n, wanted, unpublished;
	struct pg_result *res; /* owns all text */
};

/* Reads the database's tables and the publication, by the side connection. */
int pg_publication_read(struct pg *pg, struct pg_publication *p, struct err *e)
	MUST_CHECK;
void pg_publication_free(struct pg_publication *p);

/* Nothing wanted, or wanted tables without an identity while the publication is
 * yet to be made, is an error. */
int pg_publication_preflight(struct pg *pg, const struct pg_publication *p,
			     struct err *e) MUST_CHECK;
/* Makes it, or finds that the existing one serves. */
int pg_publication_ensure(struct pg *pg, struct pg_publication *p, struct err *e)
	MUST_CHECK;
/* Does the existing one publish partitions as the conf says? */
int pg_publication_check_root(struct pg *pg, const struct pg_publication *p,
			      struct err *e) MUST_CHECK;
/* For a resume: it must exist.  Notes the tables that are not in it. */
int pg_publication_recheck(struct pg *pg, const struct pg_publication *p,
			   struct err *e) MUST_CHECK;

/* Statements that mend, for hints and for leat check --sql, without a
 * semicolon. */
void pg_publication_create_sql(const struct pg *pg, const struct pg_publication *p,
			       struct buf *out);
void pg_publication_add_sql(const struct pg *pg, const struct pg_publication *p,
			    struct buf *out);
void pg_publication_identity_sql(const struct pg_table *t, struct buf *out);
/* Would its updates and deletes fail once it is published? */
bool pg_publication_would_hurt(const struct pg_table *t);
/* "s"."t" */
void pg_publication_put_name(const struct pg_table *t, struct buf *out);

#endif
