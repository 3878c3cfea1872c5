#include "config.h"
#include "log/scan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "log/codec.h"

/* Headers only: no use in reading ahead over bodies. */
#define AHEAD_HEADERS 512u
#define AHEAD_BODIES (1u << 20)

void log_scan_fini(struct scan *out)
{
	buf_fini(&out->cursor);
	free(out->tables);
	*out = SCAN_INIT;
}

static int add_table(struct scan *out, uint64_t at, struct err *e)
{
	if (out->ntables == out->tables_cap) {
		size_t cap = out->tables_cap ? out->tables_cap * 2 : 16;
		uint64_t *t = realloc(out->tables, cap * sizeof(*t));

		if (t == NULL)
			return err_no_memory(e);
		out->tables = t;
		out->tables_cap = cap;
	}
	out->tables[out->ntables++] = at;
	return 0;
}

/* Takes the commit frame at `at` as the last one. */
static int take_commit(struct segment *s, uint64_t at, const struct frame *f,
		       const uint8_t *stored, struct scan *out, struct err *e)
{
	uint64_t next = at + frame_size(f);
	struct frame again;

	/* below the trusted offset the body has not been read */
	if (stored == NULL) {
		enum step step = segment_step(s, at, next, f->prev_crc, &again,
					      &stored, e);

		if (step != STEP_FRAME)
			return step == STEP_ERROR ? -1
						  : segment_damaged(s, at, "a commit frame is not sound", e);
	}
	if (codec_expand_text(f, stored, &out->cursor, e) != 0)
		return -1;
	out->has_commit = true;
	out->end = next;
	out->crc = f->crc;
	out->seq = f->last_seq;
	if (f->commit_us > out->max_commit_us)
		out->max_commit_us = f->commit_us;
	return 0;
}

/* Is there a sound frame at or behind `from` that was written when everything
 * up to some place beyond `bad` was durable? */
static int find_evidence(struct segment *s, uint64_t from, uint64_t bad,
			 uint64_t size, bool any_rows, struct err *e)
{
	struct frame f;

	s->ahead = AHEAD_BODIES;
	for (uint64_t at = from; at + FRAME_HEADER_SIZE <= size; at += 8) {
		enum step step = segment_probe(s, at, size, &f, e);

		if (step == STEP_ERROR)
			return -1;
		if (step == STEP_FRAME &&
		    (f.synced > bad ||
		     (any_rows && f.kind == FRAME_ROWS)))
			return segment_damaged(s, bad,
					       "it had been durable, as a frame behind it tells",
					       e);
	}
	return 0;
}

/* Bodies of commit frames are wanted only of the last one, so below `trusted`
 * its place is kept until the end is known. */
struct last {
	uint64_t at;
	struct frame f;
	size_t ntables;
	bool pending;
};

static int scan_frames(struct segment *s, uint64_t trusted, struct scan *out,
		       struct err *e)
{
	uint32_t chain = s->head.seed;
	struct last last = {0};
	struct frame f;

	for (;;) {
		uint64_t at = out->stop;
		bool whole = at >= trusted;
		const uint8_t *stored = NULL;
		enum step step;

		s->ahead = whole ? AHEAD_BODIES : AHEAD_HEADERS;
		step = segment_step(s, at, out->size, chain, &f,
				    whole ? &stored : NULL, e);
		if (step == STEP_ERROR)
			return -1;
		if (step != STEP_FRAME) {
			out->is_torn = step == STEP_BAD;
			break;
		}
		if (f.kind == FRAME_TABLE && add_table(out, at, e) != 0)
			return -1;
		if (f.kind == FRAME_COMMIT) {
			last = (struct last){at, f, out->ntables, !whole};
			if (whole && take_commit(s, at, &f, stored, out, e) != 0)
				return -1;
		}
		chain = f.crc;
		out->stop = at + frame_size(&f);
	}
	out->ntables = last.ntables;
	if (last.pending)
		return take_commit(s, last.at, &last.f, NULL, out, e);
	return 0;
}

int log_scan(struct segment *s, uint64_t trusted, struct scan *out,
	     struct err *e)
{
	*out = (struct scan){.stop = SEGMENT_HEADER_SIZE,
			     .end = SEGMENT_HEADER_SIZE,
			     .max_commit_us = s->head.max_commit_us,
			     .crc = s->head.seed};
	if (file_size(s->fd, &out->size, e) != 0 ||
	    scan_frames(s, trusted, out, e) != 0)
		goto fail;
	if (out->stop < trusted || out->end < trusted) {
		segment_damaged(s, out->stop < trusted ? out->stop : out->end,
				"it had been durable, as the file \"tip\" tells",
				e);
		err_detail(e, "Up to offset %" PRIu64 " everything was written and synced.",
			   trusted);
		goto fail;
	}
	if (find_evidence(s, out->stop, out->stop, out->size, false, e) != 0)
		goto fail;
	return 0;
fail:
	log_scan_fini(out);
	return -1;
}

int log_scan_unborn(struct segment *s, struct err *e)
{
	uint64_t size;

	if (file_size(s->fd, &size, e) != 0)
		return -1;
	s->has_no_salt = true;
	return find_evidence(s, SEGMENT_HEADER_SIZE, 0, size, true, e);
}
