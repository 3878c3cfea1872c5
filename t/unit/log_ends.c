/* The log as a sink and as a source. */
#include "config.h"

#include "base/clock.h"
#include "log/readers.h"
#include "sinks/log_sink.h"
#include "sources/log_source.h"
#include "t/unit/log_lib.h"

struct ends {
	struct log_conf conf;
	struct registry reg;
	struct source *src;
	struct err e;
};

static bool source_open(struct ends *x, const char *start, struct cursor at)
{
	x->e = ERR_INIT;
	registry_init(&x->reg);
	x->src = source_new(&log_source, "shop_log", "copy", &x->conf);
	x->src->start = start;
	x->src->batch_bytes = 1 << 20;
	x->src->incarnation = at.incarnation;
	return x->src->ops->claim(x->src, &x->e) == CLAIM_OK &&
	       x->src->ops->open(x->src, &at, &x->reg, &x->e) == 0;
}

static void source_end(struct ends *x)
{
	source_free(x->src);
	registry_fini(&x->reg);
}

static bool source_read(struct ends *x, struct batch *b)
{
	batch_reset(b);
	return x->src->ops->read(x->src, b, clock_mono_ms() + 20, &x->e) == 0;
}

static const struct cursor intent = {.incarnation = 1, .source = {"intent", 6}};

static void test_sink(struct ends *x)
{
	struct table *tab = lib_table("users", 1, 1);
	struct sink *snk = sink_new(&log_sink, "shop_log", "shop_to_log", &x->conf);
	struct registry tables;
	struct sink_held held = {.tables = &tables};
	struct batch *b = batch_new();
	struct cursor c = lib_cursor(6);
	struct report rep;
	struct err e = ERR_INIT;

	registry_init(&tables);
	report_init(&rep);
	ok(snk->ops->check(snk, &rep, &e) == 0 && rep.errors == 0,
	   "a log that is not there yet passes the check");
	report_fini(&rep);
	ok(snk->ops->open(snk, &held, &e) == 0 && held.is_known && !held.has_cursor,
	   "an empty log says that it holds nothing %s", e.msg);
	lib_schema(b, tab, NULL, 1);
	ok(snk->ops->apply_schema(snk, &b->ev[0], &e) == VERDICT_OK, "a version is taken");
	for (uint64_t seq = 1; seq <= 6; seq++)
		lib_insert(b, tab, seq, 10);
	ok(snk->ops->write(snk, b, 0, b->n, &e) == VERDICT_OK &&
		   snk->ops->commit(snk, &c, &e) == VERDICT_OK,
	   "events are written and committed; what is a schema event is passed over");
	batch_reset(b);
	lib_insert(b, tab, 7, 2 << 20);
	ok(snk->ops->write(snk, b, 0, 1, &e) == VERDICT_REJECT && e.index == 0,
	   "an event that is too large is rejected: %s", e.msg);
	e = ERR_INIT;
	batch_reset(b);
	lib_insert(b, tab, 6, 10);
	ok(snk->ops->write(snk, b, 0, 1, &e) == VERDICT_FATAL,
	   "an event that is there already is no business of a retry: %s", e.msg);
	e = ERR_INIT;
	ok(snk->ops->commit(snk, &c, &e) == VERDICT_REWIND,
	   "after which the log must be opened again: %s", e.msg);
	snk->ops->close(snk);
	e = ERR_INIT;
	ok(snk->ops->open(snk, &held, &e) == 0 && held.has_cursor &&
		   registry_get(&tables, SLICE("public.users")) != NULL,
	   "and tells cursor and tables then");
	sink_free(snk);
	buf_fini(&held.cursor);
	registry_fini(&tables);
	batch_free(b);
	table_unref(tab);
}

static void test_unwritten(void)
{
	struct ends x = {.conf = lib_conf(lib_dir("unwritten"))};

	ok(!source_open(&x, NULL, intent) && x.e.code == CODE_source_unreachable,
	   "a log that nobody has written yet is waited for: %s", x.e.msg);
	source_end(&x);
}

static void test_claim(struct ends *x)
{
	struct source *other = source_new(&log_source, "shop_log", "copy", &x->conf);

	ok(source_open(x, NULL, intent), "the claim is given once %s", x->e.msg);
	x->e = ERR_INIT;
	is_int(other->ops->claim(other, &x->e), CLAIM_HELD, "and not twice: %s", x->e.msg);
	source_end(x);
	x->e = ERR_INIT;
	is_int(other->ops->claim(other, &x->e), CLAIM_OK, "until it is given back");
	ok(other->ops->drop(other, &x->e) == 0 &&
		   access(lib_file(x->conf.path, "readers/copy"), F_OK) != 0,
	   "drop removes the reader's place");
	source_free(other);
}

static void test_read(struct ends *x)
{
	struct batch *b = batch_new();
	struct cursor at;
	char *text;

	source_open(x, "seq:3", intent);
	ok(source_read(x, b) && b->n == 0 && b->cursor.seq == 2,
	   "the first read tells the first real cursor %s", x->e.msg);
	ok(source_read(x, b) && b->n == 5 && b->ev[0].op == OP_SCHEMA &&
		   b->ev[0].seq == 3 && b->ev[1].seq == 3 && b->cursor.seq == 6,
	   "then come the events with their own seqs %s", x->e.msg);
	is_slice(b->ev[1].txn->origin->name, "shop", "and origin");
	ok(registry_get(&x->reg, SLICE("public.users")) != NULL,
	   "the version is in force in the registry");
	text = strndup(b->cursor.source.p, b->cursor.source.n);
	ok(source_read(x, b) && b->n == 0 && slice_is(b->cursor.source, text),
	   "at the end the cursor stays");
	is_int((long long)x->src->behind_bytes, 0, "nothing is behind");
	at = (struct cursor){.incarnation = 1, .seq = 6, .source = slice_of(text)};
	ok(x->src->ops->ack(x->src, &at, &x->e) == 0, "an ack is taken");
	source_end(x);
	{
		struct buf stored = BUF_INIT;

		ok(reader_load(x->conf.path, "copy", &stored, &x->e) == 1, "and is stored");
		is_slice(stored, text, "as the reader's place");
		buf_fini(&stored);
	}
	{
		char *in_the_way = strdup(lib_file(x->conf.path, "readers/copy.tmp"));

		source_open(x, NULL, at);
		ok(mkdir(in_the_way, 0700) == 0 &&
			   x->src->ops->ack(x->src, &at, &x->e) == 0,
		   "a place that cannot be stored stops nobody %s", x->e.msg);
		rmdir(in_the_way);
		source_end(x);
		free(in_the_way);
	}
	/* the cursor of a pipeline that was set back is ahead of its place */
	snprintf(strstr(text, "seq="), 30, "seq=1 crc=00000000");
	at = (struct cursor){.incarnation = 2, .seq = 7, .source = slice_of(text)};
	source_open(x, NULL, at);
	ok(source_read(x, b) && b->n == 6 && b->ev[1].seq == 8 &&
		   b->ev[0].seq == 8 && b->cursor.seq == 12 &&
		   b->cursor.incarnation == 2,
	   "after a repeat the seqs go on where they were %s", x->e.msg);
	free(text);
	source_end(x);
	batch_free(b);
}

static void test_seek(struct ends *x)
{
	struct cursor none = {0}, now;
	struct seek to = {0}, back = {0};

	source_open(x, NULL, intent);
	ok(x->src->ops->seek(x->src, SLICE("now"), &none, &to, &x->e) == 0 &&
		   !to.skips && !to.repeats,
	   "now is the end of the log %s", x->e.msg);
	now = (struct cursor){.incarnation = 1, .seq = 6, .source = buf_get(&to.source)};
	ok(x->src->ops->seek(x->src, SLICE("seq:2"), &now, &back, &x->e) == 0 &&
		   back.repeats && !back.skips,
	   "going back repeats: %s", back.note);
	now.source = buf_get(&back.source);
	now.seq = 1;
	ok(x->src->ops->seek(x->src, SLICE("latest"), &now, &to, &x->e) == 0 &&
		   to.skips && !to.repeats,
	   "going on skips: %s", to.note);
	ok(x->src->ops->seek(x->src, SLICE("slot"), &now, &to, &x->e) == 0 &&
		   !to.skips && !to.repeats,
	   "slot is where it stands: %s", to.note);
	ok(x->src->ops->seek(x->src, SLICE("0/16E9BB8"), &now, &to, &x->e) < 0 &&
		   x->e.code == CODE_usage,
	   "what is no position is refused: %s", x->e.msg);
	buf_fini(&to.source);
	buf_fini(&back.source);
	source_end(x);
}

static void test_other_log(struct ends *x)
{
	struct cursor at = {.incarnation = 1, .seq = 6,
		.source = SLICE("log uuid=00000000-0000-4000-8000-000000000000 seq=6 crc=00000000")};

	ok(!source_open(x, NULL, at) && x->e.code == CODE_wrong_server,
	   "a cursor of another log is refused: %s", x->e.msg);
	source_end(x);
}

static void test_lost_place(void)
{
	struct ends gone = {.conf = lib_conf(lib_dir("gone"))};
	struct lib_log l = {.conf = gone.conf};
	struct table *tab = lib_table("users", 1, 1);
	struct cursor at = {.incarnation = 1, .seq = 6};
	struct seek now = {0};
	char *text;

	l.conf.segment_size = 500;
	lib_open(&l);
	for (uint64_t seq = 1; seq <= 9; seq++)
		lib_rows(&l, tab, seq, seq, 300, true);
	lib_close(&l);
	source_open(&gone, NULL, intent);
	if (gone.src->ops->seek(gone.src, SLICE("seq:7"), &at, &now, &gone.e) != 0)
		printf("# %s\n", gone.e.msg);
	source_end(&gone);
	text = strndup(now.source.p, now.source.n);
	buf_fini(&now.source);
	at.source = slice_of(text);
	ok(source_open(&gone, NULL, at), "a cursor leads to its place %s", gone.e.msg);
	source_end(&gone);
	text[strlen(text) - 1] ^= 1;
	ok(!source_open(&gone, NULL, at) && gone.e.code == CODE_diverged &&
		   strstr(gone.e.hint, "offsets set copy"),
	   "unless what stands there is not what was read: %s", gone.e.msg);
	source_end(&gone);
	snprintf(strstr(text, "seq="), 20, "seq=9 crc=00000001");
	ok(!source_open(&gone, NULL, at) && gone.e.code == CODE_diverged,
	   "or not what stands at its end: %s", gone.e.msg);
	source_end(&gone);
	snprintf(strstr(text, "seq="), 20, "seq=2 crc=00000000");
	ok(source_open(&gone, NULL, at), "while what follows is there, it goes on %s", gone.e.msg);
	source_end(&gone);
	l.conf.retention_size = 1;
	lib_open(&l);
	lib_rows(&l, tab, 10, 10, 600, true);
	lib_close(&l);
	ok(!source_open(&gone, NULL, at) && gone.e.code == CODE_purged &&
		   strcmp(gone.e.hint, "Run \"leat offsets set copy earliest --accept-gap\".") == 0,
	   "or it has been deleted: %s (%s)", gone.e.msg, gone.e.hint);
	source_end(&gone);
	source_open(&gone, NULL, intent);
	ok(gone.src->ops->seek(gone.src, SLICE("slot"), &at, &now, &gone.e) == 0 &&
		   now.skips && !now.repeats,
	   "then slot is the first place that is there: %s %s", now.note, gone.e.msg);
	buf_fini(&now.source);
	source_end(&gone);
	free(text);
	table_unref(tab);
}

/* As after a loss of power: `tip` is not synced. */
static void test_old_tip(void)
{
	struct ends x = {.conf = lib_conf(lib_dir("old_tip"))};
	struct lib_log l = {.conf = x.conf};
	struct table *tab = lib_table("users", 1, 1);
	struct cursor at = {.incarnation = 1, .seq = 9};
	struct seek now = {0};
	char *tip;
	size_t n;

	lib_open(&l);
	lib_rows(&l, tab, 1, 3, 300, true);
	tip = lib_slurp(lib_file(x.conf.path, "tip"), &n);
	lib_rows(&l, tab, 4, 9, 300, true);
	lib_close(&l);
	source_open(&x, NULL, intent);
	if (x.src->ops->seek(x.src, SLICE("now"), &at, &now, &x.e) != 0)
		printf("# %s\n", x.e.msg);
	source_end(&x);
	at.source = buf_get(&now.source);
	lib_spew(lib_file(x.conf.path, "tip"), tip, n);
	ok(!source_open(&x, NULL, at) && code_kind(x.e.code) == CODE_RETRY,
	   "a place behind an old tip waits for the writer: %s", x.e.msg);
	source_end(&x);
	lib_open(&l);
	lib_close(&l);
	ok(source_open(&x, NULL, at), "and is there when that has come %s", x.e.msg);
	source_end(&x);
	buf_fini(&now.source);
	free(tip);
	table_unref(tab);
}

int main(void)
{
	struct ends x;

	note_setup(NOTE_ERROR, false);
	test_unwritten();
	x.conf = lib_conf(lib_dir("ends"));
	test_sink(&x);
	test_claim(&x);
	test_read(&x);
	test_seek(&x);
	test_other_log(&x);
	test_lost_place();
	test_old_tip();
	lib_dir(NULL);
	return tap_done();
}
