/* my_charset.h: the server's character sets, to UTF-8.
 *
 * A table map names the collation of a column by number; which character set
 * that is of, the server tells when one connects.  Without having been asked it
 * is known of the common ones, whose numbers have not changed since MySQL 5.5. */
#ifndef LEAT_SOURCES_MY_CHARSET_H
#define LEAT_SOURCES_MY_CHARSET_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct my_charset;
struct my_charsets;

#define MY_COLLATION_BINARY 63u

/* *Returns owned*, or NULL. */
struct my_charsets *my_charsets_new(void);
void my_charsets_free(struct my_charsets *all);
/* Collation number `id` is one of the character set of that name. */
int my_charsets_set(struct my_charsets *all, uint32_t id, struct slice name,
		    struct err *e) MUST_CHECK;
/* *Borrows*; NULL when the collation, or its character set, is not known. */
const struct my_charset *my_charsets_get(const struct my_charsets *all,
					 uint32_t id);

/* Bytes that are no text? */
bool my_charset_is_binary(const struct my_charset *cs);
/* The most bytes that one character takes. */
uint32_t my_charset_max(const struct my_charset *cs);
const char *my_charset_name(const struct my_charset *cs);
/* As UTF-8: `in` itself where it is that already, else in the arena.  False when
 * it is no text in that character set, or on lack of memory (the arena's flag). */
bool my_charset_utf8(const struct my_charset *cs, struct slice in,
		     struct arena *a, struct slice *out);

#endif
