#include "config.h"
#include "base/map.h"

#include <stdlib.h>

void map_fini(struct map *m)
{
	free(m->slots);
	*m = MAP_INIT;
}

/* Where the key is, or the free slot where it would go. */
static size_t find(const struct map *m, struct slice key)
{
	size_t i = slice_hash(key) & (m->cap - 1);

	while (m->slots[i].value != NULL && !slice_eq(m->slots[i].key, key))
		i = (i + 1) & (m->cap - 1);
	return i;
}

void *map_get(const struct map *m, struct slice key)
{
	return m->n ? m->slots[find(m, key)].value : NULL;
}

static int grow(struct map *m)
{
	struct map old = *m;
	size_t cap = m->cap ? m->cap * 2 : 16;
	struct map_entry *slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return -1;
	m->slots = slots;
	m->cap = cap;
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].value != NULL)
			m->slots[find(m, old.slots[i].key)] = old.slots[i];
	free(old.slots);
	return 0;
}

int map_put(struct map *m, struct slice key, void *value)
{
	size_t i;

	if (m->n + 1 > m->cap - m->cap / 4 && grow(m) != 0)
		return -1;
	i = find(m, key);
	if (m->slots[i].value == NULL) {
		m->slots[i].key = key;
		m->n++;
	}
	m->slots[i].value = value;
	return 0;
}

/* Entries behind the hole that could not stand in front of it move up, so no
 * markers of deletion are needed. */
void *map_remove(struct map *m, struct slice key)
{
	size_t hole, i, home;
	void *value;

	if (m->n == 0)
		return NULL;
	hole = find(m, key);
	value = m->slots[hole].value;
	if (value == NULL)
		return NULL;
	for (i = (hole + 1) & (m->cap - 1); m->slots[i].value != NULL;
	     i = (i + 1) & (m->cap - 1)) {
		home = slice_hash(m->slots[i].key) & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_entry){0};
	m->n--;
	return value;
}

struct map_entry *map_next(const struct map *m, size_t *i)
{
	while (*i < m->cap)
		if (m->slots[(*i)++].value != NULL)
			return &m->slots[*i - 1];
	return NULL;
}
