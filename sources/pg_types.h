/* pg_types.h: PostgreSQL's types as leat's, and their text as values.
 *
 * The built-in types are known by oid (pg_type.dat, never reused); a domain is
 * known by the name of its base type, which the Type message carries. */
#ifndef LEAT_SOURCES_PG_TYPES_H
#define LEAT_SOURCES_PG_TYPES_H

#include "base/buf.h"
#include "schema/type.h"
#include "schema/value.h"

/* Types made after initdb (FirstGenbkiObjectId): Type messages come for these. */
#define PG_FIRST_USER_OID 10000u

/* TYPE_OTHER for what has no type of its own; *is_known tells (may be NULL)
 * whether it is a built-in one. */
enum type pg_type_of(uint32_t oid, bool *is_known);
/* The same for the name of a type in pg_catalog; its oid or 0. */
uint32_t pg_type_oid(struct slice typname);
/* The type's name with its modifier, as one would declare a column:
 * numeric(10,2), varchar(20), timestamp(3), int4[].  Nothing for an oid that is
 * not built in. */
void pg_type_print(uint32_t oid, int32_t modifier, struct buf *out);

enum pg_text { PG_TEXT_OK, PG_TEXT_NOT_UTF8, PG_TEXT_BAD };

/* A column's text as a value.  Text values point to p; bytea is decoded in
 * place, so p must be writable and belong to the batch. */
enum pg_text pg_type_value(enum type t, char *p, size_t n, struct value *v);

#endif
