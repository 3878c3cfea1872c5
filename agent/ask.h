/* ask.h: a command's question to the running agent, over its control socket. */
#ifndef LEAT_AGENT_ASK_H
#define LEAT_AGENT_ASK_H

#include "base/buf.h"
#include "base/err.h"

enum asked { ASK_OK, ASK_NOT_RUNNING, ASK_FAILED };

/* method path, e.g. "GET" "/status"; the body is appended to out. */
enum asked ask(const char *socket_path, const char *method, const char *path,
	       struct buf *out, struct err *e);
/* "?name=value" or "&name=value" behind a path, with escapes. */
void ask_put(struct buf *path, char sep, const char *name, struct slice value);

#endif
