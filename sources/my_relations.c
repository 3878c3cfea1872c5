#include "config.h"
#include "sources/my_relations.h"

#include <stdlib.h>

#include "sources/my_value.h"

#define BLOCK 2048u

void my_relations_init(struct my_relations *rs, struct registry *reg,
		       const struct my_charsets *charsets,
		       const struct my_hooks *hooks)
{
	*rs = (struct my_relations){
		.reg = reg, .charsets = charsets, .hooks = *hooks};
}

static void free_relation(struct my_relation *rel)
{
	table_unref(rel->tab);
	table_unref(rel->shape);
	arena_fini(&rel->arena);
	free(rel);
}

void my_relations_forget(struct my_relations *rs)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&rs->by_id, &i)) != NULL;)
		free_relation(ent->value);
	map_fini(&rs->by_id);
	rs->by_id = MAP_INIT;
	rs->last = NULL;
}

void my_relations_fini(struct my_relations *rs)
{
	my_relations_forget(rs);
}

static struct slice key_of(const uint64_t *id)
{
	return (struct slice){(const char *)id, sizeof(*id)};
}

struct my_relation *my_relations_get(struct my_relations *rs, uint64_t id)
{
	if (likely(rs->last != NULL && rs->last->map.id == id))
		return rs->last;
	rs->last = map_get(&rs->by_id, key_of(&id));
	return rs->last;
}

/* Whether the columns' values can be read is asked of wanted tables only; how
 * long they are has to be known of all. */
static int check_columns(const struct my_relation *rel, struct err *e)
{
	for (uint32_t i = 0; i < rel->map.ncols; i++) {
		const struct my_column *c = &rel->map.cols[i];

		if (my_value_is_known(c))
			continue;
		err_set(e, CODE_source_config,
			"column \"%.*s\" is of type %u, whose values cannot be read",
			SLICE_ARG(c->name), c->type);
		if (c->type == MY_TYPE_TIME || c->type == MY_TYPE_DATETIME ||
		    c->type == MY_TYPE_TIMESTAMP)
			err_hint(e, "SET GLOBAL mysql56_temporal_format = ON; then ALTER TABLE `%.*s`.`%.*s` FORCE",
				 SLICE_ARG(rel->map.db),
				 SLICE_ARG(rel->map.name));
		return -1;
	}
	return 0;
}

static int find_version(struct my_relations *rs, struct my_relation *rel,
			struct err *e)
{
	struct table proto, *known;

	if (check_columns(rel, e) < 0 ||
	    my_map_shape(&rel->map, &rel->arena, &proto, e) < 0)
		return -1;
	known = registry_get(rs->reg, proto.full_name);
	if (known != NULL && known->fingerprint == table_fingerprint(&proto)) {
		rel->tab = table_ref(known);
		return 0;
	}
	rel->shape = table_new(&proto);
	return rel->shape != NULL ? 0 : err_no_memory(e);
}

static int fill(struct my_relations *rs, struct my_relation *rel,
		struct slice body, struct err *e)
{
	struct wire w;

	arena_init(&rel->arena, BLOCK);
	rel->bytes = slice_dup(&rel->arena, body);
	if (rel->bytes.p == NULL)
		return err_no_memory(e);
	w = wire_of(rel->bytes);
	rel->map.id = my_map_id(&w);
	if (my_map_read(&w, rs->charsets, &rel->arena, &rel->map, e) < 0)
		return -1;
	rel->full_name = table_full_name(&rel->arena, rel->map.db, rel->map.name);
	if (rel->full_name.p == NULL)
		return err_no_memory(e);
	rel->is_wanted =
		rs->hooks.is_wanted(rs->hooks.arg, rel->map.db, rel->map.name);
	if (!rel->is_wanted || find_version(rs, rel, e) == 0)
		return 0;
	err_wrap(e, "table \"%.*s\"", SLICE_ARG(rel->full_name));
	return -1;
}

int my_relations_read(struct my_relations *rs, struct wire *w, struct err *e)
{
	struct slice body = wire_bytes(w, wire_left(w));
	struct wire at = wire_of(body);
	uint64_t id = my_map_id(&at);
	struct my_relation *rel, *old;

	if (!wire_ok(&at))
		return err_set(e, CODE_source_protocol, "it is truncated");
	old = my_relations_get(rs, id);
	if (likely(old != NULL && slice_eq(old->bytes, body)))
		return 0;
	rel = calloc(1, sizeof(*rel));
	if (rel == NULL)
		return err_no_memory(e);
	if (fill(rs, rel, body, e) < 0) {
		free_relation(rel);
		return -1;
	}
	/* the key lives in the value: take the old one out first */
	if (old != NULL)
		free_relation(map_remove(&rs->by_id, key_of(&id)));
	rs->last = NULL;
	if (map_put(&rs->by_id, key_of(&rel->map.id), rel) < 0) {
		free_relation(rel);
		return err_no_memory(e);
	}
	return 0;
}

/* Another number can stand for the table of that name by now: as after ALTER,
 * and after RENAME. */
static void unseat(struct my_relations *rs, const struct table *old)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&rs->by_id, &i)) != NULL;) {
		struct my_relation *rel = ent->value;

		if (rel->tab == old) {
			rel->shape = rel->tab;
			rel->tab = NULL;
		}
	}
}

int my_relations_settle(struct my_relations *rs, struct my_relation *rel,
			uint64_t seq, bool *is_new, struct table **prev,
			struct err *e)
{
	struct table *tab;

	*is_new = false;
	*prev = NULL;
	if (likely(rel->tab != NULL))
		return 0;
	tab = registry_get(rs->reg, rel->shape->full_name);
	if (tab == NULL || tab->fingerprint != rel->shape->fingerprint) {
		if (registry_add(rs->reg, rel->shape, seq, &tab, prev, e) < 0)
			return -1;
		*is_new = true;
		if (*prev != NULL)
			unseat(rs, *prev);
	}
	table_unref(rel->shape);
	rel->shape = NULL;
	rel->tab = table_ref(tab);
	return 0;
}
