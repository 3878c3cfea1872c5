/* log.h: the agent's own log, a directory of segments (leat-log(1)).
 *
 * One writer (flock), any number of readers in any process.  A reader sees
 * committed, durable frames only.  The format stands in frame.h; log_stat.h and
 * log_verify.h look at a log as a whole. */
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
/* A version comes into force: ev is its OP_SCHEMA event.  Written before the
 * next row, or with the first commit whose seq covers it.  Nothing happens when
 * the log has this very version already. */
int log_writer_table(struct log_writer *w, const struct event *ev,
		     struct err *e) MUST_CHECK;
/* Writes the commit frame, syncs once, publishes the new end to readers; then
 * rolls and deletes what retention allows.  After CODE_log_io from a sync
 * nothing of this writer can be trusted: close and open again. */
int log_writer_commit(struct log_writer *w, const struct cursor *c,
		      struct err *e) MUST_CHECK;
/* After a failure: must it be closed and opened again?  (Otherwise, as with
 * CODE_disk_full, the call changed nothing and may be made again.) */
bool log_writer_is_dead(const struct log_writer *w);

/* --- reading --------------------------------------------------------- */

/* Where a reader begins. */
enum log_start_kind {
	START_EARLIEST, /* with the first event that is still there */
	START_LATEST,	/* behind the last committed event */
	START_SEQ,	/* with the first event of that seq or above */
	START_TIME,	/* with the first one committed at that time or later */
	START_CURSOR,	/* directly behind a cursor: the source part made by
			   log_reader_cursor() */
};

struct log_start {
	enum log_start_kind kind;
	uint64_t seq;
	int64_t us;
	struct slice cursor;
};

/* "earliest", "latest", "seq:N", "time:T" or a cursor; CODE_usage otherwise. */
int log_start_parse(struct slice text, struct log_start *start, struct err *e)
	MUST_CHECK;

struct log_reader;

/* `reader` names a durable place whose cursor holds back retention, or NULL.
 * CODE_log_wrong when there is no log; of a cursor: CODE_purged when what
 * follows it is gone, CODE_wrong_server when it is one of another log,
 * CODE_diverged when this log is not the one that was read. */
struct log_reader *log_reader_open(const char *path,
				   const struct log_start *start,
				   const char *reader, struct err *e);
void log_reader_close(struct log_reader *r);
/* Its user knows this version already: no OP_SCHEMA event for it. */
int log_reader_knows(struct log_reader *r, struct table *tab, struct err *e)
	MUST_CHECK;
/* Appends the events of the next committed frame or frames to b, up to about
 * `bytes` (batch_bytes()); 0 events when the end is reached.  Each table version
 * comes as an OP_SCHEMA event before its first row, wherever in the log the
 * reader began.  The batch's cursor is not set. */
int log_reader_read(struct log_reader *r, struct batch *b, size_t bytes,
		    struct err *e) MUST_CHECK;
/* Waits until there may be more, until wake_fd (or -1) is readable, or until
 * the deadline. */
int log_reader_wait(struct log_reader *r, int64_t deadline_ms, int wake_fd,
		    struct err *e) MUST_CHECK;
/* uuid, seq and CRC of what was read last: a source part. */
void log_reader_cursor(const struct log_reader *r, struct buf *out);
uint64_t log_reader_seq(const struct log_reader *r);
/* Does the source's transaction go on behind it, as far as was read? */
bool log_reader_is_inside(const struct log_reader *r);
/* Stores the place of the named reader. */
int log_reader_ack(struct log_reader *r, struct slice cursor, struct err *e)
	MUST_CHECK;
/* Bytes of the log that have not been read, compressed; UINT64_MAX: unknown. */
uint64_t log_reader_behind(struct log_reader *r);
/* The last committed cursor of the pipeline that writes the log, of what has
 * been read; empty when there was none. */
struct slice log_reader_committed(const struct log_reader *r);

#endif
