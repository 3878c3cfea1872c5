/* secret.h: passwords and the like, by reference.
 *
 * The conf holds file:PATH, env:NAME or credential:NAME; what they stand for is
 * read at each connect, so that a rotated secret needs no restart, and is never
 * printed, noted or put into a message. */
#ifndef LEAT_BASE_SECRET_H
#define LEAT_BASE_SECRET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Is the text the secret itself and not a reference to one? */
bool secret_is_clear(const char *ref);
/* Reads the secret that `ref` stands for: file:PATH (one trailing newline
 * dropped), env:NAME, credential:NAME (below $CREDENTIALS_DIRECTORY), or the
 * text itself.  Appends to out, without a NUL; there is none inside either.
 * The message never holds the secret. */
int secret_read(const char *ref, struct buf *out, struct err *e) MUST_CHECK;

/* Appends a libpq connection string (key/value or URI form) with every secret
 * in it as "***"; true when there was one.  What libpq would not understand
 * becomes "***" as a whole. */
bool secret_redact_conninfo(const char *conninfo, struct buf *out);
/* Would libpq understand it, and take every part for what it was meant to be? */
bool secret_is_conninfo(const char *conninfo);

#endif
