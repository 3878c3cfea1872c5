/* Every allocation fails once: an error each time, no crash, nothing lost. */
#include "config.h"

#include "log/log_verify.h"
#include "t/unit/log_lib.h"
#include "t/unit/memory_lib.h"

/* The log's own calls are what may fail, not the filling of the batch. */
static bool write_batch(struct lib_log *l, struct batch *b, uint64_t last)
{
	struct cursor c = lib_cursor(last);

	return log_writer_table(l->w, &b->ev[0], &l->e) == 0 &&
	       log_writer_append(l->w, b, 0, b->n, &l->e) == 0 &&
	       log_writer_commit(l->w, &c, &l->e) == 0;
}

static struct batch *rows(struct table *tab, uint64_t first, uint64_t last)
{
	struct batch *b = batch_new();

	lib_schema(b, tab, NULL, first);
	for (uint64_t seq = first; seq <= last; seq++)
		lib_insert(b, tab, seq, 200);
	return b;
}

static bool reads_to(const char *dir, uint64_t last)
{
	struct lib_read r = lib_read_all(dir, "earliest", 1 << 20);
	bool good = lib_is_range(&r, 1, last);

	if (!good)
		printf("# seq %" PRIu64 ": %s\n", r.last, r.e.msg);
	buf_fini(&r.cursor);
	return good;
}

static void test_writer(void)
{
	struct table *tab = lib_table("users", 1, 1);
	long tries = 0;
	bool good = true, done = false;

	for (; good && !done && tries < 2000; tries++) {
		struct lib_log l = {.conf = lib_conf(lib_dir("writer"))};
		struct batch *a = rows(tab, 1, 20), *b = rows(tab, 21, 30);
		uint64_t committed = 0;

		l.conf.segment_size = 500;
		memory_fail(tries);
		if (lib_open(&l) && write_batch(&l, a, 20)) {
			committed = 20;
			done = write_batch(&l, b, 30);
		}
		/* a roll that fails is no failure of the commit before it */
		done = !memory_has_failed() && done;
		good = done || !err_is_set(&l.e) || l.e.code == CODE_no_memory;
		if (!good)
			printf("# allocation %ld: %s\n", tries, l.e.msg);
		lib_close(&l);
		if (lib_open(&l)) {
			uint64_t seq = lib_cursor_seq(&l);

			good = good && seq >= committed;
			if (seq == 0)
				good = good && write_batch(&l, a, 20);
			if (seq < 30)
				good = good && write_batch(&l, b, 30);
			lib_close(&l);
			good = good && reads_to(l.conf.path, 30);
		} else {
			printf("# allocation %ld, opened again: %s\n", tries, l.e.msg);
			lib_close(&l);
			good = false;
		}
		batch_free(a);
		batch_free(b);
	}
	ok(good && done && tries > 10,
	   "a writer that lacks memory, at any of %ld allocations, says so and loses nothing",
	   tries - 1);
	table_unref(tab);
}

static void test_reader(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("reader"))};
	struct table *tab = lib_table("users", 1, 1);
	long tries = 0;
	bool good = true, done = false;

	l.conf.segment_size = 3000;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= 60; seq += 5)
		lib_rows(&l, tab, seq, seq + 4, 300, true);
	lib_close(&l);
	for (; good && !done && tries < 2000; tries++) {
		struct log_start at = {.kind = START_TIME, .us = lib_commit_us(20)};
		struct batch *b = batch_new();
		struct err e = ERR_INIT;
		struct log_reader *r;
		bool read = false;

		memory_fail(tries);
		r = log_reader_open(l.conf.path, &at, "named", &e);
		if (r != NULL)
			read = log_reader_read(r, b, 1 << 20, &e) == 0;
		done = !memory_has_failed() && read;
		good = read ? b->n == 43 : e.code == CODE_no_memory;
		if (!good)
			printf("# allocation %ld: %zu events, %s\n", tries, b->n, e.msg);
		log_reader_close(r);
		batch_free(b);
	}
	ok(good && done && tries > 10,
	   "so does a reader, at any of %ld", tries - 1);
	for (tries = 0, done = false, good = true; good && !done && tries < 5000; tries++) {
		struct log_stat st;
		struct err e = ERR_INIT;
		uint64_t open_bytes;

		memory_fail(tries);
		good = log_verify(l.conf.path, &st, &open_bytes, &e) == 0;
		done = !memory_has_failed() && good;
		good = good || e.code == CODE_no_memory;
		if (!good)
			printf("# allocation %ld: %s\n", tries, e.msg);
		log_stat_fini(&st);
	}
	ok(good && done && tries > 10, "and verify, at any of %ld", tries - 1);
	table_unref(tab);
}

int main(void)
{
	note_setup(NOTE_ERROR, false);
	test_writer();
	test_reader();
	lib_dir(NULL);
	return tap_done();
}
