/* log_reader.h: what the files that make up the reader share.
 *
 * `at` is where the next frame begins in seg, or where one will be written;
 * chain is the CRC of the frame before it.  Nothing at or behind the tip is
 * looked at. */
#ifndef LEAT_LOG_LOG_READER_H
#define LEAT_LOG_LOG_READER_H

#include "log/codec.h"
#include "log/log.h"
#include "log/readers.h"
#include "log/segment.h"
#include "log/tables.h"

struct log_reader {
	char *dir, *name; /* name: NULL when it has none */
	int tip_fd, inotify_fd;
	bool has_watch;
	struct tip tip; /* as last seen */
	struct segment seg;
	uint64_t at;
	uint32_t chain;
	struct log_place place; /* of the last event read, and its frame */
	uint64_t rows_seq;	/* the last one of the last rows frame */
	uint64_t skip_seq;	/* events up to it are not wanted */
	int64_t skip_us;	/* nor those before the first of this time; 0 */
	struct log_tables tables; /* as of `at` */
	struct log_tables shown;  /* what the reader's user knows; no events */
	struct batch *target;	  /* of the read in progress */
	struct err *target_err;
	bool is_inside; /* the transaction of the last event goes on */
	bool has_shown; /* the read in progress made OP_SCHEMA events */
	struct codec codec;
	struct buf raw;	      /* of a table frame */
	struct buf committed; /* text of the last commit frame */
};

/* Looks at the tip again.  CODE_wrong_server when another log stands there. */
int reader_refresh(struct log_reader *r, struct err *e) MUST_CHECK;
/* Up to where seg may be read. */
int reader_limit(struct log_reader *r, uint64_t *limit, struct err *e)
	MUST_CHECK;
/* Goes to the next segment.  1: done, 0: there is none yet, -1: error. */
int reader_advance(struct log_reader *r, struct err *e);
int reader_load_tables(struct log_reader *r, const struct frame *f,
		       const uint8_t *stored, struct err *e) MUST_CHECK;
int reader_purged(struct log_reader *r, uint64_t wanted, uint64_t first,
		  struct err *e);
/* Takes note of a rows frame's seqs: they must lie behind those before it. */
int reader_pass_rows(struct log_reader *r, const struct frame *f, struct err *e)
	MUST_CHECK;
/* The events of a rows frame, without OP_SCHEMA events. */
int reader_plain_rows(struct log_reader *r, const struct frame *f,
		      const uint8_t *stored, struct batch *b, struct err *e)
	MUST_CHECK;

#endif
