#include "config.h"
#include "agent/writer_late.h"

#include <stdlib.h>

static const struct err *refusal_of(const struct writer *w, uint64_t seq)
{
	for (size_t i = 0; i < w->nrefused; i++)
		if (w->refused[i].seq == seq)
			return &w->refused[i];
	return NULL;
}

/* An event that is out of the way cannot be to blame again. */
static bool is_late_refusal(const struct writer *w, enum verdict v,
			    const struct err *e)
{
	return v == VERDICT_REJECT && e->seq != 0 &&
	       refusal_of(w, e->seq) == NULL;
}

/* A verdict that may be about an event which the sink has taken before. */
enum step writer_settle_late(struct writer *w, enum verdict v, struct err *e)
{
	struct err *grown;

	if (!is_late_refusal(w, v, e))
		return writer_settle(w, v, e);
	grown = realloc(w->refused, (w->nrefused + 1) * sizeof(*grown));
	if (grown == NULL) {
		*e = ERR_INIT;
		err_no_memory(e);
		return STEP_REWIND;
	}
	w->refused = grown;
	w->refused[w->nrefused++] = *e;
	return STEP_REWIND;
}

void writer_forget_refused(struct writer *w, uint64_t seq)
{
	size_t n = 0;

	for (size_t i = 0; i < w->nrefused; i++)
		if (w->refused[i].seq > seq)
			w->refused[n++] = w->refused[i];
	w->nrefused = n;
}

size_t writer_find_refused(const struct writer *w, const struct batch *b,
			   size_t from, size_t to, struct err *why)
{
	for (size_t i = from; w->nrefused > 0 && i < to; i++) {
		const struct err *e = refusal_of(w, b->ev[i].seq);

		if (b->ev[i].op == OP_SCHEMA || e == NULL)
			continue;
		*why = *e;
		return i;
	}
	return to;
}
