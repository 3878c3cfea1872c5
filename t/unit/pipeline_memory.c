/* Every allocation of a pipeline fails once, from its start over changes of a
 * table's shape to its stop: it goes on, or says so and can be started again;
 * nothing is lost or repeated. */
#include "config.h"

#include "base/retry.h"
#include "log/log.h"
#include "sinks/log_sink.h"
#include "sources/log_source.h"
#include "t/unit/memory_lib.h"
#include "t/unit/pipeline_lib.h"

#define QUEUE (16 << 10)

/* The pauses are not what is tested. */
int64_t __real_retry_next_ms(struct retry *r);
int64_t __wrap_retry_next_ms(struct retry *r);

int64_t __wrap_retry_next_ms(struct retry *r)
{
	__real_retry_next_ms(r);
	return 1;
}

/* A first run that fails at the n-th allocation, and one without a fault if
 * that one has stopped.  What it came to; *failed: n was not beyond the last. */
static enum code run_short(long n, const char *name,
			   const struct conf_section *src,
			   const struct conf_section *snk, bool *failed)
{
	enum code code;

	memory_fail(n);
	code = run_between(name, src, snk, QUEUE);
	*failed = memory_has_failed();
	if (code == CODE_none)
		return code;
	if (code != CODE_no_memory) {
		printf("# allocation %ld: %s\n", n, code_name(code));
		return code;
	}
	return run_between(name, src, snk, QUEUE);
}

static void test_fakes(void)
{
	bool good = true, failed = true;
	long n = 0;

	total = TOTAL;
	for (; good && failed && n < 3000; n++) {
		reset();
		good = run_short(n, "p", &from, &to, &failed) == CODE_none &&
		       is_exact(total);
		/* without memory for the last acknowledgement there is none:
		 * the next start makes up for it */
		good = good && (failed ? src_script.acked <= total
				       : src_script.acked == total);
		if (!good)
			printf("# allocation %ld: %zu of %u, acked %u\n", n,
			       dst.committed, total, (unsigned)src_script.acked);
	}
	ok(good && n > 100,
	   "a pipeline that lacks memory, at any of %ld allocations, loses and repeats nothing",
	   n - 1);
}

/* --- the log as sink, then as source ---------------------------------- */

static char log_dir[160];
static struct log_conf log_values = {
	.path = log_dir, .segment_size = 900, .max_event_size = 1 << 20,
};
static struct conf_section logs = {
	.name = (char *)"l", .source = &log_source, .sink = &log_sink,
	.values = &log_values,
};

/* Rows 1 to `total`, each once, and each version of the table. */
static bool log_is_exact(void)
{
	struct log_start start = {.kind = START_EARLIEST};
	struct err e = ERR_INIT;
	struct log_reader *r = log_reader_open(log_dir, &start, NULL, &e);
	struct batch *b = batch_new();
	uint64_t seq = 0;
	unsigned shapes = 0;
	bool good = r != NULL;

	do {
		batch_reset(b);
		good = good && log_reader_read(r, b, 1 << 20, &e) == 0;
		for (size_t i = 0; good && i < b->n; i++)
			if (b->ev[i].op == OP_SCHEMA)
				shapes++;
			else
				good = b->ev[i].seq == ++seq;
	} while (good && b->n > 0);
	good = good && seq == total && shapes == (total - 1) / SHAPE_EVERY + 1;
	if (!good)
		printf("# seq %u, %u shapes, %s\n", (unsigned)seq, shapes, e.msg);
	log_reader_close(r);
	batch_free(b);
	return good;
}

static void test_to_log(void)
{
	bool good = true, failed = true;
	long n = 0;

	for (; good && failed && n < 3000; n++) {
		reset();
		good = run_short(n, "p", &from, &logs, &failed) == CODE_none &&
		       log_is_exact();
		if (!good)
			printf("# allocation %ld\n", n);
	}
	ok(good && n > 100, "nor does one into a log, at any of %ld", n - 1);
}

static void test_from_log(void)
{
	bool good, failed = true;
	char cmd[400];
	long n = 0;

	reset();
	good = run_between("p", &from, &logs, QUEUE) == CODE_none &&
	       log_is_exact();
	for (; good && failed && n < 3000; n++) {
		snprintf(cmd, sizeof(cmd), "rm -rf %s/q %s/readers", dir, log_dir);
		if (system(cmd) != 0)
			abort();
		memset(&dst, 0, sizeof(dst));
		good = run_short(n, "q", &logs, &to, &failed) == CODE_none &&
		       is_exact(total) &&
		       dst.shapes >= (total - 1) / SHAPE_EVERY + 1;
		if (!good)
			printf("# allocation %ld: %zu of %u, %u shapes\n", n,
			       dst.committed, total, dst.shapes);
	}
	ok(good && n > 50, "nor one out of it, at any of %ld", n - 1);
}

int main(void)
{
	note_setup(NOTE_ERROR + 1, false);
	tap_dir(dir, "pipeline");
	snprintf(log_dir, sizeof(log_dir), "%s/log", dir);
	test_fakes();
	total = 120;
	test_to_log();
	test_from_log();
	reset();
	rmdir(dir);
	return tap_done();
}
