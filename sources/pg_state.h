/* pg_state.h: what an SQLSTATE means for a pipeline (leat-sources(7),
 * DIAGNOSTICS). */
#ifndef LEAT_SOURCES_PG_STATE_H
#define LEAT_SOURCES_PG_STATE_H

#include "base/err.h"

/* Does the state belong to the class: is it equal to it or begin with it? */
bool pg_state_in(const char *state, const char *class);
/* Sets err to what the server said, with the code and the hint that its state
 * calls for.  Returns -1. */
int pg_state_error(const char *state, const char *message, const char *detail,
		   struct err *e);

#endif
