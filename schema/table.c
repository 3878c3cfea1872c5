/* table.c: see table.h.
 *
 * Stored form (all integers LEB128): version, from_seq, source_id, identity,
 * schema, name, ncols, then per column name, type_name, type, source_type,
 * modifier (zigzag), flags (1 identity, 2 nullable, 4 number, 8 labels,
 * 16 base_name), key_position, and those three where the flags say so.  The
 * fingerprint is computed again when it is read. */
#include "config.h"
#include "schema/table.h"

#include <stdlib.h>

#include "schema/change.h"

enum { FLAG_IDENTITY = 1, FLAG_NULLABLE = 2, FLAG_NUMBER = 4, FLAG_LABELS = 8,
       FLAG_BASE = 16 };

/* PostgreSQL's limit is 1600, MySQL's 4096. */
#define MAX_COLUMNS 8192u

static bool needs_quotes(struct slice s)
{
	return s.n > 0 && (memchr(s.p, '.', s.n) || memchr(s.p, '"', s.n));
}

static size_t part_size(struct slice s)
{
	size_t n = s.n;

	if (!needs_quotes(s))
		return n;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '"';
	return n + 2;
}

static char *put_part(char *at, struct slice s)
{
	bool quoted = needs_quotes(s);

	if (quoted)
		*at++ = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			*at++ = '"';
		*at++ = s.p[i];
	}
	if (quoted)
		*at++ = '"';
	return at;
}

static char *put_full_name(char *at, struct slice schema, struct slice name)
{
	at = put_part(at, schema);
	*at++ = '.';
	return put_part(at, name);
}

static size_t full_name_size(struct slice schema, struct slice name)
{
	return part_size(schema) + 1 + part_size(name);
}

struct slice table_full_name(struct arena *a, struct slice schema,
			     struct slice name)
{
	size_t n = full_name_size(schema, name);
	char *p = arena_alloc(a, n);

	if (p != NULL)
		put_full_name(p, schema, name);
	return (struct slice){p, p ? n : 0};
}

static size_t text_size(const struct table *proto)
{
	size_t n = proto->schema.n + proto->name.n +
		   full_name_size(proto->schema, proto->name);

	for (uint32_t i = 0; i < proto->ncols; i++)
		n += proto->cols[i].name.n + proto->cols[i].type_name.n +
		     proto->cols[i].labels.n + proto->cols[i].base_name.n;
	return n;
}

static struct slice keep(char **at, struct slice s)
{
	struct slice kept = {*at, s.n};

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

struct table *table_new(const struct table *proto)
{
	size_t cols = proto->ncols * sizeof(struct column);
	struct table *tab = malloc(sizeof(*tab) + cols + text_size(proto));
	char *at;

	if (tab == NULL)
		return NULL;
	*tab = *proto;
	atomic_init(&tab->refs, 1);
	tab->batch_mark = 0;
	tab->cols = (struct column *)(tab + 1);
	at = (char *)tab->cols + cols;
	tab->schema = keep(&at, proto->schema);
	tab->name = keep(&at, proto->name);
	tab->full_name.p = at;
	at = put_full_name(at, proto->schema, proto->name);
	tab->full_name.n = (size_t)(at - tab->full_name.p);
	for (uint32_t i = 0; i < proto->ncols; i++) {
		tab->cols[i] = proto->cols[i];
		tab->cols[i].name = keep(&at, proto->cols[i].name);
		tab->cols[i].type_name = keep(&at, proto->cols[i].type_name);
		tab->cols[i].labels = keep(&at, proto->cols[i].labels);
		tab->cols[i].base_name = keep(&at, proto->cols[i].base_name);
	}
	tab->fingerprint = table_fingerprint(tab);
	return tab;
}

struct table *table_ref(struct table *tab)
{
	atomic_fetch_add_explicit(&tab->refs, 1, memory_order_relaxed);
	return tab;
}

void table_unref(struct table *tab)
{
	if (tab != NULL &&
	    atomic_fetch_sub_explicit(&tab->refs, 1, memory_order_acq_rel) == 1)
		free(tab);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	uint64_t both[2] = {h, v};

	return slice_hash((struct slice){(const char *)both, sizeof(both)});
}

uint64_t table_fingerprint(const struct table *proto)
{
	uint64_t h = mix(slice_hash(proto->schema), slice_hash(proto->name));

	h = mix(h, (uint64_t)proto->source_id << 8 | (uint64_t)proto->identity);
	for (uint32_t i = 0; i < proto->ncols; i++) {
		const struct column *c = &proto->cols[i];

		h = mix(h, slice_hash(c->name));
		h = mix(h, (uint64_t)c->source_type << 32 |
				   (uint32_t)c->modifier);
		h = mix(h, c->is_identity);
	}
	return h;
}

static bool has_primary_key(const struct table *tab)
{
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (tab->cols[i].key_position > 0)
			return true;
	return false;
}

/* With identity FULL every column is flagged, which makes no key. */
static bool identity_is_key(const struct table *tab)
{
	return tab->identity == IDENTITY_DEFAULT ||
	       tab->identity == IDENTITY_INDEX;
}

bool table_in_key(const struct table *tab, uint32_t i)
{
	if (has_primary_key(tab))
		return tab->cols[i].key_position > 0;
	return identity_is_key(tab) && tab->cols[i].is_identity;
}

bool table_has_key(const struct table *tab)
{
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (table_in_key(tab, i))
			return true;
	return false;
}

/* What a value may take at most, or SIZE_MAX.  PostgreSQL manual, "TOAST"; a
 * character takes up to four bytes. */
static size_t widest(const struct column *col)
{
	switch (col->type) {
	case TYPE_TEXT:
	case TYPE_CHAR:
		/* typmod of varchar(n) and char(n): n and four bytes */
		return col->modifier > 4 ? (size_t)col->modifier * 4 : SIZE_MAX;
	case TYPE_DECIMAL:
		/* numeric(p, s): at most 1000 digits, two in a byte */
		return col->modifier > 4 ? 512 : SIZE_MAX;
	case TYPE_BITS:
		return col->modifier > 0 ? (size_t)col->modifier / 8 + 8
					 : SIZE_MAX;
	case TYPE_OTHER:
	case TYPE_BYTES:
	case TYPE_JSON:
	case TYPE_XML:
	case TYPE_ARRAY:
		return SIZE_MAX;
	case TYPE_ENUM:
		return 64;
	default:
		return 32;
	}
}

#define BESIDE_FROM 2000 /* bytes of a row */

bool table_may_omit(const struct table *tab)
{
	size_t sum = 0;

	if (tab->identity == IDENTITY_FULL)
		return false;
	for (uint32_t i = 0; i < tab->ncols && sum < BESIDE_FROM; i++) {
		size_t n = widest(&tab->cols[i]);

		sum = n == SIZE_MAX ? BESIDE_FROM : sum + n;
	}
	return sum >= BESIDE_FROM;
}

void table_encode(const struct table *tab, struct buf *out)
{
	buf_varint(out, tab->version);
	buf_varint(out, tab->from_seq);
	buf_varint(out, tab->source_id);
	buf_varint(out, (uint64_t)tab->identity);
	buf_lenslice(out, tab->schema);
	buf_lenslice(out, tab->name);
	buf_varint(out, tab->ncols);
	for (uint32_t i = 0; i < tab->ncols; i++) {
		const struct column *c = &tab->cols[i];

		buf_lenslice(out, c->name);
		buf_lenslice(out, c->type_name);
		buf_varint(out, (uint64_t)c->type);
		buf_varint(out, c->source_type);
		buf_zigzag(out, c->modifier);
		buf_varint(out, (c->is_identity ? FLAG_IDENTITY : 0u) |
					(c->is_nullable ? FLAG_NULLABLE : 0u) |
					(c->number > 0 ? FLAG_NUMBER : 0u) |
					(c->labels.n > 0 ? FLAG_LABELS : 0u) |
					(c->base_name.n > 0 ? FLAG_BASE : 0u));
		buf_varint(out, c->key_position);
		if (c->number > 0)
			buf_varint(out, c->number);
		if (c->labels.n > 0)
			buf_lenslice(out, c->labels);
		if (c->base_name.n > 0)
			buf_lenslice(out, c->base_name);
	}
}

static void decode_column(struct wire *w, struct column *c)
{
	uint64_t flags, type;

	c->name = wire_lenslice(w);
	c->type_name = wire_lenslice(w);
	type = wire_varint(w);
	if (type >= TYPE_COUNT)
		w->failed = true;
	else
		c->type = (enum type)type;
	c->source_type = (uint32_t)wire_varint(w);
	c->modifier = (int32_t)wire_zigzag(w);
	flags = wire_varint(w);
	c->is_identity = flags & FLAG_IDENTITY;
	c->is_nullable = flags & FLAG_NULLABLE;
	c->key_position = (uint16_t)wire_varint(w);
	if (flags & FLAG_NUMBER)
		c->number = (uint16_t)wire_varint(w);
	if (flags & FLAG_LABELS)
		c->labels = wire_lenslice(w);
	if (flags & FLAG_BASE)
		c->base_name = wire_lenslice(w);
}

struct table *table_decode(struct wire *w, struct err *e)
{
	struct table proto = {0}, *tab = NULL;
	uint64_t identity, ncols;

	proto.version = (uint32_t)wire_varint(w);
	proto.from_seq = wire_varint(w);
	proto.source_id = (uint32_t)wire_varint(w);
	identity = wire_varint(w);
	proto.schema = wire_lenslice(w);
	proto.name = wire_lenslice(w);
	ncols = wire_varint(w);
	if (!wire_ok(w) || identity > IDENTITY_INDEX || ncols > MAX_COLUMNS)
		goto bad;
	proto.identity = (enum identity)identity;
	proto.ncols = (uint32_t)ncols;
	proto.cols = calloc(ncols ? ncols : 1, sizeof(*proto.cols));
	if (proto.cols == NULL) {
		err_no_memory(e);
		return NULL;
	}
	for (uint32_t i = 0; i < proto.ncols && wire_ok(w); i++)
		decode_column(w, &proto.cols[i]);
	if (wire_ok(w)) {
		tab = table_new(&proto);
		if (tab == NULL)
			err_no_memory(e);
	}
	free(proto.cols);
	if (wire_ok(w))
		return tab;
bad:
	err_set(e, CODE_log_corrupt, "a stored table version cannot be read");
	return NULL;
}

/* As a DBA would read it: the server's name of the type, ours without one. */
static struct slice type_text(const struct column *c)
{
	return c->type_name.n ? c->type_name : slice_of(type_name(c->type));
}

static void diff_column(const struct column *was, const struct column *c,
			struct buf *out)
{
	if (was == NULL) {
		buf_printf(out, "added column \"%.*s\" %.*s%s\n",
			   SLICE_ARG(c->name), SLICE_ARG(type_text(c)),
			   c->is_nullable ? "" : " not null");
		return;
	}
	if (!slice_eq(was->name, c->name))
		buf_printf(out, "renamed column \"%.*s\" to \"%.*s\"\n",
			   SLICE_ARG(was->name), SLICE_ARG(c->name));
	if (was->source_type != c->source_type || was->modifier != c->modifier ||
	    was->type != c->type)
		buf_printf(out,
			   "changed type of column \"%.*s\" from %.*s to %.*s\n",
			   SLICE_ARG(c->name), SLICE_ARG(type_text(was)),
			   SLICE_ARG(type_text(c)));
	if (was->is_nullable != c->is_nullable)
		buf_printf(out, "column \"%.*s\" is %s\n", SLICE_ARG(c->name),
			   c->is_nullable ? "nullable now" : "not null now");
	if ((was->key_position > 0) != (c->key_position > 0))
		buf_printf(out, "column \"%.*s\" %s the primary key\n",
			   SLICE_ARG(c->name),
			   c->key_position > 0 ? "joined" : "left");
}

void table_diff(const struct table *old, const struct table *tab,
		struct buf *out)
{
	static const char *const identities[] = {"default", "full", "nothing",
						 "index"};
	size_t before = out->n;

	for (uint32_t i = 0; old != NULL && i < old->ncols; i++)
		if (change_is_gone(old, tab, i))
			buf_printf(out, "dropped column \"%.*s\" %.*s\n",
				   SLICE_ARG(old->cols[i].name),
				   SLICE_ARG(type_text(&old->cols[i])));
	for (uint32_t i = 0; i < tab->ncols; i++)
		diff_column(old ? change_was(old, tab, i) : NULL, &tab->cols[i],
			    out);
	if (old == NULL)
		return;
	if (old->identity != tab->identity)
		buf_printf(out, "changed replica identity from %s to %s\n",
			   identities[old->identity], identities[tab->identity]);
	if (old->source_id != tab->source_id)
		buf_text(out, "the table was created anew\n");
	if (out->n == before)
		buf_text(out, "changed the order of columns or the key\n");
}
