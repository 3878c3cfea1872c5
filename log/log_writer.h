/* log_writer.h: what the files that make up the writer share.
 *
 * Invariants, between calls:
 *	seg holds a header, then frames up to `at`; `out` is what comes next
 *	chain is the CRC of the last frame in `out`, or else in the file
 *	everything below `committed` is durable and ends in a commit frame
 *	the file has room reserved up to `allocated` */
#ifndef LEAT_LOG_LOG_WRITER_H
#define LEAT_LOG_LOG_WRITER_H

#include "log/codec.h"
#include "log/log.h"
#include "log/segment.h"
#include "log/tables.h"

/* A version that waits for the first commit or row that needs it. */
struct pending_table {
	struct table *tab; /* one reference */
	uint64_t seq;	   /* of the event behind its schema event */
	struct buf entry;
};

struct log_writer {
	struct log_conf conf; /* path is owned */
	char component[128];
	int lock_fd, tip_fd;
	bool is_dead; /* after a failure that leaves the file in doubt */

	struct segment seg;
	uint64_t at, committed, allocated;
	uint32_t chain;
	uint64_t last_seq, committed_seq;
	int64_t max_commit_us;
	bool is_inside; /* the transaction of the last event goes on */
	struct buf cursor; /* last committed, as text */
	struct buf out;	   /* sealed frames, not written yet */
	uint64_t no_roll_below; /* after a roll that failed */

	struct buf body; /* of the rows frame that is being filled */
	struct rowbin_writer rowbin;
	uint64_t body_first, body_last;
	uint32_t body_count;
	int64_t body_commit_us;

	struct log_tables tables; /* what has been written */
	struct pending_table *pending;
	size_t npending, pending_cap;
	struct rowbin_writer table_rowbin;
	struct buf scratch, table_body, commit_text;

	struct codec codec;
	int64_t retention_next; /* clock_mono_ms */
};

/* Room in the file for `extra` bytes more than what is buffered, and for the
 * commit frame behind.  CODE_disk_full changes nothing. */
int writer_reserve(struct log_writer *w, uint64_t extra, struct err *e)
	MUST_CHECK;
/* Seals a frame into w->out.  f: kind, flags, seqs, count, commit_us. */
int writer_frame(struct log_writer *w, struct frame *f, struct slice body,
		 struct err *e) MUST_CHECK;
int writer_flush(struct log_writer *w, struct err *e) MUST_CHECK;
/* Everything in the file is durable: tells the readers. */
int writer_publish(struct log_writer *w, struct err *e) MUST_CHECK;

#endif
