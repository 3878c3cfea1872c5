/* conf_error.h: the errors of a conf file while they are gathered. */
#ifndef LEAT_AGENT_CONF_ERROR_H
#define LEAT_AGENT_CONF_ERROR_H

#include "agent/conf.h"

struct conf_errors {
	struct conf_error *first;
	unsigned n;
	bool failed;	  /* some may be missing for lack of memory */
	struct err spare; /* takes what has no room */
};

/* A new error at that place: returns what is to be filled, never NULL. */
struct err *conf_fail(struct conf_errors *all, const struct conf_place *place);
/* Forgets all of them. */
void conf_errors_clear(struct conf_errors *all);
/* In the order of the text.  *Returns owned*; NULL when there is none. */
struct conf_error *conf_errors_take(struct conf_errors *all);

#endif
