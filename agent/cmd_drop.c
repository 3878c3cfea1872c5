#include "config.h"

#include <stdio.h>

#include "agent/cli.h"
#include "agent/dlq.h"
#include "agent/session.h"

/* Server first: what remains after a kill can still be found by the state. */
static int drop(struct session *s, struct err *e)
{
	if (s->src->ops->drop(s->src, e) != 0)
		return -1;
	if (s->snk->ops->drop != NULL && s->snk->ops->drop(s->snk, e) != 0)
		return -1;
	return state_remove(s->state, e);
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct conf_pipeline *pc;
	struct dlq_counts dead;
	struct err e = ERR_INIT;
	struct session s;
	int rc;

	if (argc != 1)
		return cli_usage(cli, "drop takes the name of a pipeline");
	rc = cli_conf(cli);
	if (rc != 0)
		return rc;
	pc = cli_pipeline(cli, argv[0]);
	if (pc == NULL)
		return code_exit(CODE_usage);
	if (dlq_look(cli->conf->state_dir, pc->name, &dead, &e) != 0)
		return cli_fail(&e);
	if (!(cli->flags & CLI_YES)) {
		printf("would drop what pipeline \"%s\" has at source \"%s\" "
		       "(Postgres: slot and publication leat_%s)\nand its state "
		       "below \"%s\", with %llu dead letters; the data that "
		       "sink \"%s\" holds stay\nhint: Say --yes to do it.\n",
		       pc->name, pc->from->name, pc->name,
		       cli->conf->state_dir, (unsigned long long)dead.letters,
		       pc->to->name);
		return 0;
	}
	if (session_open(&s, cli->conf, pc, &e) != 0 || drop(&s, &e) != 0)
		rc = cli_fail(&e);
	else
		printf("dropped pipeline \"%s\"\n", pc->name);
	session_close(&s);
	return rc;
}

const struct command command_drop = {
	.name = "drop",
	.options = CLI_YES,
	.synopsis = "PIPELINE [--yes]",
	.summary = "Removes all that a pipeline keeps at its source, and its state",
	.help = "The data that the sink holds stay; Kafka's progress topic goes.\n"
		"Not while the pipeline runs.\n",
	.run = run,
};
