/* pg_gear.h: which gear, and how large the next chunk: arithmetic only.
 *
 * A chunk is decoded by the server from its slot's restart_lsn on, whatever of
 * that has been delivered, and its result is kept there until it is sent.  So
 * chunks should be few, but none may make a result larger than half of what the
 * conf allows. */
#ifndef LEAT_SOURCES_PG_GEAR_H
#define LEAT_SOURCES_PG_GEAR_H

#include <stdbool.h>
#include <stdint.h>

/* What is known of the server's log when the choice is made. */
struct pg_gear_view {
	uint64_t restart;   /* decoding begins here */
	uint64_t confirmed; /* changes are sent from here on */
	uint64_t ended;	    /* we have all transactions that ended up to here */
	uint64_t at;	    /* and this much of one in flight: its commit */
	uint64_t server;    /* the log ends here */
};

struct pg_gear {
	uint64_t threshold; /* a backlog that is worth it */
	uint64_t limit;	    /* bytes of a result */
	uint64_t ratio;	    /* bytes of a result for 1024 of the log */
	unsigned shrink;    /* chunks are halved so often */
	unsigned failures;  /* in a row */
	uint64_t hold;	    /* streaming up to here, after a failure */
};

enum pg_gear_plan {
	PG_GEAR_DONE,	/* what is left is little */
	PG_GEAR_STREAM, /* too much would be decoded again and again, or no chunk
			   can hold what is in flight */
	PG_GEAR_WAIT,	/* nothing new fits until more is confirmed */
	PG_GEAR_CHUNK,
};

void pg_gear_init(struct pg_gear *g, int64_t threshold, int64_t limit);
/* Streaming: is it time to shift up? */
bool pg_gear_pays(const struct pg_gear *g, const struct pg_gear_view *v);
/* Catching up: what next?  A chunk ends at *upto, which the log has reached. */
enum pg_gear_plan pg_gear_plan(const struct pg_gear *g,
			       const struct pg_gear_view *v, uint64_t *upto);
/* A chunk from confirmed to upto had a result of so many bytes. */
void pg_gear_succeeded(struct pg_gear *g, const struct pg_gear_view *v,
		       uint64_t upto, uint64_t bytes);
/* It was too large, or failed otherwise: that stretch is streaming's. */
void pg_gear_failed(struct pg_gear *g, const struct pg_gear_view *v,
		    uint64_t upto);

#endif
