#include "config.h"
#include "schema/shape.h"

#include <stdlib.h>

#include "schema/connect_schema.h"

#define BLOCK_BYTES 4096

/* Of the primary key in its order, else of the identity index. */
static uint32_t find_key(const struct table *tab, uint32_t *out)
{
	uint32_t n = 0, in_index = 0;

	for (uint32_t i = 0; i < tab->ncols; i++)
		n += tab->cols[i].key_position > 0;
	for (uint32_t i = 0; i < tab->ncols; i++) {
		uint16_t at = tab->cols[i].key_position;

		if (at > 0 && at <= n)
			out[at - 1] = i;
		else if (n == 0 && tab->identity != IDENTITY_FULL &&
			 tab->cols[i].is_identity && table_in_key(tab, i))
			out[in_index++] = i;
	}
	return n > 0 ? n : in_index;
}

bool shape_is_optional(const struct shape *sh, uint32_t i)
{
	const struct column *col = &sh->tab->cols[i];

	return col->key_position == 0 || !col->is_identity;
}

/* Avro's names have no blanks and the like; two that become one by that get
 * underscores behind. */
static const char *avro_field_name(struct shape *sh, struct slice name,
				   const struct connect_field *before, size_t n)
{
	struct buf b = BUF_INIT;
	const char *text = slice_dup(&sh->arena, name).p;
	bool is_taken = true;

	connect_avro_name(&b, text ? text : "", false);
	while (is_taken && !b.failed) {
		is_taken = false;
		for (size_t i = 0; i < n; i++)
			is_taken |= slice_eq(buf_get(&b),
					     slice_of(before[i].name));
		if (is_taken)
			buf_u8(&b, '_');
	}
	text = slice_dup(&sh->arena, buf_get(&b)).p;
	sh->arena.failed |= b.failed;
	buf_fini(&b);
	return text;
}

/* The n-th of `fields`, for column i. */
static void put_field(struct shape *sh, struct connect_field *fields, size_t n,
		      uint32_t i, bool is_key)
{
	struct slice name = sh->tab->cols[i].name;

	fields[n].name = sh->plan->avro
				 ? avro_field_name(sh, name, fields, n)
				 : slice_dup(&sh->arena, name).p;
	fields[n].schema = connect_column_schema(
		&sh->types[i], !is_key && shape_is_optional(sh, i), &sh->arena);
}

/* source.schema.table */
static const char *record_name(struct shape *sh, const char *suffix)
{
	struct buf b = BUF_INIT;
	const char *name;

	connect_topic_part(&b, sh->source);
	buf_u8(&b, '.');
	connect_topic_part(&b, sh->tab->schema);
	buf_u8(&b, '.');
	connect_topic_part(&b, sh->tab->name);
	buf_text(&b, suffix);
	name = slice_dup(&sh->arena, buf_get(&b)).p;
	sh->arena.failed |= b.failed;
	buf_fini(&b);
	return name ? name : "";
}

static struct slice head_of(struct shape *sh, const struct connect_schema *s)
{
	struct buf b = BUF_INIT;
	struct slice out;

	if (sh->plan->avro) {
		connect_schema_avro(&b, s);
	} else {
		buf_text(&b, "{\"schema\":");
		connect_schema_json(&b, s, NULL);
		buf_text(&b, ",\"payload\":");
	}
	out = slice_dup(&sh->arena, buf_get(&b));
	sh->arena.failed |= b.failed;
	buf_fini(&b);
	return out;
}

static void make_heads(struct shape *sh)
{
	uint32_t ncols = sh->tab->ncols;
	struct connect_field *f = arena_calloc(&sh->arena, ncols + 1, sizeof(*f));
	struct connect_field *k =
		arena_calloc(&sh->arena, sh->nkey + 1, sizeof(*k));
	struct connect_schema key, value;

	if (f == NULL || k == NULL)
		return;
	for (uint32_t i = 0; i < ncols && !sh->arena.failed; i++)
		put_field(sh, f, i, i, false);
	for (uint32_t i = 0; i < sh->nkey && !sh->arena.failed; i++)
		put_field(sh, k, i, sh->key[i], true);
	if (sh->arena.failed)
		return;
	value = connect_envelope(record_name(sh, ""), f, ncols, &sh->arena);
	key = (struct connect_schema){
		.kind = CONNECT_STRUCT,
		.name = record_name(sh, ".Key"),
		.fields = k,
		.nfields = sh->nkey,
	};
	if (sh->arena.failed)
		return;
	sh->value_head = head_of(sh, &value);
	if (sh->nkey > 0)
		sh->key_head = head_of(sh, &key);
}

struct shape *shape_new(struct table *tab, struct slice source,
			const struct shape_plan *plan)
{
	struct shape *sh = calloc(1, sizeof(*sh));

	if (sh == NULL)
		return NULL;
	arena_init(&sh->arena, BLOCK_BYTES);
	sh->tab = table_ref(tab);
	sh->plan = plan;
	sh->source = slice_dup(&sh->arena, source);
	sh->types = arena_calloc(&sh->arena, tab->ncols + 1, sizeof(*sh->types));
	sh->key = arena_calloc(&sh->arena, tab->ncols + 1, sizeof(*sh->key));
	if (sh->types != NULL && sh->key != NULL) {
		for (uint32_t i = 0; i < tab->ncols; i++)
			connect_type_of(&tab->cols[i], &plan->modes, &sh->arena,
					&sh->types[i]);
		sh->nkey = find_key(tab, sh->key);
		if (plan->schemas && !sh->arena.failed)
			make_heads(sh);
	}
	if (sh->arena.failed) {
		shape_free(sh);
		return NULL;
	}
	return sh;
}

void shape_free(struct shape *sh)
{
	if (sh == NULL)
		return;
	table_unref(sh->tab);
	arena_fini(&sh->arena);
	buf_fini(&sh->scratch[0]);
	buf_fini(&sh->scratch[1]);
	free(sh);
}
