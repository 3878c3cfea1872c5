#include "config.h"
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) char bytes[];
};

void arena_init(struct arena *a, size_t block_size)
{
	*a = (struct arena){.block_size = block_size};
}

void arena_fini(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->first; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){.block_size = a->block_size};
}

/* Blocks are kept in the order they were made, so the ordinary-sized ones at
 * the front survive and a block made for one huge value goes. */
void arena_reset(struct arena *a, size_t keep)
{
	struct arena_block **at = &a->first, *b;
	size_t kept = 0;

#ifdef LEAT_ARENA_MALLOC
	keep = 0;
#endif
	while ((b = *at) != NULL) {
		if (kept + b->size > keep) {
			*at = b->next;
			a->held -= b->size;
			free(b);
			continue;
		}
		kept += b->size;
		b->used = 0;
		at = &b->next;
	}
	a->current = a->first;
	a->used = 0;
	a->failed = false;
}

static struct arena_block *block_add(struct arena *a, size_t n)
{
	struct arena_block *b;
#ifdef LEAT_ARENA_MALLOC
	size_t size = n;
#else
	size_t size = n > a->block_size ? n : a->block_size;
#endif

	if (size > SIZE_MAX - sizeof(*b) ||
	    (b = malloc(sizeof(*b) + size)) == NULL)
		return NULL;
	b->size = size;
	b->used = 0;
	b->next = a->current ? a->current->next : NULL;
	if (a->current != NULL)
		a->current->next = b;
	else
		a->first = b;
	a->held += size;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->current;
	size_t size = (n + 7) & ~(size_t)7;
	void *p;

	if (size < n) {
		a->failed = true;
		return NULL;
	}
	if (size == 0)
		size = 8;
#ifdef LEAT_ARENA_MALLOC
	/* only a byte-exact block lets ASan see an overrun by one */
	size = n ? n : 1;
	b = NULL;
	if ((b = block_add(a, size)) == NULL) {
		a->failed = true;
		return NULL;
	}
	a->current = b;
#else
	while (b != NULL && b->size - b->used < size) {
		if (b->next == NULL || b->next->size < size)
			b = NULL;
		else
			a->current = b = b->next;
	}
	if (b == NULL && (b = block_add(a, size)) == NULL) {
		a->failed = true;
		return NULL;
	}
	a->current = b;
#endif
	p = b->bytes + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	void *p;

	if (size != 0 && count > SIZE_MAX / size) {
		a->failed = true;
		return NULL;
	}
	p = arena_alloc(a, count * size);
	if (p != NULL)
		memset(p, 0, count * size);
	return p;
}

void arena_trim(struct arena *a, void *p, size_t n, size_t keep)
{
#ifdef LEAT_ARENA_MALLOC
	(void)a, (void)p, (void)n, (void)keep;
#else
	struct arena_block *b = a->current;
	size_t had = n ? (n + 7) & ~(size_t)7 : 8;
	size_t has = keep ? (keep + 7) & ~(size_t)7 : 8;

	assert(keep <= n && (char *)p + had == b->bytes + b->used);
	b->used -= had - has;
	a->used -= had - has;
#endif
}
