/* value.h: one column of one row.
 *
 * 24 bytes, copied by assignment.  Text and bytes are slices into the arena of
 * the batch that the value belongs to (or, for a value of the agent's own, into
 * static memory). */
#ifndef LEAT_SCHEMA_VALUE_H
#define LEAT_SCHEMA_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Stored in logs: add at the end only. */
enum value_tag {
	VALUE_NULL,
	VALUE_UNCHANGED, /* the source did not send it; not the same as NULL */
	VALUE_BOOL,
	VALUE_INT,
	VALUE_UINT,
	VALUE_TEXT, /* UTF-8, in the canonical form of the column's type */
	VALUE_BYTES,
};

struct value {
	enum value_tag tag;
	union {
		bool b;
		int64_t i;
		uint64_t u;
		struct slice s;
	};
};

bool value_eq(const struct value *a, const struct value *b);

#endif
