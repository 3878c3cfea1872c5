/* cmd_offsets.c: where a pipeline stands, and putting it elsewhere by order. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/session.h"
#include "base/json.h"

static int show_one(struct cli *cli, const char *pipeline, struct buf *out,
		    bool *is_first, struct err *e)
{
	struct state *st = state_open(cli->conf->state_dir, pipeline, STATE_LOOK,
				      false, e);
	struct buf text = BUF_INIT;
	struct cursor c = {0};
	int rc = -1;

	if (st == NULL)
		return -1;
	if (state_cursor(st, &text, e) != 0 ||
	    (text.n > 0 && cursor_parse(buf_get(&text), &c, e) != 0))
		goto out;
	if (cli->flags & CLI_JSON) {
		buf_printf(out, "%s{\"pipeline\":", *is_first ? "" : ",");
		json_quoted(out, slice_of(pipeline));
		buf_printf(out, ",\"incarnation\":%u,\"seq\":%llu,\"source\":",
			   c.incarnation, (unsigned long long)c.seq);
		json_quoted(out, c.source);
		buf_u8(out, '}');
	} else if (c.incarnation == 0)
		buf_printf(out, "%s: nothing has been read yet\n", pipeline);
	else
		buf_printf(out, "%s: incarnation %u, seq %llu\n  %.*s\n",
			   pipeline, c.incarnation, (unsigned long long)c.seq,
			   SLICE_ARG(c.source));
	*is_first = false;
	rc = 0;
out:
	buf_fini(&text);
	state_close(st);
	return rc;
}

static int show(struct cli *cli, const char *only)
{
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	bool is_first = true;
	int rc = 0;

	if (cli->flags & CLI_JSON)
		buf_u8(&out, '[');
	for (const struct conf_pipeline *pc = cli->conf->pipelines;
	     pc != NULL && rc == 0; pc = pc->next) {
		if (only != NULL && strcmp(only, pc->name) != 0)
			continue;
		if (show_one(cli, pc->name, &out, &is_first, &e) == 0)
			continue;
		if (only != NULL || e.code != CODE_failed)
			rc = cli_fail(&e);
		e = ERR_INIT;
	}
	if (cli->flags & CLI_JSON)
		buf_text(&out, "]\n");
	if (rc == 0)
		rc = cli_put(&out);
	buf_fini(&out);
	return rc;
}

static int is_allowed(struct cli *cli, const struct seek *seek, struct err *e)
{
	if (seek->skips && !(cli->flags & CLI_GAP)) {
		err_set(e, CODE_failed, "this position leaves changes out");
		err_detail(e, "%s", seek->note);
		err_hint(e, "Say --accept-gap to go on without them; a gap event "
			    "marks the place in the sink.");
		return -1;
	}
	if (seek->repeats && !(cli->flags & CLI_REPEAT)) {
		err_set(e, CODE_failed, "this position delivers changes again");
		err_detail(e, "%s", seek->note);
		err_hint(e, "Say --accept-repeat; their ids will be of the new "
			    "incarnation.");
		return -1;
	}
	return 0;
}

/* What was done, and how it is undone. */
static int put_moved(const struct cli *cli, const struct session *s,
		     const struct seek *seek)
{
	const struct cursor *was = &s->resume.cursor;
	struct buf out = BUF_INIT;
	int rc;

	buf_printf(&out, "%s: incarnation %u now begins at\n  %.*s\n",
		   s->pc->name, was->incarnation + 1,
		   SLICE_ARG(buf_get(&seek->source)));
	if (seek->note[0] != '\0')
		buf_printf(&out, "%s\n", seek->note);
	if (was->incarnation != 0 && !slice_is(was->source, "intent")) {
		buf_text(&out, "undo: leat offsets set");
		cli_put_conf(cli, &out);
		buf_printf(&out, " %s '%.*s' --accept-gap --accept-repeat\n",
			   s->pc->name, SLICE_ARG(was->source));
	}
	rc = cli_put(&out);
	buf_fini(&out);
	return rc;
}

static int set(struct cli *cli, const struct conf_pipeline *pc,
	       const char *position)
{
	struct err e = ERR_INIT;
	struct seek seek = {.adopt = cli->adopt, .source = BUF_INIT};
	struct session s;
	int rc;

	rc = session_open(&s, cli->conf, pc, &e);
	if (rc == 0)
		rc = session_resume(&s, &e);
	if (rc == 0)
		rc = session_seek(&s, position, &seek, &e);
	if (rc == 0)
		rc = is_allowed(cli, &seek, &e);
	if (rc == 0)
		rc = session_move(&s, &seek, &e);
	if (rc == 0)
		rc = put_moved(cli, &s, &seek);
	else
		rc = cli_fail(&e);
	buf_fini(&seek.source);
	session_close(&s);
	return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct conf_pipeline *pc = NULL;
	bool is_show = argc >= 1 && strcmp(argv[0], "show") == 0;
	bool is_set = argc >= 1 && strcmp(argv[0], "set") == 0;
	int rc;

	if (!(is_show && argc <= 2) && !(is_set && argc == 3))
		return cli_usage(cli, "offsets takes show or set");
	if (is_show && (cli->flags & (CLI_GAP | CLI_REPEAT | CLI_ADOPT)))
		return cli_usage(cli, "offsets show accepts nothing");
	if (is_set && (cli->flags & CLI_JSON))
		return cli_usage(cli, "offsets set prints text only");
	rc = cli_conf(cli);
	if (rc != 0)
		return rc;
	if (argc >= 2 && (pc = cli_pipeline(cli, argv[1])) == NULL)
		return code_exit(CODE_usage);
	return is_show ? show(cli, pc ? pc->name : NULL)
		       : set(cli, pc, argv[2]);
}

const struct command command_offsets = {
	.name = "offsets",
	.options = CLI_JSON | CLI_GAP | CLI_REPEAT | CLI_ADOPT,
	.synopsis = "show [--json] [PIPELINE] | "
		    "set PIPELINE POSITION [--accept-gap] [--accept-repeat] [--adopt SLOT]",
	.summary = "Shows where a pipeline stands, or puts it elsewhere",
	.help = "POSITION: now (from here on), slot (the nearest to what was delivered that\n"
		"the source still has), what `leat offsets show` printed; for Postgres an\n"
		"LSN or the offset of a Debezium connector; for a log earliest, latest, seq:N\n"
		"or time:T.  Not while the pipeline runs.\n",
	.run = run,
};
