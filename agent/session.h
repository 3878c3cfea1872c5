/* session.h: a pipeline opened by a command while no agent runs it: state
 * locked, source claimed, sink open. */
#ifndef LEAT_AGENT_SESSION_H
#define LEAT_AGENT_SESSION_H

#include "agent/conf.h"
#include "agent/resume.h"

struct session {
	const struct conf_pipeline *pc;
	struct state *state;
	struct source *src;
	struct sink *snk;
	struct resume resume;
};

/* CODE_running when an agent of this machine runs it or one elsewhere holds the
 * claim.  A sink or state that contradict each other are no error here when
 * `force`: the cursor with the higher seq is taken. */
int session_open(struct session *s, const struct conf *conf,
		 const struct conf_pipeline *pc, bool force, struct err *e)
	MUST_CHECK;
void session_close(struct session *s);

#endif
