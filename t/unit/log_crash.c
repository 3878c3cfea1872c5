/* A writer that is killed: at each fault point (with --enable-faults), and at
 * instants of nobody's choosing. */
#include "config.h"

#include <signal.h>

#include "log/log_verify.h"
#include "t/unit/log_lib.h"
#include "t/unit/victim.h"

#define LAST 90u

/* Goes on where the log stands, three rows a commit, and tells each commit.
 * keep: retention_size. */
static int child(const char *dir, int64_t keep)
{
	struct lib_log l = {.conf = lib_conf(dir)};
	struct table *tab = lib_table("users", 1, 1), *tab2 = lib_table("users", 2, 46);
	uint64_t seq;

	l.conf.segment_size = 3000;
	l.conf.retention_size = keep;
	if (!lib_open(&l))
		return 1;
	for (seq = lib_cursor_seq(&l) + 1; seq < LAST; seq += 3) {
		uint8_t told = (uint8_t)(seq + 2);

		if (!lib_rows(&l, seq < 46 ? tab : tab2, seq, seq + 2, 200, true) ||
		    write(STDOUT_FILENO, &told, 1) != 1)
			return 1;
	}
	lib_close(&l);
	table_unref(tab);
	table_unref(tab2);
	return 0;
}

/* Runs the child, with a fault or killed after so many microseconds; returns
 * the last seq it told to be committed. */
static uint64_t crash(const char *self, const char *dir, const char *keep,
		      const char *fault, int kill_us, bool *died)
{
	struct victim v;
	uint64_t told = 0;
	uint8_t seq;

	if (victim_fork(&v)) {
		if (fault != NULL)
			setenv("LEAT_FAULT", fault, 1);
		victim_exec((const char *[]){self, dir, keep, NULL});
	}
	if (kill_us > 0) {
		usleep((useconds_t)kill_us);
		kill(v.pid, SIGKILL);
	}
	while (read(v.fd, &seq, 1) == 1)
		told = seq;
	*died = WIFSIGNALED(victim_wait(&v));
	return told;
}

static bool is_sound(const char *dir, uint64_t least)
{
	struct log_stat st;
	struct err e = ERR_INIT;
	uint64_t open_bytes;
	struct lib_read r;
	bool good;

	r = lib_read_all(dir, "earliest", 1 << 20);
	/* killed before there was a log */
	if (least == 0 && r.e.code == CODE_log_wrong)
		return true;
	good = lib_is_range(&r, 1, r.last) && r.last >= least &&
	       r.schemas == (r.last >= 46 ? 2u : r.last >= 1 ? 1u : 0u) &&
	       log_verify(dir, &st, &open_bytes, &e) == 0;
	if (!good)
		printf("# %" PRIu64 " of %" PRIu64 " rows, %" PRIu64 " versions; %s %s\n",
		       r.last, least, r.schemas, r.e.msg, e.msg);
	buf_fini(&r.cursor);
	if (err_is_set(&e) || good)
		log_stat_fini(&st);
	return good;
}

#ifdef LEAT_FAULTS
static void test_points(const char *self)
{
	static const char *const points[] = {"mid_frame", "before_fsync",
					     "segment_roll", "schema_write"};

	for (size_t i = 0; i < countof(points); i++) {
		unsigned deaths = 0;
		bool good = true;

		for (unsigned n = 1; n <= 20; n++) {
			const char *dir = lib_dir("crash");
			char fault[64];
			uint64_t told;
			bool died = false;

			snprintf(fault, sizeof(fault), "%s:%u", points[i], n);
			told = crash(self, dir, "0", fault, 0, &died);
			deaths += died;
			good = good && is_sound(dir, told);
			told = crash(self, dir, "0", NULL, 0, &died);
			good = good && !died && is_sound(dir, LAST);
		}
		ok(good && deaths > 1,
		   "a writer killed at %s, %u times, loses nothing that it told",
		   points[i], deaths);
	}
}
#endif

#ifdef LEAT_FAULTS
static bool has_rest(const char *dir, uint64_t least)
{
	struct lib_read r = lib_read_all(dir, "earliest", 1 << 20);
	bool good = r.first > 1 && r.last >= least &&
		    lib_is_range(&r, r.first, r.last);

	if (!good)
		printf("# %" PRIu64 " to %" PRIu64 ", %" PRIu64 " told: %s\n",
		       r.first, r.last, least, r.e.msg);
	buf_fini(&r.cursor);
	return good;
}

static void test_retention(const char *self)
{
	bool good = true, died = true;
	unsigned deaths = 0;

	while (good && died) {
		const char *dir = lib_dir("retention");
		char fault[64];
		uint64_t told;

		snprintf(fault, sizeof(fault), "retention_delete:%u", deaths + 1);
		told = crash(self, dir, "6000", fault, 0, &died);
		good = has_rest(dir, told);
		if (!died)
			break;
		deaths++;
		crash(self, dir, "6000", NULL, 0, &died);
		good = good && !died && has_rest(dir, LAST);
		died = true;
	}
	ok(good && deaths > 2,
	   "one killed while retention deletes, %u times, keeps the rest", deaths);
}
#endif

static void test_anywhere(const char *self)
{
	const char *dir = lib_dir("anywhere");
	uint64_t told = 0, state = 12345;
	unsigned deaths = 0, rounds = 0;
	bool good = true;

	while (good && rounds < 60) {
		bool died;
		uint64_t now;

		state = state * 6364136223846793005u + 1442695040888963407u;
		now = crash(self, dir, "0", NULL, 300 + (int)(state >> 33) % 6000, &died);
		told = now > told ? now : told;
		deaths += died;
		rounds++;
		good = is_sound(dir, told);
		if (told >= LAST) {
			dir = lib_dir("anywhere");
			told = 0;
		}
	}
	ok(good && deaths > 5, "nor does one killed %u times anywhere", deaths);
}

int main(int argc, char **argv)
{
	note_setup(NOTE_ERROR, false);
	if (argc > 2)
		return child(argv[1], strtol(argv[2], NULL, 10));
#ifdef LEAT_FAULTS
	test_points(argv[0]);
	test_retention(argv[0]);
#endif
	test_anywhere(argv[0]);
	lib_dir(NULL);
	return tap_done();
}
