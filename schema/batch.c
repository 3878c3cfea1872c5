#include "config.h"
#include "schema/batch.h"

#include <stdlib.h>

/* A batch is a few hundred KiB; what one huge value needed is not kept. */
#define BLOCK_SIZE (64u << 10)
#define KEEP_BYTES (1u << 20)
#define KEEP_EVENTS 16384u

/* One number for every filling of every batch of the process, so that a table
 * can remember the last one it was used in. */
static _Atomic uint64_t marks;

struct batch *batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	arena_init(&b->arena, BLOCK_SIZE);
	b->mark = ++marks;
	return b;
}

static void drop_tables(struct batch *b)
{
	for (size_t i = 0; i < b->ntables; i++)
		table_unref(b->tables[i]);
	b->ntables = 0;
}

void batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	drop_tables(b);
	free(b->tables);
	free(b->ev);
	arena_fini(&b->arena);
	free(b);
}

void batch_reset(struct batch *b)
{
	drop_tables(b);
	arena_reset(&b->arena, KEEP_BYTES);
	if (b->cap > KEEP_EVENTS) {
		free(b->ev);
		b->ev = NULL;
		b->cap = 0;
	}
	b->n = 0;
	b->cursor = (struct cursor){0};
	b->next = NULL;
	b->mark = ++marks;
}

size_t batch_bytes(const struct batch *b)
{
	return b->arena.used + b->n * sizeof(*b->ev) + sizeof(*b);
}

struct event *batch_add(struct batch *b)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		struct event *ev = realloc(b->ev, cap * sizeof(*ev));

		if (ev == NULL) {
			b->arena.failed = true;
			return NULL;
		}
		b->ev = ev;
		b->cap = cap;
	}
	b->ev[b->n] = (struct event){0};
	return &b->ev[b->n++];
}

struct table *batch_use_table(struct batch *b, struct table *tab)
{
	if (tab->batch_mark == b->mark)
		return tab;
	if (b->ntables == b->tables_cap) {
		size_t cap = b->tables_cap ? b->tables_cap * 2 : 16;
		struct table **t = realloc(b->tables, cap * sizeof(*t));

		if (t == NULL) {
			b->arena.failed = true;
			return NULL;
		}
		b->tables = t;
		b->tables_cap = cap;
	}
	b->tables[b->ntables++] = table_ref(tab);
	tab->batch_mark = b->mark;
	return tab;
}

struct value *batch_values(struct batch *b, uint32_t n)
{
	return arena_alloc(&b->arena, (size_t)n * sizeof(struct value));
}

int batch_set_cursor(struct batch *b, const struct cursor *c, struct err *e)
{
	b->cursor = *c;
	b->cursor.source = slice_dup(&b->arena, c->source);
	return b->arena.failed ? err_no_memory(e) : 0;
}
