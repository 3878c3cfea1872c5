#include "config.h"
#include "agent/status.h"

#include <unistd.h>

#include "agent/dlq.h"
#include "agent/state.h"
#include "base/clock.h"
#include "base/json.h"

static void put_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "\"%s\":", key);
	json_quoted(out, slice_of(value));
	buf_u8(out, ',');
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, "\"%s\":%llu,", key, (unsigned long long)value);
}

static void put_time(struct buf *out, const char *key, int64_t us)
{
	char time[CLOCK_ISO_SIZE];

	if (us == 0) {
		buf_printf(out, "\"%s\":null,", key);
		return;
	}
	clock_iso(time, us);
	put_text(out, key, time);
}

/* Ends the object: the comma behind the last member goes. */
static void end_object(struct buf *out)
{
	if (out->n > 0 && out->p[out->n - 1] == ',')
		out->n--;
	buf_u8(out, '}');
}

static void put_head(struct buf *out, const struct conf_pipeline *pc,
		     const char *phase)
{
	buf_u8(out, '{');
	put_text(out, "name", pc->name);
	put_text(out, "source", pc->from->name);
	put_text(out, "sink", pc->to->name);
	put_text(out, "state", phase);
}

void status_put_error(struct buf *out, const struct err *e)
{
	put_text(out, "code", code_name(e->code));
	if (!err_is_set(e))
		return;
	put_text(out, "message", e->msg);
	if (e->detail[0] != '\0')
		put_text(out, "detail", e->detail);
	if (e->hint[0] != '\0')
		put_text(out, "hint", e->hint);
}

static void put_cursor(struct buf *out, const struct buf *text)
{
	buf_text(out, "\"cursor\":");
	if (text->n > 0)
		json_quoted(out, buf_get(text));
	else
		buf_text(out, "null");
	buf_u8(out, ',');
}

static void put_dead(struct buf *out, bool is_known, uint64_t letters,
		     uint64_t skipped)
{
	if (!is_known) {
		buf_text(out, "\"dead_letters\":null,\"skipped\":null,");
		return;
	}
	put_number(out, "dead_letters", letters);
	put_number(out, "skipped", skipped);
}

static void put_pipeline(struct pipeline *p, struct buf *out)
{
	struct pipeline_status st;

	pipeline_status(p, &st);
	put_head(out, pipeline_conf(p), pipeline_phase_names[st.phase]);
	status_put_error(out, &st.err);
	put_time(out, "since", st.since_us);
	put_cursor(out, &st.cursor);
	put_number(out, "seq", st.seq);
	put_number(out, "events", st.events);
	put_number(out, "batches", st.batches);
	put_number(out, "commits", st.commits);
	put_number(out, "attempts", st.attempts);
	if (st.gear != NULL)
		put_text(out, "gear", st.gear);
	else
		buf_text(out, "\"gear\":null,");
	put_number(out, "queue_bytes", st.queue_bytes);
	put_number(out, "queue_limit", st.queue_limit);
	if (st.behind_bytes == UINT64_MAX)
		buf_text(out, "\"behind_bytes\":null,");
	else
		put_number(out, "behind_bytes", st.behind_bytes);
	put_dead(out, st.has_dead, st.dead_letters, st.skipped);
	put_time(out, "last_commit", st.last_commit_us);
	put_time(out, "last_heard", st.last_heard_us);
	end_object(out);
	buf_fini(&st.cursor);
}

static void put_agent(struct buf *out, bool is_running)
{
	buf_u8(out, '{');
	put_text(out, "version", PACKAGE_VERSION);
	buf_printf(out, "\"running\":%s,", is_running ? "true" : "false");
}

void status_print(const struct status_agent *agent, struct buf *out)
{
	put_agent(out, true);
	put_number(out, "pid", (uint64_t)getpid());
	put_time(out, "started", agent->started_us);
	buf_text(out, "\"pipelines\":[");
	for (size_t i = 0; i < agent->n; i++) {
		if (i > 0)
			buf_u8(out, ',');
		put_pipeline(agent->pipelines[i], out);
	}
	buf_text(out, "]}\n");
}

static void put_offline(const struct conf *conf, const struct conf_pipeline *pc,
			struct buf *out)
{
	struct err e = ERR_INIT, ignored = ERR_INIT;
	struct buf text = BUF_INIT;
	struct dlq_counts dead;
	bool is_known;
	struct cursor c = {0};
	struct state *st = state_open(conf->state_dir, pc->name, STATE_LOOK,
				      false, &e);

	put_head(out, pc, "not running");
	if (st != NULL && state_cursor(st, &text, &e) == 0 && text.n > 0 &&
	    cursor_parse(buf_get(&text), &c, &e) != 0)
		buf_reset(&text, 0);
	/* that it has never run is no error */
	if (e.code == CODE_failed)
		e = ERR_INIT;
	status_put_error(out, &e);
	put_cursor(out, &text);
	put_number(out, "seq", c.seq);
	is_known = dlq_look(conf->state_dir, pc->name, &dead, &ignored) == 0;
	put_dead(out, is_known, dead.letters, dead.skipped);
	end_object(out);
	state_close(st);
	buf_fini(&text);
}

void status_print_offline(const struct conf *conf, struct buf *out)
{
	put_agent(out, false);
	buf_text(out, "\"pipelines\":[");
	for (const struct conf_pipeline *pc = conf->pipelines; pc != NULL;
	     pc = pc->next) {
		if (pc != conf->pipelines)
			buf_u8(out, ',');
		put_offline(conf, pc, out);
	}
	buf_text(out, "]}\n");
}
