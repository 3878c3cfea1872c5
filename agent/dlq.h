/* dlq.h: a pipeline's dead letters, in STATE_DIR/PIPELINE/dead_letters.db
 * (SQLite, WAL).
 *
 * A file of its own, made with the first letter: it holds the only copy of what is
 * in it, so nothing that is done about a damaged state.db may touch it, and every
 * change of it is synced, whatever the sink.
 *
 * The life of a letter:
 *	put		it is not covered yet: the commit behind its place has not
 *			happened, and under on_reject = block it does not
 *	settle		at a cursor: letters up to it are covered; those behind
 *			it are forgotten, since the source brings their events
 *			again and the sink may take them now
 *	supersede	a later event of its key was delivered (A3); it is
 *			forgotten like a letter if that event comes again
 *	want		somebody said that it be delivered
 *	remove		it was delivered
 *	drop		nobody wants it.  Of one that is not covered a mark
 *			stays until it is
 *
 * Keys are bytes made by agent/reject.c; a letter has one or several. */
#ifndef LEAT_AGENT_DLQ_H
#define LEAT_AGENT_DLQ_H

#include "schema/batch.h"

struct dlq;

/* *Returns owned*.  NULL without an error: there are no dead letters, and the file
 * is not to be made. */
struct dlq *dlq_open(const char *state_dir, const char *pipeline,
		     bool may_create, struct err *e);
void dlq_close(struct dlq *q);

struct dlq_counts {
	uint64_t letters, bytes; /* all that are kept */
	uint64_t waiting;	 /* not superseded */
	/* for which a commit is waited for: letters, events that supersede one */
	uint64_t uncovered;
	uint64_t dropped; /* and uncovered */
	uint64_t wanted;  /* and not superseded */
	uint64_t skipped; /* since the file was made */
	uint64_t skipped_seq; /* of the last one */
};
int dlq_counts(struct dlq *q, struct dlq_counts *out, struct err *e) MUST_CHECK;
/* The same for whoever has it not open; all 0 when there is none. */
int dlq_look(const char *state_dir, const char *pipeline, struct dlq_counts *out,
	     struct err *e) MUST_CHECK;

struct dlq_put {
	const struct event *ev;
	struct slice keys; /* each with its length before */
	struct slice key_text;	 /* for people */
	const struct err *why;
	uint64_t max_letters, max_bytes;
	bool is_blocking;
};
/* Once only for each event's id.  CODE_event_rejected when there is no room. */
int dlq_put(struct dlq *q, const struct dlq_put *put, struct err *e) MUST_CHECK;
/* Counts events that are left out; the last one's seq is remembered, so that none
 * is counted again after a replay. */
int dlq_skip(struct dlq *q, uint64_t count, uint64_t seq, struct err *e)
	MUST_CHECK;

/* What is in the sink ends at c.  A letter that the commit of c delivered is
 * removed. */
int dlq_settle(struct dlq *q, const struct cursor *c, struct err *e) MUST_CHECK;
/* Everything that the sink gets up to seq is looked at, or will be before it is
 * committed: what is found beyond it at a later start came from elsewhere, and
 * nobody knows which keys it had. */
int dlq_set_watched(struct dlq *q, uint64_t seq, struct err *e) MUST_CHECK;
/* All letters are superseded if the sink has gone on without us up to seq. */
int dlq_check_watched(struct dlq *q, uint64_t seq, struct err *e) MUST_CHECK;

/* fn is called with each key of each letter that is not superseded. */
int dlq_each_key(struct dlq *q, void (*fn)(void *arg, struct slice key),
		 void *arg, struct err *e) MUST_CHECK;
/* Letters with that key (p = NULL: all of them) and a seq below that of the event
 * are superseded by it.  Between begin and end, which make it durable. */
int dlq_begin(struct dlq *q, struct err *e) MUST_CHECK;
int dlq_supersede(struct dlq *q, struct slice key, const struct event *by,
		  struct err *e) MUST_CHECK;
int dlq_end(struct dlq *q, struct err *e) MUST_CHECK;

/* --- what people do with them ------------------------------------------ */

struct dlq_letter {
	uint64_t n; /* never used twice */
	uint64_t seq, bytes, tries;
	struct slice id, table, key, op, reason;
	struct slice superseded_by; /* p = NULL: it is not */
	bool is_covered, is_wanted, is_blocking;
	int64_t commit_us, rejected_us, tried_us;
};
/* In order of seq; id p = NULL: all.  What fn gets is *borrowed* for the call. */
int dlq_each(struct dlq *q, struct slice id,
	     int (*fn)(void *arg, const struct dlq_letter *l, struct err *e),
	     void *arg, struct err *e) MUST_CHECK;
/* The event of letter n, appended to b. */
int dlq_load(struct dlq *q, uint64_t n, struct batch *b, struct err *e)
	MUST_CHECK;
/* id p = NULL: all that are covered and not superseded.  *count: how many. */
int dlq_want(struct dlq *q, struct slice id, uint64_t *count, struct err *e)
	MUST_CHECK;
/* *count: how many there are.  They are removed only if that is what was
 * expected. */
int dlq_drop(struct dlq *q, struct slice id, uint64_t expected, uint64_t *count,
	     struct err *e) MUST_CHECK;
/* Was the event, which comes again, dropped before it was covered? */
int dlq_is_dropped(struct dlq *q, struct slice id, bool *is, struct err *e)
	MUST_CHECK;
/* The next letter that is to be delivered; *n = 0: none. */
int dlq_next(struct dlq *q, uint64_t *n, struct err *e) MUST_CHECK;
int dlq_remove(struct dlq *q, uint64_t n, struct err *e) MUST_CHECK;
/* It was tried again, and rejected again: it is not wanted any more. */
int dlq_failed(struct dlq *q, uint64_t n, const struct err *why, struct err *e)
	MUST_CHECK;

#endif
