/* Writing, committing, reading, rolling; damage is log_recover.c's. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "log/segment.h"
#include "t/unit/log_lib.h"

static void test_empty(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("empty"))};
	struct lib_read r = lib_read_all(l.conf.path, "earliest", 1 << 20);

	is_int(r.e.code, CODE_log_wrong, "where no log is, reading says so: %s", r.e.msg);
	buf_fini(&r.cursor);
	ok(lib_open(&l), "a log is made where there is none %s", l.e.msg);
	is_int((long long)l.cursor.n, 0, "a new log has no cursor");
	r = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 0), "a new log has no events %s", r.e.msg);
	buf_fini(&r.cursor);
	lib_close(&l);
	ok(lib_open(&l) && l.cursor.n == 0, "and neither has it when opened again");
	lib_close(&l);
}

static void test_commit(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("commit"))}, other = l;
	struct table *tab = lib_table("users", 1, 1);
	struct lib_read r;

	lib_open(&l);
	ok(lib_rows(&l, tab, 1, 7, 20, true), "rows are appended and committed %s", l.e.msg);
	ok(lib_rows(&l, tab, 8, 9, 20, false), "more rows are appended");
	r = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 7), "a reader sees what is committed, while the writer is at work");
	is_int((long long)r.schemas, 1, "and the table's version before the first row");
	buf_fini(&r.cursor);
	ok(!lib_open(&other) && other.e.code == CODE_state_held,
	   "a second writer is refused: %s", other.e.msg);
	lib_close(&other);
	lib_close(&l);
	ok(lib_open(&l), "the log opens again");
	is_int((long long)lib_cursor_seq(&l), 7, "at the last commit");
	ok(registry_get(&l.tables, SLICE("public.users")) != NULL,
	   "and knows its tables");
	ok(lib_rows(&l, tab, 8, 12, 20, true), "the rows that were dropped are written again");
	lib_close(&l);
	r = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 12), "nothing is there twice %s", r.e.msg);
	is_int((long long)r.schemas, 1, "and a version that the log had is not told twice");
	buf_fini(&r.cursor);
	table_unref(tab);
}

static void test_refusals(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("refusals"))};
	struct table *tab = lib_table("users", 1, 1), *unknown = lib_table("x", 1, 1);
	struct cursor c = lib_cursor(3);
	struct batch *b = batch_new();
	struct err e = ERR_INIT;

	l.conf.max_event_size = 1000;
	lib_open(&l);
	lib_schema(b, tab, NULL, 1);
	ok(log_writer_table(l.w, &b->ev[0], &e) == 0, "a version is taken");
	lib_insert(b, tab, 1, 10);
	lib_insert(b, tab, 2, 1000);
	lib_insert(b, tab, 3, 10);
	ok(log_writer_append(l.w, b, 0, 4, &e) < 0 && e.code == CODE_event_rejected &&
		   e.index == 2,
	   "an event that is too large is rejected by its index: %s", e.msg);
	ok(!log_writer_is_dead(l.w), "after which the writer goes on");
	e = ERR_INIT;
	ok(log_writer_append(l.w, b, 0, 2, &e) == 0 &&
		   log_writer_append(l.w, b, 3, 1, &e) == 0,
	   "nothing of the call had been taken");
	c.seq = 2;
	ok(log_writer_commit(l.w, &c, &e) < 0 && e.code == CODE_internal,
	   "a cursor in front of what was written is refused: %s", e.msg);
	lib_close(&l);
	lib_open(&l);
	batch_reset(b);
	lib_insert(b, unknown, 1, 1);
	e = ERR_INIT;
	ok(log_writer_append(l.w, b, 0, 1, &e) < 0 && e.code == CODE_internal,
	   "a row of a version that the log does not have is refused: %s", e.msg);
	ok(log_writer_is_dead(l.w), "and the writer must be opened again");
	lib_close(&l);
	lib_open(&l);
	e = ERR_INIT;
	ok(lib_rows(&l, tab, 1, 5, 10, true), "as it can be");
	batch_reset(b);
	lib_insert(b, tab, 5, 10);
	ok(log_writer_append(l.w, b, 0, 1, &e) < 0 && e.code == CODE_log_wrong,
	   "an event whose seq is there already is refused: %s", e.msg);
	lib_close(&l);
	batch_free(b);
	table_unref(tab);
	table_unref(unknown);
}

static void test_starts(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("starts"))};
	struct table *tab = lib_table("users", 1, 1);
	bool by_seq = true, by_time = true, resumed = true;
	uint64_t last = 60;
	struct lib_read r;
	char text[64], when[CLOCK_ISO_SIZE];

	l.conf.segment_size = 700;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= last; seq += 4)
		if (!lib_rows(&l, tab, seq, seq + 3, 30, true))
			ok(false, "%s", l.e.msg);
	for (uint64_t seq = 0; seq <= last + 2; seq++) {
		uint64_t want = seq ? seq : 1;

		snprintf(text, sizeof(text), "seq:%" PRIu64, seq);
		r = lib_read_all(l.conf.path, text, 1 << 20);
		by_seq = by_seq && lib_is_range(&r, want, last) &&
			 r.schemas == (want <= last);
		if (!by_seq)
			printf("# %s: %" PRIu64 " rows from %" PRIu64 " %s\n", text, r.rows, r.first, r.e.msg);
		if (r.rows > 0) {
			struct lib_read again;
			char *cursor = strndup(r.cursor.p, r.cursor.n);

			again = lib_read_all(l.conf.path, cursor, 1 << 20);
			resumed = resumed && lib_is_range(&again, last + 1, last);
			buf_fini(&again.cursor);
			free(cursor);
		}
		buf_fini(&r.cursor);
	}
	ok(by_seq, "seq:N begins with the event of that seq, wherever it is");
	ok(resumed, "a cursor at the end goes on at the end");
	for (int64_t s = 998; s <= 1021; s++) {
		uint64_t want = s < 1000 ? 1 : (uint64_t)(s - 1000) * 3 + 1;

		clock_iso(when, s * 1000000);
		snprintf(text, sizeof(text), "time:%s", when);
		r = lib_read_all(l.conf.path, text, 1 << 20);
		by_time = by_time && lib_is_range(&r, want, last);
		if (!by_time)
			printf("# %s: %" PRIu64 " rows from %" PRIu64 " %s\n", text, r.rows, r.first, r.e.msg);
		buf_fini(&r.cursor);
	}
	ok(by_time, "time:T begins with the first event of that time or later");
	r = lib_read_all(l.conf.path, "latest", 1 << 20);
	ok(lib_is_range(&r, last + 1, last), "latest begins behind the last one");
	buf_fini(&r.cursor);
	r = lib_read_all(l.conf.path, "sequel:4", 1 << 20);
	is_int(r.e.code, CODE_usage, "what is no position is refused: %s", r.e.msg);
	lib_close(&l);
	table_unref(tab);
}

/* Reads in as many small batches as there are frames, closing and opening the
 * reader at each cursor. */
static void test_resume_everywhere(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("resume"))};
	struct table *tab = lib_table("users", 1, 1), *tab2 = lib_table("users", 2, 31);
	struct table *known = NULL;
	struct lib_read r = {.in_order = true, .is_sound = true};
	struct buf cursor = BUF_INIT;
	struct batch *b = batch_new();
	struct log_start at = {.kind = START_EARLIEST};
	uint64_t last_rows, opened = 0;

	l.conf.segment_size = 900;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= 60; seq += 3)
		lib_rows(&l, seq < 31 ? tab : tab2, seq, seq + 2, 30, true);
	r.e = ERR_INIT;
	do {
		struct log_reader *reader =
			log_reader_open(l.conf.path, &at, NULL, &r.e);

		last_rows = r.rows;
		batch_reset(b);
		if (reader == NULL)
			break;
		if (known != NULL && log_reader_knows(reader, known, &r.e) != 0)
			break;
		if (log_reader_read(reader, b, 2000, &r.e) != 0)
			break;
		lib_take(&r, b);
		for (size_t i = 0; i < b->n; i++)
			if (b->ev[i].op == OP_SCHEMA) {
				r.is_sound = r.is_sound &&
					     b->ev[i].schema->prev == known;
				table_unref(known);
				known = table_ref(b->ev[i].table);
			}
		buf_reset(&cursor, SIZE_MAX);
		log_reader_cursor(reader, &cursor);
		at = (struct log_start){.kind = START_CURSOR,
					.cursor = buf_get(&cursor)};
		log_reader_close(reader);
		opened++;
	} while (r.rows > last_rows);
	ok(lib_is_range(&r, 1, 60) && opened > 10,
	   "a reader that is opened anew at each of %" PRIu64 " cursors misses and repeats nothing %s",
	   opened, r.e.msg);
	is_int((long long)r.schemas, 2,
	       "and is told each version once, when it knows those from before");
	lib_close(&l);
	buf_fini(&cursor);
	batch_free(b);
	table_unref(known);
	table_unref(tab);
	table_unref(tab2);
}

/* The cursor in an OP_SCHEMA event is a place, too. */
static void test_schema_cursor(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("barrier"))};
	struct table *tab = lib_table("users", 1, 1), *tab2 = lib_table("users", 2, 5);
	struct batch *b = batch_new(), *rows = batch_new();
	struct log_start at = {.kind = START_EARLIEST};
	struct log_reader *reader;
	struct cursor c = lib_cursor(8);
	struct err e = ERR_INIT;
	uint64_t places = 0;
	bool good = true;

	lib_open(&l);
	lib_schema(b, tab, NULL, 1);
	good = log_writer_table(l.w, &b->ev[0], &e) == 0;
	for (uint64_t seq = 1; seq <= 4; seq++)
		lib_insert(b, tab, seq, 5);
	good = good && log_writer_append(l.w, b, 0, b->n, &e) == 0;
	lib_schema(rows, tab2, tab, 5);
	good = good && log_writer_table(l.w, &rows->ev[0], &e) == 0;
	for (uint64_t seq = 5; seq <= 8; seq++)
		lib_insert(rows, tab2, seq, 5);
	good = good && log_writer_append(l.w, rows, 0, rows->n, &e) == 0 &&
	       log_writer_commit(l.w, &c, &e) == 0;
	batch_reset(b);
	reader = log_reader_open(l.conf.path, &at, NULL, &e);
	good = good && log_reader_read(reader, b, 1 << 20, &e) == 0;
	log_reader_close(reader);
	for (size_t i = 0; i < b->n; i++) {
		char *place;
		struct lib_read r;

		if (b->ev[i].op != OP_SCHEMA)
			continue;
		places++;
		place = strndup(b->ev[i].schema->cursor_source.p,
				b->ev[i].schema->cursor_source.n);
		r = lib_read_all(l.conf.path, place, 1 << 20);
		good = good && lib_is_range(&r, b->ev[i].seq, 8);
		buf_fini(&r.cursor);
		free(place);
	}
	ok(good && places == 2,
	   "a reader that begins at the cursor of a schema event reads on with the row behind it %s",
	   e.msg);
	lib_close(&l);
	batch_free(b);
	batch_free(rows);
	table_unref(tab);
	table_unref(tab2);
}

/* A version that came after the committed cursor is not in force when the log is
 * opened again: the source will make it once more. */
static void test_version_waits(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("waits"))};
	struct table *tab = lib_table("users", 1, 1), *tab2 = lib_table("users", 2, 4);
	struct batch *b = batch_new();
	struct cursor c = lib_cursor(3);
	struct err e = ERR_INIT;
	struct table *found;

	lib_open(&l);
	lib_rows(&l, tab, 1, 3, 10, true);
	lib_schema(b, tab2, tab, 4);
	c.source = SLICE("a little further");
	ok(log_writer_table(l.w, &b->ev[0], &e) == 0 &&
		   log_writer_commit(l.w, &c, &e) == 0,
	   "a commit may come between a version and its first row");
	lib_close(&l);
	lib_open(&l);
	found = registry_get(&l.tables, SLICE("public.users"));
	ok(found != NULL && found->version == 1,
	   "the version is not in force before its first seq is committed");
	c.seq = 4;
	ok(log_writer_table(l.w, &b->ev[0], &e) == 0 &&
		   log_writer_commit(l.w, &c, &e) == 0,
	   "a commit may cover it without any row");
	lib_close(&l);
	lib_open(&l);
	found = registry_get(&l.tables, SLICE("public.users"));
	ok(found != NULL && found->version == 2, "then it is in force");
	lib_close(&l);
	batch_free(b);
	table_unref(tab);
	table_unref(tab2);
}

static size_t count_segments(const char *dir)
{
	struct segment_list l;
	struct err e = ERR_INIT;
	size_t n = segment_list_read(dir, &l, &e) == 0 ? l.n : 0;

	segment_list_fini(&l);
	return n;
}

static void test_roll(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("roll"))};
	struct table *users = lib_table("users", 1, 1), *orders = lib_table("orders", 1, 2);
	struct segment_list list;
	struct lib_read r;
	bool good = true;
	size_t n;

	l.conf.segment_size = 2000;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= 200; seq++)
		good = good && lib_rows(&l, seq == 2 ? orders : users, seq, seq, 50, true);
	n = count_segments(l.conf.path);
	ok(good && n > 5, "a full segment is followed by another: %zu %s", n, l.e.msg);
	r = lib_read_all(l.conf.path, "earliest", 3000);
	ok(lib_is_range(&r, 1, 200), "reading goes on from segment to segment %s", r.e.msg);
	buf_fini(&r.cursor);
	lib_close(&l);
	/* what is left of a log whose older segments are gone */
	if (segment_list_read(l.conf.path, &list, &l.e) != 0)
		abort();
	for (size_t i = 0; i + 1 < list.n; i++)
		unlink(lib_segment(l.conf.path, list.v[i].first_seq));
	ok(lib_open(&l) && lib_cursor_seq(&l) == 200,
	   "the last segment alone tells the cursor %s", l.e.msg);
	ok(registry_get(&l.tables, SLICE("public.orders")) != NULL,
	   "and the tables that only older segments have rows of");
	r = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(r.first == list.v[list.n - 1].first_seq &&
		   lib_is_range(&r, r.first, 200) && r.schemas == 1,
	   "a reader that begins in the middle is told the version of what it reads %s", r.e.msg);
	buf_fini(&r.cursor);
	segment_list_fini(&list);
	lib_close(&l);
	table_unref(users);
	table_unref(orders);
}

static void test_no_roll_without_events(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("noroll"))};
	struct cursor c = lib_cursor(0);
	struct err e = ERR_INIT;
	char source[32];
	bool good = true;

	l.conf.segment_size = 500;
	lib_open(&l);
	for (int i = 0; i < 30; i++) {
		snprintf(source, sizeof(source), "place %d", i);
		c.source = slice_of(source);
		good = good && log_writer_commit(l.w, &c, &e) == 0;
	}
	is_int((long long)count_segments(l.conf.path), 1,
	       "commits without events do not begin a segment %s", e.msg);
	lib_close(&l);
	ok(good && lib_open(&l) && l.cursor.n > 0 &&
		   memmem(l.cursor.p, l.cursor.n, "place 29", 8) != NULL,
	   "but move the cursor");
	lib_close(&l);
}

static void test_large(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("large"))};
	struct table *tab = lib_table("users", 1, 1);
	struct lib_read r;

	l.conf.max_event_size = 64 << 20;
	for (int level = 0; level < 2; level++) {
		l.conf.path = (char *)(uintptr_t)lib_dir("large");
		l.conf.compression = level;
		lib_open(&l);
		ok(lib_rows(&l, tab, 1, 30000, 100, true) &&
			   lib_rows(&l, tab, 30001, 30002, 9 << 20, true) &&
			   lib_rows(&l, tab, 30003, 40000, 1, true),
		   "many rows and large ones, compression %d %s", level, l.e.msg);
		lib_close(&l);
		r = lib_read_all(l.conf.path, "earliest", 1 << 20);
		ok(lib_is_range(&r, 1, 40000), "come back %s", r.e.msg);
		buf_fini(&r.cursor);
	}
	table_unref(tab);
}

/* Transactions of three rows, each of which fills a frame. */
static void test_inside(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("inside"))};
	struct table *tab = lib_table("users", 1, 1);
	struct log_start at = {.kind = START_EARLIEST};
	struct cursor c = lib_cursor(8);
	struct batch *b = batch_new();
	struct log_reader *r;
	unsigned frames = 0, wrong = 0;

	lib_open(&l);
	lib_schema(b, tab, NULL, 1);
	(void)!log_writer_table(l.w, &b->ev[0], &l.e);
	for (uint64_t seq = 1; seq <= 8; seq++)
		lib_insert(b, tab, seq, 300000);
	b->cursor.in_txn = c.in_txn = true;
	ok(log_writer_append(l.w, b, 0, b->n, &l.e) == 0 &&
		   log_writer_commit(l.w, &c, &l.e) == 0,
	   "half of a transaction is written");
	r = log_reader_open(l.conf.path, &at, NULL, &l.e);
	for (;;) {
		batch_reset(b);
		if (log_reader_read(r, b, 1000, &l.e) != 0 || b->n == 0)
			break;
		frames++;
		wrong += log_reader_is_inside(r) !=
			 (log_reader_seq(r) % 3 != 0);
	}
	ok(frames == 8 && wrong == 0,
	   "behind each of %u frames a reader knows whether it is inside", frames);
	c.in_txn = false;
	ok(log_writer_commit(l.w, &c, &l.e) == 0 &&
		   log_reader_read(r, b, 1 << 20, &l.e) == 0 && b->n == 0 &&
		   !log_reader_is_inside(r),
	   "and that nothing more of it came");
	log_reader_close(r);
	batch_free(b);
	lib_close(&l);
	table_unref(tab);
}

static void test_fenced(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("fenced"))};
	struct table *tab = lib_table("users", 1, 1);

	lib_open(&l);
	lib_rows(&l, tab, 1, 3, 10, true);
	unlink(lib_file(l.conf.path, "lock"));
	lib_spew(lib_file(l.conf.path, "lock"), "", 0);
	ok(!lib_rows(&l, tab, 4, 6, 10, true) && l.e.code == CODE_fenced &&
		   log_writer_is_dead(l.w),
	   "a log that was taken over is not written to: %s", l.e.msg);
	lib_close(&l);
	table_unref(tab);
}

static void test_foreign_directory(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("foreign"))};

	mkdir(l.conf.path, 0700);
	lib_spew(lib_file(l.conf.path, "PG_VERSION"), "15\n", 3);
	ok(!lib_open(&l) && l.e.code == CODE_log_wrong,
	   "a directory with other files in it is refused: %s", l.e.msg);
	lib_close(&l);
}

/* --- waiting --------------------------------------------------------- */

struct waiter {
	struct log_reader *r;
	struct lib_read seen;
	int64_t waited;
	int wake[2];
};

static void *wait_for_rows(void *arg)
{
	struct waiter *w = arg;
	struct batch *b = batch_new();

	while (w->seen.last < 600) {
		batch_reset(b);
		if (log_reader_wait(w->r, clock_mono_ms() + 10000, -1, &w->seen.e) != 0 ||
		    log_reader_read(w->r, b, 1 << 20, &w->seen.e) != 0)
			break;
		lib_take(&w->seen, b);
	}
	batch_free(b);
	return NULL;
}

static void *wait_for_wake(void *arg)
{
	struct waiter *w = arg;
	int64_t start = clock_mono_ms();

	if (log_reader_wait(w->r, start + 20000, w->wake[0], &w->seen.e) != 0)
		printf("# %s\n", w->seen.e.msg);
	w->waited = clock_mono_ms() - start;
	return NULL;
}

static void test_wait(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("wait"))};
	struct table *tab = lib_table("users", 1, 1);
	struct log_start at = {.kind = START_LATEST};
	struct waiter w = {.seen = {.in_order = true, .is_sound = true}};
	int64_t start;
	pthread_t t;

	l.conf.segment_size = 4000;
	lib_open(&l);
	lib_rows(&l, tab, 1, 3, 10, true);
	w.seen.e = ERR_INIT;
	w.r = log_reader_open(l.conf.path, &at, NULL, &w.seen.e);
	start = clock_mono_ms();
	ok(log_reader_wait(w.r, start + 30, -1, &w.seen.e) == 0 &&
		   clock_mono_ms() - start >= 30,
	   "where nothing comes, the deadline ends the wait");
	pthread_create(&t, NULL, wait_for_rows, &w);
	start = clock_mono_ms();
	for (uint64_t seq = 4; seq <= 600; seq++)
		lib_rows(&l, tab, seq, seq, 10, true);
	pthread_join(t, NULL);
	ok(lib_is_range(&w.seen, 4, 600),
	   "a reader follows the writer from segment to segment: %" PRIu64 " rows %s%s",
	   w.seen.rows, w.seen.e.msg, l.e.msg);
	if (pipe(w.wake) != 0)
		abort();
	pthread_create(&t, NULL, wait_for_wake, &w);
	poll(NULL, 0, 30);
	if (write(w.wake[1], "x", 1) != 1)
		abort();
	pthread_join(t, NULL);
	ok(w.waited < 15000, "a byte on the wake descriptor ends the wait");
	log_reader_close(w.r);
	close(w.wake[0]);
	close(w.wake[1]);
	lib_close(&l);
	table_unref(tab);
}

int main(void)
{
	note_setup(NOTE_ERROR, false);
	test_empty();
	test_commit();
	test_refusals();
	test_starts();
	test_resume_everywhere();
	test_schema_cursor();
	test_version_waits();
	test_roll();
	test_no_roll_without_events();
	test_large();
	test_inside();
	test_fenced();
	test_foreign_directory();
	test_wait();
	lib_dir(NULL);
	return tap_done();
}
