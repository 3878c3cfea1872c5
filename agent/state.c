#include "config.h"
#include "agent/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/state_vfs.h"
#include "base/fault.h"
#include "base/file.h"

#define SCHEMA_VERSION 1
#define PATH_SIZE 4096

struct state {
	sqlite3 *db;
	int lock; /* -1: not locked */
	char dir[PATH_SIZE];
};

static const char create_sql[] =
	"CREATE TABLE pipeline (only INTEGER PRIMARY KEY CHECK (only = 1),"
	" cursor TEXT, pending INTEGER NOT NULL DEFAULT 0);"
	"INSERT INTO pipeline (only) VALUES (1);"
	"CREATE TABLE table_version (name TEXT NOT NULL, version INTEGER NOT NULL,"
	" from_seq INTEGER NOT NULL, shape BLOB NOT NULL,"
	" PRIMARY KEY (name, version)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

/* What base/file.h says of the log is here said of the state. */
static int not_ours(const char *dir, struct err *e)
{
	if (e->code == CODE_log_io)
		e->code = CODE_state_failed;
	err_hint(e, "The user that leat runs as must be able to write to \"%s\".",
		 dir);
	return -1;
}

int state_make_dir(const char *dir, struct err *e)
{
	return file_mkdirs(dir, e) == 0 ? 0 : not_ours(dir, e);
}

/* SQLite writes no file of a format that is newer than itself. */
static bool is_marked_readonly(const struct state *st)
{
	char path[PATH_SIZE + 16];

	snprintf(path, sizeof(path), "%s/state.db", st->dir);
	return sqlite3_extended_errcode(st->db) == SQLITE_READONLY &&
	       access(path, W_OK) == 0;
}

int state_own_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, CODE_state_failed, errno,
			       "could not open state_dir \"%s\"", dir);
	/* a file system that locks no directories still has the locks of the
	 * pipelines */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return fd;
	err_set(e, CODE_state_held, "another agent uses state_dir \"%s\"", dir);
	err_hint(e, "Stop the other agent, or give each a control_socket and a state_dir of its own.");
	close(fd);
	return -1;
}

/* What SQLite says about the file itself is a verdict on the state; the rest is
 * the disk's.  All SQL is our own: what makes no sense to SQLite has met tables
 * that are not. */
static enum code code_of(const struct state *st, int rc)
{
	switch (rc) {
	case SQLITE_READONLY:
		return is_marked_readonly(st) ? CODE_state_corrupt
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
		return sqlite3_extended_errcode(st->db) == SQLITE_IOERR_SHMSIZE
			       ? CODE_disk_full
			       : CODE_state_failed;
	}
}

static void hint_corrupt(const struct state *st, struct err *e)
{
	err_hint(e, "If the sink keeps the cursor (a log does), remove the "
		    "directory \"%s\": it is made again.", st->dir);
}

/* What SQLite finds nothing wrong with. */
static int damaged(const struct state *st, const char *how, struct err *e)
{
	err_set(e, CODE_state_corrupt, "\"%s/state.db\" is damaged: %s",
		st->dir, how);
	hint_corrupt(st, e);
	return -1;
}

static int fail(struct state *st, int rc, const char *what, struct err *e)
{
	enum code code = code_of(st, rc);

	err_set(e, code, "could not %s \"%s/state.db\": %s", what, st->dir,
		st->db ? sqlite3_errmsg(st->db) : sqlite3_errstr(rc));
	if (code == CODE_state_corrupt)
		hint_corrupt(st, e);
	else if (rc == SQLITE_READONLY || rc == SQLITE_CANTOPEN ||
		 rc == SQLITE_PERM)
		not_ours(st->dir, e);
	return -1;
}

static int exec(struct state *st, const char *sql, const char *what,
		struct err *e)
{
	int rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(st, rc, what, e);
}

static int read_version(struct state *st, int *version, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(st->db, "PRAGMA user_version", -1, &q, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
		*version = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	if (rc != SQLITE_ROW)
		return fail(st, rc, "read", e);
	if (*version != 0 && *version != SCHEMA_VERSION)
		return err_set(e, CODE_state_corrupt,
			       "\"%s/state.db\" has format %d, this leat knows %d",
			       st->dir, *version, SCHEMA_VERSION);
	return 0;
}

/* Damage is told here, as a whole: met later by a statement, some of it looks
 * like a lack of memory. */
static int check_pages(struct state *st, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(st->db, "PRAGMA quick_check(1)", -1, &q,
				    NULL);
	const char *text = NULL;

	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(q, 0);
		if (text == NULL)
			rc = SQLITE_NOMEM;
	}
	if (text == NULL)
		fail(st, rc, "read", e);
	else if (strcmp(text, "ok") != 0)
		damaged(st, text, e);
	sqlite3_finalize(q);
	return err_is_set(e) ? -1 : 0;
}

/* What a killed process wrote can be read and need not be durable.  (A write of
 * what is there already would be left out by SQLite.) */
static int harden(struct state *st, struct err *e)
{
	int rc = sqlite3_wal_checkpoint_v2(st->db, NULL, SQLITE_CHECKPOINT_FULL,
					   NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(st, rc, "write", e);
}

static int setup(struct state *st, enum state_mode mode, bool is_durable,
		 struct err *e)
{
	int version = 0;

	sqlite3_busy_timeout(st->db, 5000);
	if (read_version(st, &version, e) != 0 || check_pages(st, e) != 0)
		return -1;
	if (mode == STATE_LOOK)
		return version == 0 ? err_set(e, CODE_failed,
					      "\"%s/state.db\" is empty", st->dir)
				    : 0;
	if (exec(st, "PRAGMA journal_mode = WAL", "open", e) != 0 ||
	    exec(st,
		 is_durable ? "PRAGMA synchronous = FULL"
			    : "PRAGMA synchronous = NORMAL",
		 "open", e) != 0)
		return -1;
	if (version == 0)
		return exec(st, "BEGIN IMMEDIATE", "write", e) != 0 ||
				       exec(st, create_sql, "write", e) != 0 ||
				       exec(st, "COMMIT", "write", e) != 0
			       ? -1
			       : 0;
	return is_durable ? harden(st, e) : 0;
}

static int open_files(struct state *st, const char *pipeline,
		      enum state_mode mode, struct err *e)
{
	char path[PATH_SIZE + 16];
	struct stat st_file;
	int flags = SQLITE_OPEN_READWRITE, rc;

	if (mode == STATE_CREATE) {
		if (state_make_dir(st->dir, e) != 0)
			return -1;
		flags |= SQLITE_OPEN_CREATE;
	}
	snprintf(path, sizeof(path), "%s/state.db", st->dir);
	if (mode != STATE_CREATE && stat(path, &st_file) != 0) {
		if (errno != ENOENT && errno != ENOTDIR) {
			err_sys(e, CODE_state_failed, errno,
				"could not look at \"%s\"", path);
			err_hint(e, "Be the user that leat runs as, or root.");
			return -1;
		}
		err_set(e, CODE_failed, "pipeline \"%s\" has no state in \"%s\"",
			pipeline, st->dir);
		err_hint(e, "The pipeline has not run yet, or state_dir is not "
			    "the one it ran with.");
		return -1;
	}
	if (mode != STATE_LOOK) {
		snprintf(path, sizeof(path), "%s/lock", st->dir);
		st->lock = file_lock(path, e);
		if (st->lock < 0) {
			if (e->code == CODE_state_held)
				err_hint(e, "Another leat runs this pipeline "
					    "with the same state_dir; stop it "
					    "first.");
			return not_ours(st->dir, e);
		}
	}
	snprintf(path, sizeof(path), "%s/state.db", st->dir);
	rc = sqlite3_open_v2(path, &st->db, flags, state_vfs());
	return rc == SQLITE_OK ? 0 : fail(st, rc, "open", e);
}

struct state *state_open(const char *state_dir, const char *pipeline,
			 enum state_mode mode, bool is_durable, struct err *e)
{
	struct state *st = calloc(1, sizeof(*st));

	if (st == NULL) {
		err_no_memory(e);
		return NULL;
	}
	st->lock = -1;
	snprintf(st->dir, sizeof(st->dir), "%s/%s", state_dir, pipeline);
	if (open_files(st, pipeline, mode, e) == 0 &&
	    setup(st, mode, is_durable, e) == 0)
		return st;
	state_close(st);
	return NULL;
}

void state_close(struct state *st)
{
	if (st == NULL)
		return;
	sqlite3_close(st->db);
	if (st->lock >= 0)
		close(st->lock);
	free(st);
}

/* Prepares, or returns NULL with err set. */
static sqlite3_stmt *prepare(struct state *st, const char *sql, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(st->db, sql, -1, &q, NULL);

	if (rc != SQLITE_OK) {
		fail(st, rc, "read", e);
		return NULL;
	}
	return q;
}

/* Runs a statement that returns no rows, and finalizes it. */
static int finish(struct state *st, sqlite3_stmt *q, struct err *e)
{
	int rc = sqlite3_step(q);

	sqlite3_finalize(q);
	return rc == SQLITE_DONE ? 0 : fail(st, rc, "write", e);
}

/* The bytes of the first column.  That there was no memory for them must not
 * look like NULL. */
static int column(struct state *st, sqlite3_stmt *q, struct slice *out)
{
	out->p = sqlite3_column_blob(q, 0);
	out->n = (size_t)sqlite3_column_bytes(q, 0);
	return out->p == NULL && sqlite3_errcode(st->db) == SQLITE_NOMEM
		       ? SQLITE_NOMEM
		       : SQLITE_ROW;
}

/* The table "pipeline" has one row. */
static int fail_row(struct state *st, int rc, struct err *e)
{
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return damaged(st, "its row is not one of leat's", e);
	return fail(st, rc, "read", e);
}

int state_cursor(struct state *st, struct buf *out, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "SELECT cursor FROM pipeline", e);
	struct slice text;
	int rc;

	if (q == NULL)
		return -1;
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW && (rc = column(st, q, &text)) == SQLITE_ROW)
		buf_slice(out, text);
	sqlite3_finalize(q);
	if (rc != SQLITE_ROW)
		return fail_row(st, rc, e);
	return out->failed ? err_no_memory(e) : 0;
}

int state_set_cursor(struct state *st, const struct cursor *c, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "UPDATE pipeline SET cursor = ?", e);
	struct buf text = BUF_INIT;
	int rc = -1;

	if (q == NULL)
		return -1;
	cursor_print(c, &text);
	if (text.failed) {
		sqlite3_finalize(q);
		err_no_memory(e);
	} else {
		sqlite3_bind_text(q, 1, text.p, (int)text.n, SQLITE_STATIC);
		rc = finish(st, q, e);
	}
	buf_fini(&text);
	return rc;
}

int state_pending(struct state *st, uint32_t *incarnation, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "SELECT pending FROM pipeline", e);
	int64_t n = -1;
	int rc;

	if (q == NULL)
		return -1;
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	if (n < 0 || n > UINT32_MAX)
		return fail_row(st, rc, e);
	*incarnation = (uint32_t)n;
	return 0;
}

int state_set_pending(struct state *st, uint32_t incarnation, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "UPDATE pipeline SET pending = ?", e);

	if (q == NULL)
		return -1;
	sqlite3_bind_int64(q, 1, incarnation);
	return finish(st, q, e);
}

int state_add_table(struct state *st, const struct table *tab, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "REPLACE INTO table_version VALUES (?,?,?,?)",
				  e);
	struct buf shape = BUF_INIT;
	int rc = -1;

	if (q == NULL)
		return -1;
	fault(FAULT_schema_write);
	table_encode(tab, &shape);
	if (shape.failed) {
		sqlite3_finalize(q);
		err_no_memory(e);
	} else {
		sqlite3_bind_text(q, 1, tab->full_name.p, (int)tab->full_name.n,
				  SQLITE_STATIC);
		sqlite3_bind_int64(q, 2, tab->version);
		sqlite3_bind_int64(q, 3, (sqlite3_int64)tab->from_seq);
		sqlite3_bind_blob(q, 4, shape.p, (int)shape.n, SQLITE_STATIC);
		rc = finish(st, q, e);
	}
	buf_fini(&shape);
	return rc;
}

int state_forget_tables(struct state *st, uint64_t seq, struct err *e)
{
	sqlite3_stmt *q = prepare(st, "DELETE FROM table_version WHERE from_seq > ?",
				  e);

	if (q == NULL)
		return -1;
	sqlite3_bind_int64(q, 1, (sqlite3_int64)seq);
	return finish(st, q, e);
}

static struct table *decode(struct state *st, struct slice shape, struct err *e)
{
	struct wire w = wire_of(shape);
	struct table *tab = table_decode(&w, e);

	if (tab != NULL && wire_left(&w) == 0)
		return tab;
	table_unref(tab);
	if (tab != NULL || e->code == CODE_log_corrupt) {
		*e = ERR_INIT;
		damaged(st, "a table version cannot be read", e);
	}
	return NULL;
}

int state_each_table(struct state *st,
		     int (*fn)(void *arg, struct table *tab, struct err *e),
		     void *arg, struct err *e)
{
	sqlite3_stmt *q = prepare(
		st, "SELECT shape FROM table_version ORDER BY name, version", e);
	int rc = SQLITE_DONE, result = 0;

	if (q == NULL)
		return -1;
	while (result == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct table *tab;
		struct slice shape;

		rc = column(st, q, &shape);
		if (rc != SQLITE_ROW)
			break;
		tab = decode(st, shape, e);
		result = tab != NULL ? fn(arg, tab, e) : -1;
		table_unref(tab);
	}
	sqlite3_finalize(q);
	if (result == 0 && rc != SQLITE_DONE)
		return fail(st, rc, "read", e);
	return result;
}

int state_remove(struct state *st, struct err *e)
{
	static const char *const names[] = {"state.db", "state.db-wal",
					    "state.db-shm", "lock"};
	char path[PATH_SIZE + 32];

	sqlite3_close(st->db);
	st->db = NULL;
	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", st->dir, names[i]);
		if (file_remove(path, e) != 0)
			return -1;
	}
	return file_remove_dir(st->dir, e) == 0 ? 0 : not_ours(st->dir, e);
}

int state_each_pipeline(const char *state_dir,
			void (*fn)(void *arg, const char *pipeline), void *arg)
{
	DIR *d = opendir(state_dir);
	struct dirent *ent;

	if (d == NULL)
		return -1;
	while ((ent = readdir(d)) != NULL) {
		char path[PATH_SIZE];

		snprintf(path, sizeof(path), "%s/%s/state.db", state_dir,
			 ent->d_name);
		if (ent->d_name[0] != '.' && access(path, F_OK) == 0)
			fn(arg, ent->d_name);
	}
	closedir(d);
	return 0;
}
