/* control.h: the control socket, HTTP with JSON over a unix socket (mode 0660).
 *
 *	GET /status		the document of status.h
 *	POST /dlq/retry		?pipeline=P[&id=ID]: its dead letters, or one of them,
 *				are to be delivered
 *	POST /dlq/drop		?pipeline=P[&id=ID]&count=N: they are removed, if
 *				there are N
 *
 * The two answer {"count":N,"state":WORD} or {"code":WORD,"message":TEXT,...}; what
 * comes of a retry shows in the letters. */
#ifndef LEAT_AGENT_CONTROL_H
#define LEAT_AGENT_CONTROL_H

#include "agent/status.h"

struct control;

/* Binds the socket; a dead one from before is replaced, a live one is
 * CODE_state_held.  *Returns owned* or NULL. */
struct control *control_open(const char *path, const struct status_agent *agent,
			     struct err *e);
void control_close(struct control *c);

#endif
