/* cmd_log.c: `leat log cat|tail|stat|verify`; leat-log(1). */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/event_view.h"
#include "agent/log_view.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/pattern.h"
#include "log/log_verify.h"

enum { ARG_FROM = 256, ARG_TO, ARG_TABLE, ARG_OP, ARG_FORMAT, ARG_JSON, ARG_HELP };

static const struct option long_options[] = {
	{"from", required_argument, NULL, ARG_FROM},
	{"to", required_argument, NULL, ARG_TO},
	{"table", required_argument, NULL, ARG_TABLE},
	{"op", required_argument, NULL, ARG_OP},
	{"format", required_argument, NULL, ARG_FORMAT},
	{"json", no_argument, NULL, ARG_JSON},
	{"help", no_argument, NULL, ARG_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"  cat     print the events that are committed, one JSON document a line\n"
	"  tail    the same from the end on, and go on with what is committed then\n"
	"  stat    print what the log holds\n"
	"  verify  read and check every byte\n"
	"\n"
	"LOG is the name of a log in the conf, or a directory if it has a slash in it.\n"
	"\n"
	"options of cat and tail:\n"
	"  --from WHERE      earliest, latest, seq:N or time:T, such as\n"
	"                    time:2026-11-21T03:04:05Z\n"
	"  --to WHERE        the last event: seq:N or time:T\n"
	"  --table PATTERN   only of these tables: SCHEMA.TABLE with * and ?;\n"
	"                    may be given more than once\n"
	"  --op OP,...       only these: insert, update, delete, read, truncate,\n"
	"                    schema, message, gap\n"
	"  --format FORMAT   debezium (default), row, cloudevents or avro; behind\n"
	"                    it, with commas, options of leat-envelope(7):\n"
	"                    debezium,schemas=yes\n"
	"  -n COUNT          no more than so many events\n"
	"options of stat and verify:\n"
	"  --json            print JSON\n"
	"options of all:\n"
	"  -c, --conf FILE   the conf file\n";

struct request {
	struct cli *cli;
	const char *verb, *log;
	const char *path; /* of the log */
	struct log_start start;
	bool has_start, json;
	struct log_view view;
	struct slice *tables;
};

/* --- the words ------------------------------------------------------- */

static int take_to(struct request *rq, const char *text)
{
	struct log_start to;
	struct err e = ERR_INIT;

	if (log_start_parse(slice_of(text), &to, &e) != 0 ||
	    (to.kind != START_SEQ && to.kind != START_TIME) ||
	    (to.kind == START_SEQ ? to.seq == 0 : to.us == 0))
		return cli_usage(rq->cli, "--to takes seq:N or time:T, not \"%s\"",
				 text);
	if (to.kind == START_SEQ)
		rq->view.to_seq = to.seq;
	else
		rq->view.to_us = to.us;
	return 0;
}

static int take_table(struct request *rq, const char *text)
{
	struct err e = ERR_INIT;

	if (pattern_check(slice_of(text), &e) != 0) {
		e.code = CODE_usage;
		return cli_fail(&e);
	}
	rq->tables[rq->view.ntables++] = slice_of(text);
	rq->view.tables = rq->tables;
	return 0;
}

static int take_ops(struct request *rq, const char *text)
{
	struct slice rest = slice_of(text);

	while (rest.n > 0) {
		struct slice word = slice_cut(&rest, ',');
		enum op op = OP_INSERT;

		while (op <= OP_GAP && !slice_is(word, op_name(op)))
			op++;
		if (op > OP_GAP)
			return cli_usage(rq->cli, "\"%.*s\" is not an operation",
					 SLICE_ARG(word));
		rq->view.ops |= 1u << op;
	}
	if (rq->view.ops == 0)
		return cli_usage(rq->cli, "--op names no operation");
	return 0;
}

static int take_format(struct request *rq, const char *text)
{
	struct err e = ERR_INIT;

	return event_view_parse(text, &rq->view.encoding, &e) == 0
		       ? 0
		       : cli_fail(&e);
}

static int take_from(struct request *rq, const char *text)
{
	struct err e = ERR_INIT;

	if (log_start_parse(slice_of(text), &rq->start, &e) != 0)
		return cli_fail(&e);
	rq->has_start = true;
	return 0;
}

static int take_count(struct request *rq, const char *text)
{
	if (!slice_to_u64(slice_of(text), &rq->view.count) || rq->view.count == 0)
		return cli_usage(rq->cli, "-n takes a number of events, not \"%s\"",
				 text);
	return 0;
}

static int put_help(void)
{
	printf("usage: leat log cat|tail|stat|verify [-c FILE] [OPTION ...] LOG\n\n%s",
	       help);
	return 0;
}

static const char *name_of(int opt)
{
	for (const struct option *o = long_options; o->name != NULL; o++)
		if (o->val == opt)
			return o->name;
	return "n";
}

/* -1: go on; else the exit status. */
static int take_option(struct request *rq, int opt, const char *word)
{
	bool is_view = strcmp(rq->verb, "cat") == 0 || strcmp(rq->verb, "tail") == 0;
	int rc;

	if (opt == ARG_HELP)
		return put_help();
	if (opt == ARG_JSON && !is_view) {
		rq->json = true;
		return -1;
	}
	if (opt == ':')
		return cli_usage(rq->cli, "option \"%s\" needs a value", word);
	if (opt == '?')
		return cli_usage(rq->cli, "unknown option: \"%s\"", word);
	if (opt == ARG_JSON || !is_view)
		return cli_usage(rq->cli, "\"log %s\" has no option \"%s\"",
				 rq->verb, name_of(opt));
	switch (opt) {
	case ARG_FROM:
		rc = take_from(rq, optarg);
		break;
	case ARG_TO:
		rc = take_to(rq, optarg);
		break;
	case ARG_TABLE:
		rc = take_table(rq, optarg);
		break;
	case ARG_OP:
		rc = take_ops(rq, optarg);
		break;
	case ARG_FORMAT:
		rc = take_format(rq, optarg);
		break;
	default:
		rc = take_count(rq, optarg);
		break;
	}
	return rc == 0 ? -1 : rc;
}

/* The directory of the log that a word names. */
static int find_log(struct request *rq)
{
	const struct conf_section *s;
	int rc;

	if (strchr(rq->log, '/') != NULL) {
		rq->path = rq->log;
		return 0;
	}
	rc = cli_conf(rq->cli);
	if (rc != 0)
		return rc;
	s = conf_find_log(rq->cli->conf, rq->log);
	if (s == NULL) {
		fprintf(stderr, "leat: log \"%s\" is not in \"%s\"\n", rq->log,
			rq->cli->conf_path);
		fprintf(stderr, "hint: A directory is told from a name by a slash: ./%s\n",
			rq->log);
		return code_exit(CODE_usage);
	}
	rq->path = ((const struct log_conf *)s->values)->path;
	return 0;
}

/* -1: go on; else the exit status. */
static int parse(struct request *rq, int argc, char **argv)
{
	int opt, rc;

	optind = 0; /* glibc: begin anew */
	opterr = 0;
	for (;;) {
		opt = getopt_long(argc, argv, ":n:", long_options, NULL);
		if (opt < 0)
			break;
		rc = take_option(rq, opt, cli_bad_word(argc, argv));
		if (rc >= 0)
			return rc;
	}
	if (argc - optind != 1)
		return cli_usage(rq->cli, argc == optind
						  ? "which log?"
						  : "more than one log");
	rq->log = argv[optind];
	rc = find_log(rq);
	return rc == 0 ? -1 : rc;
}

/* --- cat, tail ------------------------------------------------------- */

/* SIGINT and SIGTERM end it as they end the agent: cleanly. */
static int stop_descriptor(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int view(struct request *rq)
{
	struct err e = ERR_INIT;
	int rc;

	rq->view.follow = strcmp(rq->verb, "tail") == 0;
	if (!rq->has_start)
		rq->start.kind = rq->view.follow ? START_LATEST : START_EARLIEST;
	rq->view.stop_fd = stop_descriptor();
	rc = log_view_run(rq->path, &rq->start, &rq->view, &e);
	if (rq->view.stop_fd >= 0)
		close(rq->view.stop_fd);
	return rc == 0 ? 0 : cli_fail(&e);
}

/* --- stat, verify ---------------------------------------------------- */

static void put_readers_json(const struct log_stat *st, struct buf *out)
{
	struct slice rest = buf_get(&st->readers);
	bool is_first = true;

	buf_text(out, ",\"readers\":[");
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		buf_text(out, is_first ? "{\"name\":" : ",{\"name\":");
		json_quoted(out, slice_cut(&line, ' '));
		buf_text(out, ",\"cursor\":");
		json_quoted(out, line);
		buf_u8(out, '}');
		is_first = false;
	}
	buf_u8(out, ']');
}

static void put_time_json(const char *name, int64_t us, bool is_known,
			  struct buf *out)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(text, us);
	if (is_known)
		buf_printf(out, ",\"%s\":\"%s\"", name, text);
	else
		buf_printf(out, ",\"%s\":null", name);
}

static void put_stat_json(const struct request *rq, const struct log_stat *st,
			  struct buf *out)
{
	buf_text(out, "\"path\":");
	json_quoted(out, slice_of(rq->path));
	buf_printf(out,
		   ",\"uuid\":\"%s\",\"segments\":%" PRIu64 ",\"bytes\":%" PRIu64
		   ",\"events\":%" PRIu64 ",\"first_seq\":%" PRIu64
		   ",\"last_seq\":%" PRIu64 ",\"frames\":%" PRIu64
		   ",\"commits\":%" PRIu64,
		   st->uuid, st->segments, st->bytes, st->events, st->first_seq,
		   st->last_seq, st->frames, st->commits);
	put_time_json("first_time", st->first_us, st->events > 0, out);
	put_time_json("last_time", st->last_us, st->events > 0, out);
	buf_text(out, ",\"cursor\":");
	json_quoted(out, buf_get(&st->cursor));
	put_readers_json(st, out);
}

static void put_stat_text(const struct request *rq, const struct log_stat *st,
			  struct buf *out)
{
	char first[CLOCK_ISO_SIZE], last[CLOCK_ISO_SIZE];
	struct slice rest = buf_get(&st->readers);

	clock_iso(first, st->first_us);
	clock_iso(last, st->last_us);
	buf_printf(out, "path:     %s\nuuid:     %s\n", rq->path, st->uuid);
	buf_printf(out, "segments: %" PRIu64 ", %" PRIu64 " bytes\n", st->segments, st->bytes);
	buf_printf(out, "events:   %" PRIu64 " in %" PRIu64 " commits\n", st->events, st->commits);
	if (st->events > 0)
		buf_printf(out, "seq:      %" PRIu64 " to %" PRIu64 "\ntime:     %s to %s\n",
			   st->first_seq, st->last_seq, first, last);
	buf_printf(out, "cursor:   %.*s\n",
		   SLICE_ARG(st->cursor.n ? buf_get(&st->cursor) : SLICE("none")));
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		buf_printf(out, "reader:   %.*s\n", SLICE_ARG(line));
	}
}

static int stat_log(struct request *rq)
{
	struct log_stat st = {0};
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	int rc;

	if (log_stat(rq->path, &st, &e) != 0)
		return cli_fail(&e);
	if (rq->json) {
		buf_u8(&out, '{');
		put_stat_json(rq, &st, &out);
		buf_text(&out, "}\n");
	} else {
		put_stat_text(rq, &st, &out);
	}
	rc = cli_put(&out);
	log_stat_fini(&st);
	buf_fini(&out);
	return rc;
}

static void put_fault_json(const struct err *e, struct buf *out)
{
	buf_printf(out, "{\"sound\":false,\"code\":\"%s\",\"message\":",
		   code_name(e->code));
	json_quoted(out, slice_of(e->msg));
	buf_text(out, "}\n");
}

static int verify_log(struct request *rq)
{
	struct log_stat st = {0};
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	uint64_t open_bytes;
	int rc = log_verify(rq->path, &st, &open_bytes, &e);

	if (rc == 0 && rq->json) {
		buf_printf(&out, "{\"sound\":true,\"uncommitted_bytes\":%" PRIu64 ",",
			   open_bytes);
		put_stat_json(rq, &st, &out);
		buf_text(&out, "}\n");
	} else if (rc == 0) {
		buf_printf(&out, "sound: %" PRIu64 " events, seq %" PRIu64 " to %" PRIu64
			   ", in %" PRIu64 " segments and %" PRIu64 " bytes\n",
			   st.events, st.first_seq, st.last_seq, st.segments, st.bytes);
		if (open_bytes > 0)
			buf_printf(&out, "%" PRIu64 " bytes behind the last commit were never acknowledged; the next writer cuts them off\n",
				   open_bytes);
	} else if (rq->json) {
		put_fault_json(&e, &out);
	}
	rc = cli_put(&out) != 0 ? 1 : rc == 0 ? 0 : cli_fail(&e);
	log_stat_fini(&st);
	buf_fini(&out);
	return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct request *rq);
	} verbs[] = {
		{"cat", view}, {"tail", view}, {"stat", stat_log}, {"verify", verify_log},
	};
	struct request rq = {.cli = cli};
	int rc = -1;

	if (argc == 0)
		return cli_usage(cli, "what about the log?");
	if (strcmp(argv[0], "--help") == 0)
		return put_help();
	rq.verb = argv[0];
	rq.tables = calloc((size_t)argc, sizeof(*rq.tables));
	if (rq.tables == NULL) {
		struct err e = ERR_INIT;

		err_no_memory(&e);
		return cli_fail(&e);
	}
	for (size_t i = 0; i < countof(verbs) && rc < 0; i++) {
		if (strcmp(verbs[i].name, argv[0]) != 0)
			continue;
		rc = parse(&rq, argc, argv);
		if (rc < 0)
			rc = verbs[i].run(&rq);
	}
	if (rc < 0)
		rc = cli_usage(cli, "\"%s\" is not something to do with a log",
			       argv[0]);
	free(rq.tables);
	return rc;
}

const struct command command_log = {
	.name = "log",
	.options = CLI_RAW,
	.synopsis = "cat|tail|stat|verify [OPTION ...] LOG",
	.summary = "Look into a log of leat's own",
	.help = help,
	.run = run,
};
