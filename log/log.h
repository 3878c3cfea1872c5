/* log.h: the agent's own log, a directory of segments (leat-log(1)).
 *
 * One writer (flock), any number of readers in any process.  A reader sees
 * committed, durable frames only.  The format stands in frame.h. */
#ifndef LEAT_LOG_LOG_H
#define LEAT_LOG_LOG_H

#include "base/opt.h"
#include "schema/batch.h"
#include "schema/registry.h"

/* The section `log NAME { }`. */
struct log_conf {
	char *path;
	int64_t retention_age;	/* ms, 0: for ever */
	int64_t retention_size; /* bytes, 0: without limit */
	int64_t segment_size;
	int64_t max_event_size;
	int64_t compression;	/* zstd level, 0: none */
};
extern const struct opt log_opts[];

/* --- writing --------------------------------------------------------- */

struct log_writer;

/* Locks, recovers (cuts an unfinished end, or fails with CODE_log_corrupt) and
 * loads the newest version of every table into `tables`.  cursor gets the text
 * of the last committed cursor, empty when nothing was ever committed.
 * *Returns owned* or NULL. */
struct log_writer *log_writer_open(const struct log_conf *conf,
				   const char *name, struct registry *tables,
				   struct buf *cursor, struct err *e);
void log_writer_close(struct log_writer *w); /* drops what is not committed */
/* Buffered into frames; CODE_event_rejected (err->index) for an event above
 * max_event_size, and nothing is taken. */
int log_writer_append(struct log_writer *w, const struct batch *b, size_t first,
		      size_t count, struct err *e) MUST_CHECK;
int log_writer_table(struct log_writer *w, struct table *tab, bool is_new,
		     const struct event *ev, struct err *e) MUST_CHECK;
/* Writes the commit frame, syncs once, publishes the new end to readers; then
 * rolls and deletes what retention allows.  After CODE_log_io from a sync
 * nothing of this writer can be trusted: close and open again. */
int log_writer_commit(struct log_writer *w, const struct cursor *c,
		      struct err *e) MUST_CHECK;

/* --- reading --------------------------------------------------------- */

struct log_reader;

/* start: "earliest", "latest", "seq:N" (first event with that seq or above),
 * "time:T" (first committed at or after ISO time T), or a reader's cursor as
 * made by log_reader_cursor().  `reader` names a durable place whose cursor
 * holds back retention, or NULL.  CODE_purged when the place is gone. */
struct log_reader *log_reader_open(const char *path, struct slice start,
				   const char *reader, struct err *e);
void log_reader_close(struct log_reader *r);
/* Appends the events of the next committed frame or frames to b, up to about
 * batch_bytes; 0 events when the end is reached.  Schema versions come as
 * OP_SCHEMA events before their first row; a version repeated at the head of a
 * segment comes only if it was not seen (so a reader that starts in the middle
 * knows its tables).  The batch's cursor is not set. */
int log_reader_read(struct log_reader *r, struct batch *b, size_t batch_bytes,
		    struct err *e) MUST_CHECK;
/* Waits until there may be more, until wake_fd (or -1) is readable, or until
 * the deadline. */
int log_reader_wait(struct log_reader *r, int64_t deadline_ms, int wake_fd,
		    struct err *e) MUST_CHECK;
/* uuid, seq and CRC of the last frame read: a source part. */
void log_reader_cursor(const struct log_reader *r, struct buf *out);
/* Stores the place of the named reader. */
int log_reader_ack(struct log_reader *r, struct slice cursor, struct err *e)
	MUST_CHECK;
/* The last committed cursor of the pipeline that writes the log. */
struct slice log_reader_committed(const struct log_reader *r);

/* --- looking --------------------------------------------------------- */

struct log_stat {
	char uuid[37];
	uint64_t first_seq, last_seq; /* 0: empty */
	uint64_t segments, bytes, frames, commits, events;
	int64_t first_us, last_us;
	struct buf cursor; /* owned by the caller */
	struct buf readers; /* "name cursor\n" lines; owned by the caller */
};
int log_stat(const char *path, struct log_stat *st, struct err *e) MUST_CHECK;
/* Reads every byte of every segment and checks it; err names the first damage
 * with segment and offset. */
int log_verify(const char *path, struct log_stat *st, struct err *e) MUST_CHECK;

#endif
