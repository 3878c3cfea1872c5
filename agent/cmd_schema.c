#include "config.h"

#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/state.h"
#include "base/json.h"

struct show {
	const char *pipeline;
	struct slice table;	/* only this one; n = 0: all */
	uint64_t from, to;	/* versions; 0: any */
	bool json, is_list, is_first;
	struct buf out;
	struct table *prev;	/* for diff; a reference */
	size_t shown;
};

static struct slice native(const struct column *c)
{
	return c->type_name.n ? c->type_name : slice_of(type_name(c->type));
}

static void put_column_json(const struct column *c, struct buf *out)
{
	buf_text(out, "{\"name\":");
	json_quoted(out, c->name);
	buf_printf(out, ",\"type\":\"%s\",\"native\":", type_name(c->type));
	json_quoted(out, native(c));
	buf_printf(out, ",\"nullable\":%s,\"key\":%u}",
		   c->is_nullable ? "true" : "false", c->key_position);
}

static void put_json(struct show *s, const struct table *tab)
{
	struct buf *out = &s->out;

	buf_text(out, s->is_first ? "" : ",");
	buf_text(out, "{\"pipeline\":");
	json_quoted(out, slice_of(s->pipeline));
	buf_text(out, ",\"table\":");
	json_quoted(out, tab->full_name);
	buf_printf(out, ",\"version\":%u,\"from_seq\":%llu,\"columns\":[",
		   tab->version, (unsigned long long)tab->from_seq);
	for (uint32_t i = 0; i < tab->ncols; i++) {
		buf_text(out, i ? "," : "");
		put_column_json(&tab->cols[i], out);
	}
	buf_text(out, "]}");
}

static void put_text(struct show *s, const struct table *tab)
{
	struct buf *out = &s->out;

	if (s->is_list) {
		buf_printf(out, "%s %.*s version %u from seq %llu, %u columns\n",
			   s->pipeline, SLICE_ARG(tab->full_name), tab->version,
			   (unsigned long long)tab->from_seq, tab->ncols);
		return;
	}
	buf_printf(out, "%.*s version %u from seq %llu\n",
		   SLICE_ARG(tab->full_name), tab->version,
		   (unsigned long long)tab->from_seq);
	for (uint32_t i = 0; i < tab->ncols; i++) {
		const struct column *c = &tab->cols[i];

		buf_printf(out, "  %.*s %.*s%s%s\n", SLICE_ARG(c->name),
			   SLICE_ARG(native(c)), c->is_nullable ? "" : " not null",
			   c->key_position ? " key" : "");
	}
}

static int show_one(void *arg, struct table *tab, struct err *e)
{
	struct show *s = arg;

	if ((s->table.n > 0 && !slice_eq(s->table, tab->full_name)) ||
	    (s->from != 0 && tab->version < s->from) ||
	    (s->to != 0 && tab->version > s->to))
		return 0;
	if (s->json)
		put_json(s, tab);
	else
		put_text(s, tab);
	s->is_first = false;
	s->shown++;
	return s->out.failed ? err_no_memory(e) : 0;
}

static void put_diff_json(struct show *s, const struct table *tab)
{
	struct buf lines = BUF_INIT, *out = &s->out;
	struct slice rest;

	table_diff(s->prev, tab, &lines);
	out->failed |= lines.failed;
	rest = buf_get(&lines);
	buf_text(out, s->is_first ? "" : ",");
	buf_text(out, "{\"pipeline\":");
	json_quoted(out, slice_of(s->pipeline));
	buf_text(out, ",\"table\":");
	json_quoted(out, tab->full_name);
	buf_printf(out, ",\"from\":%u,\"to\":%u,\"from_seq\":%llu,\"changes\":[",
		   s->prev->version, tab->version,
		   (unsigned long long)tab->from_seq);
	for (bool is_first = true; rest.n > 0; is_first = false) {
		buf_text(out, is_first ? "" : ",");
		json_quoted(out, slice_cut(&rest, '\n'));
	}
	buf_text(out, "]}");
	buf_fini(&lines);
	s->is_first = false;
}

/* Differences between each two neighbours of the wanted versions. */
static int diff_one(void *arg, struct table *tab, struct err *e)
{
	struct show *s = arg;

	if (!slice_eq(s->table, tab->full_name) ||
	    (s->from != 0 && tab->version < s->from) ||
	    (s->to != 0 && tab->version > s->to))
		return 0;
	s->shown++;
	if (s->prev != NULL && s->json) {
		put_diff_json(s, tab);
	} else if (s->prev != NULL) {
		buf_printf(&s->out, "%.*s version %u -> %u (from seq %llu)\n",
			   SLICE_ARG(tab->full_name), s->prev->version,
			   tab->version, (unsigned long long)tab->from_seq);
		table_diff(s->prev, tab, &s->out);
	}
	table_unref(s->prev);
	s->prev = table_ref(tab);
	return s->out.failed ? err_no_memory(e) : 0;
}

static int show_pipeline(struct cli *cli, struct show *s, bool is_diff,
			 struct err *e)
{
	struct state *st = state_open(cli->conf->state_dir, s->pipeline,
				      STATE_LOOK, false, e);
	int rc;

	if (st == NULL)
		return -1;
	rc = state_each_table(st, is_diff ? diff_one : show_one, s, e);
	state_close(st);
	table_unref(s->prev);
	s->prev = NULL;
	return rc;
}

/* Without a pipeline: all of them; that one has never run is no error then. */
static int list(struct cli *cli, struct show *s, const char *only)
{
	struct err e = ERR_INIT;

	for (const struct conf_pipeline *pc = cli->conf->pipelines; pc != NULL;
	     pc = pc->next) {
		if (only != NULL && strcmp(only, pc->name) != 0)
			continue;
		s->pipeline = pc->name;
		if (show_pipeline(cli, s, false, &e) != 0) {
			if (only != NULL || e.code != CODE_failed)
				return cli_fail(&e);
			e = ERR_INIT;
		}
	}
	return 0;
}

static int show_table(struct cli *cli, struct show *s, bool is_diff)
{
	struct err e = ERR_INIT;

	if (show_pipeline(cli, s, is_diff, &e) != 0)
		return cli_fail(&e);
	if (s->shown == 0) {
		err_set(&e, CODE_failed,
			"pipeline \"%s\" knows no such version of table \"%.*s\"",
			s->pipeline, SLICE_ARG(s->table));
		err_hint(&e, "`leat schema list %s` shows what it knows.",
			 s->pipeline);
		return cli_fail(&e);
	}
	if (is_diff && s->shown == 1 && !s->json)
		buf_printf(&s->out, "%.*s has one version\n",
			   SLICE_ARG(s->table));
	return 0;
}

/* What on_schema_change has stopped the pipeline for. */
static int accept(struct cli *cli, const char *pipeline, const char *table)
{
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	struct state *st = state_open(cli->conf->state_dir, pipeline, STATE_LOCK,
				      true, &e);
	int rc = -1;

	if (st != NULL && state_accept(st, table, &out, &e) == 0) {
		rc = out.n > 0 ? 0 : err_set(&e, CODE_failed,
			"pipeline \"%s\" waits for no change of a table's shape",
			pipeline);
	}
	if (st != NULL)
		state_close(st);
	rc = rc == 0 ? cli_put(&out) : cli_fail(&e);
	buf_fini(&out);
	return rc;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	struct show s = {.json = (cli->flags & CLI_JSON) != 0, .is_first = true,
			 .out = BUF_INIT};
	bool is_list = argc >= 1 && strcmp(argv[0], "list") == 0;
	bool is_show = argc >= 1 && strcmp(argv[0], "show") == 0;
	bool is_diff = argc >= 1 && strcmp(argv[0], "diff") == 0;
	bool is_accept = argc >= 1 && strcmp(argv[0], "accept") == 0;
	int rc;

	if (!(is_list && argc <= 2) && !(is_show && argc >= 3 && argc <= 4) &&
	    !(is_diff && argc >= 3 && argc <= 5) &&
	    !(is_accept && argc >= 2 && argc <= 3))
		return cli_usage(cli, "schema takes list, show, diff or accept");
	for (int i = 3; i < argc; i++)
		if (!slice_to_u64(slice_of(argv[i]), i == 3 ? &s.from : &s.to))
			return cli_usage(cli, "\"%s\" is not a version number",
					 argv[i]);
	if (is_show && s.from != 0)
		s.to = s.from;
	rc = cli_conf(cli);
	if (rc == 0 && argc >= 2 && cli_pipeline(cli, argv[1]) == NULL)
		rc = code_exit(CODE_usage);
	if (rc != 0)
		return rc;
	if (is_accept)
		return accept(cli, argv[1], argc == 3 ? argv[2] : NULL);
	s.is_list = is_list;
	if (s.json)
		buf_u8(&s.out, '[');
	if (is_list)
		rc = list(cli, &s, argc == 2 ? argv[1] : NULL);
	else {
		s.pipeline = argv[1];
		s.table = slice_of(argv[2]);
		rc = show_table(cli, &s, is_diff);
	}
	if (s.json)
		buf_text(&s.out, "]\n");
	if (rc == 0)
		rc = cli_put(&s.out);
	buf_fini(&s.out);
	return rc;
}

const struct command command_schema = {
	.name = "schema",
	.options = CLI_JSON,
	.synopsis = "list [PIPELINE] | show PIPELINE TABLE [VERSION] | "
		    "diff PIPELINE TABLE [FROM [TO]] | accept PIPELINE [TABLE]",
	.summary = "Shows the versions of tables that a pipeline has seen",
	.help = "TABLE is schema.name.  diff shows what changed from version to version;\n"
		"accept lets a change pass that on_schema_change has stopped the pipeline for.\n",
	.run = dispatch,
};
