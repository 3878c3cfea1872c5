/* status.h: the state of the agent as a JSON document, which is what the control
 * socket serves and `leat status --json` prints. */
#ifndef LEAT_AGENT_STATUS_H
#define LEAT_AGENT_STATUS_H

#include "agent/pipeline.h"

struct status_agent {
	const struct conf *conf;
	struct pipeline **pipelines;
	size_t n;
	int64_t started_us;
};

/* Members "code", "message", "detail", "hint" of an object, a comma behind each. */
void status_put_error(struct buf *out, const struct err *e);
void status_print(const struct status_agent *agent, struct buf *out);
/* The same document for an agent that does not run, from the state files. */
void status_print_offline(const struct conf *conf, struct buf *out);

#endif
