/* Losses of power, hundreds of them, over a log, the place of a reader of it, and
 * a state: what was told to be durable is there again (t/power.h).  Each sync that
 * is left out is missed.  And each operation on the disk fails in turn, once or for
 * a while: it is tried again, nothing is lost, also if the power goes then. */
#include "config.h"

#ifdef LEAT_FAULTS
#include <signal.h>

#include "agent/state.h"
#include "base/disk.h"
#include "log/log_verify.h"
#include "log/readers.h"
#include "t/power.h"
#include "t/unit/log_lib.h"
#include "t/unit/victim.h"

#define LAST 120u
/* Where each operation fails in turn. */
#define LAST_OF_FEW 24u
/* Attempts after which a disk that has failed so often is well again. */
#define PATIENCE 6
#define PATH_SIZE 512
/* Enough for a mutant, with room: see what is printed. */
#define MOST 2000
#define MOST_OF_RARE 30000

/* --- the process that is cut off ------------------------------------------ */

struct life {
	struct lib_log log;
	struct state *state;
	struct table *versions[2];
	char *log_dir;
	const char *tree;
	uint64_t last;
};

/* 'L' the log, 'S' the state: durable up to seq; 'R' a reader has its place, 1.
 * In small letters what was found at the start.  'F' if anything failed, 1. */
static void tell(char what, uint64_t seq)
{
	uint8_t two[2] = {(uint8_t)what, (uint8_t)seq};

	if (write(STDOUT_FILENO, two, 2) != 2)
		_exit(1);
}

/* What passes is tried again, as the agent does; anything else is the end. */
static void try_again(struct err *e)
{
	static unsigned attempts;

	if (disk_failures() > 0) {
		tell('F', 1);
		if (++attempts == PATIENCE)
			disk_set_fault(NULL);
	}
	if (code_kind(e->code) != CODE_RETRY) {
		fprintf(stderr, "# stopped: %s (%s)\n", e->msg, code_name(e->code));
		_exit(1);
	}
	*e = ERR_INIT;
}

static void open_log(struct life *l)
{
	while (!lib_open(&l->log)) {
		try_again(&l->log.e);
		lib_close(&l->log);
	}
}

static void open_state(struct life *l)
{
	struct err e = ERR_INIT;

	while ((l->state = state_open(l->tree, "p", STATE_CREATE, true, &e)) == NULL)
		try_again(&e);
}

static uint64_t state_seq(struct life *l)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct cursor c = {0};

	while (state_cursor(l->state, &text, &e) != 0)
		try_again(&e);
	if (text.n > 0 && cursor_parse(buf_get(&text), &c, &e) != 0)
		try_again(&e);
	buf_fini(&text);
	return c.seq;
}

static uint64_t has_reader(struct life *l)
{
	struct buf text = BUF_INIT;
	struct log_place p = {0};
	struct err e = ERR_INIT;
	int rc;

	while ((rc = reader_load(l->log_dir, "r", &text, &e)) < 0)
		try_again(&e);
	if (rc == 1 && !log_place_parse(buf_get(&text), &p))
		_exit(1);
	buf_fini(&text);
	return (uint64_t)rc;
}

/* Rows first..first + 2 in one commit; false: what is in doubt was cut off. */
static bool write_rows(struct life *l, uint64_t first)
{
	struct table *tab = l->versions[first < l->last / 2 ? 0 : 1];
	struct log_writer *w = l->log.w;
	struct batch *b = batch_new();
	struct cursor c = lib_cursor(first + 2);
	struct err *e = &l->log.e;
	enum { TABLE, ROWS, COMMIT, DONE } step = TABLE;

	lib_schema(b, tab, NULL, first);
	for (uint64_t seq = first; seq < first + 3; seq++)
		lib_insert(b, tab, seq, 200);
	do {
		int rc = step == TABLE	? log_writer_table(w, &b->ev[0], e)
			 : step == ROWS ? log_writer_append(w, b, 1, 3, e)
					: log_writer_commit(w, &c, e);

		if (rc == 0)
			step++;
		else if (!log_writer_is_dead(w))
			try_again(e);
	} while (step != DONE && !err_is_set(e));
	batch_free(b);
	if (step == DONE)
		return true;
	lib_close(&l->log);
	try_again(e);
	open_log(l);
	return false;
}

static void store_state(struct life *l, uint64_t seq)
{
	struct cursor c = lib_cursor(seq);
	struct err e = ERR_INIT;

	while (seq == 3 && state_add_table(l->state, l->versions[0], &e) != 0)
		try_again(&e);
	while (state_set_cursor(l->state, &c, &e) != 0)
		try_again(&e);
	tell('S', seq);
}

static void place_reader(struct life *l)
{
	struct log_start start = {.kind = START_EARLIEST};
	struct buf place = BUF_INIT;
	struct err e = ERR_INIT;
	struct log_reader *r;

	while ((r = log_reader_open(l->log_dir, &start, "r", &e)) == NULL)
		try_again(&e);
	tell('R', 1);
	log_reader_cursor(r, &place);
	while (log_reader_ack(r, buf_get(&place), &e) != 0)
		try_again(&e);
	log_reader_close(r);
	buf_fini(&place);
}

static int live(const char *tree, const char *keep, uint64_t last)
{
	char log_dir[PATH_SIZE];
	struct life l = {.tree = tree, .log_dir = log_dir, .last = last,
			 .versions = {lib_table("users", 1, 1),
				      lib_table("users", 2, last / 2)}};

	snprintf(log_dir, sizeof(log_dir), "%s/made/here/log", tree);
	l.log.conf = lib_conf(log_dir);
	l.log.conf.segment_size = 3000;
	l.log.conf.retention_size = strtol(keep, NULL, 10);
	open_state(&l);
	open_log(&l);
	tell('s', state_seq(&l));
	tell('l', lib_cursor_seq(&l.log));
	tell('r', has_reader(&l));
	for (uint64_t seq = 0; seq < last;) {
		/* also of a commit that was in doubt and turns out to be there */
		seq = lib_cursor_seq(&l.log);
		tell('L', seq);
		store_state(&l, seq);
		while (seq < last && write_rows(&l, seq + 1)) {
			seq += 3;
			tell('L', seq);
			store_state(&l, seq);
			if (seq % 4 == 0)
				place_reader(&l);
		}
	}
	lib_close(&l.log);
	state_close(l.state);
	if (disk_failures() > 0)
		tell('F', 1);
	table_unref(l.versions[0]);
	table_unref(l.versions[1]);
	return 0;
}

/* --- a life, its end, and what it left -------------------------------------- */

static bool is_long;
static uint64_t rng = 1;

static unsigned chance(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

struct places {
	char base_dir[PATH_SIZE], tree[PATH_SIZE], base[PATH_SIZE],
		journal[PATH_SIZE], log_dir[PATH_SIZE];
	bool is_whole; /* no life of it has a retention */
};

struct told {
	uint64_t log, state, reader;
	bool has_failed; /* something, of what was to fail */
};

struct losses {
	unsigned count, deaths;
	bool good, is_open; /* the log, in this life */
};

static void make_places(struct places *p)
{
	snprintf(p->base_dir, sizeof(p->base_dir), "%s", lib_dir("power"));
	snprintf(p->tree, sizeof(p->tree), "%.400s/tree", p->base_dir);
	snprintf(p->base, sizeof(p->base), "%.400s/base", p->base_dir);
	snprintf(p->journal, sizeof(p->journal), "%.400s/journal", p->base_dir);
	snprintf(p->log_dir, sizeof(p->log_dir), "%.400s/made/here/log", p->tree);
	p->is_whole = chance(2);
	mkdir(p->base_dir, 0700);
	mkdir(p->tree, 0700);
}

/* Which operations fail, and at which it dies. */
static void choose_fate(char *out, size_t size)
{
	static const char *const errors[] = {"EIO", "ENOSPC", "EDQUOT"};
	int n = snprintf(out, size, "any:%u:kill", 1 + chance(chance(3) ? 60 : 250));

	if (chance(3) == 0)
		snprintf(out + n, size - (size_t)n, ",%s:%u:%s",
			 chance(2) ? "sync" : "any", 1 + chance(40),
			 errors[chance(3)]);
}

static bool is_known(struct told *told, char what, uint64_t seq)
{
	uint64_t *of = what == 'L' || what == 'l'   ? &told->log
		       : what == 'S' || what == 's' ? &told->state
						    : &told->reader;

	if (what == 'F')
		return told->has_failed = true;
	if (what >= 'a') {
		if (seq < *of) {
			printf("# %c: %" PRIu64 " was told, %" PRIu64 " is there\n",
			       what, *of, seq);
			return false;
		}
		if (what == 'l' && told->state > seq) {
			printf("# the state is ahead of the log\n");
			return false;
		}
	}
	/* a reader's place that is found need not be durable yet */
	if (what != 'r')
		*of = seq;
	return true;
}

static _Noreturn void exec_life(const char *self, const struct places *p,
				const char *keep, const char *fate, uint64_t last,
				const char *mutation)
{
	char last_text[24];

	snprintf(last_text, sizeof(last_text), "%" PRIu64, last);
	setenv("LEAT_DISK_FAULT", fate, 1);
	setenv("LEAT_DISK_JOURNAL", p->journal, 1);
	if (mutation != NULL) {
		setenv("LEAT_MUTATE", mutation, 1);
		/* it is to fail */
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	}
	victim_exec((const char *[]){self, p->tree, keep, last_text, NULL});
}

/* false: what had been told before is not there, or it gave up. */
static bool run_life(const char *self, const struct places *p, const char *fate,
		     uint64_t last, const char *mutation, struct told *told,
		     struct losses *l)
{
	const char *keep = p->is_whole || chance(2) ? "0" : "6000";
	bool good = true, died;
	struct victim v;
	uint8_t two[2];
	int status;

	l->is_open = false;
	if (victim_fork(&v))
		exec_life(self, p, keep, fate, last, mutation);
	while (read(v.fd, two, 2) == 2) {
		good = good && is_known(told, (char)two[0], two[1]);
		l->is_open |= two[0] == 'l';
	}
	status = victim_wait(&v);
	died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	l->deaths += died;
	return good && (died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void cut(const struct places *p)
{
	uint64_t seed = rng;
	int status;
	pid_t pid;

	chance(2);
	pid = fork();
	if (pid == 0) {
		power_cut(p->tree, p->base, p->journal, seed);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		abort();
}

/* is_open: a writer has been there and said where the end is; else a reader may
 * see less for want of that, but nothing that is wrong. */
static bool is_log_sound(const struct places *p, uint64_t least, bool is_open)
{
	struct lib_read r = lib_read_all(p->log_dir, "earliest", 1 << 20);
	struct err e = ERR_INIT;
	struct log_stat st;
	uint64_t open_bytes, first = 1;
	bool good;

	if (!p->is_whole && r.first > 1)
		first = r.first;
	if (least == 0 && r.e.code == CODE_log_wrong) {
		buf_fini(&r.cursor);
		return true; /* before there was a log */
	}
	/* a segment that could not be rolled in time is deleted as a whole */
	good = lib_is_range(&r, first, r.last) &&
	       (r.last >= least || !is_open || (r.rows == 0 && !p->is_whole));
	if (good) {
		good = log_verify(p->log_dir, &st, &open_bytes, &e) == 0;
		log_stat_fini(&st);
	}
	if (!good)
		printf("# %" PRIu64 " of %" PRIu64 " rows; %s %s\n", r.last, least,
		       r.e.msg, e.msg);
	buf_fini(&r.cursor);
	return good;
}

/* Lives and losses, until so many, or until one of them does what it may not. */
static struct losses lose(const char *self, unsigned most, const char *mutation)
{
	struct losses l = {.good = true};
	struct told told = {0};
	struct places p;

	make_places(&p);
	while (l.good && l.count < most) {
		char fate[128];

		choose_fate(fate, sizeof(fate));
		l.good = run_life(self, &p, fate, LAST, mutation, &told, &l) &&
			 is_log_sound(&p, told.log, l.is_open);
		if (!l.good)
			break;
		if (chance(3) == 0)
			continue; /* the process died, the machine did not */
		cut(&p);
		l.count++;
		l.good = is_log_sound(&p, told.log, false);
		if (told.log >= LAST) {
			told = (struct told){0};
			make_places(&p);
		}
	}
	return l;
}

static void test_losses(const char *self)
{
	struct losses l = lose(self, is_long ? 5000 : 200, NULL);

	ok(l.good && l.deaths > l.count / 2,
	   "after %u losses of power all that was told to be durable is there",
	   l.count);
}

/* A life in which the n-th operation fails, the loss of power behind it, and a life
 * that finds all.  has_failed: there was such an operation. */
static bool survives(const char *self, const char *fate, bool *has_failed)
{
	struct told told = {0};
	struct losses l = {0};
	struct places p;
	bool good;

	make_places(&p);
	good = run_life(self, &p, fate, LAST_OF_FEW, NULL, &told, &l) &&
	       told.log == LAST_OF_FEW && told.state == LAST_OF_FEW &&
	       is_log_sound(&p, LAST_OF_FEW, true);
	*has_failed = told.has_failed;
	if (good) {
		cut(&p);
		good = run_life(self, &p, "any:1:EIO", LAST_OF_FEW, NULL, &told, &l) &&
		       is_log_sound(&p, LAST_OF_FEW, true);
	}
	if (!good)
		printf("# with %s: the log has %" PRIu64 ", the state %" PRIu64 "\n",
		       fate, told.log, told.state);
	return good;
}

static void test_each(const char *self, const char *op)
{
	static const char *const how[] = {"EIO", "ENOSPC:on", "ENOSPC", "EIO:on",
					  "EDQUOT:on"};
	size_t nhow = is_long ? countof(how) : 2;
	unsigned count = 0;
	bool good = true;

	for (size_t i = 0; i < nhow; i++) {
		bool has_failed = true;

		for (unsigned n = 1; good && has_failed; n++) {
			char fate[64];

			snprintf(fate, sizeof(fate), "%s:%u:%s", op, n, how[i]);
			good = survives(self, fate, &has_failed);
			count += has_failed;
		}
	}
	ok(good && count > 0, "each %s may fail, in %u lives", op, count);
}

static void test_mutants(const char *self)
{
	static const struct {
		const char *name;
		bool is_rare; /* two kills, and then a loss: left to ./dev soak */
	} mutations[] = {
		{"nosync:write_commit", false},
		{"nosync:make_segment", false},
		{"nosync:log_roll", false},
		{"nosync:reader_store", false},
		{"nosync:vfs_sync", false},
		{"nosync:cut", true},
		{"nosyncdir:cut", true},
		{"nosyncdir:make_segment", false},
		{"nosyncdir:make_dir", false},
		{"nosyncdir:vfs_sync", false},
		{"nosyncdir:readers_sync", false},
		{"nosyncdir:delete_segment", true},
	};

	for (size_t i = 0; i < countof(mutations); i++) {
		const char *name = mutations[i].name;
		struct losses l;

		if (mutations[i].is_rare && !is_long)
			continue;
		l = lose(self, mutations[i].is_rare ? MOST_OF_RARE : MOST, name);
		ok(!l.good, "it is noticed after %u losses if the source lacks %s",
		   l.count, name);
	}
}

int main(int argc, char **argv)
{
	static const char *const ops[] = {
		"open", "mkdir", "write", "truncate", "allocate", "sync",
		"dirsync", "rename", "unlink"};
	const char *seed = getenv("LEAT_POWER_SEED");

	note_setup(NOTE_ERROR, false);
	if (argc > 3)
		return live(argv[1], argv[2], strtoull(argv[3], NULL, 10));
	is_long = getenv("LEAT_TEST_LONG") != NULL;
	rng = seed ? strtoull(seed, NULL, 10) : 1;
	for (size_t i = 0; i < countof(ops); i++)
		test_each(argv[0], ops[i]);
	test_losses(argv[0]);
	test_mutants(argv[0]);
	lib_dir(NULL);
	return tap_done();
}
#else
#include <stdio.h>

int main(void)
{
	printf("1..0 # SKIP built without --enable-faults\n");
	return 0;
}
#endif
