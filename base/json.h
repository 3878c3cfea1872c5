/* json.h: JSON text, written (jansson is for documents that are read).
 * RFC 8259. */
#ifndef LEAT_BASE_JSON_H
#define LEAT_BASE_JSON_H

#include "base/buf.h"

/* A quoted string.  s must be UTF-8; control characters, quote and backslash
 * are escaped, everything else goes as it is. */
void json_quoted(struct buf *b, struct slice s);
/* Only what goes between the quotes. */
void json_escaped(struct buf *b, struct slice s);
/* Base64 (RFC 4648 section 4, padded) without quotes. */
void json_base64(struct buf *b, struct slice s);

#endif
