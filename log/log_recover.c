/* log_recover.c: opening a log to write, after whatever happened to it.
 *
 * Only the last segment can be unfinished.  It is cut behind its last commit
 * frame; one without a commit frame was being made when the writer died, and is
 * removed, provided that the one before ends as it should.  What is cut off was
 * never acknowledged: damage to what was is told apart by scan.h and stops
 * here, as cutting would lose it for good. */
#include "config.h"
#include "log/log_recover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/note.h"
#include "log/log_roll.h"
#include "log/scan.h"
#include "log/tip.h"

struct recovery {
	struct log_writer *w;
	struct segment_list list;
	struct tip tip;
	bool has_tip;
	struct scan scan;
};

static int make_log(struct recovery *r, struct err *e)
{
	struct log_writer *w = r->w;
	uint8_t uuid[UUID_SIZE];

	if (r->list.has_foreign) {
		err_set(e, CODE_log_wrong,
			"directory \"%s\" holds no log but other files",
			w->conf.path);
		err_hint(e, "Give the log a directory of its own.");
		return -1;
	}
	uuid_make(uuid);
	w->chain = 0;
	return log_roll_make(w, uuid, 1, e);
}

/* --- which segment is the last --------------------------------------- */

/* Takes away a segment that has no commit frame, if its making is what was
 * interrupted. */
static int remove_unborn(struct recovery *r, struct err *e)
{
	struct log_writer *w = r->w;

	if (r->has_tip && r->tip.segment == w->seg.first_seq)
		return segment_damaged(&w->seg, 0, "its head had been durable, as the file \"tip\" tells", e);
	if (log_scan_unborn(&w->seg, e) != 0 ||
	    file_remove(w->seg.path, e) != 0 ||
	    file_sync_dir(w->conf.path, e) != 0)
		return -1;
	note(NOTE_INFO, w->component, CODE_log_recovered,
	     NOTE_KV({"segment", w->seg.path}),
	     "removed a segment that was just being made");
	segment_close(&w->seg);
	return 0;
}

/* 1: it is the last one, and scanned; 0: it has no commit; -1: error */
static int try_segment(struct recovery *r, size_t i, struct err *e)
{
	struct log_writer *w = r->w;
	struct err why = ERR_INIT;
	uint64_t trusted = 0;

	if (segment_open(&w->seg, w->conf.path, r->list.v[i].first_seq, O_RDWR,
			 &why) != 0) {
		if (why.code == CODE_log_corrupt && w->seg.fd >= 0)
			return 0;
		*e = why;
		return -1;
	}
	if (r->has_tip && memcmp(r->tip.uuid, w->seg.head.uuid, UUID_SIZE) != 0)
		r->has_tip = false;
	if (r->has_tip && r->tip.segment > w->seg.first_seq &&
	    r->tip.segment > r->list.v[r->list.n - 1].first_seq) {
		err_set(e, CODE_log_corrupt,
			"the segment of the log at \"%s\" that begins at seq %" PRIu64 " is missing",
			w->conf.path, r->tip.segment);
		err_detail(e, "The file \"tip\" tells that it had been durable.");
		return -1;
	}
	if (r->has_tip && r->tip.segment == w->seg.first_seq)
		trusted = r->tip.offset;
	log_scan_fini(&r->scan);
	if (log_scan(&w->seg, trusted, &r->scan, e) != 0)
		return -1;
	return r->scan.has_commit;
}

static int find_last(struct recovery *r, size_t *at, struct err *e)
{
	for (size_t i = r->list.n; i-- > 0;) {
		int found = try_segment(r, i, e);

		if (found < 0)
			return -1;
		if (found == 0) {
			if (remove_unborn(r, e) != 0)
				return -1;
			continue;
		}
		/* the next was begun only after this one was durable */
		if (i + 1 < r->list.n && r->scan.end != r->scan.size)
			return segment_damaged(&r->w->seg, r->scan.end,
					       "it does not end in a commit frame", e);
		*at = i;
		return 1;
	}
	return 0;
}

/* --- its end --------------------------------------------------------- */

/* A sync that failed leaves pages that look written and are not: the kernel has
 * let go of them, and the next sync of whatever descriptor succeeds.  So what
 * nobody said to be durable is written once more. */
static int write_again(const struct segment *s, uint64_t from, uint64_t to,
		       struct err *e)
{
	char bytes[64 << 10];
	size_t got = 0;
	int rc = 0;

	for (uint64_t at = from; rc == 0 && at < to; at += got) {
		size_t n = to - at < sizeof(bytes) ? (size_t)(to - at)
						   : sizeof(bytes);

		rc = file_read_at(s->fd, bytes, n, at, &got, e);
		if (rc == 0 && got == 0)
			rc = segment_damaged(s, at, "it has become shorter", e);
		if (rc == 0)
			rc = file_write_at(s->fd, bytes, got, at, e);
	}
	return rc;
}

static int cut(struct recovery *r, struct err *e)
{
	struct log_writer *w = r->w;
	const struct scan *s = &r->scan;
	bool has_place = r->has_tip && r->tip.segment == w->seg.first_seq;
	char bytes[32];

	if (s->size > s->end && file_truncate(w->seg.fd, s->end, e) != 0)
		return -1;
	if (has_place && write_again(&w->seg, r->tip.offset, s->end, e) != 0)
		return -1;
	/* what is there may never have been synced */
	if (file_sync(w->seg.fd, e) != 0 || file_sync_dir(w->conf.path, e) != 0)
		return -1;
	if (s->stop > s->end || s->is_torn) {
		snprintf(bytes, sizeof(bytes), "%" PRIu64, s->stop - s->end);
		note(NOTE_INFO, w->component, CODE_log_recovered,
		     NOTE_KV({"segment", w->seg.path}, {"bytes", bytes}),
		     "cut off an end that was not committed");
	}
	segment_written(&w->seg);
	w->at = w->committed = w->allocated = s->end;
	w->chain = s->crc;
	w->last_seq = w->committed_seq = s->seq;
	w->max_commit_us = s->max_commit_us;
	buf_slice(&w->cursor, buf_get(&s->cursor));
	return w->cursor.failed ? err_no_memory(e) : 0;
}

static int load_frame(struct log_writer *w, uint64_t at, struct err *e)
{
	const uint8_t *stored;
	struct frame f;
	struct buf *raw = &w->table_body;

	if (segment_probe(&w->seg, at, w->committed, &f, e) != STEP_FRAME ||
	    segment_step(&w->seg, at, w->committed, f.prev_crc, &f, &stored,
			 e) != STEP_FRAME)
		return segment_damaged(&w->seg, at, "a table frame is not sound", e);
	buf_reset(raw, SIZE_MAX);
	if (!buf_room(raw, f.raw ? f.raw : 1))
		return err_no_memory(e);
	if (codec_expand(&w->codec, &f, stored, raw->p, e) != 0)
		return -1;
	raw->n = f.raw;
	return log_tables_read(&w->tables, buf_get(raw), f.count, e);
}

static int load_tables(struct recovery *r, struct registry *tables,
		       struct err *e)
{
	struct log_writer *w = r->w;
	struct map_entry *ent;

	for (size_t i = 0; i < r->scan.ntables; i++)
		if (load_frame(w, r->scan.tables[i], e) != 0)
			return -1;
	for (size_t i = 0; (ent = map_next(&w->tables.by_name, &i)) != NULL;) {
		const struct log_table *t = ent->value;

		if (registry_load(tables, table_ref(t->tab), e) != 0)
			return -1;
	}
	return 0;
}

int log_recover(struct log_writer *w, struct registry *tables, struct err *e)
{
	struct recovery r = {.w = w, .scan = SCAN_INIT};
	size_t at;
	int rc = -1, found;

	r.has_tip = tip_load(w->tip_fd, &r.tip);
	if (segment_list_read(w->conf.path, &r.list, e) != 0)
		return -1;
	found = find_last(&r, &at, e);
	if (found == 0)
		rc = make_log(&r, e);
	else if (found > 0 && cut(&r, e) == 0 && load_tables(&r, tables, e) == 0)
		rc = 0;
	log_scan_fini(&r.scan);
	segment_list_fini(&r.list);
	return rc;
}
