/* session.h: a pipeline opened by a command while no agent runs it: state
 * locked, source claimed, sink open. */
#ifndef LEAT_AGENT_SESSION_H
#define LEAT_AGENT_SESSION_H

#include "agent/conf.h"
#include "agent/resume.h"

struct session {
	const struct conf_pipeline *pc;
	const char *state_dir;
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
 * other is no error here: the command is what mends it (resume.h). */
int session_resume(struct session *s, struct err *e) MUST_CHECK;
/* Resolves a position typed by a person, as seen from what the sink holds.
 * seek->source is BUF_INIT before, and *owned by the caller*. */
int session_seek(struct session *s, const char *position, struct seek *seek,
		 struct err *e) MUST_CHECK;
/* The pipeline goes on from there in a new incarnation, so ids of old and new
 * events never collide; a gap event in the sink stands for what is left out.
 * Order: the incarnation is announced in the state file, then the sink commits
 * gap event and cursor in one act, then the state file follows.  Killed between
 * any two of them, either the old or the new cursor is in force. */
int session_move(struct session *s, const struct seek *seek, struct err *e)
	MUST_CHECK;
void session_close(struct session *s);

#endif
