/* queue.h: the retained queue between reader and writer.
 *
 * A batch stays until the commit that covers it, so the writer can be told to
 * present everything since the last commit again without touching the source;
 * the byte limit is therefore also the limit of a commit.  One reader, one
 * writer. */
#ifndef LEAT_AGENT_QUEUE_H
#define LEAT_AGENT_QUEUE_H

#include "schema/batch.h"

/* What a source is told: a batch is full from here on. */
#define BATCH_BYTES (256u << 10)

struct queue;

/* *Returns owned* or NULL. */
struct queue *queue_new(size_t byte_limit);
void queue_free(struct queue *q); /* both threads are gone */

/* --- reader --- */
/* An empty batch to fill, or NULL: no room until the deadline, no memory, or the
 * writer has gone. */
struct batch *queue_room(struct queue *q, int64_t deadline_ms);
void queue_push(struct queue *q, struct batch *b); /* takes b */
void queue_unused(struct queue *q, struct batch *b); /* takes b: not filled */
/* Nothing more comes: the writer gets what there is, then is told so. */
void queue_close(struct queue *q);

/* --- writer --- */
enum queue_got { QUEUE_BATCH, QUEUE_TIMEOUT, QUEUE_CLOSED };
/* The next batch that was not presented since the last rewind; *borrows*. */
enum queue_got queue_next(struct queue *q, int64_t deadline_ms,
			  struct batch **b);
/* Is there another one right now? */
bool queue_has_next(struct queue *q);
/* Bytes presented and not yet released. */
size_t queue_retained(struct queue *q);
/* Everything presented is committed. */
void queue_release(struct queue *q);
/* Presents again, from the first batch that is not covered by seq and source.
 * Those that are covered are released. */
void queue_rewind(struct queue *q, const struct cursor *held);
/* The writer ends: queue_room() fails from now on. */
void queue_abandon(struct queue *q);

/* --- anybody --- */
/* A stop was asked for: queue_room() waits no more and fails. */
void queue_refuse(struct queue *q);
bool queue_is_abandoned(struct queue *q);
/* One queue_next() that waits, or would, sees its deadline now. */
void queue_poke(struct queue *q);
size_t queue_bytes(struct queue *q);
size_t queue_limit(const struct queue *q);

#endif
