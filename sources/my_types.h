/* my_types.h: the servers' types as leat's. */
#ifndef LEAT_SOURCES_MY_TYPES_H
#define LEAT_SOURCES_MY_TYPES_H

#include "sources/my_map.h"

/* TYPE_OTHER for what is not known: its values cannot be read either. */
enum type my_type_of(const struct my_column *c);
/* As one would declare the column: int unsigned, varchar(20), enum('a','b'). */
void my_type_print(const struct my_column *c, struct buf *out);

#endif
