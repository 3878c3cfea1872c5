#include "config.h"
#include "sources/log_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/note.h"
#include "log/log.h"
#include "log/log_stat.h"
#include "log/readers.h"
#include "log/segment.h"

/* A stored place that is behind costs only disk. */
#define STORE_MS 1000
#define BEHIND_MS 1000

struct log_source {
	struct source base;
	struct log_reader *r;
	struct registry *reg;
	int claim_fd; /* while is_held */
	bool is_held;
	bool is_new;	 /* the first read() tells the first cursor */
	uint64_t offset; /* added to each seq */
	struct buf place;   /* source part of the last cursor told */
	struct buf acked;   /* not stored yet; empty: nothing */
	bool is_refused;    /* storing it has failed, and that was said */
	int64_t stored_ms, behind_ms;
};

static const char *dir_of(const struct source *src)
{
	return ((const struct log_conf *)src->conf)->path;
}

static void wrap(const struct source *src, struct err *e)
{
	err_wrap(e, "log \"%s\"", src->name);
}

/* --- check, claim ---------------------------------------------------- */

static int log_source_check(struct source *src, struct report *r,
			    struct err *e)
{
	struct log_stat st = {0};
	char where[256];

	snprintf(where, sizeof(where), "log \"%s\"", src->name);
	if (log_stat(dir_of(src), &st, e) == 0) {
		report_add(r, FINDING_OK, CODE_none, where, NULL,
			   "holds seq %" PRIu64 " to %" PRIu64 " in %" PRIu64 " segments",
			   st.first_seq, st.last_seq, st.segments);
	} else if (e->code == CODE_log_wrong) {
		report_add(r, FINDING_WARNING, e->code, where, NULL,
			   "%s; the pipeline waits until another one writes it",
			   e->msg);
		*e = ERR_INIT;
	} else {
		report_err(r, where, e);
		*e = ERR_INIT;
	}
	log_stat_fini(&st);
	return 0;
}

static enum claim log_source_claim(struct source *src, struct err *e)
{
	struct log_source *ls = (struct log_source *)src;
	char path[4096];
	int n;

	if (ls->is_held)
		return CLAIM_OK;
	n = snprintf(path, sizeof(path), "%s/readers", dir_of(src));
	if (n < 0 || (size_t)n + strlen(src->pipeline) + 8 > sizeof(path)) {
		err_set(e, CODE_log_io, "path of log \"%s\" is too long",
			src->name);
		return CLAIM_ERROR;
	}
	if (!reader_name_is_valid(src->pipeline)) {
		err_set(e, CODE_conf_value,
			"pipeline \"%s\" cannot read a log under this name",
			src->pipeline);
		return CLAIM_ERROR;
	}
	if (file_mkdirs(path, e) != 0)
		return CLAIM_ERROR;
	snprintf(path + n, sizeof(path) - (size_t)n, "/%s.lock", src->pipeline);
	ls->claim_fd = file_lock(path, e);
	if (ls->claim_fd < 0) {
		if (e->code != CODE_state_held)
			return CLAIM_ERROR;
		e->code = CODE_claim_held;
		return CLAIM_HELD;
	}
	ls->is_held = true;
	return CLAIM_OK;
}

/* --- open ------------------------------------------------------------ */

static bool is_intent(const struct cursor *at)
{
	return at->source.n == 0 || slice_is(at->source, "intent");
}

/* What the sink was given before needs no OP_SCHEMA event again. */
static int tell_known(struct log_source *ls, struct registry *reg,
		      struct err *e)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&reg->by_name, &i)) != NULL;)
		if (log_reader_knows(ls->r, ent->value, e) != 0)
			return -1;
	return 0;
}

static bool is_unwritten(const char *dir)
{
	struct err e = ERR_INIT;
	struct segment_list l;
	bool is_empty = segment_list_read(dir, &l, &e) != 0 ? e.code == CODE_log_wrong
							     : l.n == 0;

	segment_list_fini(&l);
	return is_empty;
}

/* A log that nobody has written yet will be; one that is damaged will not be
 * mended by waiting. */
static void explain(const struct source *src, struct err *e)
{
	if (e->code == CODE_log_wrong && is_unwritten(dir_of(src)))
		e->code = CODE_source_unreachable;
	if (e->code == CODE_purged)
		err_hint(e, "Run \"leat offsets set %s earliest --accept-gap\".",
			 src->pipeline);
	if (e->code == CODE_wrong_server || e->code == CODE_diverged)
		err_hint(e, "Run \"leat offsets set %s earliest --accept-gap --accept-repeat\" if this log is the one to read.",
			 src->pipeline);
	wrap(src, e);
}

static int keep_place(struct log_source *ls, struct err *e)
{
	buf_reset(&ls->place, SIZE_MAX);
	log_reader_cursor(ls->r, &ls->place);
	return ls->place.failed ? err_no_memory(e) : 0;
}

static int log_source_open(struct source *src, const struct cursor *at,
			   struct registry *reg, struct err *e)
{
	struct log_source *ls = (struct log_source *)src;
	const char *word = src->start ? src->start : "earliest";
	struct log_place place;
	struct log_start start = {.kind = START_CURSOR, .cursor = at->source};
	uint64_t seq;

	ls->is_new = is_intent(at);
	if (ls->is_new && log_start_parse(slice_of(word), &start, e) != 0)
		return -1;
	if (!ls->is_new && !log_place_parse(at->source, &place))
		err_set(e, CODE_wrong_server,
			"the pipeline has read from another kind of source: %.*s",
			SLICE_ARG(at->source));
	else
		ls->r = log_reader_open(dir_of(src), &start, src->pipeline, e);
	if (ls->r == NULL) {
		explain(src, e);
		return -1;
	}
	ls->reg = reg;
	if (tell_known(ls, reg, e) != 0 || keep_place(ls, e) != 0)
		return -1;
	seq = log_reader_seq(ls->r);
	ls->offset = at->seq > seq ? at->seq - seq : 0;
	atomic_store(&src->last_heard_us, clock_wall_us());
	return 0;
}

/* --- read ------------------------------------------------------------ */

static int take_schema(struct log_source *ls, struct event *ev, struct err *e)
{
	return registry_load(ls->reg, table_ref(ev->table), e);
}

static int finish(struct log_source *ls, struct batch *b, struct err *e)
{
	struct source *src = &ls->base;
	struct cursor c = {.incarnation = src->incarnation,
			   .seq = log_reader_seq(ls->r) + ls->offset,
			   .in_txn = log_reader_is_inside(ls->r)};

	for (size_t i = 0; i < b->n; i++) {
		struct event *ev = &b->ev[i];

		ev->seq += ls->offset;
		if (ev->op == OP_SCHEMA && take_schema(ls, ev, e) != 0)
			return -1;
	}
	if (b->n > 0) {
		const struct event *last = &b->ev[b->n - 1];

		atomic_store(&src->last_commit_us, last->txn->commit_us);
		if (keep_place(ls, e) != 0)
			return -1;
	}
	c.source = buf_get(&ls->place);
	return batch_set_cursor(b, &c, e);
}

static void measure(struct log_source *ls, bool is_at_end)
{
	int64_t now = clock_mono_ms();

	if (now < ls->behind_ms && !is_at_end)
		return;
	ls->behind_ms = now + BEHIND_MS;
	atomic_store(&ls->base.behind_bytes, log_reader_behind(ls->r));
	atomic_store(&ls->base.last_heard_us, clock_wall_us());
}

static int log_source_read(struct source *src, struct batch *b,
			   int64_t deadline_ms, struct err *e)
{
	struct log_source *ls = (struct log_source *)src;
	size_t bytes = src->batch_bytes ? src->batch_bytes : 1 << 20;

	if (ls->is_new) {
		ls->is_new = false;
		return finish(ls, b, e);
	}
	if (log_reader_read(ls->r, b, bytes, e) != 0 ||
	    (b->n == 0 &&
	     (log_reader_wait(ls->r, deadline_ms, src->wake_fd, e) != 0 ||
	      log_reader_read(ls->r, b, bytes, e) != 0))) {
		explain(src, e);
		return -1;
	}
	measure(ls, b->n == 0);
	return finish(ls, b, e);
}

/* --- ack ------------------------------------------------------------- */

/* That it cannot be stored, as on a full disk, is no reason to stop reading,
 * which may be what the disk waits for. */
static void store(struct log_source *ls)
{
	struct err e = ERR_INIT;
	char component[128];
	int rc = 0;

	ls->stored_ms = clock_mono_ms();
	if (ls->acked.n > 0)
		rc = log_reader_ack(ls->r, buf_get(&ls->acked), &e);
	if (rc == 0) {
		ls->acked.n = 0;
		ls->is_refused = false;
		return;
	}
	if (ls->is_refused)
		return;
	ls->is_refused = true;
	wrap(&ls->base, &e);
	err_detail(&e, "The reader's place is not stored; segments are kept for it that it has read.");
	snprintf(component, sizeof(component), "pipeline \"%s\"",
		 ls->base.pipeline);
	note_err(NOTE_WARNING, component, &e, NULL);
}

static int log_source_ack(struct source *src, const struct cursor *committed,
			  struct err *e)
{
	struct log_source *ls = (struct log_source *)src;
	struct log_place place;

	if (committed != NULL && log_place_parse(committed->source, &place)) {
		buf_reset(&ls->acked, SIZE_MAX);
		buf_slice(&ls->acked, committed->source);
		if (ls->acked.failed)
			return err_no_memory(e);
	}
	if (clock_mono_ms() - ls->stored_ms >= STORE_MS)
		store(ls);
	return 0;
}

/* --- seek, drop, close ----------------------------------------------- */

static void compare(const struct cursor *current, const struct log_place *to,
		    struct seek *out)
{
	struct log_place now;

	if (current->incarnation == 0 || is_intent(current))
		return;
	if (!log_place_parse(current->source, &now) ||
	    memcmp(now.uuid, to->uuid, sizeof(now.uuid)) != 0) {
		out->skips = out->repeats = true;
		snprintf(out->note, sizeof(out->note),
			 "the cursor in force is not one of this log");
		return;
	}
	out->skips = to->seq > now.seq;
	out->repeats = to->seq < now.seq;
	if (out->skips || out->repeats)
		snprintf(out->note, sizeof(out->note),
			 "from behind seq %" PRIu64 " to behind seq %" PRIu64,
			 now.seq, to->seq);
}

/* "slot", as for a Postgres source, is the nearest to what was delivered that
 * there is: directly behind it, unless that has been deleted. */
static struct log_reader *open_nearest(struct source *src,
				       const struct cursor *current,
				       struct err *e)
{
	struct log_start start = {.kind = START_CURSOR, .cursor = current->source};
	struct log_reader *r = NULL;
	struct log_place place;

	if (log_place_parse(current->source, &place)) {
		r = log_reader_open(dir_of(src), &start, NULL, e);
		if (r != NULL || e->code != CODE_purged)
			return r;
		*e = ERR_INIT;
	}
	start.kind = START_EARLIEST;
	return log_reader_open(dir_of(src), &start, NULL, e);
}

static struct log_reader *open_position(struct source *src,
					struct slice position,
					const struct cursor *current,
					struct err *e)
{
	struct log_start start;

	if (slice_is(position, "slot"))
		return open_nearest(src, current, e);
	if (slice_is(position, "now"))
		position = SLICE("latest");
	return log_start_parse(position, &start, e) == 0
		       ? log_reader_open(dir_of(src), &start, NULL, e)
		       : NULL;
}

static int log_source_seek(struct source *src, struct slice position,
			   const struct cursor *current, struct seek *out,
			   struct err *e)
{
	struct log_reader *r = open_position(src, position, current, e);
	struct log_place place;
	int rc = 0;

	if (r == NULL) {
		wrap(src, e);
		return -1;
	}
	buf_reset(&out->source, SIZE_MAX);
	log_reader_cursor(r, &out->source);
	log_reader_close(r);
	if (out->source.failed)
		return err_no_memory(e);
	out->skips = out->repeats = false;
	out->note[0] = '\0';
	if (log_place_parse(buf_get(&out->source), &place))
		compare(current, &place, out);
	else
		rc = err_set(e, CODE_internal, "a reader's cursor cannot be read");
	return rc;
}

static int log_source_drop(struct source *src, struct err *e)
{
	return reader_remove(dir_of(src), src->pipeline, e);
}

static void log_source_close(struct source *src)
{
	struct log_source *ls = (struct log_source *)src;

	if (ls->r != NULL)
		store(ls);
	log_reader_close(ls->r);
	ls->r = NULL;
	if (ls->is_held)
		close(ls->claim_fd);
	ls->is_held = false;
	buf_fini(&ls->place);
	buf_fini(&ls->acked);
}

const struct source_ops log_source = {
	.type = "log",
	.opts = log_opts,
	.conf_size = sizeof(struct log_conf),
	.size = sizeof(struct log_source),
	.check = log_source_check,
	.claim = log_source_claim,
	.open = log_source_open,
	.read = log_source_read,
	.ack = log_source_ack,
	.seek = log_source_seek,
	.drop = log_source_drop,
	.close = log_source_close,
};
