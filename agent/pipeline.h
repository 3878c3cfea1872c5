/* pipeline.h: one source, one sink, two threads, one state file.
 *
 * The reader thread supervises: it makes attempts (claim, open sink, compare
 * with the state, open source, stream) until one ends for a reason that does
 * not pass, with a pause between them that grows and is jittered.  The writer
 * thread lives as long as an attempt.  A pipeline that stops never ends the
 * agent by itself. */
#ifndef LEAT_AGENT_PIPELINE_H
#define LEAT_AGENT_PIPELINE_H

#include "agent/conf.h"

enum pipeline_phase {
	PIPELINE_STARTING,
	PIPELINE_STANDBY,  /* another agent holds the claim */
	PIPELINE_RUNNING,
	PIPELINE_RETRYING, /* waits for the next attempt, or the sink for room */
	PIPELINE_STOPPING,
	PIPELINE_STOPPED,  /* err.code none: by order */
};

/* A snapshot for `leat status`. */
struct pipeline_status {
	enum pipeline_phase phase;
	struct err err;		 /* why it stopped, retries or stands by */
	int64_t since_us;	 /* when the phase began */
	uint64_t attempts;
	struct buf cursor;	 /* committed; text form; owned by the caller */
	uint64_t seq;
	uint64_t events, batches, commits; /* since the agent started */
	uint64_t queue_bytes, queue_limit;
	bool has_dead; /* is it known what is kept of rejected events? */
	uint64_t dead_letters, skipped; /* since its state was made */
	const char *gear;	 /* the source's, or NULL */
	uint64_t behind_bytes;	 /* UINT64_MAX: unknown */
	int64_t last_commit_us;	 /* source's commit time, 0: none */
	int64_t last_heard_us;
};

struct pipeline;

extern const char *const pipeline_phase_names[];

/* Borrows both.  *Returns owned* or NULL. */
struct pipeline *pipeline_new(const struct conf *conf,
			      const struct conf_pipeline *pc);
void pipeline_free(struct pipeline *p); /* not running */

/* on_stop (may be NULL) is called from the pipeline's thread when it has
 * stopped. */
int pipeline_start(struct pipeline *p, void (*on_stop)(void *arg), void *arg,
		   struct err *e) MUST_CHECK;
/* Has it stopped (or never started)?  code: why, none by order. */
bool pipeline_is_stopped(struct pipeline *p, enum code *code);
/* Commits what is in flight, then ends; returns at once. */
void pipeline_stop(struct pipeline *p);
void pipeline_join(struct pipeline *p);

enum pipeline_phase pipeline_phase(struct pipeline *p);
const char *pipeline_name(const struct pipeline *p);
const struct conf_pipeline *pipeline_conf(const struct pipeline *p);
/* Its dead letters were changed by somebody. */
void pipeline_poke(struct pipeline *p);
void pipeline_status(struct pipeline *p, struct pipeline_status *out);

#endif
