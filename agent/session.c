#include "config.h"
#include "agent/session.h"

#include "agent/dlq.h"
#include "base/clock.h"

static int claim(struct session *s, struct err *e)
{
	switch (s->src->ops->claim(s->src, e)) {
	case CLAIM_OK:
		return 0;
	case CLAIM_HELD:
		*e = ERR_INIT;
		err_set(e, CODE_running,
			"another agent holds the claim of pipeline \"%s\"",
			s->pc->name);
		err_hint(e, "Stop that agent first.");
		return -1;
	case CLAIM_ERROR:
		break;
	}
	return -1;
}

int session_open(struct session *s, const struct conf *conf,
		 const struct conf_pipeline *pc, struct err *e)
{
	const struct conf_section *from = pc->from, *to = pc->to;

	*s = (struct session){.pc = pc, .state_dir = conf->state_dir};
	resume_init(&s->resume);
	s->state = state_open(conf->state_dir, pc->name, STATE_CREATE, true, e);
	if (s->state == NULL) {
		if (e->code == CODE_state_held)
			e->code = CODE_running;
		return -1;
	}
	s->src = source_new(from->source, from->name, pc->name, from->values);
	s->snk = sink_new(to->sink, to->name, pc->name, to->values);
	if (s->src == NULL || s->snk == NULL)
		return err_no_memory(e);
	s->src->wake_fd = -1;
	s->src->start = pc->start;
	s->snk->source = from->name;
	return claim(s, e);
}

/* The next cursor no longer tells that a letter was delivered. */
static int settle_letter(struct session *s, struct err *e)
{
	struct dlq *q;
	int rc = 0;

	if (s->resume.cursor.letter == 0)
		return 0;
	q = dlq_open(s->state_dir, s->pc->name, false, e);
	if (q != NULL)
		rc = dlq_remove(q, s->resume.cursor.letter, e);
	dlq_close(q);
	return err_is_set(e) ? -1 : rc;
}

int session_resume(struct session *s, struct err *e)
{
	s->resume.is_forced = true;
	if (resume_decide(&s->resume, s->snk, s->state, e) != 0)
		return -1;
	return settle_letter(s, e);
}

/* --- putting it elsewhere --------------------------------------------- */

/* What the sink holds up to: the new position is compared with that. */
static const struct cursor *delivered(const struct session *s)
{
	return s->resume.is_behind ? &s->resume.held : &s->resume.cursor;
}

int session_seek(struct session *s, const char *position, struct seek *seek,
		 struct err *e)
{
	if (seek->adopt != NULL && !(s->src->ops->caps & SOURCE_ADOPTS))
		return err_set(e, CODE_usage, "a source of type %s adopts nothing",
			       s->src->ops->type);
	if (s->src->ops->seek(s->src, slice_of(position), delivered(s), seek,
			      e) != 0)
		return -1;
	/* a sink that lost all it had cannot be compared with anything */
	seek->skips |= s->resume.is_behind && s->resume.held.incarnation == 0;
	return 0;
}

/* A batch with the gap event, or with nothing when nothing is skipped. */
static int fill(struct batch *b, const struct session *s,
		const struct seek *seek, struct cursor *to,
		const struct origin *origin, struct err *e)
{
	struct event *ev;
	struct txn *txn;

	if (seek->skips) {
		to->seq++;
		txn = arena_new(&b->arena, struct txn);
		ev = batch_add(b);
		if (txn == NULL || ev == NULL)
			return err_no_memory(e);
		*txn = (struct txn){.origin = origin,
				    .commit_us = clock_wall_us()};
		ev->op = OP_GAP;
		ev->txn = txn;
		ev->seq = to->seq;
		ev->read_us = txn->commit_us;
		ev->gap = arena_new(&b->arena, struct gap);
		if (ev->gap == NULL)
			return err_no_memory(e);
		ev->gap->from = slice_dup(&b->arena, delivered(s)->source);
		ev->gap->to = slice_dup(&b->arena, to->source);
		ev->gap->reason = SLICE("leat offsets set");
	}
	return batch_set_cursor(b, to, e);
}

static int deliver(struct session *s, const struct batch *b, struct err *e)
{
	enum verdict v = VERDICT_OK;

	if (b->n > 0)
		v = s->snk->ops->write(s->snk, b, 0, b->n, e);
	if (v == VERDICT_OK)
		v = s->snk->ops->commit(s->snk, &b->cursor, e);
	if (v == VERDICT_OK)
		return 0;
	return err_set(e, CODE_failed, "the sink did not take the new position");
}

int session_move(struct session *s, const struct seek *seek, struct err *e)
{
	struct cursor *was = &s->resume.cursor;
	struct cursor to = {was->incarnation + 1, was->seq,
			    buf_get(&seek->source), 0, false};
	const struct source_ops *ops = s->src->ops;
	const struct origin origin = {
		.connector = slice_of(ops->connector ? ops->connector
						     : ops->type),
		.name = slice_of(s->pc->from->name),
		.version = SLICE(PACKAGE_VERSION),
		.incarnation = to.incarnation,
	};
	struct batch *b = batch_new();
	int rc = -1;

	if (b == NULL)
		return err_no_memory(e);
	if (fill(b, s, seek, &to, &origin, e) == 0 &&
	    state_set_pending(s->state, to.incarnation, e) == 0 &&
	    deliver(s, b, e) == 0 &&
	    state_set_cursor(s->state, &b->cursor, e) == 0 &&
	    state_set_pending(s->state, 0, e) == 0)
		rc = 0;
	batch_free(b);
	return rc;
}

void session_close(struct session *s)
{
	/* the claim on the source covers the sink */
	sink_free(s->snk);
	source_free(s->src);
	state_close(s->state);
	resume_fini(&s->resume);
}
