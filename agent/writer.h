/* writer.h: the thread that delivers (contracts K and A1).
 *
 * Takes batches from the queue, splits them where a table changes its shape
 * (everything before is committed, the sink applies the change, then on),
 * decides when to commit, and obeys the sink's verdicts. */
#ifndef LEAT_AGENT_WRITER_H
#define LEAT_AGENT_WRITER_H

#include <stdatomic.h>

#include "agent/conf.h"
#include "agent/queue.h"
#include "agent/reject.h"
#include "agent/state.h"

struct writer;

/* Called from the writer's thread. */
struct writer_hooks {
	void *arg;
	/* Sink and state have it: the source may be told. */
	void (*committed)(void *arg, const struct cursor *c, uint64_t events);
	/* The sink makes us wait (e), or does no longer (NULL). */
	void (*waiting)(void *arg, const struct err *e);
	/* The thread is about to end. */
	void (*ended)(void *arg);
};

/* The sink is open at `from`.  hurry becomes true when nobody wants to wait for
 * a sick sink any more.  *Borrows* all.  *Returns owned* or NULL. */
struct writer *writer_start(struct queue *q, struct sink *snk, struct state *st,
			    struct reject *reject,
			    const struct conf_pipeline *conf,
			    const struct cursor *from,
			    const struct writer_hooks *hooks,
			    const atomic_bool *hurry, struct err *e);
/* Waits for its end and frees it.  0: everything in the queue was committed, but
 * for a transaction that was not read to its end where the sink wants it whole. */
int writer_join(struct writer *w, struct err *e);

#endif
