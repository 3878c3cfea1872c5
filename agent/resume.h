/* resume.h: which cursor a pipeline goes on from (contract A2).
 *
 * Sink and state file are compared before the source is touched. */
#ifndef LEAT_AGENT_RESUME_H
#define LEAT_AGENT_RESUME_H

#include "agent/state.h"
#include "sinks/sink.h"

struct resume {
	bool is_forced;		/* by order: contradictions are not errors, the
				   higher seq wins */
	bool is_behind;		/* only by order: the sink lacks what it had
				   acknowledged, and ends at `held` */
	struct cursor held;	/* incarnation 0: it is empty */
	struct registry tables; /* versions in force at the cursor */
	uint64_t tables_seq;	/* later ones are not in the sink */
	struct buf text, held_text; /* what the cursors point into */
	struct cursor cursor;	/* incarnation 0: nothing was ever begun */
};

void resume_init(struct resume *r);
void resume_fini(struct resume *r);

/* Opens the sink and decides.  On success the sink is open.  STOP codes:
 * sink_behind, incarnation, state_corrupt; what the sink says otherwise. */
int resume_decide(struct resume *r, struct sink *snk, struct state *st,
		  struct err *e) MUST_CHECK;

#endif
