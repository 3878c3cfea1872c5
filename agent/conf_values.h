/* conf_values.h: libConfuse, which knows what the values are. */
#ifndef LEAT_AGENT_CONF_VALUES_H
#define LEAT_AGENT_CONF_VALUES_H

#include "agent/conf_scan.h"

/* Has libConfuse read the scanned text, and fills in the texts of the options
 * and the patterns of the includes.  What no option table knows is blanked
 * first, and its options have no texts. */
int conf_values(struct scan *s, struct conf_place *where, struct err *e)
	MUST_CHECK;

#endif
