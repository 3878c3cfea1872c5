/* source.h: what the agent asks of a source (contract S of the design).
 *
 * S1 After open(P) the next event is the one directly after P; events, ids and
 *    seq are those of the first time.
 * S2 Every batch ends at a resumable cursor.
 * S3 Only ack() of a committed cursor moves what the server may forget.
 * S4 An idle source still advances: read() returns an empty batch with a newer
 *    cursor, at most every 10 s, at once (at most every second) when the server
 *    asks.
 * S5 What makes a resume impossible or doubtful has a code of its own.
 *
 * All functions are called by one thread, the pipeline's reader.  They may
 * block, but watch `wake_fd`: when it becomes readable, read() returns soon with
 * what it has (the agent wants to ack, or to stop) and must not drain the
 * descriptor.  An error's kind (codes.def) says whether the agent tries again
 * or stops. */
#ifndef LEAT_SOURCES_SOURCE_H
#define LEAT_SOURCES_SOURCE_H

#include <stdatomic.h>

#include "base/opt.h"
#include "base/report.h"
#include "schema/batch.h"
#include "schema/registry.h"

struct source;

enum claim { CLAIM_OK, CLAIM_HELD, CLAIM_ERROR };

/* What seek() found out about a position that a person typed. */
struct seek {
	const char *adopt;  /* given: what another agent kept its place with, NULL:
				none; the pipeline gets a copy of it */
	struct buf source;  /* source part of the new cursor; owned by the caller */
	bool skips;	    /* changes between the old cursor and it are lost */
	bool repeats;	    /* changes that were delivered come again */
	char note[200];	    /* what the person should know, or "" */
};

enum {
	SOURCE_NEEDS_INITIAL = 1, /* the pipeline must say `initial` */
	SOURCE_ADOPTS = 2,	  /* seek() knows what to do with `adopt` */
};

/* The position words every source knows in seek(): "now" (from here on,
 * forgetting what is kept for the pipeline) and "slot" (the nearest to what was
 * delivered that the source still has).  A cursor's source part as shown by
 * `leat offsets show` is always a position too. */
struct source_ops {
	const char *type;
	const char *connector; /* Debezium's word for it, NULL: the type */
	unsigned caps;
	const struct opt *opts;
	size_t conf_size; /* of the struct that opts fill */
	size_t size;	  /* of the struct that begins with struct source */

	/* Reaches the server, finds what is missing or costs; changes nothing.
	 * -1 only when the server could not be asked. */
	int (*check)(struct source *src, struct report *r, struct err *e);
	/* Makes this agent the pipeline's only one, until close().  Comes before
	 * anything else touches source or sink. */
	enum claim (*claim)(struct source *src, struct err *e);
	/* Goes to `at`.  at->source "intent": nothing was ever read; make what
	 * the server must keep for us (slot, publication) or take up what an
	 * interrupted first start has made; the first read() then returns an
	 * empty batch with the first real cursor.  *Borrows* reg until close(). */
	int (*open)(struct source *src, const struct cursor *at,
		    struct registry *reg, struct err *e);
	/* Fills the (reset) batch and sets its cursor.  Returns when the batch is
	 * full, when nothing more is there at the moment and it has something,
	 * or at the deadline (clock_mono_ms) or wake-up with what there is; an
	 * unchanged cursor means that there was nothing.  On -1 the batch may
	 * hold rubbish and is thrown away. */
	int (*read)(struct source *src, struct batch *b, int64_t deadline_ms,
		    struct err *e);
	/* The sink holds everything up to `committed` (NULL: nothing new since
	 * the last call).  Also the duty call while read() cannot be called
	 * because the queue is full, at least every 10 s: answers the server,
	 * and fails with a RETRY code when the connection must be let go. */
	int (*ack)(struct source *src, const struct cursor *committed,
		   struct err *e);
	/* Resolves a position typed by a person, given the cursor that is in
	 * force (may have no incarnation: none).  Needs claim(), not open(). */
	int (*seek)(struct source *src, struct slice position,
		    const struct cursor *current, struct seek *out,
		    struct err *e);
	/* Removes all that the pipeline has on the server.  Needs claim(). */
	int (*drop)(struct source *src, struct err *e);
	/* Any state; releases the claim and everything open() made. */
	void (*close)(struct source *src);
};

/* Begins every source's own struct. */
struct source {
	const struct source_ops *ops;
	const char *name;	/* of the section */
	const char *pipeline;
	const void *conf;	/* ops->conf_size bytes, typed by ops->opts */
	uint32_t incarnation;	/* of the cursor it was opened at */
	int wake_fd;
	size_t batch_bytes;	/* a batch is full from here on */
	const char *start;	/* the pipeline's `start`, for sources that know it */
	/* All pipelines of the conf, NULL at the end: what else of leat's is on
	 * the server is to be reported.  NULL: not now. */
	const char *const *siblings;
	/* written by the source, read by `leat status` */
	_Atomic uint64_t behind_bytes;	 /* of the server's log, UINT64_MAX: unknown */
	_Atomic int64_t last_commit_us;	 /* commit time of the last change read */
	_Atomic int64_t last_heard_us;	 /* when the server last said anything */
	/* how it reads at the moment, a constant word; NULL: it has one way */
	const char *_Atomic gear;
	/* set by open(): the longest that the server waits for ack(); 0: no limit */
	int64_t duty_ms;
	char place[128]; /* reader's own: where it is, for error context */
};

/* *Returns owned*: calloc'd, ops and names filled in; NULL on lack of memory.
 * Borrows everything given. */
struct source *source_new(const struct source_ops *ops, const char *name,
			  const char *pipeline, const void *conf);
void source_free(struct source *src); /* closes first */

#endif
