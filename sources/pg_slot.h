/* pg_slot.h: the replication slot: what the server says of it, making it,
 * whether a cursor can be resumed from, dropping it.  leat-sources(7), "The
 * replication slot". */
#ifndef LEAT_SOURCES_PG_SLOT_H
#define LEAT_SOURCES_PG_SLOT_H

#include "sources/pg.h"

struct pg_slot {
	bool exists;
	bool is_ours;	/* logical, pgoutput, this database, durable, one phase */
	bool is_lost;
	int64_t active_pid; /* 0: nobody reads from it */
	uint64_t confirmed, restart; /* LSNs */
	int64_t safe_bytes; /* until the server gives it up; -1: no limit */
	char what[80];	    /* it is, when not ours: `of plugin "x"` */
	char status[16];    /* reserved, extended, unreserved, lost */
	char reason[40];    /* of the loss, where the server tells */
	uint64_t server;    /* where the server's log stands */
};

/* By the side connection.  This is also the monitoring query. */
int pg_slot_read(struct pg *pg, struct pg_slot *slot, struct err *e) MUST_CHECK;
/* Another one, by its name. */
int pg_slot_read_other(struct pg *pg, const char *name, struct pg_slot *slot,
		       struct err *e) MUST_CHECK;

/* Is it gone, lost, or somebody else's?  Fills err (CODE_slot_lost). */
int pg_slot_refuse_lost(const struct pg *pg, const struct pg_slot *slot,
			struct err *e) MUST_CHECK;
int pg_slot_refuse_busy(const struct pg *pg, const struct pg_slot *slot,
			struct err *e) MUST_CHECK;

/* On the walsender's connection.  The new slot's consistent point. */
int pg_slot_create(struct pg *pg, uint64_t *lsn, struct err *e) MUST_CHECK;
/* The pipeline's slot as a copy of another, which stays. */
int pg_slot_copy(struct pg *pg, const char *from, struct err *e) MUST_CHECK;
/* A slot that is not there is no error. */
int pg_slot_drop(struct pg *pg, const struct pg_slot *slot, struct err *e)
	MUST_CHECK;

/* Rules R4 to R7 and A9: can the stream go on at the cursor? */
int pg_slot_can_resume(struct pg *pg, const struct pg_slot *slot,
		       const struct pg_cursor *at, struct err *e) MUST_CHECK;
/* The first half of it: is it a cursor of this server's history? */
int pg_slot_same_server(struct pg *pg, const struct pg_slot *slot,
			const struct pg_cursor *at, struct err *e) MUST_CHECK;

#endif
