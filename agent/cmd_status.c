#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/ask.h"
#include "agent/cli.h"
#include "agent/status.h"

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static void print_count(const json_t *p, const char *key, const char *label)
{
	const json_t *v = json_object_get(p, key);

	if (json_is_integer(v))
		printf("  %-12s %lld\n", label,
		       (long long)json_integer_value(v));
}

/* What there should be none of. */
static void print_some(const json_t *p, const char *key, const char *label)
{
	if (json_integer_value(json_object_get(p, key)) > 0)
		print_count(p, key, label);
}

static void print_pipeline(const json_t *p)
{
	static const char *const lines[][2] = {
		{"message", "why"},	 {"detail", "detail"},
		{"hint", "hint"},	 {"since", "since"},
		{"cursor", "committed"}, {"gear", "gear"},
		{"last_commit", "last change"},
	};
	const char *code = text_of(p, "code");

	printf("%s: %s -> %s: %s", text_of(p, "name"), text_of(p, "source"),
	       text_of(p, "sink"), text_of(p, "state"));
	if (strcmp(code, "none") != 0)
		printf(" (%s)", code);
	printf("\n");
	for (size_t i = 0; i < countof(lines); i++)
		if (json_is_string(json_object_get(p, lines[i][0])))
			printf("  %-12s %s\n", lines[i][1],
			       text_of(p, lines[i][0]));
	print_count(p, "events", "events");
	print_count(p, "commits", "commits");
	print_count(p, "queue_bytes", "queue bytes");
	print_count(p, "behind_bytes", "bytes behind");
	print_some(p, "dead_letters", "dead letters");
	print_some(p, "skipped", "left out");
}

static int print_document(const struct buf *doc)
{
	json_error_t je;
	json_t *root = json_loadb(doc->p, doc->n, 0, &je), *p;
	size_t i;

	if (root == NULL) {
		fprintf(stderr, "leat: the agent's answer is not JSON: %s\n",
			je.text[0] ? je.text : "out of memory");
		return 1;
	}
	if (json_is_true(json_object_get(root, "running")))
		printf("leat %s, pid %lld, since %s\n", text_of(root, "version"),
		       (long long)json_integer_value(json_object_get(root, "pid")),
		       text_of(root, "started"));
	else
		printf("not running; from the state files:\n");
	json_array_foreach(json_object_get(root, "pipelines"), i, p)
		print_pipeline(p);
	json_decref(root);
	return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct buf doc = BUF_INIT;
	int rc;

	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "status takes no words");
	rc = cli_conf(cli);
	if (rc != 0)
		return rc;
	switch (ask(cli->conf->control_socket, "GET", "/status", &doc, &e)) {
	case ASK_OK:
		break;
	case ASK_NOT_RUNNING:
		status_print_offline(cli->conf, &doc);
		break;
	case ASK_FAILED:
		buf_fini(&doc);
		return cli_fail(&e);
	}
	rc = cli->flags & CLI_JSON ? cli_put(&doc) : print_document(&doc);
	buf_fini(&doc);
	return rc;
}

const struct command command_status = {
	.name = "status",
	.options = CLI_JSON,
	.synopsis = "[--json]",
	.summary = "Shows where every pipeline stands",
	.help = "Asks the running agent over its control socket; when none runs, shows\n"
		"what the state files say.\n",
	.run = run,
};
