/* pgoutput.h: from pgoutput messages to events.
 *
 * PostgreSQL manual, "Logical Replication Message Formats", protocol version 1
 * (whole, committed transactions in commit order).  Knows nothing of sockets:
 * the stream and, later, the catch-up gear feed it the same messages.
 *
 * It keeps the place of restart rule R7: E, the end LSN of the last complete
 * transaction, and for a transaction in flight its commit LSN, the n changes
 * done of it and a rolling hash of them.  Told to resume there, it skips the
 * first n changes of the first transaction and compares commit LSN and hash
 * (CODE_diverged).  Every change takes an ordinal and a seq before any filter.
 * A transaction that was committed before the E it began with is passed over as
 * if it had not been sent.  What another agent has delivered (`taken_xid`) takes
 * ordinals, and no seq. */
#ifndef LEAT_SOURCES_PGOUTPUT_H
#define LEAT_SOURCES_PGOUTPUT_H

#include "schema/batch.h"
#include "schema/registry.h"

struct pgoutput_place {
	uint64_t end;	 /* E */
	uint64_t commit; /* of the transaction in flight, 0: none (or n is 0) */
	uint64_t n;	 /* changes of it that are done */
	uint64_t hash;	 /* of their messages */
	/* Of a transaction behind E another agent has delivered the changes up to
	 * an LSN, and nothing more precise is known of them; at that LSN may be
	 * several, of which it has delivered `taken_n` (0: there is but one). */
	uint32_t taken_xid; /* 0: none */
	uint64_t taken_lsn, taken_n;
};

struct pgoutput_hooks {
	void *arg;
	/* Does the conf want this table?  Called once per Relation message. */
	bool (*is_wanted)(void *arg, struct slice schema, struct slice name);
	/* A shape that has not been seen: fills in is_nullable, key_position and
	 * type_name (type_name text from the arena) from the catalog, as far as
	 * the catalog still has it.  Blocks; -1 only when the server is away.
	 * Names of built-in types are there already and stay as they are; of a
	 * column of TYPE_OTHER the type may be set to TYPE_ENUM. */
	int (*describe)(void *arg, struct table *proto, struct arena *a,
			struct err *e);
	/* The source part of a cursor for the place, into the arena (that of
	 * the batch). */
	struct slice (*cursor_source)(void *arg,
				      const struct pgoutput_place *place,
				      struct arena *a);
};

struct pgoutput;

/* *Returns owned* or NULL.  Borrows origin and reg, copies hooks and place.  seq
 * is that of the cursor whose place it is. */
struct pgoutput *pgoutput_new(const struct origin *origin, struct registry *reg,
			      const struct pgoutput_hooks *hooks,
			      const struct pgoutput_place *from, uint64_t seq);
void pgoutput_free(struct pgoutput *d);

/* One message, with the LSN that came with it, into the batch.  The message is
 * copied as far as needed.  The batch must be the same until pgoutput_rest() was
 * called: transactions go on in the next batch with a copy of their txn.  After
 * -1 batch, place and seq are what they were before the message, and there must be
 * no other. */
int pgoutput_message(struct pgoutput *d, struct slice msg, uint64_t lsn,
		     struct batch *b, struct err *e) MUST_CHECK;
/* The batch is handed over: keep nothing that points into it. */
void pgoutput_rest(struct pgoutput *d);

/* Between transactions, the server's log was read up to lsn and nothing more of
 * interest is in front of it: E moves there (never back).  Ignored inside a
 * transaction, and until the transaction to resume in has come. */
void pgoutput_idle(struct pgoutput *d, uint64_t lsn);
bool pgoutput_in_transaction(const struct pgoutput *d);
struct pgoutput_place pgoutput_place(const struct pgoutput *d);
uint64_t pgoutput_seq(const struct pgoutput *d);

/* "16/B374D848" */
#define PG_LSN_SIZE 20
void pg_lsn_print(char out[PG_LSN_SIZE], uint64_t lsn);
bool pg_lsn_parse(struct slice s, uint64_t *lsn);

#endif
