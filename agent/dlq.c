#include "config.h"
#include "agent/dlq.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/db.h"
#include "agent/dlq_body.h"
#include "base/clock.h"
#include "base/fault.h"

#define SCHEMA_VERSION 1
struct dlq {
	struct db db;
	char *pipeline;
};

static const char create_sql[] =
	"CREATE TABLE pipeline (only INTEGER PRIMARY KEY CHECK (only = 1),"
	" watched INTEGER NOT NULL DEFAULT 0,"
	" skipped INTEGER NOT NULL DEFAULT 0,"
	" skipped_seq INTEGER NOT NULL DEFAULT 0);"
	"INSERT INTO pipeline (only) VALUES (1);"
	"CREATE TABLE letter (n INTEGER PRIMARY KEY AUTOINCREMENT,"
	" id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, tab TEXT, key TEXT,"
	" op TEXT NOT NULL, reason TEXT NOT NULL, commit_us INTEGER NOT NULL,"
	" rejected_us INTEGER NOT NULL, tried_us INTEGER NOT NULL,"
	" tries INTEGER NOT NULL DEFAULT 1, bytes INTEGER NOT NULL DEFAULT 0,"
	" covered INTEGER NOT NULL DEFAULT 0,"
	" blocks INTEGER NOT NULL, dropped INTEGER NOT NULL DEFAULT 0,"
	" wanted INTEGER NOT NULL DEFAULT 0, superseded TEXT,"
	/* of the event that did it, until that is covered */
	" superseded_seq INTEGER);"
	"CREATE TABLE letter_key (key BLOB NOT NULL, letter INTEGER NOT NULL,"
	" PRIMARY KEY (key, letter)) WITHOUT ROWID;"
	"CREATE TABLE part (letter INTEGER NOT NULL, slot INTEGER NOT NULL,"
	" number INTEGER NOT NULL, bytes BLOB NOT NULL,"
	" PRIMARY KEY (letter, slot, number));"
	"CREATE TRIGGER gone AFTER DELETE ON letter BEGIN"
	" DELETE FROM letter_key WHERE letter = old.n;"
	" DELETE FROM part WHERE letter = old.n; END;"
	"PRAGMA user_version = 1;";

/* --- opening ----------------------------------------------------------- */

/* 0: it is one; 1: it is empty, as for whoever looks while another one makes it. */
static int setup(struct dlq *q, bool may_create, struct err *e)
{
	struct db *db = &q->db;
	int version = 0;

	if (db_version(db, SCHEMA_VERSION, &version, e) != 0)
		return -1;
	if (version == 0 && !may_create)
		return 1;
	/* what letters needed goes back to the disk with them */
	if (version == 0 &&
	    (db_exec(db, "PRAGMA auto_vacuum = FULL", "open", e) != 0 ||
	     db_exec(db, "PRAGMA journal_mode = WAL", "open", e) != 0))
		return -1;
	if (db_exec(db, "PRAGMA synchronous = FULL", "open", e) != 0 ||
	    db_exec(db, "PRAGMA journal_size_limit = 1048576", "open", e) != 0)
		return -1;
	if (version != 0)
		return 0;
	if (db_exec(db, "BEGIN IMMEDIATE", "write", e) != 0 ||
	    db_exec(db, create_sql, "write", e) != 0)
		return -1;
	return db_exec(db, "COMMIT", "write", e);
}

static bool exists(const struct dlq *q, struct err *e)
{
	if (access(q->db.path, F_OK) == 0)
		return true;
	if (errno != ENOENT && errno != ENOTDIR) {
		err_sys(e, CODE_state_failed, errno, "could not look at \"%s\"",
			q->db.path);
		err_hint(e, "Be the user that leat runs as, or root.");
	}
	return false;
}

struct dlq *dlq_open(const char *state_dir, const char *pipeline,
		     bool may_create, struct err *e)
{
	struct dlq *q = calloc(1, sizeof(*q));

	if (q == NULL || (q->pipeline = strdup(pipeline)) == NULL) {
		err_no_memory(e);
		dlq_close(q);
		return NULL;
	}
	db_place(&q->db, state_dir, pipeline, "dead_letters.db");
	snprintf(q->db.mend, sizeof(q->db.mend),
		 "Move \"%s*\" away: the pipeline goes on without.  Keep them; what they hold is nowhere else.",
		 q->db.path);
	if ((may_create || exists(q, e)) && db_open(&q->db, may_create, e) == 0 &&
	    setup(q, may_create, e) == 0)
		return q;
	dlq_close(q);
	return NULL;
}

void dlq_close(struct dlq *q)
{
	if (q == NULL)
		return;
	db_close(&q->db);
	free(q->pipeline);
	free(q);
}

/* --- statements -------------------------------------------------------- */

static void bind_slice(sqlite3_stmt *s, int i, struct slice v)
{
	if (v.p == NULL)
		sqlite3_bind_null(s, i);
	else
		sqlite3_bind_text(s, i, v.p, (int)v.n, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *s, int i, uint64_t v)
{
	sqlite3_bind_int64(s, i, (sqlite3_int64)v);
}

static uint64_t column_u64(sqlite3_stmt *s, int i)
{
	return (uint64_t)sqlite3_column_int64(s, i);
}

static int begin(struct dlq *q, struct err *e)
{
	return db_exec(&q->db, "BEGIN IMMEDIATE", "write", e);
}

/* Commits what went well; the error of what did not is kept. */
static int end(struct dlq *q, int rc, struct err *e)
{
	if (rc == 0)
		rc = db_exec(&q->db, "COMMIT", "write", e);
	if (rc != 0 && !sqlite3_get_autocommit(q->db.h))
		sqlite3_exec(q->db.h, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* A statement with one number. */
static int run_u64(struct dlq *q, const char *sql, uint64_t v, struct err *e)
{
	sqlite3_stmt *s = db_prepare(&q->db, sql, e);

	if (s == NULL)
		return -1;
	bind_u64(s, 1, v);
	return db_finish(&q->db, s, e);
}

int dlq_counts(struct dlq *q, struct dlq_counts *out, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"SELECT coalesce(sum(NOT dropped), 0), coalesce(sum(bytes), 0),"
		" coalesce(sum(superseded IS NULL AND NOT dropped), 0),"
		" coalesce(sum(NOT covered OR superseded_seq IS NOT NULL), 0),"
		" coalesce(sum(dropped), 0),"
		" coalesce(sum(wanted AND superseded IS NULL), 0),"
		" (SELECT skipped FROM pipeline),"
		" (SELECT skipped_seq FROM pipeline) FROM letter", e);
	int rc;

	if (s == NULL)
		return -1;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*out = (struct dlq_counts){column_u64(s, 0), column_u64(s, 1),
					   column_u64(s, 2), column_u64(s, 3),
					   column_u64(s, 4), column_u64(s, 5),
					   column_u64(s, 6), column_u64(s, 7)};
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : db_fail(&q->db, rc, "read", e);
}

int dlq_look(const char *state_dir, const char *pipeline, struct dlq_counts *out,
	     struct err *e)
{
	struct dlq *q = dlq_open(state_dir, pipeline, false, e);

	*out = (struct dlq_counts){0};
	if (q != NULL)
		(void)!dlq_counts(q, out, e);
	dlq_close(q);
	return err_is_set(e) ? -1 : 0;
}

/* --- putting one in ---------------------------------------------------- */

static int put_event(struct dlq *q, uint64_t letter, const struct event *ev,
		     struct err *e)
{
	uint64_t bytes;
	sqlite3_stmt *s;

	if (dlq_body_put(&q->db, letter, ev, &bytes, e) != 0)
		return -1;
	s = db_prepare(&q->db, "UPDATE letter SET bytes = ? WHERE n = ?", e);
	if (s == NULL)
		return -1;
	bind_u64(s, 1, bytes);
	bind_u64(s, 2, letter);
	return db_finish(&q->db, s, e);
}

static int put_keys(struct dlq *q, uint64_t letter, const struct dlq_put *put,
		    struct err *e)
{
	for (struct wire w = wire_of(put->keys); wire_left(&w) > 0;) {
		struct slice key = wire_lenslice(&w);
		sqlite3_stmt *s = db_prepare(
			&q->db, "INSERT OR IGNORE INTO letter_key VALUES (?,?)", e);

		if (s == NULL)
			return -1;
		sqlite3_bind_blob(s, 1, key.p, (int)key.n, SQLITE_STATIC);
		bind_u64(s, 2, letter);
		if (db_finish(&q->db, s, e) != 0)
			return -1;
	}
	return 0;
}

/* *letter: 0 when the event's id is there already. */
static int put_letter(struct dlq *q, const struct dlq_put *put, struct slice id,
		      uint64_t *letter, struct err *e)
{
	const struct event *ev = put->ev;
	int64_t now = clock_wall_us();
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"INSERT OR IGNORE INTO letter (id, seq, tab, key, op, reason,"
		" commit_us, rejected_us, tried_us, blocks)"
		" VALUES (?,?,?,?,?,?,?,?,?,?)", e);

	if (s == NULL)
		return -1;
	bind_slice(s, 1, id);
	bind_u64(s, 2, ev->seq);
	bind_slice(s, 3, ev->table ? ev->table->full_name : (struct slice){0});
	bind_slice(s, 4, put->key_text);
	bind_slice(s, 5, slice_of(op_name(ev->op)));
	bind_slice(s, 6, slice_of(put->why->msg));
	sqlite3_bind_int64(s, 7, ev->txn->commit_us);
	sqlite3_bind_int64(s, 8, now);
	sqlite3_bind_int64(s, 9, now);
	sqlite3_bind_int64(s, 10, put->is_blocking);
	if (db_finish(&q->db, s, e) != 0)
		return -1;
	*letter = sqlite3_changes(q->db.h) > 0
			  ? (uint64_t)sqlite3_last_insert_rowid(q->db.h)
			  : 0;
	return 0;
}

static int check_room(struct dlq *q, const struct dlq_put *put, struct err *e)
{
	struct dlq_counts c;

	if (dlq_counts(q, &c, e) != 0)
		return -1;
	if (c.letters <= put->max_letters && c.bytes <= put->max_bytes)
		return 0;
	*e = *put->why;
	err_wrap(e, "there is no room for another dead letter (%" PRIu64 ", %" PRIu64 " bytes)",
		 c.letters - 1, c.bytes);
	e->hint[0] = '\0';
	err_hint(e, "See to those that are there, with `leat dlq list %s`, or raise dead_letter_max or dead_letter_size.",
		 q->pipeline);
	return -1;
}

static int put_all(struct dlq *q, const struct dlq_put *put, struct slice id,
		   struct err *e)
{
	uint64_t letter = 0;

	if (put_letter(q, put, id, &letter, e) != 0)
		return -1;
	if (letter == 0)
		return 0;
	return put_keys(q, letter, put, e) != 0 ||
			       put_event(q, letter, put->ev, e) != 0 ||
			       check_room(q, put, e) != 0
		       ? -1
		       : 0;
}

int dlq_put(struct dlq *q, const struct dlq_put *put, struct err *e)
{
	struct buf id = BUF_INIT;
	int rc = -1;

	event_id(put->ev, 0, &id);
	if (id.failed)
		err_no_memory(e);
	else if (begin(q, e) == 0)
		rc = end(q, put_all(q, put, buf_get(&id), e), e);
	buf_fini(&id);
	if (rc == 0)
		fault(FAULT_dead_letter_stored);
	return rc;
}

int dlq_skip(struct dlq *q, uint64_t count, uint64_t seq, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"UPDATE pipeline SET skipped = skipped + ?, skipped_seq = ?", e);

	if (s == NULL)
		return -1;
	bind_u64(s, 1, count);
	bind_u64(s, 2, seq);
	return db_finish(&q->db, s, e);
}

/* --- what has become of them ------------------------------------------- */

int dlq_settle(struct dlq *q, const struct cursor *c, struct err *e)
{
	int rc = begin(q, e);

	if (rc != 0)
		return rc;
	if (run_u64(q, "DELETE FROM letter WHERE n = ?", c->letter, e) != 0 ||
	    run_u64(q, "DELETE FROM letter WHERE seq > ? AND NOT covered"
		       " AND NOT dropped", c->seq, e) != 0 ||
	    run_u64(q, "DELETE FROM letter WHERE seq <= ? AND dropped", c->seq,
		    e) != 0 ||
	    run_u64(q, "UPDATE letter SET covered = 1 WHERE seq <= ? AND NOT covered",
		    c->seq, e) != 0 ||
	    run_u64(q, "UPDATE letter SET superseded = NULL WHERE superseded_seq > ?",
		    c->seq, e) != 0 ||
	    db_exec(&q->db, "UPDATE letter SET superseded_seq = NULL"
			    " WHERE superseded_seq IS NOT NULL", "write", e) != 0)
		rc = -1;
	return end(q, rc, e);
}

int dlq_set_watched(struct dlq *q, uint64_t seq, struct err *e)
{
	return run_u64(q, "UPDATE pipeline SET watched = ?", seq, e);
}

int dlq_check_watched(struct dlq *q, uint64_t seq, struct err *e)
{
	return run_u64(q,
		       "UPDATE letter SET superseded = '' WHERE superseded IS NULL"
		       " AND (SELECT watched FROM pipeline) < ?", seq, e);
}

int dlq_each_key(struct dlq *q, void (*fn)(void *arg, struct slice key),
		 void *arg, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"SELECT k.key FROM letter_key k JOIN letter l ON l.n = k.letter"
		" WHERE l.superseded IS NULL AND NOT l.dropped", e);
	struct slice key;
	int rc = SQLITE_DONE;

	if (s == NULL)
		return -1;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		rc = db_column(&q->db, s, 0, &key);
		if (rc != SQLITE_ROW)
			break;
		fn(arg, key);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : db_fail(&q->db, rc, "read", e);
}

int dlq_begin(struct dlq *q, struct err *e)
{
	return begin(q, e);
}

int dlq_end(struct dlq *q, struct err *e)
{
	return end(q, err_is_set(e) ? -1 : 0, e);
}

int dlq_supersede(struct dlq *q, struct slice key, const struct event *by,
		  struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"UPDATE letter SET superseded = ?1, superseded_seq = ?2, wanted = 0"
		" WHERE superseded IS NULL AND seq < ?2 AND (?3 IS NULL OR n IN"
		" (SELECT letter FROM letter_key WHERE key = ?3))", e);
	struct buf id = BUF_INIT;
	int rc = -1;

	if (s == NULL)
		return -1;
	event_id(by, 0, &id);
	if (id.failed) {
		sqlite3_finalize(s);
		err_no_memory(e);
	} else {
		bind_slice(s, 1, buf_get(&id));
		bind_u64(s, 2, by->seq);
		if (key.p != NULL)
			sqlite3_bind_blob(s, 3, key.p, (int)key.n, SQLITE_STATIC);
		rc = db_finish(&q->db, s, e);
	}
	buf_fini(&id);
	return rc;
}

/* --- what people do with them ------------------------------------------ */

static int read_letter(struct dlq *q, sqlite3_stmt *s, struct dlq_letter *l)
{
	struct slice *const texts[] = {&l->id, &l->table, &l->key, &l->op,
				       &l->reason, &l->superseded_by};
	int rc = SQLITE_ROW;

	for (int i = 0; rc == SQLITE_ROW && i < (int)countof(texts); i++) {
		bool is_null = sqlite3_column_type(s, i) == SQLITE_NULL;

		rc = db_column(&q->db, s, i, texts[i]);
		if (!is_null && texts[i]->p == NULL)
			texts[i]->p = "";
	}
	l->n = column_u64(s, 6);
	l->seq = column_u64(s, 7);
	l->bytes = column_u64(s, 8);
	l->tries = column_u64(s, 9);
	l->is_covered = sqlite3_column_int(s, 10) != 0;
	l->is_wanted = sqlite3_column_int(s, 11) != 0;
	l->commit_us = sqlite3_column_int64(s, 12);
	l->rejected_us = sqlite3_column_int64(s, 13);
	l->tried_us = sqlite3_column_int64(s, 14);
	l->is_blocking = sqlite3_column_int(s, 15) != 0;
	return rc;
}

int dlq_each(struct dlq *q, struct slice id,
	     int (*fn)(void *arg, const struct dlq_letter *l, struct err *e),
	     void *arg, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"SELECT id, tab, key, op, reason, superseded, n, seq, bytes, tries,"
		" covered, wanted, commit_us, rejected_us, tried_us, blocks"
		" FROM letter WHERE NOT dropped AND (?1 IS NULL OR id = ?1)"
		" ORDER BY seq, n", e);
	int rc = SQLITE_DONE, result = 0;

	if (s == NULL)
		return -1;
	bind_slice(s, 1, id);
	while (result == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct dlq_letter l = {0};

		rc = read_letter(q, s, &l);
		if (rc != SQLITE_ROW)
			break;
		result = fn(arg, &l, e);
	}
	sqlite3_finalize(s);
	if (result == 0 && rc != SQLITE_DONE)
		return db_fail(&q->db, rc, "read", e);
	return result;
}

/* A statement about letters by id (p = NULL: all). */
static int run_id(struct dlq *q, const char *sql, struct slice id,
		  uint64_t *count, struct err *e)
{
	sqlite3_stmt *s = db_prepare(&q->db, sql, e);

	if (s == NULL)
		return -1;
	bind_slice(s, 1, id);
	if (db_finish(&q->db, s, e) != 0)
		return -1;
	*count = (uint64_t)sqlite3_changes(q->db.h);
	return 0;
}

int dlq_load(struct dlq *q, uint64_t n, struct batch *b, struct err *e)
{
	return dlq_body_load(&q->db, n, b, e);
}

int dlq_want(struct dlq *q, struct slice id, uint64_t *count, struct err *e)
{
	return run_id(q,
		      "UPDATE letter SET wanted = 1 WHERE covered"
		      " AND superseded IS NULL AND (?1 IS NULL OR id = ?1)", id, count, e);
}

/* Of one that is not covered a mark stays: its event comes again, and is known
 * then. */
static int drop_letters(struct dlq *q, struct slice id, uint64_t *count,
			struct err *e)
{
	uint64_t covered = 0, parts = 0;

	if (run_id(q, "DELETE FROM letter WHERE covered AND (?1 IS NULL OR id = ?1)",
		   id, &covered, e) != 0 ||
	    run_id(q,
		   "DELETE FROM part WHERE letter IN (SELECT n FROM letter"
		   " WHERE NOT covered AND (?1 IS NULL OR id = ?1))",
		   id, &parts, e) != 0 ||
	    run_id(q,
		   "UPDATE letter SET dropped = 1, bytes = 0 WHERE NOT covered"
		   " AND NOT dropped AND (?1 IS NULL OR id = ?1)",
		   id, count, e) != 0)
		return -1;
	*count += covered;
	return 0;
}

int dlq_drop(struct dlq *q, struct slice id, uint64_t expected, uint64_t *count,
	     struct err *e)
{
	int rc = begin(q, e);

	if (rc == 0)
		rc = drop_letters(q, id, count, e);
	if (rc != 0 || *count == expected)
		return end(q, rc, e);
	return db_exec(&q->db, "ROLLBACK", "write", e);
}

int dlq_is_dropped(struct dlq *q, struct slice id, bool *is, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db, "SELECT 1 FROM letter WHERE dropped AND id = ?", e);
	int rc;

	if (s == NULL)
		return -1;
	bind_slice(s, 1, id);
	rc = sqlite3_step(s);
	sqlite3_finalize(s);
	*is = rc == SQLITE_ROW;
	return *is || rc == SQLITE_DONE ? 0 : db_fail(&q->db, rc, "read", e);
}

int dlq_next(struct dlq *q, uint64_t *n, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"SELECT n FROM letter WHERE wanted AND covered"
		" AND superseded IS NULL ORDER BY seq, n LIMIT 1", e);
	int rc;

	*n = 0;
	if (s == NULL)
		return -1;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*n = column_u64(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE
		       ? 0
		       : db_fail(&q->db, rc, "read", e);
}

int dlq_remove(struct dlq *q, uint64_t n, struct err *e)
{
	return run_u64(q, "DELETE FROM letter WHERE n = ?", n, e);
}

int dlq_failed(struct dlq *q, uint64_t n, const struct err *why, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		&q->db,
		"UPDATE letter SET wanted = 0, tries = tries + 1, reason = ?,"
		" tried_us = ? WHERE n = ?", e);

	if (s == NULL)
		return -1;
	bind_slice(s, 1, slice_of(why->msg));
	sqlite3_bind_int64(s, 2, clock_wall_us());
	bind_u64(s, 3, n);
	return db_finish(&q->db, s, e);
}
