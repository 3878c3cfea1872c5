#include "config.h"
#include "agent/session.h"

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

	*s = (struct session){.pc = pc};
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
	return claim(s, e);
}

int session_resume(struct session *s, struct err *e)
{
	s->resume.is_forced = true;
	return resume_decide(&s->resume, s->snk, s->state, e);
}

void session_close(struct session *s)
{
	/* the claim on the source covers the sink */
	sink_free(s->snk);
	source_free(s->src);
	state_close(s->state);
	resume_fini(&s->resume);
}
