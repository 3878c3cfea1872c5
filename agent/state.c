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

#include "agent/db.h"
#include "base/fault.h"
#include "base/file.h"

#define SCHEMA_VERSION 1

struct state {
	struct db db;
	int lock; /* -1: not locked */
};

static const char create_sql[] =
	"CREATE TABLE pipeline (only INTEGER PRIMARY KEY CHECK (only = 1),"
	" cursor TEXT, pending INTEGER NOT NULL DEFAULT 0);"
	"INSERT INTO pipeline (only) VALUES (1);"
	"CREATE TABLE table_version (name TEXT NOT NULL, version INTEGER NOT NULL,"
	" from_seq INTEGER NOT NULL, shape BLOB NOT NULL,"
	" PRIMARY KEY (name, version)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

int state_make_dir(const char *dir, struct err *e)
{
	return file_mkdirs(dir, e) == 0 ? 0 : db_not_ours(dir, e);
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

static int setup(struct state *st, enum state_mode mode, bool is_durable,
		 struct err *e)
{
	struct db *db = &st->db;
	int version = 0;

	if (db_version(db, SCHEMA_VERSION, &version, e) != 0 ||
	    db_check(db, e) != 0)
		return -1;
	if (mode == STATE_LOOK)
		return version == 0 ? err_set(e, CODE_failed, "\"%s\" is empty",
					      db->path)
				    : 0;
	if (db_exec(db, "PRAGMA journal_mode = WAL", "open", e) != 0 ||
	    db_exec(db,
		    is_durable ? "PRAGMA synchronous = FULL"
			       : "PRAGMA synchronous = NORMAL",
		    "open", e) != 0)
		return -1;
	if (version == 0)
		return db_exec(db, "BEGIN IMMEDIATE", "write", e) != 0 ||
				       db_exec(db, create_sql, "write", e) != 0 ||
				       db_exec(db, "COMMIT", "write", e) != 0
			       ? -1
			       : 0;
	return is_durable ? db_harden(db, e) : 0;
}

static int lock(struct state *st, struct err *e)
{
	char path[DB_PATH_SIZE + 16];

	snprintf(path, sizeof(path), "%s/lock", st->db.dir);
	st->lock = file_lock(path, e);
	if (st->lock >= 0)
		return 0;
	if (e->code == CODE_state_held)
		err_hint(e, "Another leat runs this pipeline with the same "
			    "state_dir; stop it first.");
	return db_not_ours(st->db.dir, e);
}

static int find(const struct state *st, const char *pipeline, struct err *e)
{
	struct stat st_file;

	if (stat(st->db.path, &st_file) == 0)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR) {
		err_sys(e, CODE_state_failed, errno, "could not look at \"%s\"",
			st->db.path);
		err_hint(e, "Be the user that leat runs as, or root.");
		return -1;
	}
	err_set(e, CODE_failed, "pipeline \"%s\" has no state in \"%s\"",
		pipeline, st->db.dir);
	err_hint(e, "The pipeline has not run yet, or state_dir is not the one "
		    "it ran with.");
	return -1;
}

static int open_files(struct state *st, const char *pipeline,
		      enum state_mode mode, struct err *e)
{
	if (mode == STATE_CREATE ? state_make_dir(st->db.dir, e) != 0
				 : find(st, pipeline, e) != 0)
		return -1;
	if (mode != STATE_LOOK && lock(st, e) != 0)
		return -1;
	return db_open(&st->db, mode == STATE_CREATE, e);
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
	db_place(&st->db, state_dir, pipeline, "state.db");
	snprintf(st->db.mend, sizeof(st->db.mend),
		 "If the sink keeps the cursor (a log does), remove the files "
		 "\"%s*\": they are made again.", st->db.path);
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
	db_close(&st->db);
	if (st->lock >= 0)
		close(st->lock);
	free(st);
}

/* The table "pipeline" has one row. */
static int fail_row(struct state *st, int rc, struct err *e)
{
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return db_damaged(&st->db, "its row is not one of leat's", e);
	return db_fail(&st->db, rc, "read", e);
}

int state_cursor(struct state *st, struct buf *out, struct err *e)
{
	sqlite3_stmt *q = db_prepare(&st->db, "SELECT cursor FROM pipeline", e);
	struct slice text;
	int rc;

	if (q == NULL)
		return -1;
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW &&
	    (rc = db_column(&st->db, q, 0, &text)) == SQLITE_ROW)
		buf_slice(out, text);
	sqlite3_finalize(q);
	if (rc != SQLITE_ROW)
		return fail_row(st, rc, e);
	return out->failed ? err_no_memory(e) : 0;
}

int state_set_cursor(struct state *st, const struct cursor *c, struct err *e)
{
	sqlite3_stmt *q = db_prepare(&st->db, "UPDATE pipeline SET cursor = ?",
				     e);
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
		rc = db_finish(&st->db, q, e);
	}
	buf_fini(&text);
	return rc;
}

int state_pending(struct state *st, uint32_t *incarnation, struct err *e)
{
	sqlite3_stmt *q = db_prepare(&st->db, "SELECT pending FROM pipeline",
				     e);
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
	sqlite3_stmt *q = db_prepare(&st->db, "UPDATE pipeline SET pending = ?",
				     e);

	if (q == NULL)
		return -1;
	sqlite3_bind_int64(q, 1, incarnation);
	return db_finish(&st->db, q, e);
}

int state_add_table(struct state *st, const struct table *tab, struct err *e)
{
	sqlite3_stmt *q = db_prepare(
		&st->db, "REPLACE INTO table_version VALUES (?,?,?,?)", e);
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
		rc = db_finish(&st->db, q, e);
	}
	buf_fini(&shape);
	return rc;
}

int state_forget_tables(struct state *st, uint64_t seq, struct err *e)
{
	sqlite3_stmt *q = db_prepare(
		&st->db, "DELETE FROM table_version WHERE from_seq > ?", e);

	if (q == NULL)
		return -1;
	sqlite3_bind_int64(q, 1, (sqlite3_int64)seq);
	return db_finish(&st->db, q, e);
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
		db_damaged(&st->db, "a table version cannot be read", e);
	}
	return NULL;
}

int state_each_table(struct state *st,
		     int (*fn)(void *arg, struct table *tab, struct err *e),
		     void *arg, struct err *e)
{
	sqlite3_stmt *q = db_prepare(
		&st->db,
		"SELECT shape FROM table_version ORDER BY name, version", e);
	int rc = SQLITE_DONE, result = 0;

	if (q == NULL)
		return -1;
	while (result == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct table *tab;
		struct slice shape;

		rc = db_column(&st->db, q, 0, &shape);
		if (rc != SQLITE_ROW)
			break;
		tab = decode(st, shape, e);
		result = tab != NULL ? fn(arg, tab, e) : -1;
		table_unref(tab);
	}
	sqlite3_finalize(q);
	if (result == 0 && rc != SQLITE_DONE)
		return db_fail(&st->db, rc, "read", e);
	return result;
}

/* Made when it is needed first: most pipelines never ask. */
static const char question_sql[] =
	"CREATE TABLE IF NOT EXISTS question (name TEXT NOT NULL,"
	" seq INTEGER NOT NULL, changes TEXT NOT NULL,"
	" accepted INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (name, seq)) WITHOUT ROWID";

int state_ask(struct state *st, const struct table *tab, uint64_t seq,
	      struct slice changes, bool *is_accepted, struct err *e)
{
	sqlite3_stmt *q;
	int rc;

	if (db_exec(&st->db, question_sql, "write", e) != 0)
		return -1;
	q = db_prepare(&st->db, "INSERT INTO question (name, seq, changes)"
			" VALUES (?,?,?) ON CONFLICT DO UPDATE"
			" SET changes = excluded.changes RETURNING accepted", e);
	if (q == NULL)
		return -1;
	sqlite3_bind_text(q, 1, tab->full_name.p, (int)tab->full_name.n,
			  SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, (sqlite3_int64)seq);
	sqlite3_bind_text(q, 3, changes.p, (int)changes.n, SQLITE_STATIC);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		*is_accepted = sqlite3_column_int(q, 0) != 0;
		rc = sqlite3_step(q);
	}
	sqlite3_finalize(q);
	return rc == SQLITE_DONE ? 0 : db_fail(&st->db, rc, "write", e);
}

int state_accept(struct state *st, const char *table, struct buf *out,
		 struct err *e)
{
	sqlite3_stmt *q;
	int rc;

	if (db_exec(&st->db, question_sql, "write", e) != 0)
		return -1;
	q = db_prepare(&st->db, "UPDATE question SET accepted = 1 WHERE NOT accepted"
			" AND (?1 IS NULL OR name = ?1)"
			" RETURNING 'table \"' || name || '\": ' ||"
			" rtrim(replace(changes, char(10), '; '), '; ')", e);
	if (q == NULL)
		return -1;
	if (table != NULL)
		sqlite3_bind_text(q, 1, table, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct slice line;

		rc = db_column(&st->db, q, 0, &line);
		if (rc != SQLITE_ROW)
			break;
		buf_slice(out, line);
		buf_u8(out, '\n');
	}
	sqlite3_finalize(q);
	if (rc != SQLITE_DONE)
		return db_fail(&st->db, rc, "write", e);
	return out->failed ? err_no_memory(e) : 0;
}

int state_remove(struct state *st, struct err *e)
{
	static const char *const names[] = {
		"state.db", "state.db-wal", "state.db-shm",
		"dead_letters.db", "dead_letters.db-wal",
		"dead_letters.db-shm", "lock",
	};
	char path[DB_PATH_SIZE + 32];

	db_close(&st->db);
	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", st->db.dir, names[i]);
		if (file_remove(path, e) != 0)
			return -1;
	}
	return file_remove_dir(st->db.dir, e) == 0 ? 0 : db_not_ours(st->db.dir, e);
}

int state_each_pipeline(const char *state_dir,
			void (*fn)(void *arg, const char *pipeline), void *arg)
{
	DIR *d = opendir(state_dir);
	struct dirent *ent;

	if (d == NULL)
		return -1;
	while ((ent = readdir(d)) != NULL) {
		char path[DB_PATH_SIZE];

		snprintf(path, sizeof(path), "%s/%s/state.db", state_dir,
			 ent->d_name);
		if (ent->d_name[0] != '.' && access(path, F_OK) == 0)
			fn(arg, ent->d_name);
	}
	closedir(d);
	return 0;
}
