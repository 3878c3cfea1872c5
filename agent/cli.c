#include "config.h"
#include "agent/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/note.h"
#include "base/utf8.h"

#define DEFAULT_CONF SYSCONFDIR "/leat/leat.conf"

static const struct command *const commands[] = {
	&command_run,	 &command_check,   &command_status, &command_log,
	&command_schema, &command_offsets, &command_dlq,    &command_drop,
	&command_version,
};

enum {
	ARG_JSON = 256, ARG_SQL, ARG_GAP, ARG_REPEAT, ARG_ADOPT, ARG_YES, ARG_HELP,
	ARG_VERSION
};

static const struct option long_options[] = {
	{"conf", required_argument, NULL, 'c'},
	{"json", no_argument, NULL, ARG_JSON},
	{"sql", no_argument, NULL, ARG_SQL},
	{"accept-gap", no_argument, NULL, ARG_GAP},
	{"accept-repeat", no_argument, NULL, ARG_REPEAT},
	{"adopt", required_argument, NULL, ARG_ADOPT},
	{"yes", no_argument, NULL, ARG_YES},
	{"help", no_argument, NULL, ARG_HELP},
	{"version", no_argument, NULL, ARG_VERSION},
	{NULL, 0, NULL, 0},
};

static const struct {
	unsigned flag;
	const char *text;
} option_help[] = {
	{CLI_JSON, "  --json           print JSON\n"},
	{CLI_SQL, "  --sql            print only the SQL statements that mend what was found\n"},
	{CLI_GAP, "  --accept-gap     changes between the old and the new position may be lost\n"},
	{CLI_REPEAT, "  --accept-repeat  changes that were delivered may come again\n"},
	{CLI_ADOPT, "  --adopt SLOT     go on from where the agent stood that this slot belongs to\n"},
	{CLI_YES, "  --yes            do it, do not only say what would be done\n"},
};

static void put_help(FILE *f)
{
	fprintf(f, "usage: leat [-n] [-c FILE] COMMAND [ARGUMENT ...]\n\n"
		   "Delivers every committed change of a database exactly once.\n\n"
		   "commands:\n");
	for (size_t i = 0; i < countof(commands); i++)
		fprintf(f, "  %-8s %s\n", commands[i]->name,
			commands[i]->summary);
	fprintf(f, "\noptions:\n"
		   "  -c, --conf FILE  the conf file (default: %s)\n"
		   "  -n               only read the conf and print it with all defaults\n"
		   "  --version        the same as the command version\n"
		   "  --help           this; `leat COMMAND --help` for a command\n"
		   "\nleat(1) has the rest.\n", DEFAULT_CONF);
}

static void put_command_help(const struct command *c)
{
	printf("usage: leat %s [-c FILE]%s%s\n\n%s.\n", c->name,
	       c->synopsis[0] ? " " : "", c->synopsis, c->summary);
	if (c->help != NULL)
		printf("\n%s", c->help);
	printf("\noptions:\n  -c, --conf FILE  the conf file (default: %s)\n",
	       DEFAULT_CONF);
	for (size_t i = 0; i < countof(option_help); i++)
		if (c->options & option_help[i].flag)
			fputs(option_help[i].text, stdout);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < countof(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	const struct command *c = cli->command;
	va_list ap;

	fputs("leat: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (c != NULL)
		fprintf(stderr, "\nusage: leat %s [-c FILE]%s%s\n", c->name,
			c->synopsis[0] ? " " : "", c->synopsis);
	else
		fprintf(stderr, "\nhint: `leat --help` lists the commands.\n");
	return code_exit(CODE_usage);
}

int cli_fail(const struct err *e)
{
	fprintf(stderr, "leat: %s\n", e->msg);
	if (e->detail[0] != '\0')
		fprintf(stderr, "detail: %s\n", e->detail);
	if (e->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", e->hint);
	return code_exit(e->code);
}

int cli_conf(struct cli *cli)
{
	struct conf_error *errors = NULL;
	struct buf text = BUF_INIT;

	cli->conf = conf_read(cli->conf_path, &errors);
	conf_errors_put(errors, &text);
	if (text.n > 0)
		fwrite(text.p, text.n, 1, stderr);
	buf_fini(&text);
	conf_errors_free(errors);
	if (cli->conf == NULL)
		return code_exit(CODE_conf_value);
	note_setup((enum note_level)cli->conf->log_level,
		   cli->conf->log_format != 0);
	return 0;
}

const struct conf_pipeline *cli_pipeline(struct cli *cli, const char *name)
{
	const struct conf_pipeline *pc = conf_find_pipeline(cli->conf, name);

	if (pc != NULL)
		return pc;
	fprintf(stderr, "leat: pipeline \"%s\" is not in \"%s\"\n", name,
		cli->conf_path);
	fprintf(stderr, "hint: The conf has:");
	for (pc = cli->conf->pipelines; pc != NULL; pc = pc->next)
		fprintf(stderr, " %s", pc->name);
	fprintf(stderr, "\n");
	return NULL;
}

int cli_put(struct buf *b)
{
	struct err e = ERR_INIT;

	if (!b->failed)
		utf8_mend(b->p, b->n);
	if (b->failed)
		err_no_memory(&e);
	else if ((b->n > 0 && fwrite(b->p, b->n, 1, stdout) != 1) ||
		 fflush(stdout) != 0)
		err_set(&e, CODE_failed, "could not write to standard output");
	return err_is_set(&e) ? cli_fail(&e) : 0;
}

void cli_put_conf(const struct cli *cli, struct buf *out)
{
	const char *env = getenv("LEAT_CONF");

	if (!cli->is_conf_given || (env != NULL && cli->conf_path == env))
		return;
	buf_text(out, " -c '");
	for (const char *p = cli->conf_path; *p != '\0'; p++) {
		if (*p == '\'')
			buf_text(out, "'\\'");
		buf_u8(out, (uint8_t)*p);
	}
	buf_u8(out, '\'');
}

static int only_parse(struct cli *cli)
{
	struct buf out = BUF_INIT;
	int rc = cli_conf(cli);

	if (rc == 0) {
		conf_print(cli->conf, &out);
		rc = cli_put(&out);
	}
	buf_fini(&out);
	return rc;
}

static unsigned flag_of(int opt)
{
	switch (opt) {
	case ARG_JSON:
		return CLI_JSON;
	case ARG_SQL:
		return CLI_SQL;
	case ARG_GAP:
		return CLI_GAP;
	case ARG_REPEAT:
		return CLI_REPEAT;
	case ARG_ADOPT:
		return CLI_ADOPT;
	case ARG_YES:
		return CLI_YES;
	}
	return 0;
}

/* -1: go on; else the exit status. */
static int take_option(struct cli *cli, int opt, const char *word)
{
	unsigned flag = flag_of(opt);

	if (opt == ':')
		return cli_usage(cli, "option \"%s\" needs a value", word);
	if (opt == 'c') {
		cli->conf_path = optarg;
		cli->is_conf_given = true;
		return -1;
	}
	if (opt == 'n') {
		cli->only_parse = true;
		return -1;
	}
	if (opt == ARG_HELP) {
		if (cli->command != NULL)
			put_command_help(cli->command);
		else
			put_help(stdout);
		return 0;
	}
	if (opt == ARG_VERSION && cli->command == NULL) {
		cli->command = &command_version;
		return -1;
	}
	if (cli->command == NULL || !(cli->command->options & flag))
		return cli_usage(cli, flag != 0 ? "option \"%s\" stands behind a command that has it"
						: "unknown option: \"%s\"", word);
	cli->flags |= flag;
	if (opt == ARG_ADOPT)
		cli->adopt = optarg;
	return -1;
}

/* The words may have been moved; of letters in one word the last is still to come. */
const char *cli_bad_word(int argc, char **argv)
{
	if (optind > 0 && argv[optind - 1][0] == '-')
		return argv[optind - 1];
	return optind < argc ? argv[optind] : "";
}

/* Options up to the first word (stop_at_word) or among the words. */
static int parse(struct cli *cli, int argc, char **argv, bool stop_at_word)
{
	int opt, rc;

	optind = 0; /* glibc: begin anew */
	opterr = 0;
	for (;;) {
		opt = getopt_long(argc, argv, stop_at_word ? "+:c:n" : ":c:n",
				  long_options, NULL);
		if (opt < 0)
			return -1;
		rc = take_option(cli, opt, cli_bad_word(argc, argv));
		if (rc >= 0)
			return rc;
	}
}

/* A command that reads its own options still shares -c. */
static void take_conf(struct cli *cli, int *argc, char **argv)
{
	int to = 1;

	for (int i = 1; i < *argc; i++) {
		const char *path = NULL;

		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--conf") == 0)
			path = i + 1 < *argc ? argv[++i] : NULL;
		else if (strncmp(argv[i], "--conf=", 7) == 0)
			path = argv[i] + 7;
		else if (strncmp(argv[i], "-c", 2) == 0)
			path = argv[i] + 2;
		if (path != NULL) {
			cli->conf_path = path;
			cli->is_conf_given = true;
		} else
			argv[to++] = argv[i];
	}
	*argc = to;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	int rc;

	if (cli->command->options & CLI_RAW) {
		take_conf(cli, &argc, argv);
		return cli->command->run(cli, argc - 1, argv + 1);
	}
	rc = parse(cli, argc, argv, false);
	if (rc >= 0)
		return rc;
	if (cli->only_parse)
		return only_parse(cli);
	return cli->command->run(cli, argc - optind, argv + optind);
}

static int obey(int argc, char **argv)
{
	const char *conf = getenv("LEAT_CONF");
	struct cli cli = {.conf_path = conf ? conf : DEFAULT_CONF,
			  .is_conf_given = conf != NULL};
	int rc = parse(&cli, argc, argv, true);

	if (rc >= 0)
		return rc;
	if (cli.command != NULL)
		rc = cli.command->run(&cli, 0, argv);
	else if (cli.only_parse && optind == argc)
		rc = only_parse(&cli);
	else if (optind >= argc) {
		put_help(stderr);
		rc = code_exit(CODE_usage);
	} else if ((cli.command = find(argv[optind])) == NULL)
		rc = cli_usage(&cli, "\"%s\" is not a command", argv[optind]);
	else if (cli.only_parse)
		rc = only_parse(&cli);
	else
		rc = dispatch(&cli, argc - optind, argv + optind);
	conf_free(cli.conf);
	return rc;
}

int cli_main(int argc, char **argv)
{
	int rc = obey(argc, argv);

	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		fprintf(stderr, "leat: could not write to standard output\n");
		rc = code_exit(CODE_failed);
	}
	return rc;
}
