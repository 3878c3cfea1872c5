#include "config.h"
#include "agent/db.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/state_vfs.h"

#define BUSY_MS 5000

int db_not_ours(const char *dir, struct err *e)
{
	if (e->code == CODE_log_io)
		e->code = CODE_state_failed;
	err_hint(e, "The user that leat runs as must be able to write to \"%s\".",
		 dir);
	return -1;
}

/* SQLite writes no file of a format that is newer than itself. */
static bool is_marked_readonly(const struct db *db)
{
	return sqlite3_extended_errcode(db->h) == SQLITE_READONLY &&
	       access(db->path, W_OK) == 0;
}

static enum code code_of(const struct db *db, int rc)
{
	switch (rc) {
	case SQLITE_READONLY:
		return is_marked_readonly(db) ? CODE_state_corrupt
					      : CODE_state_failed;
	case SQLITE_NOMEM:
		return CODE_no_memory;
	case SQLITE_FULL:
		return CODE_disk_full;
	case SQLITE_CONSTRAINT:
	case SQLITE_CORRUPT:
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_TOOBIG:
		return CODE_state_corrupt;
	default:
		/* the file beside it, which is shared memory, finds no room */
		return sqlite3_extended_errcode(db->h) == SQLITE_IOERR_SHMSIZE
			       ? CODE_disk_full
			       : CODE_state_failed;
	}
}

int db_damaged(struct db *db, const char *how, struct err *e)
{
	err_set(e, CODE_state_corrupt, "\"%s\" is damaged: %s", db->path, how);
	err_hint(e, "%s", db->mend);
	return -1;
}

int db_fail(struct db *db, int rc, const char *what, struct err *e)
{
	enum code code = code_of(db, rc);

	err_set(e, code, "could not %s \"%s\": %s", what, db->path,
		db->h ? sqlite3_errmsg(db->h) : sqlite3_errstr(rc));
	if (code == CODE_state_corrupt)
		err_hint(e, "%s", db->mend);
	else if (rc == SQLITE_READONLY || rc == SQLITE_CANTOPEN ||
		 rc == SQLITE_PERM)
		db_not_ours(db->dir, e);
	return -1;
}

void db_place(struct db *db, const char *state_dir, const char *pipeline,
	      const char *name)
{
	*db = (struct db){0};
	snprintf(db->dir, sizeof(db->dir), "%s/%s", state_dir, pipeline);
	snprintf(db->path, sizeof(db->path), "%s/%s", db->dir, name);
}

int db_open(struct db *db, bool may_create, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0);
	int rc = sqlite3_open_v2(db->path, &db->h, flags, state_vfs());

	if (rc != SQLITE_OK)
		return db_fail(db, rc, "open", e);
	sqlite3_busy_timeout(db->h, BUSY_MS);
	return 0;
}

void db_close(struct db *db)
{
	sqlite3_close(db->h);
	db->h = NULL;
}

int db_exec(struct db *db, const char *sql, const char *what, struct err *e)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(db, rc, what, e);
}

int db_version(struct db *db, int known, int *version, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(db->h, "PRAGMA user_version", -1, &q, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
		*version = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	if (rc != SQLITE_ROW)
		return db_fail(db, rc, "read", e);
	if (*version != 0 && *version != known)
		return err_set(e, CODE_state_corrupt,
			       "\"%s\" has format %d, this leat knows %d",
			       db->path, *version, known);
	return 0;
}

int db_check(struct db *db, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(db->h, "PRAGMA quick_check(1)", -1, &q, NULL);
	const char *text = NULL;

	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(q, 0);
		if (text == NULL)
			rc = SQLITE_NOMEM;
	}
	if (text == NULL)
		db_fail(db, rc, "read", e);
	else if (strcmp(text, "ok") != 0)
		db_damaged(db, text, e);
	sqlite3_finalize(q);
	return err_is_set(e) ? -1 : 0;
}

/* (A write of what is there already would be left out by SQLite.) */
int db_harden(struct db *db, struct err *e)
{
	int rc = sqlite3_wal_checkpoint_v2(db->h, NULL, SQLITE_CHECKPOINT_FULL,
					   NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(db, rc, "write", e);
}

sqlite3_stmt *db_prepare(struct db *db, const char *sql, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(db->h, sql, -1, &q, NULL);

	if (rc == SQLITE_OK)
		return q;
	db_fail(db, rc, "read", e);
	return NULL;
}

int db_finish(struct db *db, sqlite3_stmt *q, struct err *e)
{
	int rc = sqlite3_step(q);

	sqlite3_finalize(q);
	return rc == SQLITE_DONE ? 0 : db_fail(db, rc, "write", e);
}

int db_column(struct db *db, sqlite3_stmt *q, int i, struct slice *out)
{
	out->p = sqlite3_column_blob(q, i);
	out->n = (size_t)sqlite3_column_bytes(q, i);
	return out->p == NULL && sqlite3_errcode(db->h) == SQLITE_NOMEM
		       ? SQLITE_NOMEM
		       : SQLITE_ROW;
}
