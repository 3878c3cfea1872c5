/* my_conn.h: connections to a MySQL or MariaDB server.
 *
 * The only place that knows the client library (MariaDB Connector/C).  Its own
 * reading of binlogs is not used: it stops at events it does not know. */
#ifndef LEAT_SOURCES_MY_CONN_H
#define LEAT_SOURCES_MY_CONN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include "sources/my_gtid.h"

struct my_conn;	  /* the library's MYSQL */
struct my_result; /* ... and MYSQL_RES */

enum { MY_TLS_OFF, MY_TLS_REQUIRE, MY_TLS_VERIFY_CA, MY_TLS_VERIFY_FULL };

/* Typed by the option table of my.c. */
struct my_conf {
	char *host, *socket, *user, *password;
	int64_t port;
	struct opt_list tables, exclude_tables;
	int tls;
	char *tls_ca, *tls_cert, *tls_key;
	int64_t connect_timeout, heartbeat, server_id;
};

/* Zeroed: not connected. */
struct my_session {
	struct my_conn *c;
	const struct my_conf *conf;
	const char *pipeline;
	enum my_flavour flavour; /* what the conf says that it is */
	unsigned version;	 /* 101119, 90704 */
	bool is_mariadb;	 /* what it says itself */
	bool is_encrypted;
};

int my_conn_open(struct my_session *s, struct err *e) MUST_CHECK;
void my_conn_close(struct my_session *s);
bool my_conn_is_open(const struct my_session *s);
/* The server's number of the connection. */
uint64_t my_conn_id(const struct my_session *s);

/* --- statements */

/* The result is *owned by the caller* (my_result_free); NULL with err set on any
 * failure.  Their text lives as long as they do. */
struct my_result *my_query(struct my_session *s, const char *sql, struct err *e);
int my_query_run(struct my_session *s, const char *sql, struct err *e) MUST_CHECK;
void my_result_free(struct my_result *res);
uint64_t my_result_rows(const struct my_result *res);
/* "" for NULL */
struct slice my_cell(struct my_result *res, uint64_t row, unsigned col);
bool my_cell_is(struct my_result *res, uint64_t row, unsigned col,
		const char *text);
/* Appends 'text' as the server reads it whatever its sql_mode: 0x616263. */
void my_quote_text(struct buf *b, struct slice text);

/* --- the dump */

/* COM_BINLOG_DUMP or COM_BINLOG_DUMP_GTID, from after the set on. */
int my_conn_dump(struct my_session *s, uint32_t server_id,
		 const struct my_gtid_set *from, struct err *e) MUST_CHECK;
/* The next event; it lives until the next call.  Blocks until one is there: call
 * it when my_conn_has_input(). */
int my_conn_event(struct my_session *s, struct slice *event, struct err *e)
	MUST_CHECK;
/* Is there something to be read, or has the connection ended?  Over TLS there
 * may be although this says no. */
bool my_conn_has_input(const struct my_session *s);
/* Waits until the dump has input, the side connection was closed or has said
 * something, wake_fd (-1: none) is readable, or until the time. */
struct my_wait {
	bool input, side, woken;
};
struct my_wait my_conn_wait(const struct my_session *dump,
			    const struct my_session *side, int wake_fd,
			    int64_t until_ms);

/* What an error of the server, or of the library, means for a pipeline: fills
 * err and returns -1.  (Here for the tests.) */
int my_conn_error(unsigned number, const char *state, const char *text,
		  struct err *e);

#endif
