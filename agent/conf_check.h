/* conf_check.h: do the sections of a conf go together? */
#ifndef LEAT_AGENT_CONF_CHECK_H
#define LEAT_AGENT_CONF_CHECK_H

#include "agent/conf_error.h"

/* Links each pipeline with its source and sink, and adds what is wrong to the
 * errors.  Says nothing of a section that has been found wrong before. */
void conf_check(struct conf *c, struct conf_errors *errors);

#endif
