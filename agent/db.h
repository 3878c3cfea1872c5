/* db.h: an SQLite file of the state directory.
 *
 * What SQLite says is put into leat's codes here: damage is CODE_state_corrupt
 * and stops; what the disk or permissions are to blame for passes.  All SQL is
 * leat's own: what makes no sense to SQLite has met tables that are not. */
#ifndef LEAT_AGENT_DB_H
#define LEAT_AGENT_DB_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

#define DB_PATH_SIZE 4096

struct sqlite3;
struct sqlite3_stmt;

struct db {
	struct sqlite3 *h; /* NULL: not open */
	char dir[DB_PATH_SIZE];
	char path[DB_PATH_SIZE + 32]; /* of the file, in dir */
	char mend[DB_PATH_SIZE + 160]; /* hint when it is damaged */
};

/* STATE_DIR/PIPELINE/name; clears db. */
void db_place(struct db *db, const char *state_dir, const char *pipeline,
	      const char *name);
/* Makes it where it may.  db_close() also after a failure. */
int db_open(struct db *db, bool may_create, struct err *e) MUST_CHECK;
void db_close(struct db *db);
/* CODE_state_corrupt when its format (user_version) is neither 0, which is an
 * empty file, nor `known`. */
int db_version(struct db *db, int known, int *version, struct err *e) MUST_CHECK;
/* Reads all pages.  Damage is told here, as a whole: met later by a statement, some
 * of it looks like a lack of memory. */
int db_check(struct db *db, struct err *e) MUST_CHECK;
/* What a killed process wrote can be read and need not be durable. */
int db_harden(struct db *db, struct err *e) MUST_CHECK;

int db_exec(struct db *db, const char *sql, const char *what, struct err *e)
	MUST_CHECK;
/* *Returns owned*, or NULL with err set. */
struct sqlite3_stmt *db_prepare(struct db *db, const char *sql, struct err *e);
/* Runs a statement that returns no rows, and finalizes it. */
int db_finish(struct db *db, struct sqlite3_stmt *q, struct err *e) MUST_CHECK;
/* The bytes of a column, *borrowed* from the statement: SQLITE_ROW, or
 * SQLITE_NOMEM, which must not look like NULL. */
int db_column(struct db *db, struct sqlite3_stmt *q, int i, struct slice *out);

/* Each sets err and returns -1: what SQLite's rc means; and what SQLite finds
 * nothing wrong with. */
int db_fail(struct db *db, int rc, const char *what, struct err *e);
int db_damaged(struct db *db, const char *how, struct err *e);
/* The code and hint of base/file.h are the log's; here they are the state's. */
int db_not_ours(const char *dir, struct err *e);

#endif
