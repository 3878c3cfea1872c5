#include "config.h"
#include "schema/type.h"

const char *type_name(enum type t)
{
	static const char *const names[] = {
#define TYPE(NAME, name, tag) name,
		TYPES(TYPE)
#undef TYPE
	};

	return names[t];
}
