#include "config.h"
#include "sources/pg_gear.h"

/* No chunk is smaller, whatever the conf says. */
#define LEAST_BYTES (UINT64_C(64) << 10)
#define RATIO_ONE 1024
/* To decode so much again is nothing. */
#define CHEAP_BYTES (UINT64_C(16) << 20)
#define MOST_SHRINK 8
#define MOST_HOLD 16 /* chunks, doublings of one */

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t from(uint64_t a, uint64_t b)
{
	return b > a ? b - a : 0;
}

void pg_gear_init(struct pg_gear *g, int64_t threshold, int64_t limit)
{
	*g = (struct pg_gear){.threshold = (uint64_t)threshold,
			      .limit = (uint64_t)limit,
			      .ratio = RATIO_ONE};
}

/* Of the log, from confirmed on, so that the result stays within half of the
 * limit: the next stretch may be denser than the last. */
static uint64_t most(const struct pg_gear *g)
{
	return max((g->limit / 2 / g->ratio * RATIO_ONE) >> g->shrink,
		   LEAST_BYTES);
}

/* Will there be room for the transaction in flight, once all before it is
 * confirmed?  It counts in full until it has ended. */
static bool fits(const struct pg_gear *g, const struct pg_gear_view *v)
{
	return from(v->at, v->ended + most(g)) >=
	       min(from(v->at, v->server), LEAST_BYTES);
}

/* To start streaming again is to decode again, too. */
bool pg_gear_pays(const struct pg_gear *g, const struct pg_gear_view *v)
{
	uint64_t backlog = from(v->at, v->server);

	return v->at >= g->hold && backlog > 0 && backlog >= g->threshold &&
	       fits(g, v) &&
	       from(v->restart, v->at) <=
		       max(min(backlog, most(g)), CHEAP_BYTES);
}

/* The odd piece first: what comes before a chunk is decoded again with it, and
 * does restart_lsn stand still that is least if the last one is the largest. */
static uint64_t size_of(uint64_t backlog, uint64_t largest)
{
	uint64_t odd = backlog % largest;

	if (backlog <= largest)
		return backlog;
	return odd >= LEAST_BYTES ? odd : largest;
}

enum pg_gear_plan pg_gear_plan(const struct pg_gear *g,
			       const struct pg_gear_view *v, uint64_t *upto)
{
	uint64_t backlog = from(v->at, v->server), largest = most(g);
	uint64_t room = from(v->at, v->confirmed + largest), size;

	*upto = 0;
	if (backlog == 0 || backlog < g->threshold / 4)
		return PG_GEAR_DONE;
	/* one more is never worse than streaming, many are */
	if (backlog > largest &&
	    from(v->restart, v->at) > max(2 * largest, CHEAP_BYTES))
		return PG_GEAR_STREAM;
	if (!fits(g, v))
		return PG_GEAR_STREAM;
	if (room < min(backlog, LEAST_BYTES))
		return PG_GEAR_WAIT;
	size = min(size_of(backlog, largest), room);
	*upto = v->at + size;
	return PG_GEAR_CHUNK;
}

void pg_gear_succeeded(struct pg_gear *g, const struct pg_gear_view *v,
		       uint64_t upto, uint64_t bytes)
{
	uint64_t wal = max(from(v->confirmed, upto), 1);
	uint64_t ratio = bytes > UINT64_MAX / RATIO_ONE
				 ? UINT64_MAX
				 : bytes * RATIO_ONE / wal;

	/* up at once, down slowly */
	g->ratio = max(max(ratio, g->ratio - g->ratio / 4), RATIO_ONE / 8);
	g->failures = 0;
	if (g->shrink > 0)
		g->shrink--;
}

void pg_gear_failed(struct pg_gear *g, const struct pg_gear_view *v,
		    uint64_t upto)
{
	uint64_t size = max(from(v->at, upto), LEAST_BYTES);

	g->hold = max(v->at, upto) +
		  (size << min(g->failures, MOST_HOLD)) - size;
	g->failures++;
	if (g->shrink < MOST_SHRINK)
		g->shrink++;
}
