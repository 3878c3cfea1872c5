/* log_roll.c: beginning a new segment.
 *
 * Order: the old one is cut to its end and synced; the new file is made and gets
 * its head (header, newest tables, last commit); it is synced, then the
 * directory; only then the tip moves to it.  A crash in between leaves a file
 * without a commit frame, which the next opening removes. */
#include "config.h"
#include "log/log_roll.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/note.h"
#include "log/log_retention.h"

#define BODY_TARGET (256u << 10)

static int repeat_frame(struct log_writer *w, uint32_t count, struct err *e)
{
	struct frame f = {.kind = FRAME_TABLE,
			  .flags = FRAME_REPEAT,
			  .first_seq = w->committed_seq,
			  .last_seq = w->committed_seq,
			  .count = count,
			  .commit_us = w->max_commit_us};

	if (count == 0)
		return 0;
	if (w->table_body.failed)
		return err_no_memory(e);
	if (writer_frame(w, &f, buf_get(&w->table_body), e) != 0)
		return -1;
	buf_reset(&w->table_body, 2 * BODY_TARGET);
	return 0;
}

static int repeat_tables(struct log_writer *w, struct err *e)
{
	struct map_entry *ent;
	uint32_t count = 0;

	buf_reset(&w->table_body, 2 * BODY_TARGET);
	for (size_t i = 0; (ent = map_next(&w->tables.by_name, &i)) != NULL;) {
		const struct log_table *t = ent->value;

		buf_reset(&w->scratch, SIZE_MAX);
		table_encode(t->tab, &w->scratch);
		buf_lenslice(&w->table_body, buf_get(&w->scratch));
		buf_lenslice(&w->table_body, t->event);
		w->table_body.failed |= w->scratch.failed;
		count++;
		if (w->table_body.n < BODY_TARGET)
			continue;
		if (repeat_frame(w, count, e) != 0)
			return -1;
		count = 0;
	}
	return repeat_frame(w, count, e);
}

/* Header, tables and commit into w->out, then into the file. */
static int write_head(struct log_writer *w, struct err *e)
{
	struct frame f = {.kind = FRAME_COMMIT,
			  .flags = FRAME_REPEAT |
				   (w->is_inside ? FRAME_INSIDE : 0),
			  .first_seq = w->committed_seq,
			  .last_seq = w->committed_seq,
			  .commit_us = w->max_commit_us};

	if (!buf_room(&w->out, SEGMENT_HEADER_SIZE))
		return err_no_memory(e);
	segment_head_encode(&w->seg.head, (uint8_t *)w->out.p);
	w->out.n = SEGMENT_HEADER_SIZE;
	if (repeat_tables(w, e) != 0 ||
	    writer_frame(w, &f, buf_get(&w->cursor), e) != 0)
		return -1;
	return writer_flush(w, e);
}

static int make_segment(struct log_writer *w, struct err *e)
{
	w->seg.fd = file_open(w->seg.path, O_RDWR | O_CREAT | O_EXCL, e);
	if (w->seg.fd < 0)
		return -1;
	if (fault(FAULT_segment_roll))
		return err_set(e, CODE_log_io, "could not write to file: fault");
	if (write_head(w, e) != 0 || file_sync(w->seg.fd, e) != 0)
		return -1;
	return file_sync_dir(w->conf.path, e);
}

int log_roll_make(struct log_writer *w, const uint8_t uuid[UUID_SIZE],
		       uint64_t first_seq, struct err *e)
{
	struct segment old = w->seg;
	uint64_t at = w->at, committed = w->committed, allocated = w->allocated;
	uint32_t chain = w->chain;
	struct err ignored = ERR_INIT;
	/* uuid may be that of w->seg, which is overwritten */
	struct segment_head head = {.first_seq = first_seq,
				    .created_us = clock_wall_us(),
				    .max_commit_us = w->max_commit_us,
				    .seed = chain};

	memcpy(head.uuid, uuid, UUID_SIZE);
	w->seg = SEGMENT_NONE;
	if (segment_path(w->seg.path, w->conf.path, first_seq, e) != 0)
		goto fail;
	w->seg.first_seq = first_seq;
	w->seg.head = head;
	w->seg.salt = frame_salt(head.uuid, first_seq);
	w->at = w->committed = w->allocated = 0;
	if (make_segment(w, e) != 0)
		goto fail;
	w->committed = w->at;
	segment_close(&old);
	return 0;
fail:
	buf_reset(&w->out, 0);
	if (w->seg.fd >= 0) {
		close(w->seg.fd);
		if (file_remove(w->seg.path, &ignored) != 0 ||
		    file_sync_dir(w->conf.path, &ignored) != 0)
			note_err(NOTE_WARNING, w->component, &ignored, NULL);
	}
	w->seg = old;
	w->at = at;
	w->committed = committed;
	w->allocated = allocated;
	w->chain = chain;
	return -1;
}

void log_roll(struct log_writer *w)
{
	struct err e = ERR_INIT;

	/* a segment is named by its first seq, so one without events stays */
	if (w->committed_seq < w->seg.first_seq || w->committed < w->no_roll_below)
		return;
	if (file_truncate(w->seg.fd, w->at, &e) != 0 ||
	    file_sync(w->seg.fd, &e) != 0) {
		w->is_dead = true;
		note_err(NOTE_ERROR, w->component, &e, NULL);
		return;
	}
	w->allocated = w->at;
	if (log_roll_make(w, w->seg.head.uuid, w->committed_seq + 1, &e) != 0) {
		err_wrap(&e, "could not begin a new segment, going on in the old one");
		note_err(NOTE_WARNING, w->component, &e, NULL);
		w->no_roll_below = w->at + (uint64_t)w->conf.segment_size / 8;
		return;
	}
	w->no_roll_below = 0;
	e = ERR_INIT;
	if (writer_publish(w, &e) != 0) {
		w->is_dead = true;
		note_err(NOTE_ERROR, w->component, &e, NULL);
		return;
	}
	log_retention(w);
}
