#include "config.h"
#include "schema/change.h"

const char *const change_names[] = {
	[CHANGE_ADD_COLUMN] = "add_column",
	[CHANGE_DROP_COLUMN] = "drop_column",
	[CHANGE_RENAME_COLUMN] = "rename_column",
	[CHANGE_WIDEN_TYPE] = "widen_type",
	[CHANGE_TYPE] = "change_type",
	[CHANGE_KEY] = "change_key",
	[CHANGE_REPLACE_TABLE] = "replace_table",
	[CHANGE_KINDS] = NULL,
};

static bool is_same(const struct column *a, const struct column *b,
		    bool by_number)
{
	if (by_number && a->number > 0 && b->number > 0)
		return a->number == b->number;
	return slice_eq(a->name, b->name);
}

/* Numbers of another table mean nothing. */
static bool by_number(const struct table *old, const struct table *tab)
{
	return old->source_id == tab->source_id;
}

const struct column *change_was(const struct table *old,
				const struct table *tab, uint32_t i)
{
	for (uint32_t j = 0; j < old->ncols; j++)
		if (is_same(&old->cols[j], &tab->cols[i], by_number(old, tab)))
			return &old->cols[j];
	return NULL;
}

bool change_is_gone(const struct table *old, const struct table *tab, uint32_t j)
{
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (is_same(&old->cols[j], &tab->cols[i], by_number(old, tab)))
			return false;
	return true;
}

/* Of digits in all and behind the point; or of characters.  -1: no limit. */
static bool holds_all(const struct column *was, const struct column *c)
{
	int32_t old = was->modifier - 4, new = c->modifier - 4;

	if (c->type == TYPE_TEXT)
		return c->modifier < 0 || (was->modifier >= 0 && new >= old);
	if (was->source_type != c->source_type || c->type != TYPE_DECIMAL ||
	    was->modifier < 0 || c->modifier < 0)
		return false;
	return (old & 0xffff) == (new & 0xffff) && new >> 16 >= old >> 16;
}

static bool is_wider(const struct column *was, const struct column *c)
{
	if (was->type == c->type)
		return holds_all(was, c);
	return (was->type == TYPE_INT16 &&
		(c->type == TYPE_INT32 || c->type == TYPE_INT64)) ||
	       (was->type == TYPE_INT32 && c->type == TYPE_INT64) ||
	       (was->type == TYPE_FLOAT32 && c->type == TYPE_FLOAT64);
}

static unsigned column_kinds(const struct column *was, const struct column *c)
{
	unsigned kinds = 0;

	if (was == NULL)
		return 1u << CHANGE_ADD_COLUMN;
	if (!slice_eq(was->name, c->name))
		kinds |= 1u << CHANGE_RENAME_COLUMN;
	if (was->source_type != c->source_type ||
	    was->modifier != c->modifier || was->type != c->type)
		kinds |= is_wider(was, c) ? 1u << CHANGE_WIDEN_TYPE
					  : 1u << CHANGE_TYPE;
	return kinds;
}

static bool is_key_changed(const struct table *old, const struct table *tab)
{
	for (uint32_t i = 0; i < tab->ncols; i++) {
		const struct column *was = change_was(old, tab, i);
		bool was_key = was != NULL &&
			       table_in_key(old, (uint32_t)(was - old->cols));

		if (was_key != table_in_key(tab, i) ||
		    (was_key && was->key_position != tab->cols[i].key_position))
			return true;
	}
	for (uint32_t j = 0; j < old->ncols; j++)
		if (table_in_key(old, j) && change_is_gone(old, tab, j))
			return true;
	return false;
}

unsigned change_kinds(const struct table *old, const struct table *tab)
{
	unsigned kinds = 0;

	for (uint32_t i = 0; i < tab->ncols; i++)
		kinds |= column_kinds(change_was(old, tab, i), &tab->cols[i]);
	for (uint32_t j = 0; j < old->ncols; j++)
		if (change_is_gone(old, tab, j))
			kinds |= 1u << CHANGE_DROP_COLUMN;
	if (is_key_changed(old, tab))
		kinds |= 1u << CHANGE_KEY;
	if (old->source_id != tab->source_id)
		kinds |= 1u << CHANGE_REPLACE_TABLE;
	return kinds;
}
