/* pattern.h: the one language in which tables are named, in the conf and in
 * commands: SCHEMA.TABLE, where * stands for any run of characters and ? for
 * one.  In double quotes a part means just what it says (a doubled quote is one
 * quote), so that a name may hold a dot or a star: "odd.schema"."a*b", also
 * mixed: app."2024.orders".  Names are compared as the server stores them, case
 * included. */
#ifndef LEAT_BASE_PATTERN_H
#define LEAT_BASE_PATTERN_H

#include "base/err.h"
#include "base/slice.h"

/* Is it well-formed?  The error names the pattern (CODE_conf_value). */
int pattern_check(struct slice pattern, struct err *e) MUST_CHECK;
/* false for a pattern that is not well-formed */
bool pattern_match(struct slice pattern, struct slice schema,
		   struct slice name);
/* Has it neither * nor ?, so that it names one table? */
bool pattern_is_plain(struct slice pattern);

#endif
