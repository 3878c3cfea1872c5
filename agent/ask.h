/* ask.h: a command's question to the running agent, over its control socket. */
#ifndef LEAT_AGENT_ASK_H
#define LEAT_AGENT_ASK_H

#include "base/buf.h"
#include "base/err.h"

enum asked { ASK_OK, ASK_NOT_RUNNING, ASK_FAILED };

/* GET path, e.g. "/status"; the body is appended to out. */
enum asked ask(const char *socket_path, const char *path, struct buf *out,
	       struct err *e);

#endif
