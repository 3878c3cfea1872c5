/* cli.h: what the commands share: options, the conf, printing. */
#ifndef LEAT_AGENT_CLI_H
#define LEAT_AGENT_CLI_H

#include "agent/conf.h"

struct cli;

/* Options that a command knows besides --conf and --help. */
enum {
	CLI_JSON = 1,
	CLI_SQL = 2,
	CLI_GAP = 4,	 /* --accept-gap */
	CLI_REPEAT = 8,	 /* --accept-repeat */
	CLI_YES = 16,
	CLI_RAW = 32,	 /* the command reads its own options */
	CLI_ADOPT = 64,	 /* --adopt SLOT */
};

struct command {
	const char *name;
	unsigned options;
	const char *synopsis; /* behind the name: "PIPELINE [POSITION]" */
	const char *summary;  /* one line */
	const char *help;     /* the rest of --help; lines, or NULL */
	/* argv holds the words behind the command, without options. */
	int (*run)(struct cli *cli, int argc, char **argv);
};

struct cli {
	const char *conf_path;
	bool is_conf_given;
	bool only_parse; /* -n */
	unsigned flags; /* CLI_JSON ... as given */
	const char *adopt; /* with CLI_ADOPT */
	const struct command *command;
	struct conf *conf; /* after cli_conf() */
};

/* The program; its exit status. */
int cli_main(int argc, char **argv);

/* Reads the conf and prints all its errors; exit status, 0 when it is good. */
int cli_conf(struct cli *cli);
/* The pipeline named by a word of the command line, or NULL and a message. */
const struct conf_pipeline *cli_pipeline(struct cli *cli, const char *name);
/* Prints message, detail and hint to stderr; the exit status of its code. */
int cli_fail(const struct err *e);
/* Of what getopt_long() did not like just now, the word. */
const char *cli_bad_word(int argc, char **argv);
/* A message about the words of the command; exit status 2. */
int cli_usage(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* ` -c FILE` when that was said in so many words, for commands that are printed to
 * be typed. */
void cli_put_conf(const struct cli *cli, struct buf *out);
/* Writes all of it to stdout; 0, or 1 when that failed. */
int cli_put(struct buf *b);

/* defined in cmd_*.c */
extern const struct command command_check, command_dlq, command_drop, command_log,
	command_offsets, command_run, command_schema, command_status,
	command_version;

#endif
