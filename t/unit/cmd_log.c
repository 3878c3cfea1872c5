/* `leat log`, run as a process of its own. */
#include "config.h"
#include "agent/cli.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "t/unit/log_lib.h"

struct child {
	pid_t pid;
	FILE *out;
};

static struct child start(const char *const *words)
{
	char *argv[16] = {(char *)(uintptr_t) "leat"};
	int argc = 1, fds[2];
	struct child c;

	while (words[argc - 1] != NULL && argc < 15) {
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
		argc++;
	}
	fflush(stdout);
	if (pipe(fds) != 0 || (c.pid = fork()) < 0)
		abort();
	if (c.pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		exit(cli_main(argc, argv));
	}
	close(fds[1]);
	c.out = fdopen(fds[0], "r");
	return c;
}

static int end(struct child *c)
{
	int status;

	fclose(c->out);
	if (waitpid(c->pid, &status, 0) != c->pid)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What the command printed, and how it ended. */
struct ran {
	char text[65536];
	int status;
	int lines;
};

static struct ran ran;

#define RUN(...) run((const char *const[]){"log", __VA_ARGS__, NULL})

static const struct ran *run(const char *const *words)
{
	struct child c = start(words);
	size_t n = fread(ran.text, 1, sizeof(ran.text) - 1, c.out);

	ran.text[n] = '\0';
	ran.lines = 0;
	for (size_t i = 0; i < n; i++)
		ran.lines += ran.text[i] == '\n';
	ran.status = end(&c);
	return &ran;
}

static bool has(const char *text)
{
	return strstr(ran.text, text) != NULL;
}

static void test_cat(const char *dir)
{
	RUN("cat", dir);
	ok(ran.status == 0 && ran.lines == 13, "cat prints each event on a line: %d", ran.lines);
	ok(has("\"op\":\"c\"") && has("\"leat\":{\"id\":\"shop/1/2BC00/1\",\"seq\":1,"),
	   "as Debezium's payload");
	RUN("cat", "--from", "seq:4", "--to", "seq:6", "--op", "insert", dir);
	ok(ran.status == 0 && ran.lines == 3 && has("\"seq\":4,") && has("\"seq\":6,"),
	   "--from and --to name the first and the last seq");
	RUN("cat", "--from", "time:1970-01-01T00:16:41Z", "--to", "time:1970-01-01T00:16:41Z",
	    "--op=insert", dir);
	ok(ran.status == 0 && ran.lines == 3 && has("\"seq\":4,"), "or times");
	RUN("cat", "--table", "public.ord*", dir);
	ok(ran.status == 0 && ran.lines == 4 && !has("users"), "--table names tables");
	RUN("cat", "--table", "public.ord*", "--table", "*.users", dir);
	is_int(ran.lines, 13, "and may be given again");
	RUN("cat", "--op", "schema", dir);
	ok(ran.lines == 3 && has("\"op\":\"schema\""), "--op chooses operations");
	RUN("cat", "--op", "schema,insert", "-n", "5", dir);
	is_int(ran.lines, 5, "-n limits the number");
	RUN("cat", "--format", "row", "--op", "insert", dir);
	ok(ran.lines == 10 && has("\"__op\":\"c\""), "--format row prints flat rows");
	RUN("cat", "--from", "latest", dir);
	ok(ran.status == 0 && ran.lines == 0, "behind the last event there is none");
}

static void test_looks(const char *dir)
{
	RUN("stat", dir);
	ok(ran.status == 0 && has("10 in 3 commits") && has("1 to 10"), "stat says what there is");
	RUN("stat", "--json", dir);
	ok(ran.status == 0 && has("\"events\":10,\"first_seq\":1,\"last_seq\":10,") &&
		   has("\"cursor\":\"leat1 1 10 pg somewhere\",\"readers\":[]}"),
	   "also as JSON");
	RUN("verify", dir);
	ok(ran.status == 0 && has("sound: 10 events"), "verify finds a log sound");
	RUN("verify", "--json", dir);
	ok(ran.status == 0 && has("{\"sound\":true,"), "also in JSON");
}

static void test_words(const char *dir)
{
	static const char *const bad[][4] = {
		{NULL}, {"look"}, {"cat"}, {"cat", "--from"},
		{"cat", "--from", "start", "./x"}, {"cat", "--json", "./x"},
		{"stat", "--op", "insert", "./x"}, {"cat", "./x", "./y"},
		{"cat", "--table=t", "./x"}, {"cat", "--op=add", "./x"},
		{"cat", "--op=", "./x"}, {"cat", "--format=xml", "./x"},
		{"cat", "--to=latest", "./x"}, {"cat", "-n0", "./x"},
	};

	for (size_t i = 0; i < countof(bad); i++) {
		const char *words[6] = {"log"};

		memcpy(words + 1, bad[i], sizeof(bad[i]));
		run(words);
		ran.text[strcspn(ran.text, "\n")] = '\0';
		is_int(ran.status, 2, "wrong words end in status 2: %s", ran.text);
	}
	RUN("--help");
	ok(ran.status == 0 && has("verify"), "--help tells the words");
	RUN("cat", "--help");
	ok(ran.status == 0 && has("--table"), "also behind one");
	RUN("cat", "/nowhere/at/all");
	ok(ran.status == 9 && has("there is no log"), "where there is no log the status is 9");
	RUN("cat", "-c", "/nowhere.conf", "shop");
	is_int(ran.status, 3, "without a conf there are no names");
	RUN("cat", "--from", "log uuid=00000000-0000-4000-8000-000000000000 seq=1 crc=00000000", dir);
	is_int(ran.status, 7, "a cursor of another log cannot be used");
}

static void test_tail(struct lib_log *l, struct table *tab)
{
	struct child c;
	char line[4096];

	c = start((const char *const[]){"log", "tail", "--op", "insert", "--from",
					"seq:10", l->conf.path, NULL});
	ok(fgets(line, sizeof(line), c.out) && strstr(line, "\"seq\":10,"),
	   "tail begins where it is told");
	lib_rows(l, tab, 11, 12, 10, true);
	ok(fgets(line, sizeof(line), c.out) && strstr(line, "\"seq\":11,") &&
		   fgets(line, sizeof(line), c.out) && strstr(line, "\"seq\":12,"),
	   "and goes on with what is committed");
	kill(c.pid, SIGTERM);
	is_int(end(&c), 0, "SIGTERM ends it cleanly");
	c = start((const char *const[]){"log", "tail", "--from=earliest", l->conf.path, NULL});
	ok(fgets(line, sizeof(line), c.out) != NULL, "what it has to say is not read to the end");
	for (uint64_t seq = 13; seq < 100; seq++)
		lib_rows(l, tab, seq, seq, 5000, true);
	kill(c.pid, SIGINT);
	is_int(end(&c), 0, "and SIGINT ends it all the same");
}

static void test_damage(const char *dir)
{
	size_t n;
	char *bytes = lib_slurp(lib_segment(dir, 1), &n);

	bytes[n / 2] ^= 1;
	lib_spew(lib_segment(dir, 1), bytes, n);
	free(bytes);
	RUN("verify", dir);
	ok(ran.status == 9 && has("is damaged at offset"), "a damaged log ends in status 9");
	RUN("verify", "--json", dir);
	ok(ran.status == 9 && has("{\"sound\":false,\"code\":\"log_corrupt\""), "in JSON, too");
	RUN("cat", dir);
	ok(ran.status == 9 && ran.lines > 1, "cat prints what lies before the damage");
}

int main(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("cmd"))};
	struct table *users = lib_table("users", 1, 1), *users2 = lib_table("users", 2, 8),
		     *orders = lib_table("orders", 1, 5);

	note_setup(NOTE_ERROR, false);
	l.conf.path = strdup(l.conf.path);
	lib_open(&l);
	lib_rows(&l, users, 1, 4, 10, true);
	lib_rows(&l, orders, 5, 7, 10, true);
	lib_rows(&l, users2, 8, 10, 10, true);
	test_cat(l.conf.path);
	test_looks(l.conf.path);
	test_words(l.conf.path);
	test_tail(&l, users2);
	lib_close(&l);
	test_damage(l.conf.path);
	free(l.conf.path);
	table_unref(users);
	table_unref(users2);
	table_unref(orders);
	lib_dir(NULL);
	return tap_done();
}
