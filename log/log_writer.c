/* log_writer.c: appending to the log and committing.
 *
 * Events gather in a body; a full body is compressed into a frame in `out`;
 * `out` goes to the file in large writes.  A commit seals what there is, writes
 * the commit frame behind it, syncs once, and only then moves the tip.  Before
 * anything is taken, room for it and for a commit frame behind it is reserved
 * in the file, so that a full disk is said before something is half done; the
 * caller may try again.  After any other failure the file is in doubt and the
 * writer dead: whoever opens the log next cuts it back to the last commit. */
#include "config.h"
#include "log/log_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/note.h"
#include "log/log_recover.h"
#include "log/log_retention.h"
#include "log/log_roll.h"
#include "log/tip.h"

#define BODY_TARGET (256u << 10)
#define OUT_TARGET (512u << 10)
#define KEEP_BYTES (1u << 20)
/* Reserved at once; more and more, up to the second. */
#define RESERVE_FIRST (256u << 10)
#define RESERVE_MOST (16u << 20)
/* A commit frame with a cursor that has grown, and headers. */
#define COMMIT_ROOM (16u << 10)
#define RETENTION_MS 60000

bool log_writer_is_dead(const struct log_writer *w)
{
	return w->is_dead;
}

static int die(struct log_writer *w)
{
	w->is_dead = true;
	return -1;
}

static int check_alive(const struct log_writer *w, struct err *e)
{
	if (!w->is_dead)
		return 0;
	return err_set(e, CODE_log_io,
		       "the log at \"%s\" must be opened again after a failure",
		       w->conf.path);
}

/* --- room ------------------------------------------------------------ */

static int allocate(struct log_writer *w, uint64_t to, struct err *e)
{
	if (file_allocate(w->seg.fd, w->allocated, to - w->allocated, e) != 0)
		return -1;
	w->allocated = to;
	return 0;
}

int writer_reserve(struct log_writer *w, uint64_t extra, struct err *e)
{
	uint64_t data = w->out.n + w->body.n + extra, need, ahead;
	struct err first = ERR_INIT;

	for (size_t i = 0; i < w->npending; i++)
		data += w->pending[i].entry.n;
	need = w->at + data + COMMIT_ROOM +
	       (data / BODY_TARGET + w->npending) * 2 * FRAME_HEADER_SIZE;
	if (need <= w->allocated)
		return 0;
	ahead = w->at < RESERVE_FIRST	? RESERVE_FIRST
		: w->at < RESERVE_MOST ? w->at
				       : RESERVE_MOST;
	if (allocate(w, need + ahead, &first) == 0)
		return 0;
	if (first.code != CODE_disk_full) {
		*e = first;
		return die(w);
	}
	first = ERR_INIT;
	if (allocate(w, need, &first) == 0)
		return 0;
	if (w->committed > 0) /* not while a segment is being made */
		log_retention(w);
	if (allocate(w, need, e) == 0)
		return 0;
	err_hint(e, "Free space on the file system of \"%s\", or set retention_size.",
		 w->conf.path);
	return e->code == CODE_disk_full ? -1 : die(w);
}

/* --- frames ---------------------------------------------------------- */

int writer_frame(struct log_writer *w, struct frame *f, struct slice body,
		 struct err *e)
{
	struct buf *out = &w->out;
	size_t start = out->n;

	f->prev_crc = w->chain;
	f->synced = w->committed;
	if (!buf_room(out, FRAME_HEADER_SIZE))
		return err_no_memory(e);
	out->n += FRAME_HEADER_SIZE;
	if (codec_store(&w->codec, (int)w->conf.compression, body, out, f, e) != 0)
		return -1;
	if (!buf_room(out, 8))
		return err_no_memory(e);
	frame_seal(f, w->seg.salt, (uint8_t *)out->p + start);
	out->n = start + (size_t)frame_size(f);
	w->chain = f->crc;
	return 0;
}

int writer_flush(struct log_writer *w, struct err *e)
{
	size_t half = w->out.n / 2;

	if (w->out.n == 0)
		return 0;
	if (w->at + w->out.n > w->allocated && writer_reserve(w, 0, e) != 0)
		return -1;
#ifdef LEAT_FAULTS
	if (file_write_at(w->seg.fd, w->out.p, half, w->at, e) != 0)
		return -1;
	if (fault(FAULT_mid_frame))
		return err_set(e, CODE_log_io, "could not write to file: fault");
#else
	half = 0;
#endif
	if (file_write_at(w->seg.fd, w->out.p + half, w->out.n - half,
			  w->at + half, e) != 0)
		return -1;
	w->at += w->out.n;
	buf_reset(&w->out, KEEP_BYTES);
	return 0;
}

static int close_body(struct log_writer *w, struct err *e)
{
	struct frame f = {.kind = FRAME_ROWS,
			  .flags = w->is_inside ? FRAME_INSIDE : 0,
			  .first_seq = w->body_first,
			  .last_seq = w->body_last,
			  .count = w->body_count,
			  .commit_us = w->body_commit_us};

	if (w->body_count == 0)
		return 0;
	if (w->rowbin.failed)
		return err_no_memory(e);
	if (writer_frame(w, &f, buf_get(&w->body), e) != 0)
		return -1;
	buf_reset(&w->body, KEEP_BYTES);
	w->body_count = 0;
	return w->out.n >= OUT_TARGET ? writer_flush(w, e) : 0;
}

/* --- table versions -------------------------------------------------- */

static bool is_same_version(const struct table *a, const struct table *b)
{
	return a->version == b->version && a->fingerprint == b->fingerprint &&
	       slice_eq(a->full_name, b->full_name);
}

static bool is_known(const struct log_writer *w, const struct table *tab)
{
	const struct log_table *known;

	for (size_t i = w->npending; i-- > 0;)
		if (slice_eq(w->pending[i].tab->full_name, tab->full_name))
			return is_same_version(w->pending[i].tab, tab);
	known = log_tables_get(&w->tables, tab->full_name);
	return known != NULL && is_same_version(known->tab, tab);
}

static void pending_free(struct pending_table *p)
{
	table_unref(p->tab);
	buf_fini(&p->entry);
}

int log_writer_table(struct log_writer *w, const struct event *ev,
		     struct err *e)
{
	struct pending_table *p;

	if (check_alive(w, e) != 0)
		return -1;
	if (is_known(w, ev->table))
		return 0;
	if (w->npending == w->pending_cap) {
		size_t cap = w->pending_cap ? w->pending_cap * 2 : 8;

		p = realloc(w->pending, cap * sizeof(*p));
		if (p == NULL)
			return err_no_memory(e);
		w->pending = p;
		w->pending_cap = cap;
	}
	p = &w->pending[w->npending];
	*p = (struct pending_table){.tab = table_ref(ev->table), .seq = ev->seq};
	log_table_write(&w->table_rowbin, &w->scratch, ev->table, ev, &p->entry);
	if (p->entry.failed) {
		pending_free(p);
		return err_no_memory(e);
	}
	w->npending++;
	if (writer_reserve(w, 0, e) != 0) {
		pending_free(&w->pending[--w->npending]);
		return -1;
	}
	return 0;
}

/* Writes the versions that come into force up to seq. */
static int flush_tables(struct log_writer *w, uint64_t seq, struct err *e)
{
	struct frame f = {.kind = FRAME_TABLE, .commit_us = w->max_commit_us};
	size_t n = 0;

	while (n < w->npending && w->pending[n].seq <= seq)
		n++;
	if (n == 0)
		return 0;
	if (close_body(w, e) != 0)
		return -1;
	f.first_seq = f.last_seq = w->last_seq;
	f.count = (uint32_t)n;
	buf_reset(&w->table_body, KEEP_BYTES);
	for (size_t i = 0; i < n; i++)
		buf_slice(&w->table_body, buf_get(&w->pending[i].entry));
	if (w->table_body.failed)
		return err_no_memory(e);
	if (log_tables_read(&w->tables, buf_get(&w->table_body), f.count, e) != 0 ||
	    writer_frame(w, &f, buf_get(&w->table_body), e) != 0)
		return -1;
	if (fault(FAULT_schema_write))
		return err_set(e, CODE_log_io, "could not write to file: fault");
	for (size_t i = 0; i < n; i++)
		pending_free(&w->pending[i]);
	w->npending -= n;
	memmove(w->pending, w->pending + n, w->npending * sizeof(*w->pending));
	return 0;
}

/* --- events ---------------------------------------------------------- */

static size_t row_size(const struct value *v, uint32_t n)
{
	size_t size = 0;

	for (uint32_t i = 0; v != NULL && i < n; i++)
		size += 11 + (v[i].tag >= VALUE_TEXT ? v[i].s.n : 0);
	return size;
}

static size_t event_size(const struct event *ev)
{
	size_t size = 128;

	if (ev->table != NULL)
		size += row_size(ev->before, ev->table->ncols) +
			row_size(ev->after, ev->table->ncols);
	if (ev->op == OP_MESSAGE)
		size += ev->message->prefix.n + ev->message->content.n;
	return size;
}

/* All that events hold is in the batch's arena, so only of a batch that is
 * larger than one event may be need each be looked at. */
static int check_sizes(const struct log_writer *w, const struct batch *b,
		       size_t first, size_t count, struct err *e)
{
	if (b->arena.used + 128 <= (uint64_t)w->conf.max_event_size)
		return 0;
	for (size_t i = first; i < first + count; i++) {
		size_t size = event_size(&b->ev[i]);

		if (size <= (uint64_t)w->conf.max_event_size)
			continue;
		err_set(e, CODE_event_rejected,
			"event of %zu bytes is larger than max_event_size", size);
		e->index = i;
		err_hint(e, "Raise max_event_size of the log.");
		return -1;
	}
	return 0;
}

static bool has_version(const struct log_writer *w, const struct table *tab)
{
	const struct log_table *known = log_tables_get(&w->tables, tab->full_name);

	return known != NULL && known->tab->version == tab->version;
}

/* A row whose version is not in the log could never be read again. */
static int check_tables(const struct log_writer *w, const struct event *ev,
			struct err *e)
{
	const struct table *missing = NULL;

	if (ev->table != NULL && !has_version(w, ev->table))
		missing = ev->table;
	for (uint32_t i = 0; ev->op == OP_TRUNCATE && i < ev->truncate->ntables; i++)
		if (!has_version(w, ev->truncate->tables[i]))
			missing = ev->truncate->tables[i];
	if (missing == NULL)
		return 0;
	return err_set(e, CODE_internal,
		       "version %u of table \"%.*s\" came into the log after its rows",
		       missing->version, SLICE_ARG(missing->full_name));
}

/* Is the event behind event i of the same transaction? */
static bool goes_on(const struct batch *b, size_t i)
{
	const struct event *ev = &b->ev[i], *next;

	do {
		if (++i == b->n)
			return b->cursor.in_txn;
		next = &b->ev[i];
	} while (next->op == OP_SCHEMA);
	return next->txn == ev->txn ||
	       (next->ordinal > 1 && slice_eq(next->txn->coord, ev->txn->coord));
}

static int put_event(struct log_writer *w, const struct batch *b, size_t i,
		     struct err *e)
{
	const struct event *ev = &b->ev[i];
	uint32_t ntables;

	if (unlikely(w->npending > 0) && flush_tables(w, UINT64_MAX, e) != 0)
		return -1;
	if (unlikely(ev->seq <= w->last_seq)) {
		err_set(e, CODE_log_wrong,
			"the log at \"%s\" has events up to seq %" PRIu64 "; seq %" PRIu64 " comes too late",
			w->conf.path, w->last_seq, ev->seq);
		err_hint(e, "Let the pipeline write to a log of its own.");
		return -1;
	}
	if (w->body_count == 0) {
		rowbin_begin(&w->rowbin, &w->body);
		w->body_first = ev->seq;
		w->body_commit_us = ev->txn->commit_us;
	}
	ntables = w->rowbin.ntables;
	rowbin_put(&w->rowbin, ev);
	if (unlikely(w->rowbin.ntables != ntables) && check_tables(w, ev, e) != 0)
		return -1;
	w->body_count++;
	w->body_last = w->last_seq = ev->seq;
	w->is_inside = goes_on(b, i);
	if (ev->txn->commit_us > w->body_commit_us)
		w->body_commit_us = ev->txn->commit_us;
	if (w->body_commit_us > w->max_commit_us)
		w->max_commit_us = w->body_commit_us;
	return w->body.n >= BODY_TARGET ? close_body(w, e) : 0;
}

int log_writer_append(struct log_writer *w, const struct batch *b, size_t first,
		      size_t count, struct err *e)
{
	uint64_t most = b->arena.used + count * 96 + b->ntables * 256;

	if (check_alive(w, e) != 0 || check_sizes(w, b, first, count, e) != 0 ||
	    writer_reserve(w, most, e) != 0)
		return -1;
	for (size_t i = first; i < first + count; i++) {
		if (b->ev[i].op == OP_SCHEMA)
			continue;
		if (put_event(w, b, i, e) != 0)
			return die(w);
	}
	return 0;
}

/* --- commit ---------------------------------------------------------- */

int writer_publish(struct log_writer *w, struct err *e)
{
	struct tip t = {.segment = w->seg.first_seq,
			.offset = w->committed,
			.seq = w->committed_seq,
			.crc = w->chain};

	memcpy(t.uuid, w->seg.head.uuid, UUID_SIZE);
	return tip_publish(w->tip_fd, &t, e);
}

static int check_fence(const struct log_writer *w, struct err *e)
{
	char path[LOG_PATH_MAX];

	if (log_path(path, w->conf.path, "lock", e) != 0)
		return -1;
	if (file_is_same(w->lock_fd, path))
		return 0;
	return err_set(e, CODE_fenced,
		       "the log at \"%s\" was replaced while it was being written",
		       w->conf.path);
}

static int write_commit(struct log_writer *w, const struct cursor *c,
			struct err *e)
{
	struct frame f = {.kind = FRAME_COMMIT};

	if (flush_tables(w, c->seq, e) != 0 || close_body(w, e) != 0)
		return -1;
	w->is_inside = c->in_txn;
	f.flags = w->is_inside ? FRAME_INSIDE : 0;
	f.first_seq = f.last_seq = w->last_seq;
	f.commit_us = w->max_commit_us;
	if (writer_frame(w, &f, buf_get(&w->commit_text), e) != 0 ||
	    writer_flush(w, e) != 0)
		return -1;
	if (fault(FAULT_before_fsync))
		return err_set(e, CODE_log_io, "could not sync file: fault");
	if (file_sync(w->seg.fd, e) != 0)
		return -1;
	w->committed = w->at;
	w->committed_seq = w->last_seq;
	buf_reset(&w->cursor, SIZE_MAX);
	buf_slice(&w->cursor, buf_get(&w->commit_text));
	if (w->cursor.failed)
		return err_no_memory(e);
	return writer_publish(w, e);
}

int log_writer_commit(struct log_writer *w, const struct cursor *c,
		      struct err *e)
{
	if (check_alive(w, e) != 0)
		return -1;
	if (c->seq < w->last_seq) {
		err_set(e, CODE_internal,
			"a cursor at seq %" PRIu64 " cannot cover seq %" PRIu64,
			c->seq, w->last_seq);
		return die(w);
	}
	if (check_fence(w, e) != 0)
		return die(w);
	buf_reset(&w->commit_text, KEEP_BYTES);
	cursor_print(c, &w->commit_text);
	if (w->commit_text.failed)
		return err_no_memory(e);
	if (w->body_count == 0 && w->out.n == 0 && w->at == w->committed &&
	    w->is_inside == c->in_txn &&
	    slice_eq(buf_get(&w->commit_text), buf_get(&w->cursor)))
		return 0;
	if (writer_reserve(w, w->commit_text.n, e) != 0)
		return -1;
	if (write_commit(w, c, e) != 0) {
		err_wrap(e, "log at \"%s\"", w->conf.path);
		return die(w);
	}
	if (w->committed >= (uint64_t)w->conf.segment_size)
		log_roll(w);
	if (!w->is_dead && clock_mono_ms() >= w->retention_next) {
		w->retention_next = clock_mono_ms() + RETENTION_MS;
		log_retention(w);
	}
	return 0;
}

/* --- opening and closing --------------------------------------------- */

static int open_files(struct log_writer *w, struct err *e)
{
	const char *dir = w->conf.path;
	char path[LOG_PATH_MAX];

	if (log_path(path, dir, "readers", e) != 0 || file_mkdirs(path, e) != 0 ||
	    log_path(path, dir, "lock", e) != 0)
		return -1;
	w->lock_fd = file_lock(path, e);
	if (w->lock_fd < 0)
		return -1;
	w->tip_fd = tip_create(dir, e);
	return w->tip_fd < 0 ? -1 : 0;
}

struct log_writer *log_writer_open(const struct log_conf *conf,
				   const char *name, struct registry *tables,
				   struct buf *cursor, struct err *e)
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->conf = *conf, w->conf.path = strdup(conf->path)) == NULL) {
		err_no_memory(e);
		free(w);
		return NULL;
	}
	snprintf(w->component, sizeof(w->component), "log \"%s\"", name);
	w->seg = SEGMENT_NONE;
	w->lock_fd = w->tip_fd = -1;
	w->is_dead = true;
	if (open_files(w, e) != 0 || log_recover(w, tables, e) != 0 ||
	    writer_publish(w, e) != 0)
		goto fail;
	buf_slice(cursor, buf_get(&w->cursor));
	if (cursor->failed) {
		err_no_memory(e);
		goto fail;
	}
	w->is_dead = false;
	return w;
fail:
	log_writer_close(w);
	return NULL;
}

void log_writer_close(struct log_writer *w)
{
	struct err e = ERR_INIT;

	if (w == NULL)
		return;
	/* the reserved space goes back; if not, the next opening does it */
	if (!w->is_dead && w->seg.fd >= 0 &&
	    file_truncate(w->seg.fd, w->committed, &e) != 0)
		note_err(NOTE_WARNING, w->component, &e, NULL);
	segment_close(&w->seg);
	if (w->tip_fd >= 0)
		close(w->tip_fd);
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	for (size_t i = 0; i < w->npending; i++)
		pending_free(&w->pending[i]);
	free(w->pending);
	log_tables_fini(&w->tables);
	rowbin_fini(&w->rowbin);
	rowbin_fini(&w->table_rowbin);
	codec_fini(&w->codec);
	buf_fini(&w->cursor);
	buf_fini(&w->out);
	buf_fini(&w->body);
	buf_fini(&w->scratch);
	buf_fini(&w->table_body);
	buf_fini(&w->commit_text);
	free(w->conf.path);
	free(w);
}
