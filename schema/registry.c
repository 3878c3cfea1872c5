#include "config.h"
#include "schema/registry.h"

void registry_init(struct registry *r)
{
	r->by_name = MAP_INIT;
}

void registry_fini(struct registry *r)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&r->by_name, &i)) != NULL;)
		table_unref(ent->value);
	map_fini(&r->by_name);
}

struct table *registry_get(const struct registry *r, struct slice full_name)
{
	return map_get(&r->by_name, full_name);
}

/* The key of an entry is the text of its table, so both go together. */
static int put(struct registry *r, struct table *tab)
{
	struct table *old = map_remove(&r->by_name, tab->full_name);

	if (map_put(&r->by_name, tab->full_name, tab) == 0) {
		table_unref(old);
		return 0;
	}
	/* there was a slot for the old one, so there still is */
	if (old != NULL && map_put(&r->by_name, old->full_name, old) != 0)
		table_unref(old);
	return -1;
}

int registry_load(struct registry *r, struct table *tab, struct err *e)
{
	struct table *old = registry_get(r, tab->full_name);

	if (old != NULL && old->version >= tab->version) {
		table_unref(tab);
		return 0;
	}
	if (put(r, tab) != 0) {
		table_unref(tab);
		return err_no_memory(e);
	}
	return 0;
}

int registry_add(struct registry *r, const struct table *proto,
		 uint64_t from_seq, struct table **tab, struct table **prev,
		 struct err *e)
{
	struct table *t = table_new(proto), *old;

	*prev = NULL;
	if (t == NULL)
		return err_no_memory(e);
	old = registry_get(r, t->full_name);
	t->version = old ? old->version + 1 : 1;
	t->from_seq = from_seq;
	if (old != NULL)
		table_ref(old);
	if (put(r, t) != 0) {
		table_unref(old);
		table_unref(t);
		return err_no_memory(e);
	}
	*tab = t;
	*prev = old;
	return 0;
}
