/* conf_print.h: the conf as it took effect. */
#ifndef LEAT_AGENT_CONF_PRINT_H
#define LEAT_AGENT_CONF_PRINT_H

#include "base/buf.h"

struct conf;

/* In conf syntax, with every default, without secrets; what is printed reads as
 * the same conf but for secrets that stood in the clear. */
void conf_print(const struct conf *c, struct buf *out);

#endif
