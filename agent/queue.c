#include "config.h"
#include "agent/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

/* Unused batches that are kept in any case. */
#define KEEP_LEAST 16u

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct batch *first, **last; /* retained, oldest first */
	struct batch **next;	     /* the link to the first not presented */
	struct batch *unused;
	size_t nunused, keep, bytes, presented, limit;
	bool is_closed, is_abandoned, is_refusing, is_poked;
};

struct queue *queue_new(size_t byte_limit)
{
	struct queue *q = calloc(1, sizeof(*q));
	pthread_condattr_t attr;

	if (q == NULL)
		return NULL;
	pthread_mutex_init(&q->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->changed, &attr);
	pthread_condattr_destroy(&attr);
	q->last = q->next = &q->first;
	q->limit = byte_limit;
	q->keep = KEEP_LEAST;
	return q;
}

static void free_list(struct batch *b)
{
	struct batch *next;

	for (; b != NULL; b = next) {
		next = b->next;
		batch_free(b);
	}
}

void queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	free_list(q->first);
	free_list(q->unused);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->mutex);
	free(q);
}

/* With the mutex held; false at the deadline. */
static bool wait_until(struct queue *q, int64_t deadline_ms)
{
	struct timespec t = {deadline_ms / 1000, deadline_ms % 1000 * 1000000};

	if (deadline_ms == CLOCK_NEVER)
		return pthread_cond_wait(&q->changed, &q->mutex) == 0;
	return pthread_cond_timedwait(&q->changed, &q->mutex, &t) != ETIMEDOUT;
}

/* A batch larger than the limit is let in when nothing else is there: a single
 * huge value must pass. */
static bool is_full(const struct queue *q)
{
	return q->first != NULL && q->bytes >= q->limit;
}

struct batch *queue_room(struct queue *q, int64_t deadline_ms)
{
	struct batch *b = NULL;
	bool in_time = true, is_over;

	pthread_mutex_lock(&q->mutex);
	while (is_full(q) && !q->is_abandoned && !q->is_refusing && in_time)
		in_time = wait_until(q, deadline_ms);
	is_over = is_full(q) || q->is_abandoned || q->is_refusing;
	if (!is_over && (b = q->unused) != NULL) {
		q->unused = b->next;
		q->nunused--;
	} else if (!is_over)
		b = batch_new();
	pthread_mutex_unlock(&q->mutex);
	if (b != NULL)
		batch_reset(b);
	return b;
}

/* With the mutex held. */
static void recycle(struct queue *q, struct batch *b)
{
	if (q->nunused >= q->keep) {
		batch_free(b);
		return;
	}
	/* at once, so that it does not keep tables and large blocks */
	batch_reset(b);
	b->next = q->unused;
	q->unused = b;
	q->nunused++;
}

void queue_push(struct queue *q, struct batch *b)
{
	pthread_mutex_lock(&q->mutex);
	b->next = NULL;
	*q->last = b;
	q->last = &b->next;
	q->bytes += batch_bytes(b);
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

void queue_unused(struct queue *q, struct batch *b)
{
	pthread_mutex_lock(&q->mutex);
	recycle(q, b);
	pthread_mutex_unlock(&q->mutex);
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->is_closed = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

void queue_abandon(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->is_abandoned = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

void queue_refuse(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->is_refusing = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

void queue_poke(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->is_poked = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

bool queue_is_abandoned(struct queue *q)
{
	bool is;

	pthread_mutex_lock(&q->mutex);
	is = q->is_abandoned;
	pthread_mutex_unlock(&q->mutex);
	return is;
}

enum queue_got queue_next(struct queue *q, int64_t deadline_ms,
			  struct batch **b)
{
	enum queue_got got = QUEUE_TIMEOUT;
	bool in_time = true;

	pthread_mutex_lock(&q->mutex);
	while (*q->next == NULL && !q->is_closed && !q->is_poked && in_time)
		in_time = wait_until(q, deadline_ms);
	q->is_poked = false;
	if (*q->next != NULL) {
		*b = *q->next;
		q->next = &(*b)->next;
		q->presented += batch_bytes(*b);
		got = QUEUE_BATCH;
	} else if (q->is_closed)
		got = QUEUE_CLOSED;
	pthread_mutex_unlock(&q->mutex);
	return got;
}

bool queue_has_next(struct queue *q)
{
	bool has;

	pthread_mutex_lock(&q->mutex);
	has = *q->next != NULL;
	pthread_mutex_unlock(&q->mutex);
	return has;
}

size_t queue_retained(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->mutex);
	n = q->presented;
	pthread_mutex_unlock(&q->mutex);
	return n;
}

/* With the mutex held: takes the oldest out. */
static void drop_first(struct queue *q)
{
	struct batch *b = q->first;
	size_t n = batch_bytes(b);

	q->first = b->next;
	q->bytes -= n;
	if (q->first == NULL)
		q->last = &q->first;
	recycle(q, b);
}

/* With the mutex held, at a commit.  As many unused ones are kept as batches are
 * there at once while data pour in, so that none is made anew; afterwards fewer and
 * fewer. */
static void judge_keep(struct queue *q)
{
	size_t n = 0;

	for (const struct batch *b = q->first; b != NULL; b = b->next)
		n++;
	if (n > q->keep)
		q->keep = n;
	else if (n < q->keep / 2 && q->keep > KEEP_LEAST)
		q->keep -= 1 + (q->keep - KEEP_LEAST) / 8;
}

void queue_release(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	judge_keep(q);
	while (q->next != &q->first) {
		if (q->next == &q->first->next)
			q->next = &q->first;
		drop_first(q);
	}
	q->presented = 0;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

/* With the mutex held: is the batch behind which the sink stands retained? */
static bool has_cursor(const struct queue *q, const struct cursor *c)
{
	for (const struct batch *b = q->first; b != NULL; b = b->next)
		if (cursor_eq(&b->cursor, c))
			return true;
	return false;
}

void queue_rewind(struct queue *q, const struct cursor *held)
{
	bool found;

	pthread_mutex_lock(&q->mutex);
	q->next = &q->first;
	q->presented = 0;
	for (found = has_cursor(q, held); found;) {
		found = !cursor_eq(&q->first->cursor, held);
		drop_first(q);
	}
	/* a barrier's cursor lies inside a batch, which stays; the writer skips
	 * the events of it that are covered */
	while (q->first != NULL &&
	       (q->first->cursor.seq < held->seq ||
		(q->first->n > 0 && q->first->cursor.seq == held->seq)))
		drop_first(q);
	q->next = &q->first;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

size_t queue_bytes(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->mutex);
	n = q->bytes;
	pthread_mutex_unlock(&q->mutex);
	return n;
}

size_t queue_limit(const struct queue *q)
{
	return q->limit;
}
