/* log_verify.h: reads every byte of a log and checks it.
 *
 * Headers, CRCs and their chain across segments; that seqs rise and agree with
 * headers and names; that each event can be read and its table version stands
 * before it; that each commit's cursor covers what it commits; that what is
 * repeated at the head of a segment is what stood before. */
#ifndef LEAT_LOG_LOG_VERIFY_H
#define LEAT_LOG_LOG_VERIFY_H

#include "log/log_stat.h"

/* err names the first damage with segment and offset.  *open_bytes: behind the
 * end of a log at rest, what a writer was about to commit when it died; no
 * damage.  Fills st, which is the caller's to log_stat_fini() in any case. */
int log_verify(const char *path, struct log_stat *st, uint64_t *open_bytes,
	       struct err *e) MUST_CHECK;

#endif
