/* log_stat.h: what a log holds, by its headers. */
#ifndef LEAT_LOG_LOG_STAT_H
#define LEAT_LOG_LOG_STAT_H

#include "log/walk.h"

struct log_stat {
	char uuid[UUID_TEXT_SIZE];
	uint64_t first_seq, last_seq; /* of rows; 0: none */
	uint64_t segments, bytes, frames, commits, events;
	int64_t first_us, last_us; /* commit times */
	struct buf cursor;  /* the last committed; owned by the caller */
	struct buf readers; /* "name cursor\n" lines; owned by the caller */
};

int log_stat(const char *path, struct log_stat *st, struct err *e) MUST_CHECK;
void log_stat_fini(struct log_stat *st);

/* Counts one segment, one frame: for walks that look at more. */
void log_stat_segment(struct log_stat *st, const struct segment *s,
		      uint64_t bytes);
int log_stat_frame(struct log_stat *st, const struct frame *f,
		   const uint8_t *stored, struct err *e) MUST_CHECK;
int log_stat_readers(struct log_stat *st, const char *path, struct err *e)
	MUST_CHECK;

#endif
