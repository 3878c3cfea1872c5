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

/* Locks the state and claims the source.  CODE_running when an agent of this
 * machine runs it or one elsewhere holds the claim.  session_close() also after
 * a failure. */
int session_open(struct session *s, const struct conf *conf,
		 const struct conf_pipeline *pc, struct err *e) MUST_CHECK;
/* Opens the sink and finds the cursor.  That sink and state contradict each
 * other is no error here: the command is what mends it, and the cursor with the
 * higher seq counts. */
int session_resume(struct session *s, struct err *e) MUST_CHECK;
void session_close(struct session *s);

#endif
