/* my_server.h: what the server is, how it is set, and what it has in its log. */
#ifndef LEAT_SOURCES_MY_SERVER_H
#define LEAT_SOURCES_MY_SERVER_H

#include "base/report.h"
#include "sources/my_charset.h"
#include "sources/my_conn.h"

enum my_setting {
	MY_LOG_BIN,
	MY_BINLOG_FORMAT,
	MY_ROW_IMAGE,
	MY_ROW_METADATA,
	MY_GTID_MODE,
	MY_VALUE_OPTIONS,
	MY_CHECKSUM,
	MY_EXPIRES,
	MY_SERVER_ID,
	MY_SERVER_UUID,
	MY_VERSION,
	MY_SETTINGS
};

#define MY_SETTING_SIZE 80

struct my_server {
	enum my_flavour flavour;
	char value[MY_SETTINGS][MY_SETTING_SIZE]; /* "" where it has no such */
	/* all that the log has had, and of that what is purged (MySQL) */
	struct my_gtid_set executed, purged;
};

/* *Owned by the caller* (my_server_fini), also after a failure. */
int my_server_read(struct my_session *s, struct my_server *srv, struct err *e)
	MUST_CHECK;
void my_server_fini(struct my_server *srv);

/* Too old, the other flavour, or a setting that rules out the work: the first
 * that is found as an error, or all of them as findings. */
int my_server_refuse(const struct my_session *s, const struct my_server *srv,
		     struct err *e) MUST_CHECK;
void my_server_check(const struct my_session *s, const struct my_server *srv,
		     struct report *r, const char *where);

/* The numbers of the server's collations. */
int my_server_charsets(struct my_session *s, struct my_charsets *charsets,
		       struct err *e) MUST_CHECK;

#endif
