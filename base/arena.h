/* arena.h: memory that dies together.
 *
 * A chain of blocks and a bump pointer.  Allocation never calls malloc once the
 * arena has grown to its working size: arena_reset() keeps the blocks.  A lack
 * of memory sets a sticky flag and returns NULL; the flag is tested once, where
 * the batch is handed on.  With --enable-arena-malloc every allocation is a
 * malloc of its own, so that AddressSanitizer sees overruns and uses after reset.
 * Not thread-safe: an arena belongs to whoever holds its batch. */
#ifndef LEAT_BASE_ARENA_H
#define LEAT_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *first, *current;
	size_t used;	  /* bytes handed out since the last reset */
	size_t held;	  /* bytes of all blocks */
	size_t block_size;
	bool failed;
};

/* Allocates nothing yet. */
void arena_init(struct arena *a, size_t block_size);
void arena_fini(struct arena *a);
/* Everything handed out is gone; blocks up to `keep` bytes in all stay. */
void arena_reset(struct arena *a, size_t keep);

/* n bytes, aligned to 8, not cleared.  NULL and a->failed on lack of memory. */
void *arena_alloc(struct arena *a, size_t n);
/* Cleared; the product is checked for overflow. */
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* Gives back the end of the most recent allocation: p must be its start. */
void arena_trim(struct arena *a, void *p, size_t n, size_t keep);

#define arena_new(a, type) ((type *)arena_calloc((a), 1, sizeof(type)))

#endif
