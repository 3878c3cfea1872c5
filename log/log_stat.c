#include "config.h"
#include "log/log_stat.h"

#include <unistd.h>

#include "log/codec.h"
#include "log/log_end.h"
#include "log/readers.h"

void log_stat_fini(struct log_stat *st)
{
	buf_fini(&st->cursor);
	buf_fini(&st->readers);
}

void log_stat_segment(struct log_stat *st, const struct segment *s,
		      uint64_t bytes)
{
	if (st->segments++ == 0)
		uuid_print(s->head.uuid, st->uuid);
	st->bytes += bytes;
}

int log_stat_frame(struct log_stat *st, const struct frame *f,
		   const uint8_t *stored, struct err *e)
{
	st->frames++;
	if (f->kind == FRAME_COMMIT) {
		st->commits += !(f->flags & FRAME_REPEAT);
		return codec_expand_text(f, stored, &st->cursor, e);
	}
	if (f->kind != FRAME_ROWS)
		return 0;
	if (st->events == 0) {
		st->first_seq = f->first_seq;
		st->first_us = f->commit_us;
	}
	st->events += f->count;
	st->last_seq = f->last_seq;
	st->last_us = f->commit_us;
	return 0;
}

static int add_reader(void *arg, const char *name, struct slice cursor)
{
	struct log_stat *st = arg;

	buf_printf(&st->readers, "%s %.*s\n", name, SLICE_ARG(cursor));
	return 0;
}

int log_stat_readers(struct log_stat *st, const char *path, struct err *e)
{
	if (readers_each(path, add_reader, st, e) != 0)
		return -1;
	return st->readers.failed ? err_no_memory(e) : 0;
}

static int on_segment(void *arg, const struct segment *s, uint64_t bytes,
		      struct err *e)
{
	(void)e;
	log_stat_segment(arg, s, bytes);
	return 0;
}

static int on_frame(void *arg, const struct segment *s, uint64_t at,
		    const struct frame *f, const uint8_t *stored, struct err *e)
{
	(void)s, (void)at;
	return log_stat_frame(arg, f, stored, e);
}

int log_stat(const char *path, struct log_stat *st, struct err *e)
{
	struct walk w = {.segment = on_segment, .frame = on_frame, .arg = st};
	struct tip end;
	int fd;

	*st = (struct log_stat){0};
	if (log_end_find(path, &end, &fd, e) != 0)
		return -1;
	if (fd >= 0)
		close(fd);
	if (log_walk(path, &end, &w, e) != 0 ||
	    log_stat_readers(st, path, e) != 0) {
		log_stat_fini(st);
		return -1;
	}
	return 0;
}
