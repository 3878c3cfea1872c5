/* scan.h: where does a segment end?  What its last commit frame says.
 *
 * Only the last segment can have an end that was not finished.  It ends behind
 * the last commit frame that can be reached from its header frame by frame.
 * What stands behind was never acknowledged, unless a sound frame farther on
 * says `synced` beyond the first bad place, or the tip did: then something that
 * had been durable is damaged, and nobody may cut it off. */
#ifndef LEAT_LOG_SCAN_H
#define LEAT_LOG_SCAN_H

#include "log/segment.h"

struct scan {
	bool has_commit;
	uint64_t end;	/* behind the last commit frame */
	uint64_t stop;	/* behind the last sound frame */
	uint64_t size;	/* of the file */
	bool is_torn;	/* at `stop` is neither the end nor zeros */
	uint32_t crc;	/* of the last commit frame */
	uint64_t seq;	/* last before it */
	int64_t max_commit_us;
	struct buf cursor;  /* the last commit's; owned by the caller */
	uint64_t *tables;   /* offsets of table frames before `end`; owned */
	size_t ntables, tables_cap;
};

#define SCAN_INIT ((struct scan){0})

/* Of frames below `trusted`, where all was durable, only headers are read.
 * CODE_log_corrupt for damage. */
int log_scan(struct segment *s, uint64_t trusted, struct scan *out,
	     struct err *e) MUST_CHECK;
/* Anything in a segment without a commit frame (its header may be unreadable)
 * that a crash while it was made cannot explain? */
int log_scan_unborn(struct segment *s, struct err *e) MUST_CHECK;
void log_scan_fini(struct scan *out);

#endif
