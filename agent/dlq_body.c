#include "config.h"
#include "agent/dlq_body.h"

#include <sqlite3.h>

#include "agent/dead_event.h"

/* Of a large value, so that it is never in memory twice. */
#define PART_BYTES (1u << 20)
/* part.slot of the event without its large values; theirs are one more than
 * dead_event.h's. */
#define SLOT_EVENT 0u

static int put_part(struct db *db, uint64_t letter, uint32_t slot, uint32_t number,
		    struct slice bytes, struct err *e)
{
	sqlite3_stmt *s = db_prepare(db, "INSERT INTO part VALUES (?,?,?,?)", e);

	if (s == NULL)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)letter);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)slot);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)number);
	sqlite3_bind_blob(s, 4, bytes.p ? bytes.p : "", (int)bytes.n,
			  SQLITE_STATIC);
	return db_finish(db, s, e);
}

static int put_value(struct db *db, uint64_t letter, uint32_t slot,
		     struct slice value, uint64_t *bytes, struct err *e)
{
	*bytes += value.n;
	for (uint32_t number = 0; value.n > 0; number++) {
		struct slice part = value;

		if (part.n > PART_BYTES)
			part.n = PART_BYTES;
		if (put_part(db, letter, slot, number, part, e) != 0)
			return -1;
		value.p += part.n;
		value.n -= part.n;
	}
	return 0;
}

int dlq_body_put(struct db *db, uint64_t letter, const struct event *ev,
		 uint64_t *bytes, struct err *e)
{
	struct buf packed = BUF_INIT;
	struct slice value;
	int rc = dead_event_pack(ev, &packed, e);

	*bytes = 0;
	if (rc == 0)
		rc = put_value(db, letter, SLOT_EVENT, buf_get(&packed), bytes, e);
	for (uint32_t slot = 0; rc == 0 && dead_event_large(ev, &slot, &value); slot++)
		rc = put_value(db, letter, slot + 1, value, bytes, e);
	buf_fini(&packed);
	return rc;
}

/* How long the value of a slot is; it exists if it has a part. */
static int value_size(struct db *db, uint64_t n, uint64_t slot, uint64_t *size,
		      struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		db,
		"SELECT sum(length(bytes)) FROM part WHERE letter = ? AND slot = ?", e);
	int rc;

	if (s == NULL)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)n);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)slot);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*size = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : db_fail(db, rc, "read", e);
}

/* Into the arena, part by part. */
static int load_value(struct db *db, uint64_t n, uint64_t slot, struct arena *a,
		      struct slice *out, struct err *e)
{
	uint64_t size = 0;
	sqlite3_stmt *s;
	struct slice part;
	size_t at = 0;
	int rc = SQLITE_DONE;
	char *p;

	if (value_size(db, n, slot, &size, e) != 0)
		return -1;
	p = arena_alloc(a, size > 0 ? (size_t)size : 1);
	if (p == NULL)
		return err_no_memory(e);
	s = db_prepare(db,
		       "SELECT bytes FROM part WHERE letter = ? AND slot = ?"
		       " ORDER BY number", e);
	if (s == NULL)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)n);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)slot);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		rc = db_column(db, s, 0, &part);
		if (rc != SQLITE_ROW || part.n > size - at)
			break;
		if (part.n > 0)
			memcpy(p + at, part.p, part.n);
		at += part.n;
	}
	sqlite3_finalize(s);
	*out = (struct slice){p, at};
	return rc == SQLITE_DONE ? 0 : db_fail(db, rc, "read", e);
}

/* The slot of the next large value behind *slot; 0: no more. */
static int next_slot(struct db *db, uint64_t n, uint64_t *slot, struct err *e)
{
	sqlite3_stmt *s = db_prepare(
		db, "SELECT min(slot) FROM part WHERE letter = ? AND slot > ?", e);
	int rc;

	if (s == NULL)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)n);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)*slot);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*slot = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : db_fail(db, rc, "read", e);
}

static int load_large(struct db *db, uint64_t n, struct batch *b, struct err *e)
{
	struct event *ev = &b->ev[b->n - 1];
	uint64_t slot = SLOT_EVENT;
	struct slice *place;

	while (next_slot(db, n, &slot, e) == 0 && slot != 0) {
		place = slot > UINT32_MAX ? NULL
					  : dead_event_slot(ev, (uint32_t)slot - 1);
		if (place == NULL)
			return db_damaged(db, "a value has no column", e);
		if (load_value(db, n, slot, &b->arena, place, e) != 0)
			return -1;
	}
	return err_is_set(e) ? -1 : 0;
}

int dlq_body_load(struct db *db, uint64_t n, struct batch *b, struct err *e)
{
	struct slice packed;

	if (load_value(db, n, SLOT_EVENT, &b->arena, &packed, e) != 0)
		return -1;
	if (dead_event_unpack(packed, b, e) == 0)
		return load_large(db, n, b, e);
	if (e->code != CODE_log_corrupt)
		return -1;
	*e = ERR_INIT;
	return db_damaged(db, "a dead letter cannot be read", e);
}
