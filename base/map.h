/* map.h: a hash map from slices to pointers.
 * Open addressing; keys are borrowed and must live as long as their entry. */
#ifndef LEAT_BASE_MAP_H
#define LEAT_BASE_MAP_H

#include "base/slice.h"
#include "base/util.h"

struct map_entry {
	struct slice key;
	void *value; /* NULL: free */
};

struct map {
	struct map_entry *slots;
	size_t cap, n;
};

#define MAP_INIT ((struct map){0})

void map_fini(struct map *m); /* not what it points to */
void *map_get(const struct map *m, struct slice key);
/* Adds or replaces; the old key stays when replacing.  value is not NULL.
 * -1 on lack of memory, and nothing is changed. */
int map_put(struct map *m, struct slice key, void *value) MUST_CHECK;
/* Takes the entry out and returns its value, or NULL. */
void *map_remove(struct map *m, struct slice key);

/* for (size_t i = 0; (ent = map_next(m, &i)) != NULL;) */
struct map_entry *map_next(const struct map *m, size_t *i);

#endif
