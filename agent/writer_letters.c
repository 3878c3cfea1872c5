#include "config.h"
#include "agent/writer_letters.h"

#include "agent/writer_late.h"
#include "base/fault.h"

/* A commit with nothing but a letter stands where the last one did.  Where commits
 * end with transactions, not inside of one. */
static bool may_redeliver(const struct writer *w)
{
	return w->last == NULL && reject_has_wanted(w->reject) &&
	       (w->is_between || !writer_is_whole(w));
}

static enum step write_letter(struct writer *w, const struct batch *b,
			      struct err *why, struct err *e)
{
	bool is_rejected;
	enum verdict v;
	enum step step;

	do {
		v = w->sink->ops->write(w->sink, b, 0, b->n, e);
		is_rejected = v == VERDICT_REJECT && e->seq == 0;
		step = is_rejected ? STEP_DONE : writer_settle_late(w, v, e);
	} while (step == STEP_AGAIN);
	if (is_rejected) {
		*why = *e;
		*e = ERR_INIT;
	}
	return step;
}

/* The cursor of its commit says which letter it was: whatever happens then, what the
 * sink holds tells whether it was delivered. */
static enum step commit_letter(struct writer *w, const struct batch *b,
			       uint64_t letter, struct err *e)
{
	struct cursor c = w->committed;
	enum step step = writer_note_written(w, b, 0, b->n, e);

	c.letter = fault_mutates("letter_unnamed", "") ? 0 : letter;
	if (step == STEP_DONE)
		step = writer_commit_sink(w, &c, e);
	if (step != STEP_DONE)
		return step;
	retry_reset(&w->rewinds);
	w->hooks.committed(w->hooks.arg, &w->committed, w->events);
	w->events = 0;
	do {
		step = writer_settle_state(
			w, reject_delivered(w->reject, letter, e), e);
	} while (step == STEP_AGAIN);
	return step;
}

static enum step letter_failed(struct writer *w, uint64_t letter,
			       const struct err *why, struct err *e)
{
	enum step step;

	do {
		step = writer_settle_state(
			w, reject_failed(w->reject, letter, why, e), e);
	} while (step == STEP_AGAIN);
	return step;
}

static enum step redeliver_one(struct writer *w, const struct batch *b,
			       uint64_t letter, struct err *e)
{
	struct err why = ERR_INIT;
	enum step step = write_letter(w, b, &why, e);

	if (step == STEP_DONE && !err_is_set(&why))
		step = commit_letter(w, b, letter, e);
	if (step == STEP_REWIND && e->code == CODE_event_rejected)
		why = *e;
	/* it may be tried again some day */
	writer_forget_refused(w, w->committed.seq);
	if (step == STEP_REWIND && writer_rewind(w, e) != 0)
		return STEP_FAIL;
	if (err_is_set(&why))
		return letter_failed(w, letter, &why, e);
	return step == STEP_REWIND ? STEP_DONE : step;
}

/* Those that are wanted, in their order. */
enum step writer_redeliver(struct writer *w, struct err *e)
{
	enum step step = STEP_DONE;

	while (step == STEP_DONE && may_redeliver(w)) {
		uint64_t letter = 0;
		const struct batch *b = reject_next(w->reject, &letter, e);

		if (b != NULL)
			step = redeliver_one(w, b, letter, e);
		else if (letter != 0 && e->code == CODE_state_corrupt) {
			struct err why = *e;

			*e = ERR_INIT;
			step = letter_failed(w, letter, &why, e);
		} else if (err_is_set(e))
			step = writer_settle_state(w, -1, e) == STEP_AGAIN ? STEP_DONE
								    : STEP_FAIL;
	}
	return step;
}
