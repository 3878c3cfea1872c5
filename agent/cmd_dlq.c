/* cmd_dlq.c: `leat dlq list|show|retry|drop`; leat-dlq(1).
 *
 * What is listed and shown is read from the file itself.  What changes it goes
 * through the agent where one runs: only its writer delivers. */
#include "config.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/ask.h"
#include "agent/cli.h"
#include "agent/dlq.h"
#include "agent/event_view.h"
#include "base/clock.h"
#include "base/json.h"

/* How long retry waits for what comes of it. */
#define WAIT_MS 30000
#define POLL_US 50000

enum { ARG_FORMAT = 256, ARG_ALL, ARG_COUNT, ARG_JSON, ARG_HELP };

static const struct option long_options[] = {
	{"format", required_argument, NULL, ARG_FORMAT},
	{"all", no_argument, NULL, ARG_ALL},
	{"count", required_argument, NULL, ARG_COUNT},
	{"json", no_argument, NULL, ARG_JSON},
	{"help", no_argument, NULL, ARG_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"  list     print what is kept: which event, why, since when\n"
	"  show     print one whole event\n"
	"  retry    deliver it again, with its id and seq; refused where a later event\n"
	"           of its key was delivered\n"
	"  drop     remove it for good\n"
	"\n"
	"options:\n"
	"  --all             with retry and drop: all of the pipeline's\n"
	"  --count N         with drop: do it, if it is so many\n"
	"  --format FORMAT   with show: debezium (default), row, cloudevents or avro;\n"
	"                    behind it, with commas, options of leat-envelope(7):\n"
	"                    debezium,schemas=yes\n"
	"  --json            with list: print JSON\n"
	"  -c, --conf FILE   the conf file\n";

struct request {
	struct cli *cli;
	const char *verb;
	const struct conf_pipeline *pc;
	struct slice id; /* p = NULL: none was given */
	bool is_all, json, has_count;
	uint64_t count;
	struct encoding encoding;
};

static const char *dir_of(const struct request *rq)
{
	return rq->cli->conf->state_dir;
}

/* NULL without an error: there are none. */
static struct dlq *look(const struct request *rq, struct err *e)
{
	return dlq_open(dir_of(rq), rq->pc->name, false, e);
}

/* --- list -------------------------------------------------------------- */

static const char *state_of(const struct dlq_letter *l)
{
	if (!l->is_covered)
		return l->is_blocking ? "blocking" : "pending";
	if (l->superseded_by.p != NULL)
		return "superseded";
	return l->is_wanted ? "wanted" : "dead";
}

static void put_member(struct buf *out, const char *name, struct slice value)
{
	buf_printf(out, "\"%s\":", name);
	if (value.p != NULL)
		json_quoted(out, value);
	else
		buf_text(out, "null");
	buf_u8(out, ',');
}

static void put_time(struct buf *out, const char *name, int64_t us)
{
	char time[CLOCK_ISO_SIZE];

	clock_iso(time, us);
	put_member(out, name, slice_of(time));
}

static int put_json(void *arg, const struct dlq_letter *l, struct err *e)
{
	struct buf *out = arg;

	buf_text(out, out->n > 1 ? ",{" : "{");
	put_member(out, "id", l->id);
	put_member(out, "state", slice_of(state_of(l)));
	put_member(out, "table", l->table);
	put_member(out, "op", l->op);
	put_member(out, "key", l->key);
	buf_printf(out, "\"seq\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"tries\":%" PRIu64 ",",
		   l->seq, l->bytes, l->tries);
	put_time(out, "committed", l->commit_us);
	put_time(out, "rejected", l->rejected_us);
	put_time(out, "tried", l->tried_us);
	put_member(out, "superseded_by", l->superseded_by);
	put_member(out, "reason", l->reason);
	out->n--;
	buf_u8(out, '}');
	return out->failed ? err_no_memory(e) : 0;
}

static int put_text(void *arg, const struct dlq_letter *l, struct err *e)
{
	struct buf *out = arg;
	char time[CLOCK_ISO_SIZE];

	clock_iso(time, l->rejected_us);
	buf_printf(out, "%.*s: %s, %.*s", SLICE_ARG(l->id), state_of(l),
		   SLICE_ARG(l->op));
	if (l->table.n > 0)
		buf_printf(out, " of %.*s", SLICE_ARG(l->table));
	if (l->key.n > 0)
		buf_printf(out, " %.*s", SLICE_ARG(l->key));
	buf_printf(out, ", seq %" PRIu64 ", %" PRIu64 " bytes\n  since        %s, tried %" PRIu64 " times\n",
		   l->seq, l->bytes, time, l->tries);
	if (l->superseded_by.n > 0)
		buf_printf(out, "  superseded   by %.*s\n",
			   SLICE_ARG(l->superseded_by));
	else if (l->superseded_by.p != NULL)
		buf_text(out, "  superseded   the sink has gone on without this state\n");
	buf_printf(out, "  reason       %.*s\n", SLICE_ARG(l->reason));
	return out->failed ? err_no_memory(e) : 0;
}

static int list(struct request *rq)
{
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	struct dlq *q = look(rq, &e);
	int rc;

	if (rq->json)
		buf_u8(&out, '[');
	if (q != NULL)
		(void)!dlq_each(q, rq->id, rq->json ? put_json : put_text, &out,
				&e);
	if (rq->json)
		buf_text(&out, "]\n");
	else if (out.n == 0)
		buf_text(&out, "no dead letters\n");
	dlq_close(q);
	rc = err_is_set(&e) ? cli_fail(&e) : cli_put(&out);
	buf_fini(&out);
	return rc;
}

/* --- show -------------------------------------------------------------- */

static int no_such(const struct request *rq, struct err *e)
{
	err_set(e, CODE_failed, "pipeline \"%s\" has no dead letter \"%.*s\"",
		rq->pc->name, SLICE_ARG(rq->id));
	err_hint(e, "`leat dlq list %s` prints those that it has.", rq->pc->name);
	return -1;
}

struct found {
	uint64_t n;
	bool is_covered, is_superseded;
	char by[200];
};

static int find(void *arg, const struct dlq_letter *l, struct err *e)
{
	struct found *f = arg;

	(void)e;
	f->n = l->n;
	f->is_covered = l->is_covered;
	f->is_superseded = l->superseded_by.p != NULL;
	snprintf(f->by, sizeof(f->by), "%.*s", SLICE_ARG(l->superseded_by));
	return 0;
}

static int show_event(struct request *rq, struct dlq *q, struct event_view *v,
		      struct err *e)
{
	struct batch *b = batch_new();
	struct found f = {0};
	int rc = -1;

	if (b == NULL)
		return err_no_memory(e);
	if (q != NULL && dlq_each(q, rq->id, find, &f, e) != 0)
		rc = -1;
	else if (f.n == 0)
		no_such(rq, e);
	else if (dlq_load(q, f.n, b, e) == 0)
		rc = event_view_put(v, &b->ev[0], e);
	batch_free(b);
	return rc;
}

static int show(struct request *rq)
{
	struct err e = ERR_INIT;
	struct event_view v = {.out = BUF_INIT};
	struct dlq *q = look(rq, &e);
	int rc = 0;

	if (err_is_set(&e) || event_view_init(&v, &rq->encoding, &e) != 0 ||
	    show_event(rq, q, &v, &e) != 0)
		rc = cli_fail(&e);
	else
		rc = cli_put(&v.out);
	event_view_fini(&v);
	dlq_close(q);
	return rc;
}

/* --- changes ----------------------------------------------------------- */

struct change {
	uint64_t count;
	bool is_running;
	char state[32]; /* of the pipeline */
};

static int read_answer(const struct buf *doc, struct change *ch, struct err *e)
{
	json_error_t je;
	json_t *root = json_loadb(doc->p, doc->n, 0, &je);
	const char *message, *hint, *state;

	if (root == NULL)
		return err_set(e, CODE_failed, "the agent's answer is not JSON: %s",
			       je.text[0] ? je.text : "out of memory");
	message = json_string_value(json_object_get(root, "message"));
	hint = json_string_value(json_object_get(root, "hint"));
	state = json_string_value(json_object_get(root, "state"));
	ch->count = (uint64_t)json_integer_value(json_object_get(root, "count"));
	snprintf(ch->state, sizeof(ch->state), "%s", state ? state : "");
	if (message != NULL) {
		err_set(e, CODE_failed, "%s", message);
		if (hint != NULL)
			err_hint(e, "%s", hint);
	}
	json_decref(root);
	return err_is_set(e) ? -1 : 0;
}

/* Without an agent. */
static int change_file(struct request *rq, uint64_t expected, struct change *ch,
		       struct err *e)
{
	bool is_retry = strcmp(rq->verb, "retry") == 0;
	struct dlq *q = look(rq, e);
	int rc = err_is_set(e) ? -1 : 0;

	if (q != NULL && is_retry)
		rc = dlq_want(q, rq->id, &ch->count, e);
	else if (q != NULL)
		rc = dlq_drop(q, rq->id, expected, &ch->count, e);
	dlq_close(q);
	return rc;
}

static int ask_agent(struct request *rq, const char *path, struct change *ch,
		     struct err *e)
{
	struct buf doc = BUF_INIT;
	int rc = -1;

	switch (ask(rq->cli->conf->control_socket, "POST", path, &doc, e)) {
	case ASK_OK:
		ch->is_running = true;
		rc = read_answer(&doc, ch, e);
		break;
	case ASK_NOT_RUNNING:
		rc = 0;
		break;
	case ASK_FAILED:
		break;
	}
	buf_fini(&doc);
	return rc;
}

static int change(struct request *rq, uint64_t expected, struct change *ch,
		  struct err *e)
{
	struct buf path = BUF_INIT;
	int rc = -1;

	*ch = (struct change){0};
	buf_printf(&path, "/dlq/%s", rq->verb);
	ask_put(&path, '?', "pipeline", slice_of(rq->pc->name));
	if (rq->id.p != NULL)
		ask_put(&path, '&', "id", rq->id);
	buf_printf(&path, "&count=%" PRIu64, expected);
	buf_u8(&path, '\0');
	if (path.failed)
		err_no_memory(e);
	else
		rc = ask_agent(rq, path.p, ch, e);
	if (rc == 0 && !ch->is_running) {
		rc = change_file(rq, expected, ch, e);
		/* one that has begun meanwhile is told of it */
		if (rc == 0 && strcmp(rq->verb, "retry") == 0)
			rc = ask_agent(rq, path.p, ch, e);
	}
	buf_fini(&path);
	return rc;
}

/* --- drop -------------------------------------------------------------- */

static int count_letters(struct request *rq, uint64_t *n, struct err *e)
{
	struct dlq *q = look(rq, e);
	struct dlq_counts c = {0};
	struct found f = {0};
	int rc = err_is_set(e) ? -1 : 0;

	if (q != NULL && rq->is_all)
		rc = dlq_counts(q, &c, e);
	else if (q != NULL)
		rc = dlq_each(q, rq->id, find, &f, e);
	dlq_close(q);
	*n = rq->is_all ? c.letters : f.n != 0;
	if (rc == 0 && !rq->is_all && *n == 0)
		return no_such(rq, e);
	return rc;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "letter" : "letters";
}

static int say_drop(struct request *rq, uint64_t n)
{
	struct buf out = BUF_INIT;
	int rc;

	buf_printf(&out, "would drop %" PRIu64 " dead %s of pipeline \"%s\" for good\n",
		   n, plural(n), rq->pc->name);
	buf_text(&out, "hint: To do it: leat dlq drop");
	cli_put_conf(rq->cli, &out);
	buf_printf(&out, " %s ", rq->pc->name);
	if (rq->is_all)
		buf_text(&out, "--all");
	else
		buf_printf(&out, "'%.*s'", SLICE_ARG(rq->id));
	buf_printf(&out, " --count %" PRIu64 "\n", n);
	rc = cli_put(&out);
	buf_fini(&out);
	return rc;
}

static int drop(struct request *rq)
{
	struct err e = ERR_INIT;
	struct change ch;
	uint64_t n = 0;

	if (count_letters(rq, &n, &e) != 0)
		return cli_fail(&e);
	if (!rq->has_count)
		return say_drop(rq, n);
	if (change(rq, rq->count, &ch, &e) == 0 && ch.count != rq->count) {
		err_set(&e, CODE_failed, "there are %" PRIu64 " dead letters, not %" PRIu64 ": nothing was dropped",
			ch.count, rq->count);
		err_hint(&e, "Look at them with `leat dlq list %s`.", rq->pc->name);
	}
	if (err_is_set(&e))
		return cli_fail(&e);
	printf("dropped %" PRIu64 " dead %s\n", ch.count, plural(ch.count));
	return 0;
}

/* --- retry ------------------------------------------------------------- */

/* What has become of the letters that were wanted. */
struct outcome {
	uint64_t wanted, failed, superseded;
	uint64_t tries; /* of all letters, to tell which failed anew */
	char reason[300];
};

static int count_one(void *arg, const struct dlq_letter *l, struct err *e)
{
	struct outcome *o = arg;

	(void)e;
	o->wanted += l->is_wanted;
	o->superseded += l->superseded_by.p != NULL;
	o->tries += l->tries;
	o->failed++;
	snprintf(o->reason, sizeof(o->reason), "%.*s", SLICE_ARG(l->reason));
	return 0;
}

static int take_stock(struct request *rq, struct outcome *o, struct err *e)
{
	struct dlq *q = look(rq, e);
	int rc = err_is_set(e) ? -1 : 0;

	*o = (struct outcome){0};
	if (q != NULL)
		rc = dlq_each(q, rq->id, count_one, o, e);
	dlq_close(q);
	o->failed -= o->superseded + o->wanted;
	return rc;
}

static int refuse(struct request *rq, struct err *e)
{
	struct dlq *q = look(rq, e);
	struct found f = {0};

	if (q != NULL && dlq_each(q, rq->id, find, &f, e) != 0)
		f.n = 0;
	dlq_close(q);
	if (err_is_set(e))
		return -1;
	if (rq->is_all) {
		err_set(e, CODE_failed, "pipeline \"%s\" has no dead letter that can be delivered",
			rq->pc->name);
		err_hint(e, "`leat dlq list %s` says what is kept, and why.",
			 rq->pc->name);
	} else if (f.n == 0)
		no_such(rq, e);
	else if (!f.is_covered) {
		err_set(e, CODE_failed, "event \"%.*s\" is still before the pipeline",
			SLICE_ARG(rq->id));
		err_hint(e, "It is presented to the sink whenever the pipeline starts.");
	} else {
		err_set(e, CODE_failed, "a later event of its key was delivered%s%s",
			f.by[0] ? ": " : "", f.by);
		err_detail(e, "To deliver \"%.*s\" now would put an old row in place of a newer one.",
			   SLICE_ARG(rq->id));
		err_hint(e, "`leat dlq show %s %.*s` prints it, `leat dlq drop` removes it.",
			 rq->pc->name, SLICE_ARG(rq->id));
	}
	return -1;
}

static int say_waiting(struct request *rq, const struct change *ch, uint64_t n)
{
	fprintf(stderr, "leat: %" PRIu64 " dead %s will be delivered when pipeline \"%s\" can: ",
		n, plural(n), rq->pc->name);
	if (!ch->is_running)
		fprintf(stderr, "no agent runs it\nhint: Start it with `leat run`.\n");
	else
		fprintf(stderr, "it is %s\nhint: `leat status` says more.\n",
			ch->state);
	return code_exit(CODE_failed);
}

static int say_outcome(struct request *rq, const struct change *ch,
		       const struct outcome *was, const struct outcome *o)
{
	uint64_t superseded = o->superseded - was->superseded;
	uint64_t failed = o->tries > was->tries ? o->failed : 0;
	uint64_t left = o->wanted + superseded + failed;

	if (ch->count > left)
		printf("delivered %" PRIu64 " dead %s\n", ch->count - left,
		       plural(ch->count - left));
	if (failed > 0)
		fprintf(stderr, "leat: the sink rejected %" PRIu64 " dead %s again: %s\n",
			failed, plural(failed), o->reason);
	if (superseded > 0)
		fprintf(stderr, "leat: later events of the same key came before %" PRIu64 " dead %s\n",
			superseded, plural(superseded));
	if (o->wanted > 0)
		return say_waiting(rq, ch, o->wanted);
	return left > 0 ? code_exit(CODE_failed) : 0;
}

static int retry(struct request *rq)
{
	int64_t until = clock_mono_ms() + WAIT_MS;
	struct outcome was, now;
	struct err e = ERR_INIT;
	struct change ch;

	if (take_stock(rq, &was, &e) != 0 || change(rq, 0, &ch, &e) != 0 ||
	    (ch.count == 0 && refuse(rq, &e) != 0))
		return cli_fail(&e);
	if (!ch.is_running || strcmp(ch.state, "stopped") == 0)
		return say_waiting(rq, &ch, ch.count);
	do {
		usleep(POLL_US);
		if (take_stock(rq, &now, &e) != 0)
			return cli_fail(&e);
	} while (now.wanted > 0 && clock_mono_ms() < until);
	return say_outcome(rq, &ch, &was, &now);
}

/* --- the words --------------------------------------------------------- */

static const struct {
	const char *name;
	const char *options; /* long ones */
	int (*run)(struct request *rq);
} verbs[] = {
	{"list", "json", list},
	{"show", "format", show},
	{"retry", "all", retry},
	{"drop", "all count", drop},
};

static int put_help(void)
{
	printf("usage: leat dlq list|show|retry|drop [-c FILE] [OPTION ...] PIPELINE [ID]\n\n%s",
	       help);
	return 0;
}

static bool has_option(const struct request *rq, int opt)
{
	const char *name = "";

	for (const struct option *o = long_options; o->name != NULL; o++)
		if (o->val == opt)
			name = o->name;
	for (size_t i = 0; i < countof(verbs); i++)
		if (strcmp(verbs[i].name, rq->verb) == 0)
			return strstr(verbs[i].options, name) != NULL;
	return false;
}

/* -1: go on; else the exit status. */
static int take_option(struct request *rq, int opt, const char *word)
{
	struct err e = ERR_INIT;

	if (opt == ARG_HELP)
		return put_help();
	if (opt == ':')
		return cli_usage(rq->cli, "option \"%s\" needs a value", word);
	if (opt == '?')
		return cli_usage(rq->cli, "unknown option: \"%s\"", word);
	if (!has_option(rq, opt))
		return cli_usage(rq->cli, "\"dlq %s\" has no option \"%s\"",
				 rq->verb, word);
	if (opt == ARG_FORMAT && event_view_parse(optarg, &rq->encoding, &e) != 0)
		return cli_fail(&e);
	if (opt == ARG_COUNT &&
	    !slice_to_u64(slice_of(optarg), &rq->count))
		return cli_usage(rq->cli, "--count takes a number, not \"%s\"",
				 optarg);
	rq->has_count |= opt == ARG_COUNT;
	rq->is_all |= opt == ARG_ALL;
	rq->json |= opt == ARG_JSON;
	return -1;
}

static int take_words(struct request *rq, int argc, char **argv)
{
	bool needs_id = strcmp(rq->verb, "list") != 0;
	int rc;

	if (argc < 1)
		return cli_usage(rq->cli, "which pipeline?");
	if (argc > 2 || (argc == 2 && (!needs_id || rq->is_all)))
		return cli_usage(rq->cli, "too many words");
	if (needs_id && argc < 2 && !rq->is_all)
		return cli_usage(rq->cli, "which dead letter?");
	if (argc == 2)
		rq->id = slice_of(argv[1]);
	rc = cli_conf(rq->cli);
	if (rc != 0)
		return rc;
	rq->pc = cli_pipeline(rq->cli, argv[0]);
	return rq->pc != NULL ? -1 : code_exit(CODE_usage);
}

static int parse(struct request *rq, int argc, char **argv)
{
	int opt, rc;

	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", long_options, NULL)) >= 0) {
		rc = take_option(rq, opt, cli_bad_word(argc, argv));
		if (rc >= 0)
			return rc;
	}
	return take_words(rq, argc - optind, argv + optind);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct request rq = {.cli = cli};
	int rc = -1;

	if (argc < 1)
		return cli_usage(cli, "what about the dead letters?");
	if (strcmp(argv[0], "--help") == 0)
		return put_help();
	rq.verb = argv[0];
	for (size_t i = 0; i < countof(verbs) && rc < 0; i++) {
		if (strcmp(verbs[i].name, argv[0]) != 0)
			continue;
		rc = parse(&rq, argc, argv);
		if (rc < 0)
			rc = verbs[i].run(&rq);
	}
	if (rc < 0)
		rc = cli_usage(cli, "\"%s\" is not something to do with dead letters",
			       argv[0]);
	event_view_forget(&rq.encoding);
	return rc;
}

const struct command command_dlq = {
	.name = "dlq",
	.options = CLI_RAW,
	.synopsis = "list|show|retry|drop [OPTION ...] PIPELINE [ID]",
	.summary = "Looks after events that the sink could not take",
	.help = help,
	.run = run,
};
