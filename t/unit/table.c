#include "config.h"
#include "schema/table.h"

#include "schema/change.h"
#include "schema/cursor.h"
#include "schema/registry.h"
#include "t/tap.h"

static struct column cols[3] = {
	{.name = {"id", 2}, .type_name = {"bigint", 6}, .type = TYPE_INT64,
	 .source_type = 20, .modifier = -1, .is_identity = true,
	 .key_position = 1},
	{.name = {"name", 4}, .type_name = {"varchar(20)", 11},
	 .type = TYPE_TEXT, .source_type = 1043, .modifier = 24,
	 .is_nullable = true},
	{.name = {"at", 2}, .type = TYPE_TIMESTAMP, .source_type = 1114,
	 .modifier = -1, .is_nullable = true},
};
static const struct table proto = {
	.version = 7, .from_seq = 99, .source_id = 16384,
	.schema = {"public", 6}, .name = {"t", 1}, .ncols = 3, .cols = cols};

static void test_stored(void)
{
	struct table *tab, *back;
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct wire w;
	bool short_ok = true;

	cols[1].number = 3;
	cols[1].labels = SLICE("sad,so so");
	tab = table_new(&proto);
	cols[1].number = 0;
	cols[1].labels = (struct slice){0};
	table_encode(tab, &b);
	w = wire_of(buf_get(&b));
	back = table_decode(&w, &e);
	ok(back != NULL && wire_left(&w) == 0, "a stored version reads back");
	is_slice(back->full_name, "public.t", "with its name");
	ok(back->version == 7 && back->from_seq == 99 && back->ncols == 3 &&
	   back->fingerprint == tab->fingerprint, "and its shape");
	is_slice(back->cols[1].type_name, "varchar(20)", "and its types");
	is_int(back->cols[1].number, 3, "and what the catalog knows");
	is_slice(back->cols[1].labels, "sad,so so", "labels too");
	for (size_t n = 0; n < b.n; n++) {
		struct table *t;

		e = ERR_INIT;
		w = wire_of((struct slice){b.p, n});
		t = table_decode(&w, &e);
		short_ok = short_ok && t == NULL && err_is_set(&e);
		table_unref(t);
	}
	ok(short_ok, "cut anywhere it is an error");
	table_unref(back);
	table_unref(tab);
	buf_fini(&b);
}

static void test_fingerprint(void)
{
	uint64_t was = table_fingerprint(&proto);
	struct table other = proto;

	cols[1].is_nullable = false;
	is_int(table_fingerprint(&proto) == was, 1,
	       "what the stream does not carry is not in the fingerprint");
	cols[1].is_nullable = true;
	cols[1].modifier = 34;
	ok(table_fingerprint(&proto) != was, "a type's length is");
	cols[1].modifier = 24;
	other.source_id = 1;
	ok(table_fingerprint(&other) != was, "so is the relation");
	other = proto;
	other.identity = IDENTITY_FULL;
	ok(table_fingerprint(&other) != was, "and the replica identity");
}

static void test_diff(void)
{
	struct table *old = table_new(&proto), *tab;
	struct column now[3] = {cols[0], cols[1], cols[2]};
	struct table changed = proto;
	struct buf b = BUF_INIT;

	now[1].type_name = SLICE("text");
	now[1].source_type = 25;
	now[2].name = SLICE("seen at");
	changed.cols = now;
	tab = table_new(&changed);
	table_diff(old, tab, &b);
	is_slice(b, "dropped column \"at\" timestamp\n"
		    "changed type of column \"name\" from varchar(20) to text\n"
		    "added column \"seen at\" timestamp\n",
		 "a difference reads like what a DBA did");
	table_unref(old);
	table_unref(tab);
	buf_fini(&b);
}

static unsigned kinds_of(struct column now[3], uint32_t n)
{
	struct table *old = table_new(&proto), *tab;
	struct table changed = proto;
	unsigned kinds;

	changed.cols = now;
	changed.ncols = n;
	tab = table_new(&changed);
	kinds = change_kinds(old, tab);
	table_unref(old);
	table_unref(tab);
	return kinds;
}

static void test_kinds(void)
{
	struct column now[3];

	memcpy(now, cols, sizeof(now));
	is_int(kinds_of(now, 3), 0, "no change is none");
	is_int(kinds_of(now, 2), 1u << CHANGE_DROP_COLUMN, "a column is gone");
	now[2].name = SLICE("seen");
	is_int(kinds_of(now, 3),
	       1u << CHANGE_DROP_COLUMN | 1u << CHANGE_ADD_COLUMN,
	       "without numbers a rename is not known");
	cols[2].number = now[2].number = 9;
	is_int(kinds_of(now, 3), 1u << CHANGE_RENAME_COLUMN, "with them it is");
	now[2] = cols[2];
	now[2].number = 10;
	is_int(kinds_of(now, 3),
	       1u << CHANGE_DROP_COLUMN | 1u << CHANGE_ADD_COLUMN,
	       "nor is another column of the same name the same one");
	cols[2].number = 0;
	memcpy(now, cols, sizeof(now));
	now[1].modifier = 34;
	is_int(kinds_of(now, 3), 1u << CHANGE_WIDEN_TYPE, "a longer varchar");
	now[1].modifier = 14;
	is_int(kinds_of(now, 3), 1u << CHANGE_TYPE, "a shorter one");
	now[1] = cols[1];
	now[2].source_type = 1184;
	is_int(kinds_of(now, 3), 1u << CHANGE_TYPE, "a type of the same kind");
	now[2] = cols[2];
	now[0].key_position = 0;
	now[1].key_position = 1;
	is_int(kinds_of(now, 3), 1u << CHANGE_KEY, "another key");
}

static void test_full_name(void)
{
	struct table dotted = proto, quoted = proto;
	struct table *a, *b;

	dotted.schema = SLICE("a");
	dotted.name = SLICE("b.c");
	quoted.schema = SLICE("a.b");
	quoted.name = SLICE("say \"c\"");
	a = table_new(&dotted);
	b = table_new(&quoted);
	is_slice(a->full_name, "a.\"b.c\"", "a name with a dot is quoted");
	is_slice(b->full_name, "\"a.b\".\"say \"\"c\"\"\"",
		 "and its quotes are doubled");
	table_unref(a);
	table_unref(b);
}

static void test_registry(void)
{
	struct registry r;
	struct table *a, *b, *prev;
	struct err e = ERR_INIT;

	registry_init(&r);
	ok(registry_add(&r, &proto, 5, &a, &prev, &e) == 0 && a->version == 1 &&
	   prev == NULL && a->from_seq == 5, "the first version is number 1");
	ok(registry_add(&r, &proto, 9, &b, &prev, &e) == 0 && b->version == 2 &&
	   prev != NULL && prev->version == 1, "the next is 2, and knows the last");
	table_unref(prev);
	ok(registry_get(&r, SLICE("public.t")) == b, "the newest is in force");
	a = table_new(&proto);
	ok(registry_load(&r, a, &e) == 0 &&
	   registry_get(&r, SLICE("public.t")) == a, "version 7 from before wins");
	a = table_new(&proto);
	a->version = 3;
	ok(registry_load(&r, a, &e) == 0 &&
	   registry_get(&r, SLICE("public.t"))->version == 7,
	   "an older one does not");
	registry_fini(&r);
}

static void test_cursor(void)
{
	struct cursor c = {2, 18446744073709551615u, SLICE("pg a=1 b=2"), 0, false}, back;
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	cursor_print(&c, &b);
	ok(cursor_parse(buf_get(&b), &back, &e) == 0 && cursor_eq(&c, &back),
	   "a cursor reads back from its text");
	static const char *const bad[] = {"", "leat1", "leat1 0 1 x", "leat1 1 x",
					  "leat1 1 1 ", "leat2 1 1 x",
					  "leat1 99999999999 1 x"};
	for (size_t i = 0; i < countof(bad); i++) {
		e = ERR_INIT;
		ok(cursor_parse(slice_of(bad[i]), &back, &e) != 0 &&
		   err_is_set(&e), "\"%s\" is no cursor", bad[i]);
	}
	buf_fini(&b);
}

int main(void)
{
	test_stored();
	test_fingerprint();
	test_diff();
	test_kinds();
	test_full_name();
	test_registry();
	test_cursor();
	return tap_done();
}
