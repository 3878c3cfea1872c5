/* pg.h: the Postgres source.  leat-sources(7), POSTGRES.
 *
 * pg.c is the glue between the source contract and the modules:
 *
 *	pg_conn         connections, statements, what an SQLSTATE means for us
 *	pg_cursor       the cursor's text, timelines
 *	pg_publication  which tables are wanted, the publication
 *	pg_slot         the slot: state, creation, resume checks, drop
 *	pg_stream       the CopyBoth loop, feedback
 *	pg_watch        the side connection while streaming: monitoring, shutdown
 *	pg_orphans      slots of pipelines that are no more
 *	pg_catalog      what the catalog knows of a table
 *	pg_check        leat check
 *	pg_seek         positions typed by people
 *
 * Connections: one walsender, which holds the claim, and one side connection,
 * opened when first needed, which runs every statement with text of its own. */
#ifndef LEAT_SOURCES_PG_H
#define LEAT_SOURCES_PG_H

#include "sources/pg_conn.h"
#include "sources/pg_cursor.h"
#include "sources/pg_stream.h"
#include "sources/pgoutput.h"
#include "sources/source.h"

extern const struct source_ops pg_source;

/* --- below: between pg.c and the modules named above */

enum { PG_FAILOVER_AUTO, PG_FAILOVER_NO };

/* What the side connection keeps an eye on. */
struct pg_watch {
	int64_t asked_ms;     /* last monitoring query */
	int64_t tried_ms;     /* last attempt to open the side connection */
	int64_t looked_ms;    /* last look for a shutdown */
	bool at_risk;	      /* slot_at_risk was said */
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
	struct pg_stream stream;
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
/* Do the conf's patterns want it? */
bool pg_wants(const struct pg *pg, struct slice schema, struct slice name);
/* "leat_PIPELINE", or as near to it as a slot's name can be. */
void pg_default_name(char out[PG_NAME_SIZE], const char *pipeline);

#endif
