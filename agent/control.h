/* control.h: the control socket, HTTP with JSON over a unix socket (mode 0660).
 *
 *	GET /status    the document of status.h */
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
