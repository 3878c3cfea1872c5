/* log_seek.h: finding the place where a reader begins. */
#ifndef LEAT_LOG_LOG_SEEK_H
#define LEAT_LOG_LOG_SEEK_H

#include "log/log_reader.h"

/* Opens the first segment and goes to where `start` says. */
int log_seek(struct log_reader *r, const struct log_start *start, struct err *e)
	MUST_CHECK;

#endif
