/* utf8.h: is it UTF-8?  RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF.  Everything that leat calls text has passed here or was made
 * by leat. */
#ifndef LEAT_BASE_UTF8_H
#define LEAT_BASE_UTF8_H

#include "base/slice.h"

bool utf8_is_valid(struct slice s);
/* Overwrites what is none with question marks: for text that may come from a
 * server, a path or a cut, and goes where UTF-8 is expected. */
void utf8_mend(char *p, size_t n);

#endif
