/* my.h: the sources for MySQL and MariaDB.  leat-sources(7), MYSQL AND MARIADB.
 *
 * my.c is the glue between the source contract and the modules:
 *
 *	my_conn         connections, statements, the dump's packets
 *	my_server       settings, what the log has, collations
 *	my_cursor       the cursor's text
 *	my_binlog       from events to changes; below it my_event, my_relations,
 *	                my_map, my_rows, my_value and what these need: bytes in,
 *	                values out, nothing of sockets
 *	my_read         read() and ack()
 *	my_check        leat check
 *	my_seek         positions typed by people
 *
 * Connections: an ordinary one, which holds the claim and runs statements, and
 * the dump.  The claim is not the dump's: a server notices only when it next
 * writes to it that a reader has gone. */
#ifndef LEAT_SOURCES_MY_H
#define LEAT_SOURCES_MY_H

#include "sources/my_binlog.h"
#include "sources/my_conn.h"
#include "sources/my_cursor.h"
#include "sources/my_server.h"
#include "sources/source.h"

extern const struct source_ops my_source_mysql, my_source_mariadb;

/* --- below: between my.c and the modules named above */

struct my {
	struct source base;
	const struct my_conf *conf;
	enum my_flavour flavour;
	struct my_session side, dump;

	/* after open() */
	struct my_server server;
	struct my_charsets *charsets;
	struct origin origin; /* batches that outlive a connection point to it */
	struct my_hooks hooks;
	struct my_binlog *decoder;
	bool is_fresh; /* the first cursor is owed */

	struct err pending; /* came behind the last batch */
	uint64_t events;    /* read on this connection */
	uint64_t told;	    /* of them, in batches handed over */
	int64_t moved_ms;   /* when the last of those was */
	int64_t left_ms;    /* when read() last returned */
	int64_t heard_ms;   /* when the server last said anything */
};

/* Fills in sessions; every entry point calls it. */
int my_prepare(struct my *my, struct err *e) MUST_CHECK;
/* The ordinary connection, opened if need be. */
int my_side(struct my *my, struct err *e) MUST_CHECK;
/* Is going on from `place` possible on the server that my->server tells of? */
int my_can_resume(struct my *my, const struct my_place *place, struct err *e)
	MUST_CHECK;
bool my_wants(const struct my *my, struct slice db, struct slice name);

#endif
