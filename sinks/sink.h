/* sink.h: what the agent asks of a sink (contract K of the design).
 *
 * K1 After open() the sink holds exactly the events up to one cursor, and says
 *    which, or that it cannot know.
 * K2 How it keeps that is declared: a transactional sink stores cursor and data
 *    in one atomic act.
 * K3 Verdicts are closed; a sink never sleeps, retries or drops by itself.
 *
 * All functions but check() are called by one thread at a time, and may block. */
#ifndef LEAT_SINKS_SINK_H
#define LEAT_SINKS_SINK_H

#include "base/opt.h"
#include "base/report.h"
#include "schema/batch.h"
#include "schema/registry.h"

enum verdict {
	VERDICT_OK,
	VERDICT_AGAIN,	/* full for a moment: call again after a short wait */
	VERDICT_RETRY,	/* destination away: back off, call again */
	VERDICT_REWIND, /* in doubt: close, open, present again what follows its
			   cursor */
	VERDICT_COMMIT, /* nothing of the call was taken: commit what was before,
			   then call again; only while can_commit */
	VERDICT_REJECT, /* event err->index of the batch can never succeed;
			   nothing of the call was taken.  With err->seq, what
			   the destination said of an event that had been taken:
			   that one; else as REWIND */
	VERDICT_FATAL,	/* stop with err's code */
};

enum sink_class {
	SINK_TRANSACTIONAL, /* the sink's cursor is the truth */
	SINK_IDEMPOTENT,    /* the state file's is; repeats are recognised */
	SINK_AT_LEAST_ONCE, /* the state file's is; repeats are seen */
};

/* SINK_WHOLE_TRANSACTIONS: the destination shows its readers one commit at a time:
 * a commit ends where a transaction of the source does, unless that is larger than a
 * commit may be; and apply_schema() is a part of it like write(), not a barrier.
 * SINK_SEQ_ORDER: its readers find their place by seq, so no event comes behind one
 * with a higher seq, whatever its key. */
enum { SINK_WHOLE_TRANSACTIONS = 1, SINK_SEQ_ORDER = 2 };

struct sink;

/* What open() found in the destination. */
struct sink_held {
	bool is_known;	    /* false: the destination cannot tell */
	bool has_cursor;    /* false: it holds nothing yet */
	bool in_txn;	    /* the cursor's; false where it is not kept */
	struct buf cursor;  /* text form; owned by the caller */
	struct registry *tables; /* the sink loads table versions it holds */
};

struct sink_ops {
	const char *type;
	enum sink_class class;
	unsigned caps;
	const struct opt *opts;
	size_t conf_size, size;

	int (*check)(struct sink *snk, struct report *r, struct err *e);
	/* Recovers, then tells.  Holds the destination exclusively from here on
	 * where it can (CODE_state_held when another process does). */
	int (*open)(struct sink *snk, struct sink_held *held, struct err *e);
	/* Takes events [first, first + count) or none of them.  *Borrows* the
	 * batch until the next commit() or close(): the agent keeps it so long.
	 * A row whose table version has not been applied does not come. */
	enum verdict (*write)(struct sink *snk, const struct batch *b,
			      size_t first, size_t count, struct err *e);
	/* Everything written is durable together with the cursor, or nothing. */
	enum verdict (*commit)(struct sink *snk, const struct cursor *c,
			       struct err *e);
	/* ev is an OP_SCHEMA event; idempotent.  Follows a commit() of all
	 * before it, unless the table is new or SINK_WHOLE_TRANSACTIONS. */
	enum verdict (*apply_schema)(struct sink *snk, const struct event *ev,
				     struct err *e);
	/* Removes what the pipeline has at the destination besides the data. */
	int (*drop)(struct sink *snk, struct err *e);
	void (*close)(struct sink *snk);
};

struct sink {
	const struct sink_ops *ops;
	const char *name;	/* of the section */
	const char *pipeline;
	const void *conf;
	/* Set by the sink, read between its calls.  How long a commit may be put
	 * off from the first write() on, 0: no limit; and the moment (monotonic)
	 * before which one would only wait. */
	int64_t commit_within_ms, commit_after_ms;
	/* The moment (monotonic) at which it wants a commit of the last cursor
	 * although nothing was written; 0: none. */
	int64_t commit_idle_ms;
	/* Set by the agent before write() and apply_schema(): what was written
	 * before the call ends where a transaction of the source does, and can
	 * be committed by itself. */
	bool can_commit;
	/* Of the pipeline's source section; set by the agent before open(), NULL
	 * where nothing is delivered. */
	const char *source;
};

struct sink *sink_new(const struct sink_ops *ops, const char *name,
		      const char *pipeline, const void *conf);
void sink_free(struct sink *snk); /* closes first */

#endif
