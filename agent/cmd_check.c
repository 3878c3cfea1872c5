/* cmd_check.c: contacts what the conf names and says what is missing, what will
 * go wrong, and what the agent costs the source.  Changes nothing. */
#include "config.h"

#include <stdio.h>

#include "agent/cli.h"
#include "agent/orphans.h"
#include "base/json.h"

static const char *const level_names[] = {"ok", "cost", "warning", "error"};

static void print_text(const struct report *r)
{
	for (const struct finding *f = r->first; f != NULL; f = f->next) {
		printf("%s: %s: %s\n", level_names[f->level], f->where, f->text);
		if (f->sql != NULL)
			printf("  %s\n", f->sql);
	}
	printf("%zu errors, %zu warnings\n", r->errors, r->warnings);
}

static void print_sql(const struct report *r)
{
	for (const struct finding *f = r->first; f != NULL; f = f->next)
		if (f->sql != NULL)
			printf("%s\n", f->sql);
}

static int print_json(const struct report *r)
{
	struct buf out = BUF_INIT;
	int rc;

	buf_printf(&out, "{\"errors\":%zu,\"warnings\":%zu,\"findings\":[",
		   r->errors, r->warnings);
	for (const struct finding *f = r->first; f != NULL; f = f->next) {
		buf_printf(&out, "%s{\"level\":\"%s\",\"code\":\"%s\",\"where\":",
			   f == r->first ? "" : ",", level_names[f->level],
			   code_name(f->code));
		json_quoted(&out, slice_of(f->where));
		buf_text(&out, ",\"text\":");
		json_quoted(&out, slice_of(f->text));
		buf_text(&out, ",\"sql\":");
		if (f->sql != NULL)
			json_quoted(&out, slice_of(f->sql));
		else
			buf_text(&out, "null");
		buf_u8(&out, '}');
	}
	buf_text(&out, "]}\n");
	rc = cli_put(&out);
	buf_fini(&out);
	return rc;
}

/* What a source or sink could not be asked for stands in the report, too. */
static int could_not_ask(struct report *r, const char *where, const struct err *e)
{
	report_err(r, where, e);
	return code_exit(e->code);
}

static int check_source(const struct conf *conf, const struct conf_pipeline *pc,
			struct report *r)
{
	struct source *src = source_new(pc->from->source, pc->from->name,
					pc->name, pc->from->values);
	struct err e = ERR_INIT;
	char where[160];
	int status = 0;

	snprintf(where, sizeof(where), "pipeline \"%s\": source \"%s\"", pc->name,
		 pc->from->name);
	if (src != NULL && conf_is_first(conf, pc))
		src->siblings = conf->names;
	if (src == NULL ? err_no_memory(&e) != 0 : src->ops->check(src, r, &e) != 0)
		status = could_not_ask(r, where, &e);
	source_free(src);
	return status;
}

static int check_sink(const struct conf_pipeline *pc, struct report *r)
{
	struct sink *snk = sink_new(pc->to->sink, pc->to->name, pc->name,
				    pc->to->values);
	struct err e = ERR_INIT;
	char where[160];
	int status = 0;

	snprintf(where, sizeof(where), "pipeline \"%s\": sink \"%s\"", pc->name,
		 pc->to->name);
	if (snk == NULL ? err_no_memory(&e) != 0 : snk->ops->check(snk, r, &e) != 0)
		status = could_not_ask(r, where, &e);
	sink_free(snk);
	return status;
}

/* The exit status of the first thing that could not be asked, else 0. */
static int check_pipeline(const struct conf *conf, const struct conf_pipeline *pc,
			  struct report *r)
{
	int source = check_source(conf, pc, r), sink = check_sink(pc, r);

	return source != 0 ? source : sink;
}

static void check_orphan(void *arg, const char *where, const char *name,
			 const char *what, const char *hint)
{
	(void)name;
	report_add(arg, FINDING_WARNING, CODE_orphan, where, NULL,
		   "%s\nhint: %s", what, hint);
}

static int check_all(struct cli *cli, const struct conf_pipeline *only,
		     struct report *r)
{
	int status = 0;

	for (const struct conf_pipeline *pc = cli->conf->pipelines; pc != NULL;
	     pc = pc->next) {
		int rc = only == NULL || only == pc ? check_pipeline(cli->conf, pc, r) : 0;

		if (status == 0)
			status = rc;
	}
	if (only == NULL)
		orphans_each(cli->conf, check_orphan, r);
	return status;
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct conf_pipeline *only = NULL;
	struct err e = ERR_INIT;
	struct report r;
	int status, rc = 0;

	if (argc > 1)
		return cli_usage(cli, "check takes one pipeline at most");
	if (cli->flags & CLI_JSON && cli->flags & CLI_SQL)
		return cli_usage(cli, "--json and --sql do not go together");
	status = cli_conf(cli);
	if (status != 0)
		return status;
	if (argc == 1 && (only = cli_pipeline(cli, argv[0])) == NULL)
		return code_exit(CODE_usage);
	report_init(&r);
	status = check_all(cli, only, &r);
	if (cli->flags & CLI_JSON)
		rc = print_json(&r);
	else if (cli->flags & CLI_SQL)
		print_sql(&r);
	else
		print_text(&r);
	if (r.is_short) {
		err_no_memory(&e);
		rc = cli_fail(&e);
	}
	if (status == 0 && (r.errors > 0 || rc != 0))
		status = code_exit(CODE_failed);
	report_fini(&r);
	return status;
}

const struct command command_check = {
	.name = "check",
	.options = CLI_JSON | CLI_SQL,
	.synopsis = "[--json | --sql] [PIPELINE]",
	.summary = "Contacts every server and says what is missing and what it will cost",
	.help = "Changes nothing.  Exit status 0 when nothing is in the way, 1 when\n"
		"something is, 5 or 6 when source or sink cannot be reached.\n",
	.run = run,
};
