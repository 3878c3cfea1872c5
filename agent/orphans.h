/* orphans.h: what lies about on this machine and belongs to no pipeline of the
 * conf: state, and places in the logs that the conf's pipelines write.  What is
 * on servers the sources report (struct source, siblings). */
#ifndef LEAT_AGENT_ORPHANS_H
#define LEAT_AGENT_ORPHANS_H

#include "agent/conf.h"

/* where: "state_dir" or `log "x"`; name: the pipeline that would own it.  What
 * cannot be looked at has no orphans. */
void orphans_each(const struct conf *c,
		  void (*fn)(void *arg, const char *where, const char *name,
			     const char *what, const char *hint),
		  void *arg);

#endif
