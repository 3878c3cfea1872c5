/* change.h: what lies between two versions of a table, by kind.
 *
 * Columns are the same ones by their number, where both versions have it, and by
 * their name otherwise; so a rename is known as one only where the source tells
 * numbers. */
#ifndef LEAT_SCHEMA_CHANGE_H
#define LEAT_SCHEMA_CHANGE_H

#include "schema/table.h"

enum change {
	CHANGE_ADD_COLUMN,
	CHANGE_DROP_COLUMN,
	CHANGE_RENAME_COLUMN,
	CHANGE_WIDEN_TYPE, /* every value of the old type is one of the new */
	CHANGE_TYPE,
	CHANGE_KEY,	   /* columns of the key, or their order */
	CHANGE_REPLACE_TABLE, /* another table has the name now */
	CHANGE_KINDS
};

extern const char *const change_names[]; /* add_column, ...; ends in NULL */

/* Bits 1u << enum change. */
unsigned change_kinds(const struct table *old, const struct table *tab);

/* What column i of tab was in old; NULL: it was not there. */
const struct column *change_was(const struct table *old,
				const struct table *tab, uint32_t i);

/* Is column j of old no longer in tab? */
bool change_is_gone(const struct table *old, const struct table *tab,
		    uint32_t j);

#endif
