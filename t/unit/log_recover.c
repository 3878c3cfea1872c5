/* A log after a crash, and a log that was damaged: what is cut off, what is
 * refused, what verify finds. */
#include "config.h"
#include "log/log_recover.h"

#include "log/log_stat.h"
#include "log/log_verify.h"
#include "t/unit/log_lib.h"

/* A log of three commits (seq 3, 6, 9), the second and third of several frames,
 * and where they end. */
struct sample {
	struct lib_log l;
	struct table *tab, *tab2;
	char *bytes;
	size_t n;
	char *tip;
	size_t tip_n;
	uint64_t end[4]; /* [0]: of the segment's head */
};

static uint64_t end_of(const struct lib_log *l)
{
	size_t n;
	char *tip = lib_slurp(lib_file(l->conf.path, "tip"), &n);
	struct tip t;

	if (!tip_decode((const uint8_t *)tip, &t))
		abort();
	free(tip);
	return t.offset;
}

static void sample_make(struct sample *s, const char *name)
{
	*s = (struct sample){.l = {.conf = lib_conf(lib_dir(name))}};
	s->l.conf.path = strdup(s->l.conf.path);
	s->tab = lib_table("users", 1, 1);
	s->tab2 = lib_table("users", 2, 5);
	lib_open(&s->l);
	s->end[0] = end_of(&s->l);
	lib_rows(&s->l, s->tab, 1, 3, 20, true);
	s->end[1] = end_of(&s->l);
	lib_rows(&s->l, s->tab, 4, 4, 20, false);
	lib_rows(&s->l, s->tab2, 5, 6, 30, true);
	s->end[2] = end_of(&s->l);
	lib_rows(&s->l, s->tab2, 7, 9, 90, true);
	s->end[3] = end_of(&s->l);
	lib_close(&s->l);
	s->bytes = lib_slurp(lib_segment(s->l.conf.path, 1), &s->n);
	s->tip = lib_slurp(lib_file(s->l.conf.path, "tip"), &s->tip_n);
	if (s->n != s->end[3])
		abort();
}

static void sample_free(struct sample *s)
{
	table_unref(s->tab);
	table_unref(s->tab2);
	free(s->bytes);
	free(s->tip);
	free(s->l.conf.path);
}

/* The segment with these bytes, without a tip. */
static void plant(const struct sample *s, const char *bytes, size_t n)
{
	lib_spew(lib_segment(s->l.conf.path, 1), bytes, n);
	unlink(lib_file(s->l.conf.path, "tip"));
}

/* The last seq committed in a segment that is right up to where `bytes` begins
 * to differ, at or behind `offset`. */
static uint64_t seq_at(const struct sample *s, uint64_t offset,
		       const char *bytes)
{
	while (bytes != NULL && offset < s->n && bytes[offset] == s->bytes[offset])
		offset++;

	return offset >= s->end[3] ? 9 : offset >= s->end[2] ? 6
	       : offset >= s->end[1] ? 3 : 0;
}

/* Opens, checks that it stands at `seq`, writes on, reads everything. */
static bool goes_on(struct sample *s, uint64_t seq)
{
	struct log_stat st;
	struct lib_read r;
	struct table *known;
	uint64_t open_bytes;
	bool good;

	if (!lib_open(&s->l)) {
		lib_close(&s->l);
		return false;
	}
	known = registry_get(&s->l.tables, SLICE("public.users"));
	good = lib_cursor_seq(&s->l) == seq &&
	       (known ? known->version : 0) == (seq >= 6 ? 2 : seq >= 3) &&
	       lib_rows(&s->l, s->tab2, seq + 1, seq + 3, 10, true);
	lib_close(&s->l);
	r = lib_read_all(s->l.conf.path, "earliest", 1 << 20);
	good = good && lib_is_range(&r, 1, seq + 3);
	buf_fini(&r.cursor);
	s->l.e = ERR_INIT;
	good = good && log_verify(s->l.conf.path, &st, &open_bytes, &s->l.e) == 0 &&
	       st.events == seq + 3;
	log_stat_fini(&st);
	return good;
}

static void test_torn(struct sample *s)
{
	bool cut = true, zeros = true, rubbish = true;
	char *copy = malloc(s->n);

	for (size_t n = 0; n <= s->n; n++) {
		plant(s, s->bytes, n);
		if (cut && !(cut = goes_on(s, seq_at(s, n, NULL))))
			printf("# cut at %zu: %s\n", n, s->l.e.msg);
		/* the page was reserved, or holds something else */
		memcpy(copy, s->bytes, n);
		memset(copy + n, 0, s->n - n);
		plant(s, copy, s->n);
		if (zeros && !(zeros = goes_on(s, seq_at(s, n, copy))))
			printf("# zeros from %zu: %s\n", n, s->l.e.msg);
		memset(copy + n, 0xa5, s->n - n);
		plant(s, copy, s->n);
		if (rubbish && !(rubbish = goes_on(s, seq_at(s, n, copy))))
			printf("# rubbish from %zu: %s\n", n, s->l.e.msg);
	}
	ok(cut, "a log that was cut off at any of %zu bytes goes on behind its last commit", s->n);
	ok(zeros, "so does one that is zeros from there on");
	ok(rubbish, "and one that is rubbish from there on");
	free(copy);
}

/* One byte wrong at each place.  The last group has nothing behind it that says
 * it was durable, unless the tip does. */
static void test_damaged(struct sample *s, bool with_tip)
{
	bool good = true, unharmed = true;
	char *copy = malloc(s->n);
	size_t refused = 0;

	for (size_t at = 0; at < s->n; at++) {
		uint64_t durable = with_tip ? s->end[3] : s->end[2];
		struct log_stat st = {0};
		uint64_t open_bytes;
		size_t n;
		char *now;

		memcpy(copy, s->bytes, s->n);
		copy[at] ^= 0x10;
		plant(s, copy, s->n);
		if (with_tip)
			lib_spew(lib_file(s->l.conf.path, "tip"), s->tip, s->tip_n);
		/* what verify says of it */
		s->l.e = ERR_INIT;
		if (at < durable && log_verify(s->l.conf.path, &st, &open_bytes, &s->l.e) == 0) {
			printf("# verify passes over byte %zu\n", at);
			good = false;
		}
		log_stat_fini(&st);
		if (lib_open(&s->l)) {
			/* below the tip only headers are read */
			if (at < durable && !with_tip) {
				printf("# byte %zu is not noticed\n", at);
				good = false;
			}
			lib_close(&s->l);
			continue;
		}
		refused++;
		good = good && (s->l.e.code == CODE_log_corrupt ||
				s->l.e.code == CODE_log_wrong);
		lib_close(&s->l);
		now = lib_slurp(lib_segment(s->l.conf.path, 1), &n);
		unharmed = unharmed && n == s->n && memcmp(now, copy, n) == 0;
		free(now);
	}
	ok(good && refused > 100,
	   "damage to what was durable stops the writer%s and is found by verify",
	   with_tip ? ", as far as it looks," : "");
	ok(unharmed, "and nothing is cut off");
	free(copy);
}

static void test_message(struct sample *s)
{
	char *copy = malloc(s->n), want[64];

	memcpy(copy, s->bytes, s->n);
	copy[s->end[1] + 70] ^= 1;
	plant(s, copy, s->n);
	lib_open(&s->l);
	snprintf(want, sizeof(want), "offset %" PRIu64, s->end[1]);
	ok(s->l.e.code == CODE_log_corrupt && strstr(s->l.e.msg, want) &&
		   strstr(s->l.e.msg, "00000000000000000001.log") &&
		   strstr(s->l.e.hint, "leat log verify"),
	   "segment, offset and command are named: %s", s->l.e.msg);
	lib_close(&s->l);
	free(copy);
}

/* A page in the middle of what was never synced may be missing. */
static void test_unsynced_order(struct sample *s)
{
	char *copy = malloc(s->n);
	bool good = true;

	/* the last group: damage anywhere in it, without a tip, is an end */
	for (size_t at = s->end[2]; at < s->n; at++) {
		memcpy(copy, s->bytes, s->n);
		copy[at] ^= 0x40;
		plant(s, copy, s->n);
		good = good && goes_on(s, 6);
	}
	ok(good, "pages of the last group may be missing in any order");
	free(copy);
}

static void test_tip_ahead(struct sample *s)
{
	plant(s, s->bytes, s->end[2]);
	lib_spew(lib_file(s->l.conf.path, "tip"), s->tip, s->tip_n);
	ok(!lib_open(&s->l) && s->l.e.code == CODE_log_corrupt,
	   "an end that lies before the tip is a loss: %s", s->l.e.msg);
	lib_close(&s->l);
}

/* --- rolling --------------------------------------------------------- */

/* A log of two segments; the second begins at seq 4. */
static void roll_make(struct sample *s, const char *name)
{
	*s = (struct sample){.l = {.conf = lib_conf(lib_dir(name))}};
	s->l.conf.path = strdup(s->l.conf.path);
	s->l.conf.segment_size = 400;
	s->tab = lib_table("users", 1, 1);
	s->tab2 = lib_table("users", 2, 5);
	lib_open(&s->l);
	lib_rows(&s->l, s->tab, 1, 3, 20, true);
	lib_close(&s->l);
	s->bytes = lib_slurp(lib_segment(s->l.conf.path, 4), &s->n);
	s->l.conf.segment_size = 1 << 20;
}

static void test_torn_roll(void)
{
	struct sample s;
	bool good = true, at_rest = true;
	char *copy;

	roll_make(&s, "tornroll");
	copy = malloc(s.n);
	for (size_t n = 0; n <= s.n; n++) {
		struct lib_read r;

		for (int zeros = 0; zeros < 2; zeros++) {
			memset(copy, 0, s.n);
			memcpy(copy, s.bytes, n);
			unlink(lib_file(s.l.conf.path, "tip"));
			lib_spew(lib_segment(s.l.conf.path, 4), copy, zeros ? s.n : n);
			r = lib_read_all(s.l.conf.path, "earliest", 1 << 20);
			at_rest = at_rest && lib_is_range(&r, 1, 3);
			buf_fini(&r.cursor);
			if (!lib_open(&s.l) || lib_cursor_seq(&s.l) != 3 ||
			    registry_get(&s.l.tables, SLICE("public.users")) == NULL) {
				printf("# %zu bytes: %s\n", n, s.l.e.msg);
				good = false;
			}
			lib_close(&s.l);
		}
	}
	ok(good, "a segment that was being made at the crash is made again, wherever it ended");
	ok(at_rest, "and until then readers see what is before it");
	/* but not one that had been in use */
	lib_spew(lib_segment(s.l.conf.path, 4), s.bytes, s.n);
	lib_open(&s.l);
	lib_rows(&s.l, s.tab, 4, 6, 20, true);
	lib_close(&s.l);
	free(s.bytes);
	s.bytes = lib_slurp(lib_segment(s.l.conf.path, 4), &s.n);
	for (size_t at = 0; at < SEGMENT_HEADER_SIZE && good; at++) {
		s.bytes[at] ^= 1;
		unlink(lib_file(s.l.conf.path, "tip"));
		lib_spew(lib_segment(s.l.conf.path, 4), s.bytes, s.n);
		if (lib_open(&s.l) || (s.l.e.code != CODE_log_corrupt &&
				       s.l.e.code != CODE_log_wrong)) {
			printf("# byte %zu: %s\n", at, s.l.e.msg);
			good = false;
		}
		lib_close(&s.l);
		s.bytes[at] ^= 1;
	}
	ok(good, "a segment in use whose header is damaged is not taken for one");
	free(copy);
	sample_free(&s);
}

static void test_missing_segment(void)
{
	struct sample s;

	roll_make(&s, "missing");
	unlink(lib_segment(s.l.conf.path, 4));
	ok(!lib_open(&s.l) && s.l.e.code == CODE_log_corrupt,
	   "a last segment that is gone is a loss: %s", s.l.e.msg);
	lib_close(&s.l);
	sample_free(&s);
}

/* --- a log that nobody writes ----------------------------------------- */

static void test_stale_tip(struct sample *s)
{
	struct tip t = {.segment = 1, .offset = s->end[1], .seq = 3};
	uint8_t bytes[TIP_SIZE];
	struct lib_read r;

	plant(s, s->bytes, s->n);
	r = lib_read_all(s->l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 9), "without a tip a log at rest is read to its last commit %s", r.e.msg);
	buf_fini(&r.cursor);
	memcpy(t.uuid, s->bytes + 16, UUID_SIZE);
	tip_encode(&t, bytes);
	lib_spew(lib_file(s->l.conf.path, "tip"), (char *)bytes, sizeof(bytes));
	r = lib_read_all(s->l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&r, 1, 3), "with an old one to where that is");
	buf_fini(&r.cursor);
	ok(goes_on(s, 9), "which the next writer puts right %s", s->l.e.msg);
}

/* --- retention ------------------------------------------------------- */

/* An idle pipeline still commits, and a segment without events is not rolled. */
static bool idle_commits(struct lib_log *l, uint64_t seq, unsigned n)
{
	bool good = true;

	for (unsigned i = 0; i < n && good; i++) {
		char place[32];
		struct cursor c = {.incarnation = 1, .seq = seq};

		snprintf(place, sizeof(place), "pg at %u", i);
		c.source = slice_of(place);
		good = log_writer_commit(l->w, &c, &l->e) == 0;
	}
	return good;
}

static void test_idle_retention(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("idle"))};
	struct table *tab = lib_table("users", 1, 1);
	struct log_stat before = {0}, st = {0};

	l.conf.segment_size = 2000;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= 30; seq++)
		lib_rows(&l, tab, seq, seq, 100, true);
	ok(idle_commits(&l, 30, 100) &&
		   log_stat(l.conf.path, &before, &l.e) == 0 && before.segments > 2,
	   "a log has several segments");
	lib_close(&l);
	l.conf.retention_age = 1;
	usleep(3000);
	lib_open(&l);
	ok(idle_commits(&l, 30, 1) && log_stat(l.conf.path, &st, &l.e) == 0,
	   "its pipeline is idle");
	is_int((long long)st.segments, 1, "old segments go all the same");
	lib_close(&l);
	log_stat_fini(&before);
	log_stat_fini(&st);
	table_unref(tab);
}

static void test_retention(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("retention"))};
	struct table *tab = lib_table("users", 1, 1);
	struct log_start at = {.kind = START_EARLIEST};
	struct buf cursor = BUF_INIT;
	struct log_reader *r;
	struct log_stat st;
	struct lib_read all;
	char *text;

	l.conf.segment_size = 2000;
	lib_open(&l);
	r = log_reader_open(l.conf.path, &at, "slow", &l.e);
	for (uint64_t seq = 1; seq <= 100; seq++)
		lib_rows(&l, tab, seq, seq, 100, true);
	lib_close(&l);
	l.conf.retention_age = 1;
	lib_open(&l);
	for (uint64_t seq = 101; seq <= 150; seq++)
		lib_rows(&l, tab, seq, seq, 100, true);
	all = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(lib_is_range(&all, 1, 150), "a named reader keeps segments from being deleted by age");
	buf_fini(&all.cursor);
	lib_close(&l);

	all = lib_read_all(l.conf.path, "seq:61", 1 << 20);
	text = strndup(all.cursor.p, all.cursor.n);
	buf_fini(&all.cursor);
	memcpy(strstr(text, "seq="), "seq=60 crc=00000000", 20);
	ok(log_reader_ack(r, slice_of(text), &l.e) == 0, "it says how far it has come");
	free(text);
	lib_open(&l);
	for (uint64_t seq = 151; seq <= 180; seq++)
		lib_rows(&l, tab, seq, seq, 100, true);
	all = lib_read_all(l.conf.path, "earliest", 1 << 20);
	ok(all.first > 1 && all.first <= 61 && lib_is_range(&all, all.first, 180),
	   "then what it has read may go, and no more: first seq %" PRIu64, all.first);
	buf_fini(&all.cursor);
	lib_close(&l);

	log_reader_cursor(r, &cursor);
	l.conf.retention_size = 8000;
	lib_open(&l);
	for (uint64_t seq = 181; seq <= 200; seq++)
		lib_rows(&l, tab, seq, seq, 100, true);
	ok(log_stat(l.conf.path, &st, &l.e) == 0 && st.first_seq > 61 && st.bytes < 12000,
	   "size is a limit for readers too: %" PRIu64 " bytes from seq %" PRIu64, st.bytes, st.first_seq);
	lib_close(&l);
	text = strndup(cursor.p, cursor.n);
	all = lib_read_all(l.conf.path, text, 1 << 20);
	is_int(all.e.code, CODE_purged, "a reader that lost its place is told so: %s", all.e.msg);
	free(text);
	buf_fini(&all.cursor);
	{
		struct batch *b = batch_new();
		struct err e = ERR_INIT;

		/* it still has the deleted first segment open */
		while (log_reader_read(r, b, 1 << 20, &e) == 0 && b->n > 0)
			batch_reset(b);
		is_int(e.code, CODE_purged, "also in the middle of reading: %s", e.msg);
		batch_free(b);
	}
	log_stat_fini(&st);
	log_reader_close(r);
	buf_fini(&cursor);
	table_unref(tab);
}

static void test_verify(struct sample *s)
{
	struct log_stat st;
	uint64_t open_bytes;

	plant(s, s->bytes, s->n - 3);
	s->l.e = ERR_INIT;
	ok(log_verify(s->l.conf.path, &st, &open_bytes, &s->l.e) == 0 &&
		   open_bytes > 0 && st.events == 6 && st.last_seq == 6,
	   "an unfinished end is told, and no damage %s", s->l.e.msg);
	log_stat_fini(&st);
	plant(s, s->bytes, s->n);
	lib_spew(lib_file(s->l.conf.path, "readers/broken"), "what\n", 5);
	ok(log_verify(s->l.conf.path, &st, &open_bytes, &s->l.e) < 0 &&
		   strstr(s->l.e.msg, "broken"),
	   "a reader's place that is unreadable is found: %s", s->l.e.msg);
	log_stat_fini(&st);
	unlink(lib_file(s->l.conf.path, "readers/broken"));
}

/* A cursor of many words is worth compressing. */
static void test_long_cursor(void)
{
	struct lib_log l = {.conf = lib_conf(lib_dir("long"))};
	struct buf source = BUF_INIT, want = BUF_INIT;
	struct log_stat st = {0};
	struct cursor c;

	for (int i = 0; i < 200; i++)
		buf_printf(&source, "%s2dcbaa1f-e4f9-11f1-ad2e-02fc%08d:1-%d",
			   i ? "," : "", i, i + 1);
	c = (struct cursor){.incarnation = 1, .source = buf_get(&source)};
	cursor_print(&c, &want);
	ok(lib_open(&l) && log_writer_commit(l.w, &c, &l.e) == 0,
	   "a long cursor is committed");
	lib_close(&l);
	ok(log_stat(l.conf.path, &st, &l.e) == 0 &&
		   slice_eq(buf_get(&st.cursor), buf_get(&want)),
	   "the log tells it as it was");
	log_stat_fini(&st);
	ok(lib_open(&l) && slice_eq(buf_get(&l.cursor), buf_get(&want)),
	   "and so it does to whoever goes on");
	lib_close(&l);
	buf_fini(&source);
	buf_fini(&want);
}

int main(void)
{
	struct sample s;

	note_setup(NOTE_ERROR, false);
	sample_make(&s, "sample");
	test_torn(&s);
	test_damaged(&s, false);
	test_damaged(&s, true);
	test_message(&s);
	test_unsynced_order(&s);
	test_tip_ahead(&s);
	test_stale_tip(&s);
	test_verify(&s);
	sample_free(&s);
	test_torn_roll();
	test_missing_segment();
	test_retention();
	test_idle_retention();
	test_long_cursor();
	lib_dir(NULL);
	return tap_done();
}
