/* state.c: a state file, put before everybody who opens one.
 *
 * Input: a byte, then by its lowest bit
 *   0  state.db, as it is;
 *   1  what its columns hold: the cursor with its length before, pending
 *      (zigzag), then versions of tables: name with its length before, version
 *      and first seq (zigzag), shape with its length before.
 * The next bit: the sink has a cursor of its own. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/resume.h"
#include "base/note.h"
#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static char dir[64], place[80], db_file[96];

static void clean_files(void)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	char path[128];

	for (size_t i = 0; i < countof(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", db_file, ends[i]);
		unlink(path);
	}
}

static void clean(void)
{
	char path[128];

	clean_files();
	snprintf(path, sizeof(path), "%s/lock", place);
	unlink(path);
	rmdir(place);
	rmdir(dir);
}

static void prepare(void)
{
	if (dir[0] != '\0')
		return;
	note_setup(NOTE_ERROR + 1, false);
	snprintf(dir, sizeof(dir), "%s/leat-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(place, sizeof(place), "%s/p", dir);
	snprintf(db_file, sizeof(db_file), "%s/state.db", place);
	if (mkdir(place, 0700) != 0)
		abort();
	atexit(clean);
}

static void spew(struct wire *w)
{
	int fd = open(db_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t n = wire_left(w);

	if (fd < 0 || write(fd, w->p, n) != (ssize_t)n)
		abort();
	close(fd);
}

/* --- columns ---------------------------------------------------------- */

static void must(int rc)
{
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		abort();
}

static void put_columns(sqlite3 *db, struct wire *w)
{
	struct slice cursor = wire_lenslice(w);
	int64_t pending = wire_zigzag(w);
	sqlite3_stmt *q;

	if (!wire_ok(w))
		return;
	must(sqlite3_prepare_v2(db, "UPDATE pipeline SET cursor = ?, pending = ?",
				-1, &q, NULL));
	must(sqlite3_bind_text(q, 1, cursor.p, (int)cursor.n, SQLITE_STATIC));
	must(sqlite3_bind_int64(q, 2, pending));
	must(sqlite3_step(q));
	must(sqlite3_finalize(q));
	must(sqlite3_prepare_v2(db, "REPLACE INTO table_version VALUES (?,?,?,?)",
				-1, &q, NULL));
	while (wire_left(w) > 0) {
		struct slice name = wire_lenslice(w), shape;
		int64_t version = wire_zigzag(w), from = wire_zigzag(w);

		shape = wire_lenslice(w);
		if (!wire_ok(w))
			break;
		must(sqlite3_bind_text(q, 1, name.p, (int)name.n, SQLITE_STATIC));
		must(sqlite3_bind_int64(q, 2, version));
		must(sqlite3_bind_int64(q, 3, from));
		must(sqlite3_bind_blob(q, 4, shape.p ? shape.p : "", (int)shape.n,
				       SQLITE_STATIC));
		must(sqlite3_step(q));
		must(sqlite3_reset(q));
	}
	must(sqlite3_finalize(q));
}

static void write_columns(struct wire *w)
{
	struct err e = ERR_INIT;
	struct state *st = state_open(dir, "p", STATE_CREATE, false, &e);
	sqlite3 *db;

	if (st == NULL)
		abort();
	state_close(st);
	must(sqlite3_open(db_file, &db));
	must(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL));
	put_columns(db, w);
	must(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	must(sqlite3_close(db));
}

/* --- readers ---------------------------------------------------------- */

/* What a file can be guilty of; never a bug, never what a retry would mend. */
static void check(const struct err *e)
{
	if (e->msg[0] == '\0' ||
	    (e->code != CODE_state_corrupt && e->code != CODE_sink_behind &&
	     e->code != CODE_incarnation && e->code != CODE_failed)) {
		fprintf(stderr, "%s: %s\n", code_name(e->code), e->msg);
		abort();
	}
}

/* What can be read can be stored and read again. */
static int use_table(void *arg, struct table *tab, struct err *e)
{
	struct buf shape = BUF_INIT, diff = BUF_INIT;
	struct table *again;
	struct wire w;

	(void)arg;
	table_encode(tab, &shape);
	w = wire_of(buf_get(&shape));
	again = table_decode(&w, e);
	if (again == NULL || again->fingerprint != tab->fingerprint ||
	    wire_left(&w) != 0)
		abort();
	table_diff(NULL, tab, &diff);
	table_unref(again);
	buf_fini(&shape);
	buf_fini(&diff);
	return 0;
}

static void look(void)
{
	struct err e = ERR_INIT;
	struct state *st = state_open(dir, "p", STATE_LOOK, false, &e);
	struct buf text = BUF_INIT;
	struct cursor c;
	uint32_t pending;

	if (st == NULL || state_cursor(st, &text, &e) != 0 ||
	    (text.n > 0 && cursor_parse(buf_get(&text), &c, &e) != 0))
		check(&e);
	e = ERR_INIT;
	if (st != NULL && state_pending(st, &pending, &e) != 0)
		check(&e);
	e = ERR_INIT;
	if (st != NULL && state_each_table(st, use_table, NULL, &e) != 0)
		check(&e);
	state_close(st);
	buf_fini(&text);
}

static bool sink_has_cursor;

static int sink_open(struct sink *s, struct sink_held *held, struct err *e)
{
	(void)s, (void)e;
	held->is_known = held->has_cursor = sink_has_cursor;
	if (sink_has_cursor)
		buf_text(&held->cursor, "leat1 1 5 pg x");
	return 0;
}

static const struct sink_ops sink = {
	.type = "fuzz", .size = sizeof(struct sink), .open = sink_open,
};

/* What a pipeline does: it decides, and what it then stores is there. */
static void run(void)
{
	struct err e = ERR_INIT;
	struct state *st = state_open(dir, "p", STATE_CREATE, false, &e);
	struct sink snk = {.ops = &sink, .name = "fuzz", .pipeline = "p"};
	struct cursor c = {7, 9, SLICE("there"), 0, false};
	struct buf text = BUF_INIT;
	struct resume r;

	resume_init(&r);
	if (st == NULL || resume_decide(&r, &snk, st, &e) != 0 ||
	    state_set_cursor(st, &c, &e) != 0 ||
	    state_cursor(st, &text, &e) != 0)
		check(&e);
	else if (!slice_is(buf_get(&text), "leat1 7 9 there"))
		abort();
	resume_fini(&r);
	state_close(st);
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct wire w = wire_of((struct slice){(const char *)p, n});
	uint8_t how = wire_u8(&w);

	prepare();
	clean_files();
	sink_has_cursor = how & 2;
	if (how & 1)
		write_columns(&w);
	else
		spew(&w);
	look();
	run();
	return 0;
}
