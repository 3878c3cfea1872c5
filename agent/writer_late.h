/* writer_late.h: what the sink says of events that it had taken, long after that.
 *
 * It is opened again then, and the events come again; those that it does not take
 * are known by their seq until what is committed covers them. */
#ifndef LEAT_AGENT_WRITER_LATE_H
#define LEAT_AGENT_WRITER_LATE_H

#include "agent/writer_steps.h"

/* As writer_settle(); STEP_REWIND when the verdict is about such an event. */
enum step writer_settle_late(struct writer *w, enum verdict v, struct err *e);
void writer_forget_refused(struct writer *w, uint64_t seq);
/* The first event of the range that was refused before, and why; to: none. */
size_t writer_find_refused(const struct writer *w, const struct batch *b,
			   size_t from, size_t to, struct err *why);

#endif
