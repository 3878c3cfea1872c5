/* my_json.h: MySQL's binary JSON, as the text that the server's SELECT prints. */
#ifndef LEAT_SOURCES_MY_JSON_H
#define LEAT_SOURCES_MY_JSON_H

#include "base/buf.h"

/* Appends the document; false when it is damaged.  Whether its strings are UTF-8
 * is for the caller to see. */
bool my_json_print(struct slice doc, struct buf *out);

#endif
