/* evolve.h: may a pipeline follow a change of a table's shape?
 *
 * The option on_schema_change: a list of "kind=policy"; kinds are those of
 * schema/change.h, and "default" for those that are not named. */
#ifndef LEAT_AGENT_EVOLVE_H
#define LEAT_AGENT_EVOLVE_H

#include "agent/state.h"
#include "base/opt.h"
#include "schema/event.h"

enum policy {
	POLICY_EVOLVE, /* the sink follows */
	POLICY_PAUSE,  /* stop until `leat schema accept` lets this one pass */
	POLICY_FAIL,   /* stop until the conf says otherwise */
};

/* Is the list well formed?  -1 with CODE_conf_value. */
int evolve_check(const struct opt_list *list, struct err *e) MUST_CHECK;

/* ev is an OP_SCHEMA event of a table that was known.  0: go on.  -1 with
 *	schema_stopped	a policy is against it; what is to be accepted is in st
 * or an error of the state. */
int evolve_judge(const struct opt_list *list, const char *pipeline,
		 struct state *st, const struct event *ev, struct err *e)
	MUST_CHECK;

#endif
