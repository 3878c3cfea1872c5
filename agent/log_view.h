/* log_view.h: events of a log on standard output, for `leat log cat` and tail. */
#ifndef LEAT_AGENT_LOG_VIEW_H
#define LEAT_AGENT_LOG_VIEW_H

#include "log/log.h"
#include "schema/encode.h"

struct log_view {
	struct encoding encoding;
	const struct slice *tables; /* patterns; none: all events */
	size_t ntables;
	unsigned ops;	 /* 1 << op; 0: all */
	uint64_t to_seq; /* the last one; 0: no limit */
	int64_t to_us;	 /* none committed later; 0: no limit */
	uint64_t count;	 /* so many events; 0: all */
	bool follow;	 /* wait for more */
	int stop_fd;	 /* readable: stop; or -1 */
};

/* One JSON document a line.  0 at the end, or when it was stopped. */
int log_view_run(const char *path, const struct log_start *start,
		 const struct log_view *view, struct err *e) MUST_CHECK;

#endif
