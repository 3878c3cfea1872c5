/* log_retention.h: whole segments go, the oldest first. */
#ifndef LEAT_LOG_LOG_RETENTION_H
#define LEAT_LOG_LOG_RETENTION_H

#include "log/log_writer.h"

/* Deletes what the conf allows, and notes it.  What could not be deleted now is
 * tried again at the next call. */
void log_retention(struct log_writer *w);

#endif
