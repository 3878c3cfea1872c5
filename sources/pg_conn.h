/* pg_conn.h: connections to a Postgres server.
 *
 * The only place that knows how a connection is set up: leat-sources(7),
 * "Sessions". */
#ifndef LEAT_SOURCES_PG_CONN_H
#define LEAT_SOURCES_PG_CONN_H

#include "base/err.h"
#include "base/opt.h"
#include "base/buf.h"

struct pg_conn;	  /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

#define PG_NAME_SIZE 64 /* an identifier of the server and a NUL */

/* Typed by the option table of pg.c. */
struct pg_conf {
	char *conninfo;
	char *password;
	struct opt_list tables, exclude_tables;
	char *publication;
	bool create_publication, partition_root, messages;
	int64_t slot_timeout, connect_timeout;
	int failover, catchup;
	int64_t catchup_threshold, catchup_memory, catchup_temp;
};

/* Zeroed: not connected. */
struct pg_session {
	struct pg_conn *c;
	const struct pg_conf *conf;
	const char *pipeline;
	int version;	/* 150004 */
	int wake_fd;	/* heeded while waiting, -1: none.  A wake-up leaves one
			   more second: only a stop can mean us there */
	bool is_woken;
	int64_t until_ms; /* clock_mono_ms(): what is not done or answered by then
			     has failed; 0: the usual times */
	bool is_walsender;
	/* set by the server's notices */
	bool publication_skipped;
	uint64_t notice_hash;
	int64_t notice_ms;
};

/* To the first host of the conninfo that takes us, or, with `same`, to the host
 * that this open session is connected to.  The timeout is each host's. */
int pg_conn_open(struct pg_session *s, const struct pg_session *same,
		 int64_t timeout_ms, struct err *e) MUST_CHECK;
void pg_conn_close(struct pg_session *s);
bool pg_conn_is_open(const struct pg_session *s);
/* Has the server said anything, or closed?  Never blocks.  False: it is gone. */
bool pg_conn_is_alive(struct pg_session *s);
/* Waits until the socket is ready for `events` of poll(2): 1, or 0 at the
 * deadline, which a wake-up draws near. */
int pg_conn_wait(struct pg_session *s, short events, int64_t *deadline_ms);
/* Asks the server to give up the statement in progress. */
void pg_conn_cancel(struct pg_session *s);
/* The connection broke: what libpq says about it.  Returns -1. */
int pg_conn_lost(struct pg_session *s, struct err *e);

const char *pg_conn_database(const struct pg_session *s);
/* of the server process */
int pg_conn_pid(const struct pg_session *s);

/* `pipeline "x"`, for notes */
#define PG_COMPONENT_SIZE 128
const char *pg_component(char out[PG_COMPONENT_SIZE], const char *pipeline);

#endif
