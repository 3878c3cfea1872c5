/* null.c: see null.h; leat.conf(5), section "Sinks". */
#include "config.h"
#include "sinks/null.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/note.h"

static const struct opt null_opts[] = {OPT_END};

struct null_sink {
	struct sink base;
	uint64_t events; /* thrown away since open() */
};

static int null_check(struct sink *snk, struct report *r, struct err *e)
{
	char where[256];

	(void)e;
	snprintf(where, sizeof(where), "sink \"%s\"", snk->name);
	report_add(r, FINDING_WARNING, CODE_none, where, NULL,
		   "everything is thrown away, and the source is told that it was delivered");
	return 0;
}

static int null_open(struct sink *snk, struct sink_held *held, struct err *e)
{
	(void)e;
	((struct null_sink *)snk)->events = 0;
	held->is_known = held->has_cursor = false;
	return 0;
}

static enum verdict null_write(struct sink *snk, const struct batch *b,
			       size_t first, size_t count, struct err *e)
{
	(void)b;
	(void)first;
	(void)e;
	((struct null_sink *)snk)->events += count;
	return VERDICT_OK;
}

static enum verdict null_commit(struct sink *snk, const struct cursor *c,
				struct err *e)
{
	(void)snk;
	(void)c;
	(void)e;
	return VERDICT_OK;
}

static enum verdict null_apply_schema(struct sink *snk, const struct event *ev,
				      struct err *e)
{
	(void)snk;
	(void)ev;
	(void)e;
	return VERDICT_OK;
}

static int null_drop(struct sink *snk, struct err *e)
{
	(void)snk;
	(void)e;
	return 0;
}

static void null_close(struct sink *snk)
{
	struct null_sink *nul = (struct null_sink *)snk;
	char component[256];

	if (nul->events == 0)
		return;
	snprintf(component, sizeof(component), "pipeline \"%s\"",
		 snk->pipeline);
	note(NOTE_INFO, component, CODE_progress, NULL,
	     "sink \"%s\" threw away %" PRIu64 " events", snk->name,
	     nul->events);
	nul->events = 0;
}

const struct sink_ops null_sink = {
	.type = "null",
	.class = SINK_AT_LEAST_ONCE,
	.opts = null_opts,
	.conf_size = 1, /* nothing in it */
	.size = sizeof(struct null_sink),
	.check = null_check,
	.open = null_open,
	.write = null_write,
	.commit = null_commit,
	.apply_schema = null_apply_schema,
	.drop = null_drop,
	.close = null_close,
};
