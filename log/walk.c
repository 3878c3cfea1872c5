#include "config.h"
#include "log/walk.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"

#define AHEAD_HEADERS 512u
#define AHEAD_BODIES (1u << 20)

struct state {
	const struct walk *w;
	const struct tip *end;
	struct segment seg;
	uint32_t chain;
	bool has_chain; /* the segment before was walked */
};

static int show_frame(struct state *st, uint64_t at, uint64_t limit,
		      const struct frame *f, const uint8_t *stored,
		      struct err *e)
{
	struct frame again;

	if (stored == NULL && f->kind == FRAME_COMMIT) {
		enum step step = segment_step(&st->seg, at, limit, f->prev_crc,
					      &again, &stored, e);

		if (step != STEP_FRAME)
			return step == STEP_ERROR ? -1
						  : segment_damaged(&st->seg, at, "a commit frame is not sound", e);
	}
	return st->w->frame(st->w->arg, &st->seg, at, f, stored, e);
}

static int walk_frames(struct state *st, uint64_t limit, struct err *e)
{
	uint64_t at = SEGMENT_HEADER_SIZE;
	enum frame_kind last = FRAME_ROWS;

	while (at < limit) {
		const uint8_t *stored = NULL;
		struct frame f;
		enum step step;

		st->seg.ahead = st->w->wants_bodies ? AHEAD_BODIES : AHEAD_HEADERS;
		step = segment_step(&st->seg, at, limit, st->chain, &f,
				    st->w->wants_bodies ? &stored : NULL, e);
		if (step == STEP_ERROR)
			return -1;
		if (step != STEP_FRAME)
			return segment_damaged(&st->seg, at, "there is no sound frame", e);
		if (show_frame(st, at, limit, &f, stored, e) != 0)
			return -1;
		st->chain = f.crc;
		last = f.kind;
		at += frame_size(&f);
	}
	if (last != FRAME_COMMIT)
		return segment_damaged(&st->seg, at, "it does not end in a commit frame", e);
	return 0;
}

/* 0: walked, or gone by retention in the meantime */
static int walk_segment(struct state *st, const char *dir, uint64_t first_seq,
			struct err *e)
{
	struct err why = ERR_INIT;
	uint64_t limit = st->end->offset;

	if (segment_open(&st->seg, dir, first_seq, O_RDONLY, &why) != 0) {
		st->has_chain = false;
		if (why.sys == ENOENT)
			return 0;
		*e = why;
		return -1;
	}
	if (memcmp(st->seg.head.uuid, st->end->uuid, UUID_SIZE) != 0)
		return segment_damaged(&st->seg, 16, "it is of another log", e);
	if (st->has_chain && st->seg.head.seed != st->chain)
		return segment_damaged(&st->seg, 56, "it does not go on from the segment before", e);
	if (first_seq != st->end->segment && file_size(st->seg.fd, &limit, e) != 0)
		return -1;
	st->chain = st->seg.head.seed;
	st->has_chain = true;
	if (st->w->segment(st->w->arg, &st->seg, limit, e) != 0)
		return -1;
	return walk_frames(st, limit, e);
}

int log_walk(const char *dir, const struct tip *end, const struct walk *w,
	     struct err *e)
{
	struct state st = {.w = w, .end = end, .seg = SEGMENT_NONE};
	struct segment_list l;
	int rc = 0;

	if (segment_list_read(dir, &l, e) != 0)
		return -1;
	for (size_t i = 0; i < l.n && rc == 0; i++)
		if (l.v[i].first_seq <= end->segment)
			rc = walk_segment(&st, dir, l.v[i].first_seq, e);
	segment_close(&st.seg);
	segment_list_fini(&l);
	return rc;
}
