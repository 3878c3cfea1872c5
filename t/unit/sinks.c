/* The sinks that need no service: stdout, on pipes and files that take its
 * place, and null. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/note.h"
#include "schema/encode.h"
#include "sinks/registry.h"
#include "t/tap.h"

static const struct origin shop = {
	.connector = SLICE("postgresql"),
	.name = SLICE("shop"),
	.db = SLICE("shopdb"),
	.version = SLICE("0.1.0"),
	.incarnation = 1,
};
static const struct txn txn = {
	.origin = &shop,
	.coord = SLICE("A"),
	.id = SLICE("1:10"),
	.xid = 1,
};
static const struct cursor cursor = {1, 9, SLICE("x"), 0, false};

static struct table *tab;
static int real_stdout, fds[2];
static struct encoding encoding; /* the conf of a stdout sink begins with it */

static const struct sink_ops *type(const char *name)
{
	for (size_t i = 0; sink_registry[i] != NULL; i++)
		if (!strcmp(sink_registry[i]->type, name))
			return sink_registry[i];
	return NULL;
}

/* TAP goes to the real stdout; in between, fd 1 is what the sink writes to. */
static void swap_to(int fd)
{
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
}

static struct batch *make_batch(size_t n, size_t size)
{
	struct batch *b = batch_new();

	for (size_t i = 0; i < n; i++) {
		struct event *ev = batch_add(b);
		struct value *v = batch_values(b, 1);
		char *text = arena_alloc(&b->arena, size);

		memset(text, 'x', size);
		v[0] = (struct value){.tag = VALUE_TEXT, .s = {text, size}};
		*ev = (struct event){
			.op = OP_INSERT,
			.table = batch_use_table(b, tab),
			.after = v,
			.txn = &txn,
			.seq = i + 1,
			.ordinal = i + 1,
			.table_ordinal = i + 1,
		};
	}
	return b;
}

static struct sink *opened(const char *name)
{
	struct sink *snk = sink_new(type(name), "out", "p", &encoding);
	struct sink_held held = {.is_known = true, .has_cursor = true};
	struct err e = ERR_INIT;
	int rc = snk->ops->open(snk, &held, &e);

	if (rc != 0 || held.is_known || held.has_cursor)
		abort();
	return snk;
}

static size_t count_lines(const char *p, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

static void writes_lines(void)
{
	struct batch *b = make_batch(3, 4);
	struct schema_change change = {0};
	struct event ev;
	struct err e = ERR_INIT;
	enum verdict written, applied, committed;
	struct sink *snk;
	char got[16384];
	ssize_t n;

	ev = b->ev[0];
	ev.op = OP_SCHEMA;
	ev.after = NULL;
	ev.schema = &change;
	b->ev[0] = ev; /* the agent may hand it to write() as well */
	encoding.format = 1;
	if (pipe(fds) != 0)
		abort();
	swap_to(fds[1]);
	snk = opened("stdout");
	applied = snk->ops->apply_schema(snk, &ev, &e);
	written = snk->ops->write(snk, b, 0, 2, &e);
	committed = snk->ops->commit(snk, &cursor, &e);
	swap_to(real_stdout);
	n = read(fds[0], got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	ok(applied == VERDICT_OK && written == VERDICT_OK &&
	   committed == VERDICT_OK, "stdout takes a version, rows and a commit");
	is_int((long long)count_lines(got, (size_t)n), 2,
	       "a version is one line, however often it is shown");
	ok(strstr(got, "{\"__op\":\"schema\"") == got, "it comes first");
	ok(strstr(got, "\n{\"v\":\"xxxx\",\"__op\":\"c\"") != NULL,
	   "rows follow in the format that was asked for");
	sink_free(snk);
	batch_free(b);
	close(fds[0]);
	close(fds[1]);
}

static void full_pipe(void)
{
	struct batch *b = make_batch(1000, 512);
	struct err e = ERR_INIT;
	enum verdict first, again, last, write_again;
	struct sink *snk;
	char got[65536];
	size_t lines = 0, all = 0;
	ssize_t n;

	encoding.format = 0;
	if (pipe(fds) != 0)
		abort();
	swap_to(fds[1]);
	snk = opened("stdout");
	first = snk->ops->write(snk, b, 0, b->n, &e);
	write_again = snk->ops->write(snk, b, 0, 1, &e);
	again = snk->ops->commit(snk, &cursor, &e);
	do {
		n = read(fds[0], got, sizeof(got));
		lines += count_lines(got, (size_t)n);
		all += (size_t)n;
		last = snk->ops->commit(snk, &cursor, &e);
	} while (n > 0 && last == VERDICT_AGAIN);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	while ((n = read(fds[0], got, sizeof(got))) > 0) {
		lines += count_lines(got, (size_t)n);
		all += (size_t)n;
	}
	swap_to(real_stdout);
	ok(first == VERDICT_OK, "a reader that does not read holds up nothing");
	ok(write_again == VERDICT_AGAIN, "but the next rows have to wait");
	ok(again == VERDICT_AGAIN, "and so has the commit");
	ok(last == VERDICT_OK, "it succeeds when the reader goes on");
	is_int((long long)lines, 1000, "and every line has arrived once");
	ok(all > 512 * 1000, "in full");
	ok(!err_is_set(&e), "none of this is an error");
	sink_free(snk);
	batch_free(b);
	close(fds[0]);
	close(fds[1]);
}

/* A sink is closed while its reader has half a line, and opened again. */
static void torn_line(void)
{
	struct batch *b = make_batch(200, 1000);
	struct err e = ERR_INIT;
	enum verdict v = VERDICT_AGAIN;
	struct sink *snk;
	char got[65536], all[400000];
	size_t n = 0, lines = 0, torn = 0;
	ssize_t some;
	bool is_torn;

	encoding.format = 1;
	if (pipe(fds) != 0)
		abort();
	swap_to(fds[1]);
	snk = opened("stdout");
	snk->ops->write(snk, b, 0, b->n, &e);
	snk->ops->commit(snk, &cursor, &e);
	snk->ops->close(snk);
	sink_free(snk);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	while ((some = read(fds[0], got, sizeof(got))) > 0) {
		memcpy(all + n, got, (size_t)some);
		n += (size_t)some;
	}
	is_torn = n > 0 && all[n - 1] != '\n';
	snk = opened("stdout");
	snk->ops->write(snk, b, 0, b->n, &e);
	for (int i = 0; i < 100 && v == VERDICT_AGAIN; i++) {
		v = snk->ops->commit(snk, &cursor, &e);
		while ((some = read(fds[0], got, sizeof(got))) > 0) {
			memcpy(all + n, got, (size_t)some);
			n += (size_t)some;
		}
	}
	swap_to(real_stdout);
	for (size_t from = 0, i = 0; i < n; i++) {
		if (all[i] != '\n')
			continue;
		lines++;
		torn += strncmp(all + from, "{\"v\":\"", 6) != 0 ||
			all[i - 1] != '}' || i - from > 1200;
		from = i + 1;
	}
	ok(is_torn, "a reader is left in the middle of a line");
	ok(v == VERDICT_OK && lines > 200, "what was not committed comes again");
	is_int((long long)torn, 0, "and the line that was begun is finished first");
	sink_free(snk);
	batch_free(b);
	close(fds[0]);
	close(fds[1]);
}

static void one_at_a_time(void)
{
	struct sink *first = opened("stdout"), *second;
	struct sink_held held = {0};
	struct err e = ERR_INIT;

	second = sink_new(type("stdout"), "out", "q", &encoding);
	ok(second->ops->open(second, &held, &e) == -1 &&
	   e.code == CODE_sink_config && e.hint[0] != '\0',
	   "a second pipeline cannot mix its lines in: %s", e.msg);
	sink_free(second);
	e = ERR_INIT;
	second = sink_new(type("stdout"), "out", "q", &encoding);
	ok(second->ops->open(second, &held, &e) == -1, "nor after it has tried");
	sink_free(first);
	e = ERR_INIT;
	ok(second->ops->open(second, &held, &e) == 0,
	   "until the first one is closed");
	sink_free(second);
}

static void closed_pipe(void)
{
	struct batch *b = make_batch(1, 4);
	struct err e = ERR_INIT;
	enum verdict v;
	struct sink *snk;

	if (pipe(fds) != 0)
		abort();
	swap_to(fds[1]);
	snk = opened("stdout");
	v = snk->ops->write(snk, b, 0, 1, &e);
	close(fds[0]);
	if (v == VERDICT_OK)
		v = snk->ops->commit(snk, &cursor, &e);
	swap_to(real_stdout);
	ok(v == VERDICT_FATAL && e.code == CODE_sink_closed,
	   "a reader that is gone is the end: %s", e.msg);
	sink_free(snk);
	batch_free(b);
	close(fds[1]);
}

static void file(void)
{
	struct batch *b = make_batch(500, 512);
	char path[] = "/tmp/leat-sinks-XXXXXX";
	int fd = mkstemp(path);
	struct err e = ERR_INIT;
	enum verdict v, w;
	struct sink *snk;
	off_t early, end;

	swap_to(fd);
	snk = opened("stdout");
	v = snk->ops->write(snk, b, 0, b->n, &e);
	early = lseek(fd, 0, SEEK_CUR);
	w = snk->ops->commit(snk, &cursor, &e);
	end = lseek(fd, 0, SEEK_CUR);
	swap_to(real_stdout);
	ok(v == VERDICT_OK && w == VERDICT_OK && end > 500 * 512,
	   "a file takes it all");
	ok(early > 0, "a full buffer does not wait for the commit");
	sink_free(snk);
	batch_free(b);
	close(fd);
	unlink(path);
}

static void full_disk(void)
{
	struct batch *b = make_batch(1, 4);
	int fd = open("/dev/full", O_WRONLY);
	struct err e = ERR_INIT, f = ERR_INIT;
	enum verdict v, w;
	struct sink *snk;
	char got[4096] = "";

	if (fd < 0 || pipe(fds) != 0)
		abort();
	swap_to(fd);
	snk = opened("stdout");
	v = snk->ops->write(snk, b, 0, 1, &e);
	if (v == VERDICT_OK)
		v = snk->ops->commit(snk, &cursor, &e);
	dup2(fds[1], STDOUT_FILENO);
	w = snk->ops->commit(snk, &cursor, &f);
	swap_to(real_stdout);
	ok(v == VERDICT_RETRY && e.code == CODE_sink_unreachable,
	   "a full disk may pass: %s", e.msg);
	ok(w == VERDICT_OK && read(fds[0], got, sizeof(got) - 1) > 0 &&
	   count_lines(got, strlen(got)) == 1, "and nothing is lost by then");
	sink_free(snk);
	batch_free(b);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

static void no_stdout(void)
{
	struct sink_held held = {0};
	struct err e = ERR_INIT;
	struct sink *snk = sink_new(type("stdout"), "out", "p", &encoding);
	int rc;

	fflush(stdout);
	close(STDOUT_FILENO);
	rc = snk->ops->open(snk, &held, &e);
	dup2(real_stdout, STDOUT_FILENO);
	ok(rc == -1 && e.code == CODE_sink_config,
	   "without a standard output the sink does not open: %s", e.msg);
	sink_free(snk);
}

static void null(void)
{
	struct batch *b = make_batch(10, 4);
	struct sink *snk = opened("null");
	struct err e = ERR_INIT;

	ok(snk->ops->write(snk, b, 0, 10, &e) == VERDICT_OK &&
	   snk->ops->apply_schema(snk, &b->ev[0], &e) == VERDICT_OK &&
	   snk->ops->commit(snk, &cursor, &e) == VERDICT_OK,
	   "null takes everything");
	sink_free(snk);
	batch_free(b);
}

static void checks(void)
{
	static const char *const names[] = {"stdout", "null"};

	for (size_t i = 0; i < countof(names); i++) {
		struct sink *snk = sink_new(type(names[i]), "out", "p", &encoding);
		struct report r;
		struct err e = ERR_INIT;

		report_init(&r);
		ok(snk->ops->check(snk, &r, &e) == 0 && r.warnings == 1,
		   "check says what %s does not promise", names[i]);
		is_int((long long)r.errors, 0, "which is no error");
		ok(snk->ops->drop(snk, &e) == 0, "%s has nothing to remove",
		   names[i]);
		report_fini(&r);
		sink_free(snk);
	}
}

int main(void)
{
	struct column cols[] = {{.name = SLICE("v"), .type = TYPE_TEXT}};
	struct table proto = {
		.version = 1,
		.schema = SLICE("public"),
		.name = SLICE("t"),
		.ncols = 1,
		.cols = cols,
	};

	signal(SIGPIPE, SIG_IGN); /* as the agent does */
	note_setup(NOTE_ERROR, false);
	real_stdout = dup(STDOUT_FILENO);
	tab = table_new(&proto);
	writes_lines();
	full_pipe();
	torn_line();
	one_at_a_time();
	closed_pipe();
	file();
	full_disk();
	no_stdout();
	null();
	checks();
	table_unref(tab);
	close(real_stdout);
	return tap_done();
}
