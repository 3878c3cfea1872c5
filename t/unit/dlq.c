/* Dead letters in their file: events and back, keys, limits, and what becomes of
 * them. */
#include "config.h"
#include "agent/dlq.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/dead_event.h"
#include "agent/reject_key.h"
#include "t/tap.h"

static char dir[128];
static struct batch *b;
static const struct origin origin = {.connector = {"fake", 4},
				     .name = {"src", 3}, .incarnation = 1};
static const struct txn txn = {.origin = &origin, .coord = {"A1", 2},
			       .commit_us = 1000000};
static const struct err why = {.code = CODE_event_rejected,
			       .msg = "it is too large"};

static struct dlq *must_open(void)
{
	struct err e = ERR_INIT;
	struct dlq *q = dlq_open(dir, "p", true, &e);

	if (q == NULL) {
		printf("# %s\n", e.msg);
		abort();
	}
	return q;
}

/* (id int key, v text), or without the key, or with another type of key */
static struct table *table_of(const char *name, bool has_key, enum type type)
{
	struct column cols[] = {
		{.name = SLICE("id"), .type = type, .modifier = -1,
		 .key_position = has_key, .is_identity = true},
		{.name = SLICE("v"), .type = TYPE_TEXT, .modifier = -1},
	};
	struct table proto = {.schema = SLICE("s"), .name = slice_of(name),
			      .version = 7, .ncols = 2, .cols = cols,
			      .identity = has_key ? IDENTITY_DEFAULT
						  : IDENTITY_NOTHING};
	struct table *tab = table_new(&proto);

	batch_use_table(b, tab);
	table_unref(tab);
	return tab;
}

static struct event *row(struct table *tab, uint64_t seq, int64_t id,
			 struct slice v)
{
	struct event *ev = batch_add(b);

	ev->op = OP_INSERT;
	ev->txn = &txn;
	ev->table = tab;
	ev->seq = ev->ordinal = seq;
	ev->after = batch_values(b, 2);
	ev->after[0] = (struct value){.tag = VALUE_INT, .i = id};
	ev->after[1] = (struct value){.tag = VALUE_TEXT, .s = v};
	return ev;
}

static enum code put(struct dlq *q, const struct event *ev, uint64_t max_letters,
		     uint64_t max_bytes)
{
	struct buf keys = BUF_INIT, text = BUF_INIT;
	struct err e = ERR_INIT;
	struct dlq_put p = {.ev = ev, .why = &why, .max_letters = max_letters,
			    .max_bytes = max_bytes};

	reject_keys_letter(ev, &keys);
	reject_key_text(ev, &text);
	p.keys = buf_get(&keys);
	p.key_text = buf_get(&text);
	if (dlq_put(q, &p, &e) == 0)
		e.code = CODE_none;
	buf_fini(&keys);
	buf_fini(&text);
	return e.code;
}

struct seen {
	char text[400];
	uint64_t last;
};

static int see(void *arg, const struct dlq_letter *l, struct err *e)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	(void)e;
	snprintf(s->text + n, sizeof(s->text) - n, "%.*s%s%s%s ",
		 SLICE_ARG(l->key), l->is_covered ? "" : "?",
		 l->is_wanted ? "!" : "", l->superseded_by.p ? "-" : "");
	s->last = l->n;
	return 0;
}

static struct seen look(struct dlq *q)
{
	struct seen s = {.text = ""};
	struct err e = ERR_INIT;

	if (dlq_each(q, (struct slice){0}, see, &s, &e) != 0)
		printf("# %s\n", e.msg);
	return s;
}

static void is_kept(struct dlq *q, const char *want, const char *what)
{
	struct seen s = look(q);

	if (!ok(strcmp(s.text, want) == 0, "%s", what))
		printf("# %s\n", s.text);
}

static void begin(void)
{
	char cmd[320];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/p && mkdir -p %s/p", dir, dir);
	if (system(cmd) != 0)
		abort();
	batch_free(b);
	b = batch_new();
}

static void settle(struct dlq *q, uint64_t seq, uint64_t letter)
{
	struct cursor c = {1, seq, SLICE("x"), letter, false};
	struct err e = ERR_INIT;

	if (dlq_settle(q, &c, &e) != 0)
		printf("# %s\n", e.msg);
}

/* --- tests ------------------------------------------------------------- */

static void test_life(void)
{
	struct table *tab;
	struct err e = ERR_INIT;
	struct dlq_counts c;
	struct dlq *q;
	uint64_t n, count;

	begin();
	ok(dlq_open(dir, "p", false, &e) == NULL && !err_is_set(&e),
	   "without a letter there is no file");
	q = must_open();
	tab = table_of("t", true, TYPE_INT64);
	for (uint64_t i = 1; i <= 4; i++)
		ok(put(q, row(tab, i, (int64_t)i, SLICE("x")), 10, 1 << 20) ==
			   CODE_none, "letter %u is stored", (unsigned)i);
	put(q, &b->ev[2], 10, 1 << 20);
	is_kept(q, "{\"id\":1}? {\"id\":2}? {\"id\":3}? {\"id\":4}? ",
		"each once, and not covered yet");
	settle(q, 2, 0);
	is_kept(q, "{\"id\":1} {\"id\":2} ",
		"at a cursor those up to it stay, the others come again");
	put(q, &b->ev[2], 10, 1 << 20);
	ok(dlq_drop(q, SLICE("src/1/A1/3"), 1, &count, &e) == 0 && count == 1,
	   "one that is not covered is dropped");
	settle(q, 2, 0);
	put(q, &b->ev[2], 10, 1 << 20);
	is_kept(q, "{\"id\":1} {\"id\":2} ", "and does not come back");
	settle(q, 3, 0);
	ok(dlq_counts(q, &c, &e) == 0 && c.letters == 2 && c.dropped == 0 &&
	   c.uncovered == 0, "until its place is covered, when it is forgotten");
	ok(dlq_want(q, (struct slice){0}, &count, &e) == 0 && count == 2 &&
	   dlq_next(q, &n, &e) == 0 && n == 1,
	   "wanted ones are delivered in their order");
	settle(q, 3, 1);
	is_kept(q, "{\"id\":2}! ", "one that the sink's cursor names is gone");
	ok(dlq_failed(q, 2, &why, &e) == 0 && dlq_next(q, &n, &e) == 0 && n == 0,
	   "one that fails again is not wanted any more");
	dlq_close(q);
	q = must_open();
	is_kept(q, "{\"id\":2} ", "all of it outlives the process");
	ok(dlq_drop(q, (struct slice){0}, 2, &count, &e) == 0 && count == 1,
	   "another number than is there");
	is_kept(q, "{\"id\":2} ", "is not dropped");
	dlq_close(q);
}

static void test_limits(void)
{
	struct dlq *q;
	struct table *tab;
	char *large = malloc(3u << 20);

	begin();
	q = must_open();
	tab = table_of("t", true, TYPE_INT64);
	memset(large, 'x', 3u << 20);
	ok(put(q, row(tab, 1, 1, SLICE("x")), 1, 1 << 20) == CODE_none &&
	   put(q, row(tab, 2, 2, SLICE("x")), 1, 1 << 20) == CODE_event_rejected,
	   "so many letters");
	ok(put(q, row(tab, 3, 3, (struct slice){large, 3u << 20}), 9, 1 << 20) ==
		   CODE_event_rejected, "or so many bytes");
	is_kept(q, "{\"id\":1}? ", "what had no room leaves nothing behind");
	dlq_close(q);
	free(large);
}

static void test_supersede(void)
{
	struct table *tab, *keyless, *retyped;
	struct err e = ERR_INIT;
	struct buf keys = BUF_INIT;
	struct dlq *q;
	struct event *ev;

	begin();
	q = must_open();
	tab = table_of("t", true, TYPE_INT64);
	keyless = table_of("k", false, TYPE_INT64);
	retyped = table_of("t", true, TYPE_TEXT);
	put(q, row(tab, 1, 1, SLICE("x")), 9, 1 << 20);
	put(q, row(tab, 2, 2, SLICE("x")), 9, 1 << 20);
	put(q, row(keyless, 3, 1, SLICE("x")), 9, 1 << 20);
	settle(q, 3, 0);
	ev = row(tab, 9, 2, SLICE("y"));
	reject_keys_event(ev, &keys);
	ok(dlq_begin(q, &e) == 0, "a change begins");
	for (struct wire w = wire_of(buf_get(&keys)); wire_left(&w) > 0;)
		ok(dlq_supersede(q, wire_lenslice(&w), ev, &e) == 0,
		   "a key of a later event");
	ok(dlq_end(q, &e) == 0, "and ends");
	is_kept(q, "{\"id\":1} {\"id\":2}-  ", "supersedes the letter of that key");
	ok(reject_key_differs(tab, retyped) && !reject_key_differs(tab, tab) &&
	   reject_key_differs(tab, keyless),
	   "a key of another type, or none, is another one");
	ok(dlq_set_watched(q, 20, &e) == 0 && dlq_check_watched(q, 20, &e) == 0,
	   "what was watched");
	is_kept(q, "{\"id\":1} {\"id\":2}-  ", "changes nothing");
	ok(dlq_check_watched(q, 21, &e) == 0, "what was not");
	is_kept(q, "{\"id\":1}- {\"id\":2}- - ", "may have been of any key");
	buf_fini(&keys);
	dlq_close(q);
}

static bool is_loaded(struct dlq *q, const struct event *ev)
{
	struct batch *to = batch_new();
	struct err e = ERR_INIT;
	struct buf a = BUF_INIT, c = BUF_INIT;
	bool good = false;

	put(q, ev, 99, 1 << 28);
	if (dlq_load(q, look(q).last, to, &e) != 0 || to->n != 1)
		printf("# %s\n", e.msg);
	else {
		/* the packed form leaves out large values: those by themselves */
		uint32_t slot = 0, other = 0;
		struct slice x = {0}, y = {0};

		good = dead_event_pack(ev, &a, &e) == 0 &&
		       dead_event_pack(&to->ev[0], &c, &e) == 0 &&
		       slice_eq(buf_get(&a), buf_get(&c));
		while (good && dead_event_large(ev, &slot, &x)) {
			good = dead_event_large(&to->ev[0], &other, &y) &&
			       slot == other && slice_eq(x, y);
			slot++, other++;
		}
		good = good && !dead_event_large(&to->ev[0], &other, &y);
	}
	buf_fini(&a);
	buf_fini(&c);
	batch_free(to);
	return good;
}

static void test_events(void)
{
	struct table *tab, *two[2];
	struct message m = {true, SLICE("pre"), {0}};
	struct truncate cut = {TRUNCATE_CASCADE, 2, two};
	struct slice large = {malloc(5u << 20), 5u << 20};
	struct event *ev;
	struct dlq *q;

	begin();
	q = must_open();
	memset((char *)(uintptr_t)large.p, 'y', large.n);
	tab = table_of("t", true, TYPE_INT64);
	two[0] = tab;
	two[1] = table_of("u", false, TYPE_INT64);
	ok(is_loaded(q, row(tab, 1, 1, SLICE("x"))), "a row comes back");
	ok(is_loaded(q, row(tab, 2, 2, large)), "so does one of 5 MiB");
	ev = row(tab, 3, 3, large);
	ev->op = OP_UPDATE;
	ev->before_kind = BEFORE_FULL;
	ev->before = batch_values(b, 2);
	ev->before[0] = (struct value){.tag = VALUE_INT, .i = 2};
	ev->before[1] = (struct value){.tag = VALUE_TEXT,
				       .s = {large.p, large.n - 1}};
	ev->key_changed = true;
	ok(is_loaded(q, ev), "a change of key with both rows large");
	ev = row(tab, 4, 4, SLICE(""));
	ev->after[0].tag = VALUE_NULL;
	ev->after[1].tag = VALUE_UNCHANGED;
	ok(is_loaded(q, ev), "values that are none");
	ev = row(tab, 5, 0, SLICE(""));
	ev->op = OP_TRUNCATE;
	ev->after = NULL;
	ev->truncate = &cut;
	ok(is_loaded(q, ev), "a TRUNCATE of two tables");
	ev = row(tab, 6, 0, SLICE(""));
	ev->op = OP_MESSAGE;
	ev->after = NULL;
	ev->table = NULL;
	m.content = large;
	ev->message = &m;
	ok(is_loaded(q, ev), "a message of 5 MiB");
	dlq_close(q);
	free((void *)(uintptr_t)large.p);
}

static void test_damage(void)
{
	struct err e = ERR_INIT;
	char path[160];
	FILE *f;

	begin();
	snprintf(path, sizeof(path), "%s/p/dead_letters.db", dir);
	f = fopen(path, "w");
	fputs("this is not a database at all, is it?  It should be longer than a page.", f);
	fclose(f);
	ok(dlq_open(dir, "p", false, &e) == NULL && e.code == CODE_state_corrupt,
	   "a file that is none is said to be damaged");
	ok(strstr(e.hint, "Move \"") != NULL, "and not to be removed");
}

int main(void)
{
	char cmd[160];

	tap_dir(dir, "dlq");
	test_life();
	test_limits();
	test_supersede();
	test_events();
	test_damage();
	batch_free(b);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# could not remove %s\n", dir);
	return tap_done();
}
