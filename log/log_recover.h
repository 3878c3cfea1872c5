/* log_recover.h: opening a log to write, after whatever happened to it. */
#ifndef LEAT_LOG_LOG_RECOVER_H
#define LEAT_LOG_LOG_RECOVER_H

#include "log/log_writer.h"

/* Finds or makes the last segment, cuts off what was not committed, and puts w
 * at its end.  w holds the lock. */
int log_recover(struct log_writer *w, struct registry *tables, struct err *e)
	MUST_CHECK;

#endif
