/* The conf as the rest of the agent sees it, and what becomes of it when memory
 * is short.  Which texts are confs is the matter of t/golden/conf. */
#include "config.h"

#include <stdlib.h>

#include "agent/conf.h"
#include "base/note.h"

#include "t/tap.h"

/* The allocation that fails, counted down; 0: none does. */
static unsigned long failing;
static bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static bool fails(void)
{
	if (failing == 0 || --failing > 0)
		return false;
	has_failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

static const char good_text[] =
	"state_dir = \"/srv\"\n"
	"source shop { type = database conninfo = \"host=a\" password = \"env:P\"\n"
	"	exclude_tables = { \"a.b\" } exclude_tables += c.d }\n"
	"sink out { type = file path = \"/out\" wait = 2m }\n"
	"log first { path = \"/1\" retention_age = 7d }\n"
	"log second { path = \"/2\" }\n"
	"pipeline a { source = shop sink = first initial = stream_only }\n"
	"pipeline b { source = first sink = second start = \"seq:9\" }\n"
	"pipeline c { source = second sink = out queue_size = 2MiB }\n";

static const char bad_text[] =
	"stat_dir = \"/srv\"\n"
	"source shop { type = database conninfo = \"host=a\" conninfo = b port = 0 }\n"
	"sink out { type = fil }\n"
	"log first { path = \"${LEAT_T_UNSET}\" retention_age = 7 }\n"
	"log first { }\n"
	"pipeline a { source = shp sink = first start = never }\n";

static const char torn_text[] = "log l { path = \"/1\"\n";

static void test_links(const struct conf *c)
{
	const struct conf_pipeline *a = conf_find_pipeline(c, "a");
	const struct conf_pipeline *b = conf_find_pipeline(c, "b");

	ok(a != NULL && b != NULL && conf_find_pipeline(c, "x") == NULL,
	   "pipelines are found by name");
	ok(a->next == b && b->next == conf_find_pipeline(c, "c"),
	   "and stand in the order of the text");
	ok(a->from == c->sources && a->to == c->logs &&
		   b->from == c->logs && b->to == c->logs->next,
	   "a pipeline leads to its source and sink");
	ok(conf_find_log(c, "second") == c->logs->next &&
		   conf_find_log(c, "shop") == NULL,
	   "logs are found by name, and nothing else is one");
	is_str(a->from->source->type, "database", "a source has its operations");
	ok(a->from->sink == NULL && c->sinks->source == NULL,
	   "and is no sink, nor the other way round");
	ok(c->logs->source != NULL && c->logs->sink != NULL,
	   "a log is both");
}

static void test_values(const struct conf *c)
{
	const struct conf_pipeline *a = c->pipelines;
	const struct log_conf *first = c->logs->values;

	is_str(c->path, "t.conf", "a conf knows its file");
	is_str(c->control_socket, "/srv/leat.sock",
	       "the socket is in the state directory");
	is_int(c->log_level, NOTE_INFO, "the level of lines is a note's");
	is_int(a->initial, INITIAL_STREAM_ONLY, "initial is as given");
	is_int(a->next->initial, INITIAL_UNSET, "and unset where it is not");
	is_str(a->next->start, "seq:9", "start is kept as a text");
	ok(a->start == NULL, "and absent where it is not given");
	is_int(a->queue_size, 8 << 20, "sizes have their defaults");
	is_int(a->next->next->queue_size, 2 << 20, "or what is given");
	is_int(a->on_reject, ON_REJECT_BLOCK, "choices, too");
	is_int(first->retention_age, INT64_C(7) * 86400000,
	       "a log's values are a struct log_conf");
	is_str(c->sources->place.file, "t.conf", "a section knows its file");
	ok(c->sources->place.line == 2 && c->sources->place.col == 1,
	   "and its place there");
}

static void test_good(void)
{
	struct conf_error *errors = NULL;
	struct conf *c = conf_read_text("t.conf", SLICE(good_text), &errors);

	if (ok(c != NULL && errors == NULL, "a good conf has no errors")) {
		test_links(c);
		test_values(c);
	}
	conf_free(c);
	conf_errors_free(errors);
	conf_free(NULL);
	conf_errors_free(NULL);
}

static void test_bad(void)
{
	struct conf_error *errors = NULL, *x;
	unsigned line = 0, n = 0;
	bool in_order = true, of_value = true;
	struct conf *c = conf_read_text("t.conf", SLICE(bad_text), &errors);

	for (x = errors; x != NULL; x = x->next, n++) {
		in_order &= x->place.line >= line;
		of_value &= x->err.code == CODE_conf_value;
		line = x->place.line;
	}
	ok(c == NULL && n == 8, "every error of meaning is told");
	ok(in_order, "in the order of the text");
	ok(of_value, "as wrong values");
	conf_errors_free(errors);
	c = conf_read_text("t.conf", SLICE(torn_text), &errors);
	ok(c == NULL && errors != NULL && errors->next == NULL &&
		   errors->err.code == CODE_conf_syntax,
	   "of syntax there is one");
	is_str(errors ? errors->place.file : "", "t.conf",
	       "and it has the file's name when the conf is gone");
	conf_errors_free(errors);
}

/* Reads and prints with the n-th allocation failing; 0: none. */
static void run_short(struct slice text, unsigned long n, struct buf *out,
		      bool *is_told)
{
	struct conf_error *errors = NULL;
	struct conf *c;

	failing = n;
	has_failed = false;
	c = conf_read_text("t.conf", text, &errors);
	if (c != NULL)
		conf_print(c, out);
	else
		conf_errors_put(errors, out);
	failing = 0;
	*is_told = (c == NULL) == (errors != NULL);
	conf_free(c);
	conf_errors_free(errors);
}

/* A conf that comes out must be the whole conf; errors may be fewer. */
static void test_memory(const char *text, bool is_conf, const char *what)
{
	struct buf whole = BUF_INIT;
	bool is_told, good = true;
	unsigned long n = 0;

	run_short(slice_of(text), 0, &whole, &is_told);
	do {
		struct buf out = BUF_INIT;
		struct err e = ERR_INIT;

		err_no_memory(&e);
		run_short(slice_of(text), ++n, &out, &is_told);
		good &= is_told;
		if (is_conf && !out.failed &&
		    !slice_eq(buf_get(&out), buf_get(&whole)))
			good &= memmem(out.p, out.n, e.msg, strlen(e.msg)) != NULL;
		buf_fini(&out);
	} while (has_failed);
	ok(good && whole.n > 0, "%s survives a lack of memory anywhere", what);
	ok(n > 5, "in %lu places", n - 1);
	buf_fini(&whole);
}

int main(void)
{
	note_setup(NOTE_ERROR, false);
	unsetenv("LEAT_T_UNSET");
	test_good();
	test_bad();
	test_memory(good_text, true, "a good conf");
	test_memory(bad_text, false, "a bad one");
	test_memory(torn_text, false, "a torn one");
	return tap_done();
}
