/* pg.h: the Postgres source.  leat-sources(7), POSTGRES.
 *
 * pg.c is the glue between the source contract and the modules:
 *
 *	pg_conn         connections, statements, what an SQLSTATE means for us
 *	pg_cursor       the cursor's text, timelines
 *	pg_publication  which tables are wanted, the publication
 *	pg_slot         the slot: state, creation, resume checks, drop
 *	pg_stream       the CopyBoth loop, feedback
 *	pg_catchup      the other way to read: chunks, while far behind
 *	pg_gear         when, and how large
 *	pg_peek         statements answered later, rows of a chunk
 *	pg_watch        the side connection while streaming: monitoring, shutdown
 *	pg_orphans      slots of pipelines that are no more
 *	pg_catalog      what the catalog knows of a table
 *	pg_check        leat check
 *	pg_seek         positions typed by people
 *	pg_adopt        ... that come from Debezium
 *
 * Connections: one walsender, which holds the claim, and one side connection,
 * opened when first needed, which runs every statement with text of its own. */
#ifndef LEAT_SOURCES_PG_H
#define LEAT_SOURCES_PG_H

#include "sources/pg_conn.h"
#include "sources/pg_cursor.h"
#include "sources/pg_gear.h"
#include "sources/pg_peek.h"
#include "sources/pg_stream.h"
#include "sources/pgoutput.h"
#include "sources/source.h"

extern const struct source_ops pg_source;

/* --- below: between pg.c and the modules named above */

enum { PG_FAILOVER_AUTO, PG_FAILOVER_NO };
enum { PG_CATCHUP_AUTO, PG_CATCHUP_OFF };

/* What the side connection keeps an eye on. */
struct pg_watch {
	int64_t asked_ms;     /* last monitoring query */
	int64_t answered_ms;  /* ... that was answered */
	int64_t tried_ms;     /* last attempt to open the side connection */
	int64_t looked_ms;    /* last look for a shutdown */
	bool at_risk;	      /* slot_at_risk was said */
};

enum pg_catchup_state {
	PG_CATCHUP_LEAVING,    /* the stream was told to end */
	PG_CATCHUP_IDLE,       /* between two statements */
	PG_CATCHUP_ADVANCING,  /* the slot is moved to what is committed */
	PG_CATCHUP_PEEKING,    /* a chunk is decoded or read */
	PG_CATCHUP_CANCELLING, /* ... and to be given up */
};

struct pg_catchup {
	bool is_on;	 /* the gear that is in */
	bool is_wanted;	 /* at the next place between two transactions */
	bool is_refused; /* by the server: not on this connection */
	bool is_set_up;	 /* the session has its settings */
	bool has_chunk;	 /* there was one before */
	enum pg_catchup_state state;
	int64_t state_ms;  /* when it began */
	int64_t socket_ms; /* when the socket was last looked at */
	int64_t heard_ms, looked_ms, wait_ms, said_ms;
	const char *why; /* a chunk is given up */
	struct pg_gear gear;
	struct pg_gear_view view; /* when the chunk was planned */
	uint64_t upto;
	uint64_t decoded; /* by the server's count, before the chunk */
	struct pg_peek peek;
};

struct pg {
	struct source base;
	const struct pg_conf *conf;
	char slot[PG_NAME_SIZE], publication[PG_NAME_SIZE];
	struct pg_session walsender, side;

	/* after claim() */
	uint64_t sysid;
	uint32_t tli;
	int64_t sender_timeout_ms;

	/* after open() */
	uint32_t opt;
	struct origin origin; /* batches that outlive a connection point to it */
	char db[PG_NAME_SIZE];
	struct pgoutput_hooks hooks;
	struct pgoutput *decoder;
	struct registry *reg;
	struct pg_stream stream;
	struct pg_catchup catchup;
	uint64_t acked; /* end of what is committed */
	struct pgoutput_place returned; /* of the last batch */
	uint64_t idle_end;		/* of the last empty batch */
	int64_t idle_ms;
	bool is_fresh; /* the first cursor is owed */

	struct err pending; /* came behind the last batch */

	struct pg_watch watch;
};

/* Fills in names; every entry point calls it. */
int pg_prepare(struct pg *pg, struct err *e) MUST_CHECK;
/* The side connection, opened if need be; fails with a RETRY code when the
 * server is away. */
int pg_side(struct pg *pg, struct err *e) MUST_CHECK;
/* The stream stands still while the side connection is asked: from now on that
 * has so long for connecting and answers, or less if the server's patience is
 * shorter.  0: as long as usual. */
void pg_hurry(struct pg *pg, int64_t ms);
/* How far the server's log has been heard. */
static inline uint64_t pg_received(const struct pg *pg)
{
	return pg->catchup.is_on ? pgoutput_place(pg->decoder).end
				 : pg->stream.received;
}
/* Streaming from `at` on, on a connection that is idle. */
int pg_stream_from(struct pg *pg, uint64_t at, struct err *e) MUST_CHECK;
/* A decoder for messages that come again from a place before the old one's. */
int pg_restart_decoder(struct pg *pg, struct err *e) MUST_CHECK;
/* Do the conf's patterns want it? */
bool pg_wants(const struct pg *pg, struct slice schema, struct slice name);
/* "leat_PIPELINE", or as near to it as a slot's name can be. */
void pg_default_name(char out[PG_NAME_SIZE], const char *pipeline);

#endif
