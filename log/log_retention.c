/* log_retention.c: whole segments go, the oldest first.
 *
 * By age: the segment was finished longer ago than retention_age, and no named
 * reader still needs it.  By size: while the log is larger than retention_size,
 * readers or not.  The last segment never goes. */
#include "config.h"
#include "log/log_retention.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/note.h"
#include "log/readers.h"

/* The lowest seq that all named readers have read. */
struct held {
	const struct log_writer *w;
	uint64_t seq;
};

static int hold(void *arg, const char *name, struct slice cursor)
{
	struct held *h = arg;
	struct log_place p;

	/* a cursor that cannot be read might need everything */
	if (!log_place_parse(cursor, &p)) {
		note(NOTE_WARNING, h->w->component, CODE_log_io,
		     NOTE_KV({"reader", name}),
		     "the stored place of a reader is unreadable, so no segment is deleted by age");
		h->seq = 0;
		return 0;
	}
	if (memcmp(p.uuid, h->w->seg.head.uuid, UUID_SIZE) == 0 && p.seq < h->seq)
		h->seq = p.seq;
	return 0;
}

/* When was the segment before `next` finished? */
static int finished_us(const struct log_writer *w, uint64_t next, int64_t *us,
		       struct err *e)
{
	struct segment s = SEGMENT_NONE;
	int rc = segment_open(&s, w->conf.path, next, O_RDONLY, e);

	*us = s.head.created_us;
	segment_close(&s);
	return rc;
}

static int delete_segment(struct log_writer *w, const struct segment_name *s,
			  const char *why, struct err *e)
{
	char path[LOG_PATH_MAX], size[32];

	if (segment_path(path, w->conf.path, s->first_seq, e) != 0 ||
	    file_remove(path, e) != 0)
		return -1;
	if (fault(FAULT_retention_delete))
		return err_set(e, CODE_log_io, "could not remove file: fault");
	/* each by itself, or an older one could come back without a newer */
	if (file_sync_dir(w->conf.path, e) != 0)
		return -1;
	snprintf(size, sizeof(size), "%" PRIu64, s->size);
	note(NOTE_INFO, w->component, CODE_retention,
	     NOTE_KV({"segment", path}, {"bytes", size}, {"why", why}),
	     "deleted a segment");
	return 0;
}

static bool is_too_old(struct log_writer *w, uint64_t next_seq, uint64_t held,
		       struct err *e)
{
	int64_t us;

	/* the segment ends at next_seq - 1, and its reader has read `held` */
	if (w->conf.retention_age == 0 || held < next_seq - 1)
		return false;
	return finished_us(w, next_seq, &us, e) == 0 &&
	       us < clock_wall_us() - w->conf.retention_age * 1000;
}

static int delete_some(struct log_writer *w, const struct segment_list *l,
		       struct err *e)
{
	struct held held = {w, UINT64_MAX};
	uint64_t bytes = w->at;
	uint64_t limit = (uint64_t)w->conf.retention_size;
	size_t closed = 0;

	if (w->conf.retention_age > 0 &&
	    readers_each(w->conf.path, hold, &held, e) != 0)
		return -1;
	/* the one in use has space reserved, which is not its size */
	while (closed < l->n && l->v[closed].first_seq < w->seg.first_seq)
		bytes += l->v[closed++].size;
	for (size_t i = 0; i < closed && i + 1 < l->n; i++) {
		const char *why;

		if (limit > 0 && bytes > limit)
			why = "size";
		else if (is_too_old(w, l->v[i + 1].first_seq, held.seq, e))
			why = "age";
		else
			break;
		if (delete_segment(w, &l->v[i], why, e) != 0)
			return -1;
		bytes -= l->v[i].size;
	}
	return 0;
}

void log_retention(struct log_writer *w)
{
	struct segment_list l;
	struct err e = ERR_INIT;
	int rc;

	if (w->conf.retention_age == 0 && w->conf.retention_size == 0)
		return;
	rc = segment_list_read(w->conf.path, &l, &e);
	if (rc == 0) {
		rc = delete_some(w, &l, &e);
		segment_list_fini(&l);
	}
	if (rc != 0 || err_is_set(&e))
		note_err(NOTE_WARNING, w->component, &e, NULL);
}
