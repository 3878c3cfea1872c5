#include "config.h"
#include "sources/pg_relations.h"

#include "t/pgmsg.h"

static const struct col cols[] = {{"id", 23, -1, true}};

static struct pg_relation *describe(struct pg_relations *rs, uint32_t oid,
				    const char *name)
{
	struct msgs m = {0};
	struct err e = ERR_INIT;
	struct slice text;
	struct wire w;
	int rc;

	m_relation(&m, oid, "public", name, 'd', 1, cols);
	text = msg_get(&m, 0);
	w = wire_of((struct slice){text.p + 1, text.n - 1});
	rc = pg_relations_read(rs, &w, &e);
	buf_fini(&m.bytes);
	return rc == 0 ? pg_relations_get(rs, oid) : NULL;
}

static bool settle(struct pg_relations *rs, struct pg_relation *rel)
{
	struct err e = ERR_INIT;
	struct table *prev;
	bool is_new;

	if (rel == NULL ||
	    pg_relations_settle(rs, rel, 1, &is_new, &prev, &e) != 0)
		return false;
	table_unref(prev);
	return rel->tab != NULL;
}

/* A table that is dropped and made again, for ever. */
static void test_same_name_again(void)
{
	struct world w;
	struct pg_relations rs;
	struct pgoutput_hooks hooks = {.arg = &w, .is_wanted = w_is_wanted,
				       .describe = w_describe};
	struct pg_relation *other;
	bool good = true;
	size_t most = 0;

	w_init(&w);
	pg_relations_init(&rs, &w.reg, &hooks);
	good &= settle(&rs, describe(&rs, 1, "other"));
	for (uint32_t oid = 2; good && oid < 10000; oid++) {
		good &= settle(&rs, describe(&rs, oid, "t"));
		most = rs.by_oid.n > most ? rs.by_oid.n : most;
	}
	ok(good, "a table can be made anew under its name without end");
	ok(most < 2000, "and few of its predecessors are kept (%zu)", most);
	other = pg_relations_get(&rs, 1);
	ok(other != NULL && other->tab != NULL,
	   "a table of another name is as it was");
	ok(pg_relations_get(&rs, 9999) != NULL &&
		   pg_relations_get(&rs, 9998) != NULL,
	   "the last ones are there");
	ok(settle(&rs, describe(&rs, 9998, "t2")) &&
		   settle(&rs, pg_relations_get(&rs, 9998)),
	   "and can come back under another name");
	pg_relations_fini(&rs);
	w_fini(&w);
}

int main(void)
{
	test_same_name_again();
	return tap_done();
}
