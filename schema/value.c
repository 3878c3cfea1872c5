#include "config.h"
#include "schema/value.h"

bool value_eq(const struct value *a, const struct value *b)
{
	if (a->tag != b->tag)
		return false;
	switch (a->tag) {
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		return true;
	case VALUE_BOOL:
		return a->b == b->b;
	case VALUE_INT:
		return a->i == b->i;
	case VALUE_UINT:
		return a->u == b->u;
	case VALUE_TEXT:
	case VALUE_BYTES:
		return slice_eq(a->s, b->s);
	}
	return false;
}
