#include "config.h"
#include "log/log_verify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "log/codec.h"
#include "log/log_end.h"
#include "log/readers.h"
#include "log/scan.h"
#include "log/tables.h"
#include "log/tip.h"

struct verify {
	struct log_stat *st;
	struct codec codec;
	struct log_tables tables;
	struct batch *b;
	uint64_t seq; /* of the last event */
	int64_t commit_us;
	struct buf cursor;
	bool has_head; /* the last commit of the segment before is known */
};

static int damaged(const struct segment *s, uint64_t at, const char *what,
		   struct err *e)
{
	*e = ERR_INIT;
	return segment_damaged(s, at, what, e);
}

/* Puts the place before an error that came from below. */
static int wrap(const struct segment *s, uint64_t at, struct err *e)
{
	err_wrap(e, "segment \"%s\" is damaged at offset %" PRIu64, s->path, at);
	return -1;
}

static struct table *find(void *arg, struct slice full_name, uint32_t version)
{
	struct verify *v = arg;
	struct log_table *t = log_tables_get(&v->tables, full_name);

	return t != NULL && t->tab->version == version ? t->tab : NULL;
}

static int expand(struct verify *v, const struct frame *f, const uint8_t *stored,
		  struct slice *raw, struct err *e)
{
	char *p;

	batch_reset(v->b);
	p = arena_alloc(&v->b->arena, f->raw);
	if (p == NULL)
		return err_no_memory(e);
	*raw = (struct slice){p, f->raw};
	return codec_expand(&v->codec, f, stored, p, e);
}

static const char *check_rows(struct verify *v, const struct frame *f)
{
	const struct batch *b = v->b;
	int64_t latest = INT64_MIN;

	if (b->n == 0 || b->n != f->count)
		return "it has not as many events as it says";
	if (b->ev[0].seq != f->first_seq || b->ev[b->n - 1].seq != f->last_seq)
		return "its events have not the seqs it says";
	for (size_t i = 0; i < b->n; i++) {
		if (b->ev[i].seq <= v->seq)
			return "its seqs do not rise";
		v->seq = b->ev[i].seq;
		if (b->ev[i].txn->commit_us > latest)
			latest = b->ev[i].txn->commit_us;
		if (b->ev[i].op == OP_SCHEMA)
			return "a version of a table stands among rows";
	}
	if (latest != f->commit_us)
		return "its commit time is not that of its events";
	return NULL;
}

static int verify_rows(struct verify *v, const struct segment *s, uint64_t at,
		       const struct frame *f, const uint8_t *stored,
		       struct err *e)
{
	const char *what;
	struct slice raw;

	if (expand(v, f, stored, &raw, e) != 0 ||
	    rowbin_read(raw, v->b, find, v, e) != 0)
		return wrap(s, at, e);
	if (f->first_seq < s->first_seq)
		return damaged(s, at, "its seqs lie before the segment's", e);
	what = check_rows(v, f);
	return what ? damaged(s, at, what, e) : 0;
}

static int verify_tables(struct verify *v, const struct segment *s, uint64_t at,
			 const struct frame *f, const uint8_t *stored,
			 struct err *e)
{
	struct slice raw;
	struct wire w;

	if (expand(v, f, stored, &raw, e) != 0 ||
	    log_tables_read(&v->tables, raw, f->count, e) != 0)
		return wrap(s, at, e);
	w = wire_of(raw);
	for (uint32_t i = 0; i < f->count; i++) {
		struct slice whole, event;
		struct table *tab = log_table_next(&w, &whole, &event, e);
		size_t n = v->b->n;
		int rc;

		table_unref(tab);
		if (tab == NULL)
			return wrap(s, at, e);
		rc = rowbin_read(event, v->b, find, v, e);
		if (rc != 0)
			return wrap(s, at, e);
		if (v->b->n != n + 1 || v->b->ev[n].op != OP_SCHEMA)
			return damaged(s, at, "a schema event is none", e);
	}
	return 0;
}

static int verify_commit(struct verify *v, const struct segment *s, uint64_t at,
			 const struct frame *f, const uint8_t *stored,
			 struct err *e)
{
	struct slice text = {(const char *)stored, f->stored};
	bool is_repeat = f->flags & FRAME_REPEAT;
	struct cursor c = {0};

	if (text.n > 0 && cursor_parse(text, &c, e) != 0)
		return wrap(s, at, e);
	if (text.n == 0 && !is_repeat)
		return damaged(s, at, "a commit frame has no cursor", e);
	if (c.seq < v->seq)
		return damaged(s, at, "its cursor does not cover the events before", e);
	if (is_repeat && v->has_head && !slice_eq(text, buf_get(&v->cursor)))
		return damaged(s, at, "the cursor repeated is not the last one", e);
	v->has_head = true;
	buf_reset(&v->cursor, SIZE_MAX);
	buf_slice(&v->cursor, text);
	return v->cursor.failed ? err_no_memory(e) : 0;
}

static int on_frame(void *arg, const struct segment *s, uint64_t at,
		    const struct frame *f, const uint8_t *stored, struct err *e)
{
	struct verify *v = arg;

	if (f->synced > at)
		return damaged(s, at, "it says that more was durable than there was", e);
	if (log_stat_frame(v->st, f, stored, e) != 0)
		return -1;
	if (f->kind == FRAME_ROWS)
		return verify_rows(v, s, at, f, stored, e);
	/* after the deletion of segments the first head tells the last seq */
	if (v->seq == 0)
		v->seq = f->last_seq;
	if (f->first_seq != v->seq || f->last_seq != v->seq)
		return damaged(s, at, "it does not follow the events before", e);
	if (f->kind == FRAME_TABLE)
		return verify_tables(v, s, at, f, stored, e);
	return verify_commit(v, s, at, f, stored, e);
}

static int on_segment(void *arg, const struct segment *s, uint64_t bytes,
		      struct err *e)
{
	struct verify *v = arg;

	log_stat_segment(v->st, s, bytes);
	if (v->seq >= s->first_seq)
		return damaged(s, 32, "it begins before the end of the one before", e);
	return 0;
}

/* Of a log at rest the tip may be old: the last commit frame is the end. */
static int find_rest(const char *path, struct tip *end, uint64_t *open_bytes,
		     struct err *e)
{
	struct segment s = SEGMENT_NONE;
	struct segment_list l;
	int rc = -1;

	if (segment_list_read(path, &l, e) != 0)
		return -1;
	for (size_t i = l.n; i-- > 0 && l.v[i].first_seq >= end->segment;) {
		struct scan scan = SCAN_INIT;
		struct err why = ERR_INIT;
		uint64_t trusted;

		if (segment_open(&s, path, l.v[i].first_seq, O_RDONLY, &why) != 0) {
			if (why.code == CODE_log_corrupt &&
			    l.v[i].first_seq > end->segment) {
				*open_bytes += l.v[i].size;
				continue;
			}
			*e = why;
			goto out;
		}
		trusted = s.first_seq == end->segment ? end->offset : 0;
		if (log_scan(&s, trusted, &scan, e) != 0)
			goto out;
		*open_bytes += scan.stop - scan.end + scan.is_torn;
		if (scan.has_commit) {
			end->segment = s.first_seq;
			end->offset = scan.end;
			log_scan_fini(&scan);
			rc = 0;
			goto out;
		}
		log_scan_fini(&scan);
	}
	err_set(e, CODE_log_corrupt, "the last segment of the log at \"%s\" is missing", path);
out:
	segment_close(&s);
	segment_list_fini(&l);
	return rc;
}

static int check_readers(const struct verify *v, const char *path,
			 struct err *e)
{
	struct slice rest = buf_get(&v->st->readers);

	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');
		struct slice name = slice_cut(&line, ' ');
		struct log_place p;

		if (!log_place_parse(line, &p))
			return err_set(e, CODE_log_corrupt,
				       "the place of reader \"%.*s\" in \"%s/readers\" is unreadable",
				       SLICE_ARG(name), path);
	}
	return 0;
}

int log_verify(const char *path, struct log_stat *st, uint64_t *open_bytes,
	       struct err *e)
{
	struct verify v = {.st = st, .b = batch_new()};
	struct walk w = {.wants_bodies = true,
			 .segment = on_segment,
			 .frame = on_frame,
			 .arg = &v};
	struct tip end;
	int fd = -1, rc = -1;

	*st = (struct log_stat){0};
	*open_bytes = 0;
	if (v.b == NULL)
		return err_no_memory(e);
	if (log_end_find(path, &end, &fd, e) == 0 &&
	    (log_is_held(path) || find_rest(path, &end, open_bytes, e) == 0) &&
	    log_walk(path, &end, &w, e) == 0 &&
	    log_stat_readers(st, path, e) == 0)
		rc = check_readers(&v, path, e);
	if (fd >= 0)
		close(fd);
	log_tables_fini(&v.tables);
	codec_fini(&v.codec);
	buf_fini(&v.cursor);
	batch_free(v.b);
	return rc;
}
