#include "config.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "t/tap.h"

#define N 5000

static char keys[N][16];
static int values[N];

int main(void)
{
	struct map m = MAP_INIT;
	struct map_entry *ent;
	size_t seen = 0;
	bool good = true;

	ok(map_get(&m, SLICE("x")) == NULL, "an empty map has nothing");
	ok(map_remove(&m, SLICE("x")) == NULL, "nothing can be taken from it");
	for (int i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key %d", i);
		if (map_put(&m, slice_of(keys[i]), &values[i]) != 0)
			abort();
	}
	for (int i = 0; i < N; i++)
		good = good && map_get(&m, slice_of(keys[i])) == &values[i];
	ok(good, "everything put in is found");
	for (int i = 0; i < N; i += 3)
		good = good && map_remove(&m, slice_of(keys[i])) == &values[i];
	ok(good, "removing gives the value back");
	for (int i = 0; i < N; i++)
		good = good && map_get(&m, slice_of(keys[i])) ==
				       (i % 3 ? &values[i] : NULL);
	ok(good, "what is left is found, what was removed is not");
	for (size_t i = 0; (ent = map_next(&m, &i)) != NULL;)
		seen++;
	is_int((long long)seen, (long long)m.n, "a walk sees each entry once");
	ok(map_put(&m, slice_of(keys[1]), &values[2]) == 0 &&
	   map_get(&m, SLICE("key 1")) == &values[2] && m.n == seen,
	   "putting a known key replaces its value");
	map_fini(&m);
	return tap_done();
}
