/* log_roll.h: beginning a new segment. */
#ifndef LEAT_LOG_LOG_ROLL_H
#define LEAT_LOG_LOG_ROLL_H

#include "log/log_writer.h"

/* Makes a segment that begins at first_seq and repeats tables and cursor; w goes
 * on in it, or after a failure in the one it has. */
int log_roll_make(struct log_writer *w, const uint8_t uuid[UUID_SIZE],
		  uint64_t first_seq, struct err *e) MUST_CHECK;
/* Directly after a commit.  A failure is noted, and leaves w in the segment it
 * has. */
void log_roll(struct log_writer *w);

#endif
