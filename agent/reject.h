/* reject.h: what is done with an event that the sink can never take (on_reject).
 *
 * block	the pipeline stops; the event is kept so that it can be looked at,
 *		until the pipeline starts again
 * dead_letter	it is put into the pipeline's dead letters (dlq.h), as long as
 *		there is room
 * skip		it is left out and counted
 *
 * While there are dead letters, what the sink gets is looked at: a letter whose key
 * has a later event is superseded, which is durable before that event's commit.
 *
 * One of a pipeline, for its writer's thread; reject_poke() for any. */
#ifndef LEAT_AGENT_REJECT_H
#define LEAT_AGENT_REJECT_H

#include "agent/conf.h"

struct reject;

/* *Borrows* all of it.  *Returns owned* or NULL. */
struct reject *reject_new(const char *state_dir, const struct conf_pipeline *pc);
void reject_free(struct reject *r);

/* The sink was opened, at c: the first time, or again. */
int reject_begin(struct reject *r, const struct cursor *c, struct err *e)
	MUST_CHECK;
/* No more is written for now. */
void reject_end(struct reject *r);

/* By on_reject: 0, the event is not to be written; -1 with CODE_event_rejected, or
 * what hinders from keeping it. */
int reject_event(struct reject *r, const struct event *ev, const struct err *why,
		 struct err *e) MUST_CHECK;
/* The sink took events [from, to); a new version of a table. */
int reject_written(struct reject *r, const struct batch *b, size_t from,
		   size_t to, struct err *e) MUST_CHECK;
int reject_applied(struct reject *r, const struct event *schema, struct err *e)
	MUST_CHECK;
/* Before and after a commit of c. */
int reject_commits(struct reject *r, const struct cursor *c, struct err *e)
	MUST_CHECK;
int reject_committed(struct reject *r, const struct cursor *c, struct err *e)
	MUST_CHECK;

/* --- delivering letters ------------------------------------------------ */

/* Somebody wants letters delivered, or has dropped some. */
void reject_poke(struct reject *r);
bool reject_has_wanted(struct reject *r);
/* The next letter that is wanted, alone in a batch that is *borrowed* until the next
 * call or reject_end(); NULL without an error: none. */
const struct batch *reject_next(struct reject *r, uint64_t *letter, struct err *e);
int reject_delivered(struct reject *r, uint64_t letter, struct err *e) MUST_CHECK;
/* The sink rejected it again. */
int reject_failed(struct reject *r, uint64_t letter, const struct err *why,
		  struct err *e) MUST_CHECK;

#endif
