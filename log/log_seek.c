/* log_seek.c: finding the place where a reader begins.
 *
 * Names of segments tell seqs, their headers tell times; in the segment one hops
 * from frame header to frame header, loading the table versions that are passed.
 * There is no index: a hop passes some 100 KB. */
#include "config.h"
#include "log/log_seek.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/clock.h"
#include "log/log_end.h"

#define AHEAD_HEADERS 512u

int log_start_parse(struct slice text, struct log_start *start, struct err *e)
{
	struct slice rest = text, word = slice_cut(&rest, ':');
	struct log_place place;

	*start = (struct log_start){0};
	if (slice_is(text, "earliest")) {
		start->kind = START_EARLIEST;
		return 0;
	}
	if (slice_is(text, "latest")) {
		start->kind = START_LATEST;
		return 0;
	}
	if (slice_is(word, "seq") && slice_to_u64(rest, &start->seq)) {
		start->kind = START_SEQ;
		return 0;
	}
	if (slice_is(word, "time") && clock_parse(rest, &start->us)) {
		start->kind = START_TIME;
		return 0;
	}
	if (log_place_parse(text, &place)) {
		start->kind = START_CURSOR;
		start->cursor = text;
		return 0;
	}
	err_set(e, CODE_usage, "\"%.*s\" is no position in a log",
		SLICE_ARG(text));
	err_hint(e, "Positions are earliest, latest, seq:N, time:2026-11-21T03:04:05Z, and a cursor as \"leat offsets show\" prints it.");
	return -1;
}

/* What is looked for: the frame in which the first wanted event is. */
struct target {
	uint64_t seq; /* the last one that is not wanted */
	uint32_t crc; /* of its frame; 0: any */
	int64_t us;   /* or, if not 0: the time of the first that is wanted */
	bool is_cursor;
};

static int diverged(const struct log_reader *r, const struct target *t,
		    struct err *e)
{
	err_set(e, CODE_diverged,
		"the log at \"%s\" is not the one that was read up to seq %" PRIu64,
		r->dir, t->seq);
	err_detail(e, "Its last committed seq is %" PRIu64 ".", r->tip.seq);
	return -1;
}

/* The tip is not synced: after a loss of power it can be an old one, until the
 * writer has opened the log. */
static int behind_tip(const struct log_reader *r, const struct target *t,
		      struct err *e)
{
	struct err ignored = ERR_INIT;
	struct tip end;

	if (log_end_scan(r->dir, &end, &ignored) <= 0 || end.seq < t->seq ||
	    memcmp(end.uuid, r->tip.uuid, UUID_SIZE) != 0)
		return diverged(r, t, e);
	err_set(e, CODE_log_io,
		"the log at \"%s\" cannot be read behind seq %" PRIu64 " before its writer has opened it",
		r->dir, r->tip.seq);
	err_detail(e, "The file \"tip\" is older than the log, as after a loss of power.");
	return -1;
}

/* --- which segment --------------------------------------------------- */

/* The last segment in front of which no event is as late as us. */
static int find_by_time(struct log_reader *r, const struct segment_list *l,
			int64_t us, size_t *at, struct err *e)
{
	size_t lo = 0, hi = l->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].first_seq > r->tip.segment) {
			hi = mid;
			continue;
		}
		if (segment_open(&r->seg, r->dir, l->v[mid].first_seq, O_RDONLY,
				 e) != 0)
			return -1;
		if (r->seg.head.max_commit_us < us)
			lo = mid;
		else
			hi = mid;
	}
	*at = lo;
	return 0;
}

static int choose_segment(struct log_reader *r, const struct segment_list *l,
			  struct target *t, struct err *e)
{
	size_t at = 0;

	if (t->us != 0) {
		if (find_by_time(r, l, t->us, &at, e) != 0)
			return -1;
	} else {
		uint64_t next = t->seq == UINT64_MAX ? t->seq : t->seq + 1;
		/* the frame before is in another segment, where it is checked */
		uint64_t want = t->crc != 0 ? t->seq : next;
		ptrdiff_t i = segment_list_find(l, want < r->tip.segment
							   ? want
							   : r->tip.segment);

		if (i < 0)
			i = segment_list_find(l, next);
		if (i < 0 && t->is_cursor)
			return reader_purged(r, next, l->v[0].first_seq, e);
		at = i < 0 ? 0 : (size_t)i;
	}
	return segment_open(&r->seg, r->dir, l->v[at].first_seq, O_RDONLY, e);
}

/* Retention may delete a segment between the look at the directory and its
 * opening: then the directory is looked at again. */
static int open_segment(struct log_reader *r, struct target *t, struct err *e)
{
	for (int attempt = 0;; attempt++) {
		struct err why = ERR_INIT;
		struct segment_list l;
		int rc;

		if (segment_list_read(r->dir, &l, e) != 0)
			return -1;
		rc = l.n == 0 ? err_set(&why, CODE_log_wrong,
					"the segments of the log at \"%s\" are gone",
					r->dir)
			      : choose_segment(r, &l, t, &why);
		segment_list_fini(&l);
		if (rc == 0 &&
		    memcmp(r->seg.head.uuid, r->place.uuid, UUID_SIZE) != 0)
			return err_set(e, CODE_log_wrong,
				       "segment \"%s\" is of another log than the file \"tip\" beside it",
				       r->seg.path);
		if (rc == 0)
			return 0;
		if (why.sys != ENOENT || attempt == 3) {
			*e = why;
			return -1;
		}
	}
}

/* --- which frame ----------------------------------------------------- */

/* Reads the body of a frame whose header was just looked at. */
static int read_body(struct log_reader *r, const struct frame *f,
		     const uint8_t **stored, struct err *e)
{
	struct frame again;
	enum step step = segment_step(&r->seg, r->at, r->at + frame_size(f),
				      f->prev_crc, &again, stored, e);

	if (step == STEP_FRAME)
		return 0;
	return step == STEP_ERROR ? -1
				  : segment_damaged(&r->seg, r->at, "the frame is not sound", e);
}

static int pass_frame(struct log_reader *r, const struct frame *f, struct err *e)
{
	const uint8_t *stored;

	if (f->kind == FRAME_ROWS) {
		if (reader_pass_rows(r, f, e) != 0)
			return -1;
		r->place.seq = f->last_seq;
		r->place.crc = f->crc;
	} else if (read_body(r, f, &stored, e) != 0) {
		return -1;
	} else if (f->kind == FRAME_TABLE) {
		if (reader_load_tables(r, f, stored, e) != 0)
			return -1;
	} else {
		buf_reset(&r->committed, SIZE_MAX);
		buf_put(&r->committed, stored, f->stored);
		if (r->committed.failed)
			return err_no_memory(e);
	}
	r->at += frame_size(f);
	r->chain = f->crc;
	return 0;
}

static bool is_before(const struct target *t, const struct frame *f)
{
	if (f->kind != FRAME_ROWS)
		return true;
	return t->us != 0 ? f->commit_us < t->us : f->last_seq <= t->seq;
}

/* Hops to the first frame that holds something wanted.  1: at it, its header is
 * in *f; 0: at the end of what is committed. */
static int hop(struct log_reader *r, const struct target *t, struct frame *f,
	       struct err *e)
{
	uint64_t limit;

	for (;;) {
		enum step step;

		if (reader_limit(r, &limit, e) != 0)
			return -1;
		r->seg.ahead = AHEAD_HEADERS;
		step = segment_step(&r->seg, r->at, limit, r->chain, f, NULL, e);
		if (step == STEP_FRAME) {
			if (!is_before(t, f))
				return 1;
			if (pass_frame(r, f, e) != 0) {
				err_wrap(e, "segment \"%s\", offset %" PRIu64,
					 r->seg.path, r->at);
				return -1;
			}
			continue;
		}
		if (step == STEP_BAD || (step == STEP_END && r->at < limit))
			segment_damaged(&r->seg, r->at, "there is no sound frame", e);
		if (step == STEP_ERROR || err_is_set(e))
			return -1;
		if (r->seg.first_seq >= r->tip.segment)
			return 0;
		if (reader_advance(r, e) < 0)
			return -1;
	}
}

/* The last event of the frame that lies before the time. */
static int find_time_in_frame(struct log_reader *r, const struct frame *f,
			      int64_t us, uint64_t *seq, struct err *e)
{
	struct batch *b = batch_new();
	const uint8_t *stored;
	int rc;

	if (b == NULL)
		return err_no_memory(e);
	rc = read_body(r, f, &stored, e);
	if (rc == 0)
		rc = reader_plain_rows(r, f, stored, b, e);
	*seq = f->first_seq - 1;
	for (size_t i = 0; rc == 0 && i < b->n && b->ev[i].txn->commit_us < us; i++)
		*seq = b->ev[i].seq;
	batch_free(b);
	return rc;
}

static int go_to(struct log_reader *r, struct target *t, struct err *e)
{
	uint64_t first = r->seg.first_seq;
	struct frame f;
	int found;

	r->at = SEGMENT_HEADER_SIZE;
	r->chain = r->seg.head.seed;
	r->rows_seq = r->place.seq = first - 1;
	r->place.crc = 0;
	found = hop(r, t, &f, e);
	if (found < 0)
		return -1;
	if (found > 0 && t->us != 0 &&
	    find_time_in_frame(r, &f, t->us, &t->seq, e) != 0)
		return -1;
	if (found == 0 && t->us != 0) {
		r->skip_us = t->us;
		t->seq = r->place.seq;
	}
	/* a start in the future has no frame yet, and its cursor says so */
	if (found == 0 && t->seq > r->tip.seq) {
		if (t->crc != 0)
			return behind_tip(r, t, e);
		r->place.crc = 0;
	}
	/* the frame that the last unwanted event is in */
	if (found > 0 && t->seq >= f.first_seq)
		r->place.crc = f.crc;
	if (t->crc != 0 && r->place.crc != 0 && t->crc != r->place.crc)
		return diverged(r, t, e);
	if (t->crc != 0)
		r->place.crc = t->crc;
	if (t->seq >= first - 1)
		r->place.seq = t->seq;
	r->skip_seq = t->seq;
	r->seg.ahead = 128u << 10;
	return 0;
}

int log_seek(struct log_reader *r, const struct log_start *start,
		struct err *e)
{
	struct log_place place;
	struct target t = {0};

	switch (start->kind) {
	case START_EARLIEST:
		break;
	case START_LATEST:
		t.seq = r->tip.seq;
		break;
	case START_SEQ:
		t.seq = start->seq ? start->seq - 1 : 0;
		break;
	case START_TIME:
		t.us = start->us ? start->us : 1;
		break;
	case START_CURSOR:
		if (!log_place_parse(start->cursor, &place))
			return err_set(e, CODE_internal,
				       "\"%.*s\" is no cursor of a log",
				       SLICE_ARG(start->cursor));
		if (memcmp(place.uuid, r->tip.uuid, UUID_SIZE) != 0)
			return err_set(e, CODE_wrong_server,
				       "the log at \"%s\" is not the one that was read before",
				       r->dir);
		t = (struct target){.seq = place.seq,
				    .crc = place.crc,
				    .is_cursor = true};
		break;
	}
	return open_segment(r, &t, e) == 0 ? go_to(r, &t, e) : -1;
}
