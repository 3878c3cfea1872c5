/* log_end.h: up to where a log may be read by those who do not write it. */
#ifndef LEAT_LOG_LOG_END_H
#define LEAT_LOG_LOG_END_H

#include "log/frame.h"

/* The tip, or where there is none and nobody writes, what it would be.  *fd: of
 * the file `tip`, or -1.  CODE_log_wrong when there is no log. */
int log_end_find(const char *dir, struct tip *t, int *fd, struct err *e)
	MUST_CHECK;
/* What the tip would be by the frames alone.  1: found; 0: none; -1: error. */
int log_end_scan(const char *dir, struct tip *t, struct err *e);

#endif
