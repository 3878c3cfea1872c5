/* log_reader.c: reading what was committed, up to the tip and no further.
 *
 * A table version is shown to the reader's user, as an OP_SCHEMA event, directly
 * before the first row that refers to it, whether its frame stands there or was
 * passed long before; so it makes no difference where a reader begins.  The
 * dictionary of each body (rowbin.h) says when that is. */
#include "config.h"
#include "log/log_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "log/log_end.h"
#include "log/log_seek.h"
#include "log/tip.h"

#define RAW_KEEP (1u << 20)
/* Where the tip cannot be watched, and where it can (it may be replaced). */
#define LOOK_MS 100
#define LOOK_WATCHED_MS 1000

/* --- the tip --------------------------------------------------------- */

/* So that readers wake when it moves; without inotify they look. */
static void watch_tip(struct log_reader *r)
{
	char path[LOG_PATH_MAX];
	struct err e = ERR_INIT;

	r->has_watch = false;
	if (r->inotify_fd >= 0)
		close(r->inotify_fd);
	r->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify_fd >= 0 && log_path(path, r->dir, "tip", &e) == 0)
		r->has_watch = inotify_add_watch(r->inotify_fd, path,
						 IN_MODIFY) >= 0;
}

static bool tip_was_replaced(const struct log_reader *r)
{
	char path[LOG_PATH_MAX];
	struct err e = ERR_INIT;

	return log_path(path, r->dir, "tip", &e) == 0 &&
	       (r->tip_fd < 0 ||
		(access(path, F_OK) == 0 && !file_is_same(r->tip_fd, path)));
}

int reader_refresh(struct log_reader *r, struct err *e)
{
	struct tip t;

	if (r->tip_fd < 0 || !tip_load(r->tip_fd, &t))
		return 0; /* at rest: what was found at the start holds */
	if (memcmp(t.uuid, r->place.uuid, UUID_SIZE) != 0)
		return err_set(e, CODE_wrong_server,
			       "the log at \"%s\" was replaced by another one",
			       r->dir);
	if (t.segment > r->tip.segment ||
	    (t.segment == r->tip.segment && t.offset > r->tip.offset))
		r->tip = t;
	return 0;
}

int reader_limit(struct log_reader *r, uint64_t *limit, struct err *e)
{
	if (r->seg.first_seq == r->tip.segment) {
		*limit = r->tip.offset;
		return 0;
	}
	/* it was cut to its end before the next one was begun */
	return file_size(r->seg.fd, limit, e);
}

/* --- from segment to segment ----------------------------------------- */

int reader_purged(struct log_reader *r, uint64_t wanted, uint64_t first,
		  struct err *e)
{
	return err_set(e, CODE_purged,
		       "the log at \"%s\" has been deleted up to seq %" PRIu64 ", and seq %" PRIu64 " comes next",
		       r->dir, first - 1, wanted);
}

static int open_next(struct log_reader *r, uint64_t first_seq, struct err *e)
{
	uint8_t uuid[UUID_SIZE];
	uint32_t chain = r->chain;

	memcpy(uuid, r->place.uuid, UUID_SIZE);
	if (segment_open(&r->seg, r->dir, first_seq, O_RDONLY, e) != 0)
		return -1;
	if (memcmp(uuid, r->seg.head.uuid, UUID_SIZE) != 0)
		return segment_damaged(&r->seg, 16, "it is of another log", e);
	if (r->seg.head.seed != chain)
		return reader_purged(r, r->place.seq + 1, first_seq, e);
	r->at = SEGMENT_HEADER_SIZE;
	return 0;
}

int reader_advance(struct log_reader *r, struct err *e)
{
	struct segment_list l;
	uint64_t next = 0;
	ptrdiff_t i;

	if (r->seg.first_seq >= r->tip.segment)
		return 0;
	if (segment_list_read(r->dir, &l, e) != 0)
		return -1;
	i = segment_list_find(&l, r->seg.first_seq) + 1;
	if ((size_t)i < l.n)
		next = l.v[i].first_seq;
	segment_list_fini(&l);
	if (next == 0)
		return err_set(e, CODE_log_wrong,
			       "the segments of the log at \"%s\" are gone",
			       r->dir);
	return open_next(r, next, e) == 0 ? 1 : -1;
}

/* --- table versions -------------------------------------------------- */

int reader_load_tables(struct log_reader *r, const struct frame *f,
		       const uint8_t *stored, struct err *e)
{
	buf_reset(&r->raw, RAW_KEEP);
	if (!buf_room(&r->raw, f->raw ? f->raw : 1))
		return err_no_memory(e);
	if (codec_expand(&r->codec, f, stored, r->raw.p, e) != 0)
		return -1;
	r->raw.n = f->raw;
	return log_tables_read(&r->tables, buf_get(&r->raw), f->count, e);
}

static struct table *find_plain(void *arg, struct slice full_name,
				uint32_t version)
{
	struct log_reader *r = arg;
	struct log_table *t = log_tables_get(&r->tables, full_name);

	return t != NULL && t->tab->version == version ? t->tab : NULL;
}

static bool is_shown(const struct log_reader *r, const struct table *tab,
		     struct log_table **before)
{
	*before = log_tables_get(&r->shown, tab->full_name);
	return *before != NULL && (*before)->tab->version == tab->version &&
	       (*before)->tab->fingerprint == tab->fingerprint;
}

/* The version's own schema event, as it was when it came into the log; its seq
 * is filled in when that of the row behind it is known. */
static int show(struct log_reader *r, const struct log_table *t,
		const struct log_table *before, struct err *e)
{
	struct batch *b = r->target;
	struct slice body = slice_dup(&b->arena, t->event);
	size_t first = b->n;
	struct event *ev;

	if (b->arena.failed)
		return err_no_memory(e);
	if (rowbin_read(body, b, find_plain, r, e) != 0)
		return -1;
	ev = b->n == first + 1 ? &b->ev[first] : NULL;
	if (ev == NULL || ev->op != OP_SCHEMA || ev->table != t->tab)
		return err_set(e, CODE_log_corrupt,
			       "the schema event of table \"%.*s\" is none",
			       SLICE_ARG(t->tab->full_name));
	if (before != NULL) {
		ev->schema->prev = batch_use_table(b, before->tab);
		if (ev->schema->prev == NULL)
			return err_no_memory(e);
	}
	r->has_shown = true;
	return log_tables_put(&r->shown, t->tab, (struct slice){0}, e);
}

static struct table *find_and_show(void *arg, struct slice full_name,
				   uint32_t version)
{
	struct log_reader *r = arg;
	struct table *tab = find_plain(r, full_name, version);
	struct log_table *before;

	if (tab == NULL || is_shown(r, tab, &before))
		return tab;
	if (show(r, log_tables_get(&r->tables, full_name), before,
		 r->target_err) != 0)
		return NULL;
	return tab;
}

int log_reader_knows(struct log_reader *r, struct table *tab, struct err *e)
{
	return log_tables_put(&r->shown, tab, (struct slice){0}, e);
}

/* --- rows ------------------------------------------------------------ */

static int expand_rows(struct log_reader *r, const struct frame *f,
		       const uint8_t *stored, struct batch *b,
		       rowbin_find_table *find, struct err *e)
{
	char *raw = arena_alloc(&b->arena, f->raw);

	if (raw == NULL)
		return err_no_memory(e);
	if (codec_expand(&r->codec, f, stored, raw, e) != 0)
		return -1;
	r->target = b;
	r->target_err = e;
	return rowbin_read((struct slice){raw, f->raw}, b, find, r, e);
}

int reader_plain_rows(struct log_reader *r, const struct frame *f,
		      const uint8_t *stored, struct batch *b, struct err *e)
{
	return expand_rows(r, f, stored, b, find_plain, e);
}

static bool is_wanted(const struct log_reader *r, const struct event *ev)
{
	return ev->op == OP_SCHEMA ||
	       (ev->seq > r->skip_seq &&
		(r->skip_us == 0 || ev->txn->commit_us >= r->skip_us));
}

/* Drops the events from `first` on that lie before where the reader begins; the
 * schema events among them move to the front of what stays. */
static void drop_unwanted(struct log_reader *r, struct batch *b, size_t first)
{
	size_t to = first, i = first;

	for (; i < b->n; i++) {
		if (!is_wanted(r, &b->ev[i]))
			continue;
		if (b->ev[i].op != OP_SCHEMA && r->skip_us != 0)
			r->skip_us = 0; /* from here on all are wanted */
		b->ev[to++] = b->ev[i];
	}
	b->n = to;
}

/* A schema event has the seq of the event behind it, and tells the cursor that
 * stands directly before. */
static int place_schema_events(struct log_reader *r, const struct frame *f,
			       struct batch *b, size_t first, struct err *e)
{
	uint64_t seq = f->last_seq;

	for (size_t i = b->n; i-- > first;) {
		struct event *ev = &b->ev[i];
		struct log_place before = r->place;
		struct buf text = BUF_INIT;

		if (ev->op != OP_SCHEMA) {
			seq = ev->seq;
			continue;
		}
		ev->seq = seq;
		before.seq = seq - 1;
		if (before.seq >= f->first_seq)
			before.crc = f->crc;
		log_place_print(&before, &text);
		ev->schema->cursor_source = slice_dup(&b->arena, buf_get(&text));
		if (text.failed || b->arena.failed) {
			buf_fini(&text);
			return err_no_memory(e);
		}
		buf_fini(&text);
	}
	return 0;
}

int reader_pass_rows(struct log_reader *r, const struct frame *f, struct err *e)
{
	if (f->first_seq <= r->rows_seq || f->last_seq < f->first_seq)
		return err_set(e, CODE_log_corrupt, "the frame's seqs do not rise");
	r->rows_seq = f->last_seq;
	return 0;
}

/* Whoever gets the events relies on it, and nothing else may tell. */
static int check_seqs(const struct frame *f, const struct batch *b,
		      size_t first, struct err *e)
{
	uint64_t seq = f->first_seq - 1;

	for (size_t i = first; i < b->n; i++) {
		const struct event *ev = &b->ev[i];

		if (ev->op == OP_SCHEMA)
			continue;
		if (unlikely(ev->seq <= seq || ev->seq > f->last_seq))
			return err_set(e, CODE_log_corrupt,
				       "the seqs of its events do not rise");
		seq = ev->seq;
	}
	return 0;
}

static int read_rows(struct log_reader *r, const struct frame *f,
		     const uint8_t *stored, struct batch *b, struct err *e)
{
	size_t first = b->n;

	r->has_shown = false;
	if (reader_pass_rows(r, f, e) != 0 ||
	    expand_rows(r, f, stored, b, find_and_show, e) != 0 ||
	    check_seqs(f, b, first, e) != 0)
		return -1;
	if (unlikely(r->skip_seq >= f->first_seq || r->skip_us != 0))
		drop_unwanted(r, b, first);
	if (r->has_shown && place_schema_events(r, f, b, first, e) != 0)
		return -1;
	r->place.seq = f->last_seq;
	r->place.crc = f->crc;
	return 0;
}

/* --- reading --------------------------------------------------------- */

static int take_frame(struct log_reader *r, const struct frame *f,
		      const uint8_t *stored, struct batch *b, struct err *e)
{
	if (f->kind != FRAME_TABLE)
		r->is_inside = f->flags & FRAME_INSIDE;
	switch (f->kind) {
	case FRAME_ROWS:
		return read_rows(r, f, stored, b, e);
	case FRAME_TABLE:
		return reader_load_tables(r, f, stored, e);
	case FRAME_COMMIT:
		buf_reset(&r->committed, SIZE_MAX);
		buf_put(&r->committed, stored, f->stored);
		return r->committed.failed ? err_no_memory(e) : 0;
	}
	return 0;
}

/* 1: a frame was taken, 0: the end of what is committed, -1: error */
static int read_frame(struct log_reader *r, struct batch *b, struct err *e)
{
	const uint8_t *stored;
	uint64_t limit;
	struct frame f;
	enum step step;

	if (reader_limit(r, &limit, e) != 0)
		return -1;
	step = segment_step(&r->seg, r->at, limit, r->chain, &f, &stored, e);
	if (step == STEP_ERROR)
		return -1;
	if (step == STEP_BAD || (step == STEP_END && r->at < limit))
		return segment_damaged(&r->seg, r->at, "there is no sound frame", e);
	if (step == STEP_END)
		return reader_advance(r, e);
	if (take_frame(r, &f, stored, b, e) != 0) {
		err_wrap(e, "segment \"%s\", offset %" PRIu64, r->seg.path, r->at);
		return -1;
	}
	r->at += frame_size(&f);
	r->chain = f.crc;
	return 1;
}

int log_reader_read(struct log_reader *r, struct batch *b, size_t bytes,
		    struct err *e)
{
	int more = 1;

	if (reader_refresh(r, e) != 0)
		return -1;
	while (more > 0 && batch_bytes(b) < bytes)
		more = read_frame(r, b, e);
	return more < 0 ? -1 : 0;
}

static void drain_watch(struct log_reader *r)
{
	char events[4096];

	if (!r->has_watch)
		return;
	while (read(r->inotify_fd, events, sizeof(events)) > 0)
		continue;
}

/* Is there something at the place where the reader stands? */
static bool has_more(const struct log_reader *r)
{
	return r->tip.segment > r->seg.first_seq ||
	       (r->tip.segment == r->seg.first_seq && r->tip.offset > r->at);
}

int log_reader_wait(struct log_reader *r, int64_t deadline_ms, int wake_fd,
		    struct err *e)
{
	for (;;) {
		int64_t now = clock_mono_ms();
		int64_t look;
		struct pollfd p[2] = {{.fd = wake_fd, .events = POLLIN},
				      {.events = POLLIN}};

		drain_watch(r);
		if (tip_was_replaced(r)) {
			if (r->tip_fd >= 0)
				close(r->tip_fd);
			r->tip_fd = tip_open(r->dir);
			r->has_watch = false;
		}
		if (!r->has_watch)
			watch_tip(r);
		look = now + (r->has_watch ? LOOK_WATCHED_MS : LOOK_MS);
		if (reader_refresh(r, e) != 0)
			return -1;
		if (has_more(r) || now >= deadline_ms)
			return 0;
		if (look > deadline_ms)
			look = deadline_ms;
		p[1].fd = r->has_watch ? r->inotify_fd : -1;
		if (poll(p, 2, clock_poll_ms(look)) < 0 && errno != EINTR)
			return err_sys(e, CODE_system, errno, "could not poll");
		if (p[0].revents != 0)
			return 0;
	}
}

/* --- the reader's place ---------------------------------------------- */

void log_reader_cursor(const struct log_reader *r, struct buf *out)
{
	log_place_print(&r->place, out);
}

uint64_t log_reader_seq(const struct log_reader *r)
{
	return r->place.seq;
}

bool log_reader_is_inside(const struct log_reader *r)
{
	return r->is_inside;
}

int log_reader_ack(struct log_reader *r, struct slice cursor, struct err *e)
{
	return r->name ? reader_store(r->dir, r->name, cursor, e) : 0;
}

uint64_t log_reader_behind(struct log_reader *r)
{
	struct segment_list l;
	struct err e = ERR_INIT;
	uint64_t bytes = r->tip.offset;

	if (r->seg.first_seq == r->tip.segment)
		return r->tip.offset - r->at;
	if (segment_list_read(r->dir, &l, &e) != 0)
		return UINT64_MAX;
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].first_seq >= r->seg.first_seq &&
		    l.v[i].first_seq < r->tip.segment)
			bytes += l.v[i].size;
	}
	segment_list_fini(&l);
	return bytes > r->at ? bytes - r->at : 0;
}

struct slice log_reader_committed(const struct log_reader *r)
{
	return buf_get(&r->committed);
}

/* --- opening and closing --------------------------------------------- */

/* From its first opening on, a named reader holds back retention.  Later places
 * replace the first one, so its name alone need be durable. */
static int register_reader(struct log_reader *r, struct err *e)
{
	struct buf text = BUF_INIT;
	int rc = reader_load(r->dir, r->name, &text, e);

	if (rc == 0) {
		log_place_print(&r->place, &text);
		rc = text.failed ? err_no_memory(e)
				 : reader_store(r->dir, r->name, buf_get(&text), e);
	}
	buf_fini(&text);
	return rc < 0 ? -1 : readers_sync(r->dir, e);
}

struct log_reader *log_reader_open(const char *path,
				   const struct log_start *start,
				   const char *reader, struct err *e)
{
	struct log_reader *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		err_no_memory(e);
		return NULL;
	}
	r->tip_fd = r->inotify_fd = -1;
	r->seg = SEGMENT_NONE;
	r->dir = strdup(path);
	r->name = reader ? strdup(reader) : NULL;
	if (r->dir == NULL || (reader != NULL && r->name == NULL)) {
		err_no_memory(e);
		goto fail;
	}
	if (reader != NULL && !reader_name_is_valid(reader)) {
		err_set(e, CODE_usage, "\"%s\" cannot be a reader's name", reader);
		goto fail;
	}
	if (log_end_find(path, &r->tip, &r->tip_fd, e) != 0)
		goto fail;
	memcpy(r->place.uuid, r->tip.uuid, UUID_SIZE);
	if (log_seek(r, start, e) != 0 ||
	    (reader != NULL && register_reader(r, e) != 0))
		goto fail;
	return r;
fail:
	log_reader_close(r);
	return NULL;
}

void log_reader_close(struct log_reader *r)
{
	if (r == NULL)
		return;
	segment_close(&r->seg);
	if (r->tip_fd >= 0)
		close(r->tip_fd);
	if (r->inotify_fd >= 0)
		close(r->inotify_fd);
	log_tables_fini(&r->tables);
	log_tables_fini(&r->shown);
	codec_fini(&r->codec);
	buf_fini(&r->raw);
	buf_fini(&r->committed);
	free(r->dir);
	free(r->name);
	free(r);
}
