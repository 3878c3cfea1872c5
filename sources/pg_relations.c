/* pg_relations.c: see pg_relations.h.
 *
 * PostgreSQL manual, "Logical Replication Message Formats": Relation, Type.
 * A Type message precedes the Relation message that needs it; for a domain it
 * has the domain's oid and the base type's name.
 *
 * The catalog is asked (hooks.describe) when a version is made and tells of
 * *now*, while the stream tells of then.  Where the two contradict each other
 * about the key the stream is believed. */
#include "config.h"
#include "sources/pg_relations.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "sources/pg_types.h"

/* MaxHeapAttributeNumber */
#define MAX_COLUMNS 1600u
#define SCRATCH_BLOCK (16u << 10)
/* A Relation message with 1600 columns has at most as many Type messages. */
#define MAX_TYPES (MAX_COLUMNS + 1)
/* So many tables that were dropped, and made again under the same name, are
 * remembered.  The server describes a relation again when it was renamed. */
#define MAX_STALE 1024u

struct pg_user_type {
	struct pg_user_type *next;
	uint32_t oid;
	struct slice schema, name; /* schema empty: pg_catalog */
};

void pg_relations_init(struct pg_relations *rs, struct registry *reg,
		       const struct pgoutput_hooks *hooks)
{
	*rs = (struct pg_relations){.reg = reg, .hooks = *hooks};
	arena_init(&rs->scratch, SCRATCH_BLOCK);
	arena_init(&rs->types_arena, SCRATCH_BLOCK);
}

static void drop_versions(struct pg_relation *rel)
{
	table_unref(rel->tab);
	table_unref(rel->shape);
	rel->tab = rel->shape = NULL;
}

void pg_relations_fini(struct pg_relations *rs)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&rs->by_oid, &i)) != NULL;) {
		drop_versions(ent->value);
		free(ent->value);
	}
	map_fini(&rs->by_oid);
	arena_fini(&rs->scratch);
	arena_fini(&rs->types_arena);
}

static int truncated(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it is truncated");
}

static int check_name(struct slice name, const char *what, struct err *e)
{
	if (utf8_is_valid(name))
		return 0;
	err_set(e, CODE_value_invalid, "the name of a %s is not valid UTF-8",
		what);
	err_detail(e, "A database with encoding SQL_ASCII sends text as it was "
		      "stored.");
	return -1;
}

int pg_relations_read_type(struct pg_relations *rs, struct wire *w,
			   struct err *e)
{
	struct pg_user_type *t;
	uint32_t oid = wire_be32(w);
	struct slice schema = wire_cstr(w), name = wire_cstr(w);

	if (!wire_ok(w))
		return truncated(e);
	if (check_name(schema, "schema", e) != 0 ||
	    check_name(name, "type", e) != 0)
		return -1;
	if (rs->ntypes == MAX_TYPES)
		return err_set(e, CODE_source_protocol,
			       "more types than a table can have columns");
	t = arena_new(&rs->types_arena, struct pg_user_type);
	if (t == NULL)
		return err_no_memory(e);
	t->oid = oid;
	t->schema = slice_dup(&rs->types_arena, schema);
	t->name = slice_dup(&rs->types_arena, name);
	if (rs->types_arena.failed)
		return err_no_memory(e);
	t->next = rs->types;
	rs->types = t;
	rs->ntypes++;
	return 0;
}

static const struct pg_user_type *find_type(const struct pg_relations *rs,
					    uint32_t oid)
{
	const struct pg_user_type *t = rs->types;

	while (t != NULL && t->oid != oid)
		t = t->next;
	return t;
}

static void forget_types(struct pg_relations *rs)
{
	rs->types = NULL;
	rs->ntypes = 0;
	arena_reset(&rs->types_arena, SCRATCH_BLOCK);
}

/* Type and name of a column's type as far as the stream tells them. */
static int set_type(struct pg_relations *rs, struct column *c, struct err *e)
{
	const struct pg_user_type *t = find_type(rs, c->source_type);
	uint32_t oid = c->source_type;
	struct buf name = BUF_INIT;
	bool failed;

	if (t != NULL)
		oid = t->schema.n == 0 ? pg_type_oid(t->name) : 0;
	c->type = pg_type_of(oid, NULL);
	pg_type_print(oid, c->modifier, &name);
	if (t != NULL && oid == 0) {
		buf_slice(&name, t->schema);
		if (t->schema.n > 0)
			buf_u8(&name, '.');
		buf_slice(&name, t->name);
	}
	c->type_name = slice_dup(&rs->scratch, buf_get(&name));
	failed = name.failed || rs->scratch.failed;
	buf_fini(&name);
	return failed ? err_no_memory(e) : 0;
}

static int read_columns(struct pg_relations *rs, struct wire *w,
			struct table *proto, struct err *e)
{
	proto->cols = arena_calloc(&rs->scratch, proto->ncols,
				   sizeof(*proto->cols));
	if (proto->cols == NULL)
		return err_no_memory(e);
	for (uint32_t i = 0; i < proto->ncols; i++) {
		struct column *c = &proto->cols[i];
		uint8_t flags = wire_u8(w);

		c->name = wire_cstr(w);
		c->source_type = wire_be32(w);
		c->modifier = (int32_t)wire_be32(w);
		if (!wire_ok(w))
			return truncated(e);
		if (flags > 1)
			return err_set(e, CODE_source_protocol,
				       "column %u has unknown flags %u", i + 1,
				       flags);
		c->is_identity = flags & 1;
		c->is_nullable = true; /* unless the catalog says otherwise */
		if (check_name(c->name, "column", e) != 0 ||
		    set_type(rs, c, e) != 0)
			return -1;
	}
	return 0;
}

static int read_shape(struct pg_relations *rs, struct wire *w,
		      struct table *proto, struct err *e)
{
	static const char identities[] = "dfni"; /* order of enum identity */
	const char *identity;
	uint8_t letter;

	*proto = (struct table){.source_id = wire_be32(w)};
	proto->schema = wire_cstr(w);
	proto->name = wire_cstr(w);
	letter = wire_u8(w);
	proto->ncols = wire_be16(w);
	if (!wire_ok(w))
		return truncated(e);
	if (proto->schema.n == 0)
		proto->schema = SLICE("pg_catalog");
	identity = letter ? strchr(identities, letter) : NULL;
	if (identity == NULL)
		return err_set(e, CODE_source_protocol,
			       "unknown replica identity %u", letter);
	proto->identity = (enum identity)(identity - identities);
	if (proto->ncols > MAX_COLUMNS)
		return err_set(e, CODE_source_protocol,
			       "a table of %u columns", proto->ncols);
	if (check_name(proto->schema, "schema", e) != 0 ||
	    check_name(proto->name, "table", e) != 0)
		return -1;
	return read_columns(rs, w, proto, e);
}

static void set_stale(struct pg_relations *rs, struct pg_relation *rel, bool is)
{
	rs->nstale += (uint32_t)is - (uint32_t)rel->is_stale;
	rel->is_stale = is;
}

static void forget_stale(struct pg_relations *rs)
{
	struct map fresh = MAP_INIT;
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&rs->by_oid, &i)) != NULL;) {
		const struct pg_relation *rel = ent->value;

		/* without memory for it, another time */
		if (!rel->is_stale && map_put(&fresh, ent->key, ent->value) != 0) {
			map_fini(&fresh);
			return;
		}
	}
	for (size_t i = 0; (ent = map_next(&rs->by_oid, &i)) != NULL;) {
		struct pg_relation *rel = ent->value;

		if (!rel->is_stale)
			continue;
		drop_versions(rel);
		free(rel);
	}
	map_fini(&rs->by_oid);
	rs->by_oid = fresh;
	rs->last = NULL;
	rs->nstale = 0;
}

/* The entry for an oid, made if there is none. */
static struct pg_relation *make_entry(struct pg_relations *rs, uint32_t oid)
{
	struct pg_relation *rel = pg_relations_get(rs, oid);

	if (rel != NULL)
		return rel;
	rel = calloc(1, sizeof(*rel));
	if (rel == NULL)
		return NULL;
	rel->oid = oid;
	if (map_put(&rs->by_oid,
		    (struct slice){(const char *)&rel->oid, sizeof(rel->oid)},
		    rel) != 0) {
		free(rel);
		return NULL;
	}
	return rel;
}

int pg_relations_read(struct pg_relations *rs, struct wire *w, struct err *e)
{
	struct pg_relation *rel;
	struct table proto, *known;

	arena_reset(&rs->scratch, SCRATCH_BLOCK);
	if (read_shape(rs, w, &proto, e) != 0)
		return -1;
	forget_types(rs);
	if (rs->nstale > MAX_STALE)
		forget_stale(rs);
	proto.full_name = table_full_name(&rs->scratch, proto.schema,
					  proto.name);
	rel = make_entry(rs, proto.source_id);
	if (rel == NULL || proto.full_name.p == NULL)
		return err_no_memory(e);
	drop_versions(rel);
	set_stale(rs, rel, false);
	rel->is_wanted = rs->hooks.is_wanted(rs->hooks.arg, proto.schema,
					     proto.name);
	if (!rel->is_wanted)
		return 0;
	known = registry_get(rs->reg, proto.full_name);
	if (known != NULL && known->fingerprint == table_fingerprint(&proto)) {
		rel->tab = table_ref(known);
		return 0;
	}
	rel->shape = table_new(&proto);
	return rel->shape != NULL ? 0 : err_no_memory(e);
}

struct pg_relation *pg_relations_get(struct pg_relations *rs, uint32_t oid)
{
	if (likely(rs->last != NULL && rs->last->oid == oid))
		return rs->last;
	rs->last = map_get(&rs->by_oid, (struct slice){(const char *)&oid,
						       sizeof(oid)});
	return rs->last;
}

/* The key tells rows apart and comes with every update and delete.  A primary
 * key read from the catalog of now that was not the identity then (it has
 * changed since), or that an identity of another index leaves out, does neither:
 * the identity's columns are the key then. */
static void settle_key(struct table *proto)
{
	bool is_default = proto->identity == IDENTITY_DEFAULT;
	bool drop = false;

	if (!is_default && proto->identity != IDENTITY_INDEX)
		return;
	for (uint32_t i = 0; i < proto->ncols; i++) {
		struct column *c = &proto->cols[i];

		if (c->is_identity)
			c->is_nullable = false;
		if (c->key_position > 0 && !c->is_identity)
			drop = true;
		if (is_default && c->key_position == 0 && c->is_identity)
			drop = true;
	}
	for (uint32_t i = 0; drop && i < proto->ncols; i++)
		proto->cols[i].key_position = 0;
}

/* Asks the catalog.  The types that the stream itself has named keep their
 * names, so a catalog that has moved on cannot change them. */
static int describe(struct pg_relations *rs, const struct table *shape,
		    struct table *proto, struct err *e)
{
	size_t size = shape->ncols * sizeof(*shape->cols);

	arena_reset(&rs->scratch, SCRATCH_BLOCK);
	*proto = *shape;
	proto->cols = arena_alloc(&rs->scratch, size);
	if (proto->cols == NULL)
		return err_no_memory(e);
	memcpy(proto->cols, shape->cols, size);
	for (uint32_t i = 0; i < proto->ncols; i++) {
		proto->cols[i].is_nullable = true;
		proto->cols[i].key_position = 0;
	}
	if (rs->hooks.describe(rs->hooks.arg, proto, &rs->scratch, e) != 0) {
		err_wrap(e, "table \"%.*s\"", SLICE_ARG(shape->full_name));
		return -1;
	}
	if (rs->scratch.failed)
		return err_no_memory(e);
	for (uint32_t i = 0; i < proto->ncols; i++) {
		struct column *c = &proto->cols[i];

		if (c->source_type < PG_FIRST_USER_OID || c->type_name.n == 0)
			c->type_name = shape->cols[i].type_name;
	}
	settle_key(proto);
	return 0;
}

/* Two relations can have had one name, one after the other: the version that is
 * no longer in force is a mere shape again, so that what happens next does not
 * depend on when we connected. */
static void unseat(struct pg_relations *rs, const struct table *old)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&rs->by_oid, &i)) != NULL;) {
		struct pg_relation *rel = ent->value;

		if (rel->tab == old) {
			rel->shape = rel->tab;
			rel->tab = NULL;
			set_stale(rs, rel, true);
		}
	}
}

int pg_relations_settle(struct pg_relations *rs, struct pg_relation *rel,
			uint64_t seq, bool *is_new, struct table **prev,
			struct err *e)
{
	struct table proto, *tab;

	*is_new = false;
	*prev = NULL;
	if (likely(rel->tab != NULL))
		return 0;
	tab = registry_get(rs->reg, rel->shape->full_name);
	if (tab == NULL || tab->fingerprint != rel->shape->fingerprint) {
		if (describe(rs, rel->shape, &proto, e) != 0 ||
		    registry_add(rs->reg, &proto, seq, &tab, prev, e) != 0)
			return -1;
		*is_new = true;
		if (*prev != NULL)
			unseat(rs, *prev);
	}
	table_unref(rel->shape);
	rel->shape = NULL;
	rel->tab = table_ref(tab);
	set_stale(rs, rel, false);
	return 0;
}
