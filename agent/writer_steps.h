/* writer_steps.h: what the files that make up the writer share. */
#ifndef LEAT_AGENT_WRITER_STEPS_H
#define LEAT_AGENT_WRITER_STEPS_H

#include <pthread.h>

#include "agent/writer.h"
#include "base/retry.h"

/* What to do after a verdict. */
enum step { STEP_DONE, STEP_AGAIN, STEP_REWIND, STEP_FAIL };

struct writer {
	struct queue *queue;
	struct sink *sink;
	struct state *state;
	struct reject *reject;
	const struct conf_pipeline *conf;
	struct writer_hooks hooks;
	const atomic_bool *hurry;
	pthread_t thread;
	struct err err;

	struct buf committed_text; /* what `committed` points into */
	struct cursor committed;
	const struct batch *last; /* presented, not committed; NULL: none */
	int64_t dirty_since;
	uint64_t skip_seq;	  /* events up to it are in the sink */
	uint64_t events;	  /* since the last commit */
	int64_t state_written;
	bool is_state_behind;
	struct retry retry;
	struct retry rewinds; /* since the last commit */
	/* What the sink said of events that it had taken, by their seq, for when
	 * they come again; until they are covered. */
	struct err *refused;
	size_t nrefused;
	bool is_between;      /* the last commit ended with a transaction */
};

/* Waits where the verdict asks for it.  STEP_AGAIN: make the call again. */
enum step writer_settle(struct writer *w, enum verdict v, struct err *e);
/* The same for what is written to the state directory, which is waited for like a
 * sink: what the sink has committed is not to be delivered again for that. */
enum step writer_settle_state(struct writer *w, int rc, struct err *e);
/* A commit of the sink, and of nothing else. */
enum step writer_commit_sink(struct writer *w, const struct cursor *c,
			     struct err *e);
/* The sink took events [from, to). */
enum step writer_note_written(struct writer *w, const struct batch *b, size_t from,
			      size_t to, struct err *e);
/* Opens the sink again, because of e. */
int writer_rewind(struct writer *w, struct err *e);
/* Do commits end with transactions? */
bool writer_is_whole(const struct writer *w);

#endif
