/* table.h: an immutable version of a table's shape.
 *
 * Identity: the fingerprint of what the change stream carries.  Facts from the
 * catalog (nullable, primary key, and what has no place in the stream) are frozen in when the version
 * is first seen.
 * One malloc holds the table and all its text; it is shared between batches,
 * threads and the registry by counting references. */
#ifndef LEAT_SCHEMA_TABLE_H
#define LEAT_SCHEMA_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"
#include "schema/type.h"

/* Which columns an update or delete carries of the row before.  Stored. */
enum identity {
	IDENTITY_DEFAULT, /* the primary key */
	IDENTITY_FULL,
	IDENTITY_NOTHING,
	IDENTITY_INDEX,
};

struct column {
	struct slice name;
	struct slice type_name; /* the server's: numeric(10,2) */
	enum type type;
	uint32_t source_type;	/* PostgreSQL: type oid */
	int32_t modifier;	/* PostgreSQL: typmod, -1 for none */
	bool is_identity;	/* sent as part of the old key */
	bool is_nullable;
	uint16_t key_position;	/* in the primary key, from 1; 0: not in it */
	uint16_t number;	/* that a rename leaves alone; 0: not known */
	struct slice labels;	/* of an enum or an array of one: a,b */
	struct slice base_name; /* of a domain: numeric(10,2) */
};

struct table {
	atomic_uint refs;
	uint32_t version;     /* for people: 1, 2, ... per schema and name */
	uint64_t from_seq;    /* of the first event of this version */
	uint64_t fingerprint;
	uint32_t source_id;   /* PostgreSQL: relation oid */
	enum identity identity;
	struct slice schema, name;
	/* schema.name; a part with a dot or a quote in it stands in double
	 * quotes, so that no two tables share one */
	struct slice full_name;
	uint32_t ncols;
	struct column *cols;
	/* of the one thread that fills batches: see batch_use_table() */
	uint64_t batch_mark;
};

/* A deep copy of what the caller put together on its stack or in an arena;
 * full_name, fingerprint and refs (1) are filled in.  *Returns owned*, or NULL
 * on lack of memory. */
struct table *table_new(const struct table *proto);
/* What full_name will be, into the arena; p = NULL on lack of memory. */
struct slice table_full_name(struct arena *a, struct slice schema,
			     struct slice name);
struct table *table_ref(struct table *tab);
void table_unref(struct table *tab); /* NULL is allowed */

/* Of schema, name, source_id, identity and each column's name, source_type,
 * modifier and is_identity: what the stream itself tells. */
uint64_t table_fingerprint(const struct table *proto);

/* Is there a key whose value tells rows apart: the primary key, or else the
 * columns of the replica identity index? */
bool table_has_key(const struct table *tab);
/* Is column i part of that key? */
bool table_in_key(const struct table *tab, uint32_t i);

/* May an update leave out the value of a column that it did not change?  So do
 * servers with what they store beside the row, unless they send the whole row
 * before.  False only where the columns' types say that no row gets large enough
 * for that. */
bool table_may_omit(const struct table *tab);

/* The stored form (state file, log). */
void table_encode(const struct table *tab, struct buf *out);
/* *Returns owned*, or NULL with err set (CODE_log_corrupt). */
struct table *table_decode(struct wire *w, struct err *e);

/* What a person reads: one line per difference, "added column \"x\" text".
 * old may be NULL ("new table"). */
void table_diff(const struct table *old, const struct table *tab,
		struct buf *out);

#endif
