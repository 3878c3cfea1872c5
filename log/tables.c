#include "config.h"
#include "log/tables.h"

#include <stdlib.h>

static void entry_free(struct log_table *t)
{
	if (t == NULL)
		return;
	table_unref(t->tab);
	free(t);
}

void log_tables_fini(struct log_tables *t)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&t->by_name, &i)) != NULL;)
		entry_free(ent->value);
	map_fini(&t->by_name);
	t->by_name = MAP_INIT;
}

struct log_table *log_tables_get(const struct log_tables *t,
				 struct slice full_name)
{
	return map_get(&t->by_name, full_name);
}

int log_tables_put(struct log_tables *t, struct table *tab, struct slice event,
		   struct err *e)
{
	struct log_table *entry = malloc(sizeof(*entry) + event.n);

	if (entry == NULL)
		return err_no_memory(e);
	entry->tab = table_ref(tab);
	entry->event = (struct slice){(char *)(entry + 1), event.n};
	if (event.n > 0)
		memcpy(entry + 1, event.p, event.n);
	/* the key lives in the table, so the old one goes with the old key */
	entry_free(map_remove(&t->by_name, tab->full_name));
	if (map_put(&t->by_name, tab->full_name, entry) != 0) {
		entry_free(entry);
		return err_no_memory(e);
	}
	return 0;
}

int log_tables_read(struct log_tables *t, struct slice body, uint32_t count,
		    struct err *e)
{
	struct wire w = wire_of(body);
	struct slice whole, event;

	for (uint32_t i = 0; i < count; i++) {
		struct table *tab = log_table_next(&w, &whole, &event, e);
		int rc;

		if (tab == NULL)
			return -1;
		rc = log_tables_put(t, tab, event, e);
		table_unref(tab);
		if (rc != 0)
			return -1;
	}
	if (wire_left(&w) > 0)
		return err_set(e, CODE_log_corrupt,
			       "a table frame has bytes too many");
	return 0;
}

void log_table_write(struct rowbin_writer *w, struct buf *scratch,
		     const struct table *tab, const struct event *ev,
		     struct buf *out)
{
	buf_reset(scratch, SIZE_MAX);
	table_encode(tab, scratch);
	buf_lenslice(out, buf_get(scratch));
	out->failed |= scratch->failed;
	buf_reset(scratch, SIZE_MAX);
	rowbin_begin(w, scratch);
	rowbin_put(w, ev);
	buf_lenslice(out, buf_get(scratch));
	out->failed |= scratch->failed || w->failed;
}

struct table *log_table_next(struct wire *w, struct slice *whole,
			     struct slice *event, struct err *e)
{
	const char *start = (const char *)w->p;
	struct slice stored = wire_lenslice(w);
	struct wire form = wire_of(stored);
	struct table *tab;

	*event = wire_lenslice(w);
	if (!wire_ok(w)) {
		err_set(e, CODE_log_corrupt, "a table frame is cut off");
		return NULL;
	}
	*whole = (struct slice){start, (size_t)((const char *)w->p - start)};
	tab = table_decode(&form, e);
	if (tab != NULL && wire_left(&form) > 0) {
		err_set(e, CODE_log_corrupt,
			"a table version has bytes too many");
		table_unref(tab);
		return NULL;
	}
	return tab;
}
