/* my_statement.h: the few things that must be known of a statement's text.
 *
 * No parser of SQL: shapes come with the rows.  A statement is only looked at for
 * where a transaction ends, for changes without rows in the log, and for what
 * takes all rows of a table at once.  One that is not understood is none of
 * these. */
#ifndef LEAT_SOURCES_MY_STATEMENT_H
#define LEAT_SOURCES_MY_STATEMENT_H

#include "base/slice.h"

enum my_statement {
	MY_STATEMENT_OTHER,
	MY_STATEMENT_BEGIN,
	MY_STATEMENT_COMMIT,
	MY_STATEMENT_ROLLBACK,
	MY_STATEMENT_SAVEPOINT, /* also ROLLBACK TO and RELEASE */
	MY_STATEMENT_XA_BEGIN,	/* XA START, XA BEGIN */
	MY_STATEMENT_XA_END,
	MY_STATEMENT_XA_FINISH, /* XA COMMIT, XA ROLLBACK, XA PREPARE */
	MY_STATEMENT_TRUNCATE,
	MY_STATEMENT_CHANGE, /* INSERT, UPDATE, DELETE, REPLACE, LOAD */
};

/* *table is what a TRUNCATE or a change names first, `db` empty where it does
 * not say: both point into sql, or are empty where that is not clear. */
enum my_statement my_statement_read(struct slice sql, struct slice *db,
				    struct slice *table);

#endif
