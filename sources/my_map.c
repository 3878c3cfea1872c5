/* my_map.c: see my_map.h.
 *
 * Behind the table's number: u16 flags, u8 length of db, db, NUL, length of
 * name, name, NUL, number of columns, a byte of type for each, length of the
 * metadata, the metadata (0, 1 or 2 bytes for each, by type), a bit for each
 * that can be NULL (lowest first), then blocks of u8 kind, length, bytes.
 * Numbers without a size are length-encoded. */
#include "config.h"
#include "sources/my_map.h"

#include "base/utf8.h"
#include "sources/my_event.h"
#include "sources/my_types.h"

#define MAX_COLUMNS 4096u
#define MAX_LABELS 65535u

enum block {
	SIGNEDNESS = 1,
	DEFAULT_CHARSET,
	COLUMN_CHARSET,
	COLUMN_NAME,
	SET_LABELS,
	ENUM_LABELS,
	GEOMETRY_TYPE,
	SIMPLE_KEY,
	PREFIX_KEY,
	LABELS_DEFAULT_CHARSET,
	LABELS_COLUMN_CHARSET,
};

static int truncated(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it is truncated");
}

static int malformed(struct err *e, const char *what)
{
	return err_set(e, CODE_source_protocol, "%s", what);
}

/* --- types and their metadata -------------------------------------------- */

/* CHAR, BINARY, ENUM and SET share a type.  A length above 255 has borrowed two
 * bits of the type's byte, inverted. */
static void read_string_meta(struct wire *w, struct my_column *c)
{
	uint8_t real = wire_u8(w), n = wire_u8(w);

	if (real == MY_TYPE_ENUM || real == MY_TYPE_SET) {
		c->type = real;
		c->meta = n;
	} else if ((real & 0x30) != 0x30) {
		c->meta = (uint16_t)(n | ((real & 0x30) ^ 0x30) << 4);
	} else {
		c->meta = n;
	}
}

static void read_meta(struct wire *w, struct my_column *c)
{
	uint8_t bits;

	switch (c->type) {
	case MY_TYPE_STRING:
		read_string_meta(w, c);
		break;
	case MY_TYPE_ENUM:
	case MY_TYPE_SET:
		wire_u8(w);
		c->meta = wire_u8(w);
		break;
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_VARCHAR_COMPRESSED:
		c->meta = wire_le16(w);
		break;
	case MY_TYPE_NEWDECIMAL:
		c->meta = wire_be16(w);
		break;
	case MY_TYPE_BIT:
		bits = wire_u8(w);
		c->meta = (uint16_t)(wire_u8(w) * 8 + bits);
		break;
	case MY_TYPE_FLOAT:
	case MY_TYPE_DOUBLE:
	case MY_TYPE_BLOB:
	case MY_TYPE_BLOB_COMPRESSED:
	case MY_TYPE_GEOMETRY:
	case MY_TYPE_JSON:
	case MY_TYPE_VECTOR:
	case MY_TYPE_TIMESTAMP2:
	case MY_TYPE_DATETIME2:
	case MY_TYPE_TIME2:
		c->meta = wire_u8(w);
		break;
	default:
		break;
	}
}

static bool is_blob(uint8_t type)
{
	return type == MY_TYPE_BLOB || type == MY_TYPE_BLOB_COMPRESSED ||
	       type == MY_TYPE_GEOMETRY || type == MY_TYPE_JSON ||
	       type == MY_TYPE_VECTOR;
}

/* What the values' reader takes for granted. */
static bool is_sane(const struct my_column *c)
{
	if (is_blob(c->type))
		return c->meta >= 1 && c->meta <= 4;
	switch (c->type) {
	case MY_TYPE_ENUM:
		return c->meta == 1 || c->meta == 2;
	case MY_TYPE_SET:
		return c->meta >= 1 && c->meta <= 8;
	case MY_TYPE_BIT:
		return c->meta >= 1 && c->meta <= 64;
	case MY_TYPE_NEWDECIMAL:
		return c->meta >> 8 >= 1 && c->meta >> 8 <= 65 &&
		       (c->meta & 0xff) <= c->meta >> 8 &&
		       (c->meta & 0xff) <= 38;
	case MY_TYPE_TIMESTAMP2:
	case MY_TYPE_DATETIME2:
	case MY_TYPE_TIME2:
		return c->meta <= 6;
	default:
		return true;
	}
}

static int read_metas(struct wire *w, struct my_map *map, struct err *e)
{
	struct slice bytes = my_lenenc_slice(w);
	struct wire meta = wire_of(bytes);

	if (!wire_ok(w))
		return truncated(e);
	for (uint32_t i = 0; i < map->ncols; i++) {
		read_meta(&meta, &map->cols[i]);
		if (wire_ok(&meta) && !is_sane(&map->cols[i]))
			return err_set(e, CODE_source_protocol,
				       "column %u of type %u has metadata %u",
				       i + 1, map->cols[i].type,
				       map->cols[i].meta);
	}
	if (!wire_ok(&meta))
		return malformed(e, "its metadata are truncated");
	return 0;
}

/* --- the optional blocks -------------------------------------------------- */

static bool is_numeric(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_TINY:
	case MY_TYPE_SHORT:
	case MY_TYPE_INT24:
	case MY_TYPE_LONG:
	case MY_TYPE_LONGLONG:
	case MY_TYPE_FLOAT:
	case MY_TYPE_DOUBLE:
	case MY_TYPE_NEWDECIMAL:
	case MY_TYPE_YEAR:
		return true;
	default:
		return false;
	}
}

static bool is_text(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_STRING:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VARCHAR_COMPRESSED:
	case MY_TYPE_BLOB:
	case MY_TYPE_BLOB_COMPRESSED:
	case MY_TYPE_VECTOR:
		return true;
	default:
		return false;
	}
}

static bool is_labelled(const struct my_column *c)
{
	return c->type == MY_TYPE_ENUM || c->type == MY_TYPE_SET;
}

/* A bit for each number, highest first. */
static void read_signs(struct wire *w, struct my_map *map)
{
	uint32_t bit = 0;
	uint8_t byte = 0;

	for (uint32_t i = 0; i < map->ncols; i++) {
		if (!is_numeric(&map->cols[i]))
			continue;
		if (bit % 8 == 0)
			byte = wire_u8(w);
		map->cols[i].is_unsigned = byte >> (7 - bit % 8) & 1;
		bit++;
	}
	map->has_signs = true;
}

typedef bool (*is_kind)(const struct my_column *c);

/* The collation of most, then pairs of a number among the columns of the kind
 * and its collation. */
static void read_default_charset(struct wire *w, struct my_map *map,
				 is_kind is_one)
{
	uint64_t most = my_lenenc(w), next = UINT64_MAX, collation = 0;
	uint32_t k = 0;

	if (wire_left(w) > 0) {
		next = my_lenenc(w);
		collation = my_lenenc(w);
	}
	for (uint32_t i = 0; i < map->ncols; i++) {
		if (!is_one(&map->cols[i]))
			continue;
		map->cols[i].collation = (uint32_t)(k == next ? collation : most);
		if (k++ != next)
			continue;
		next = UINT64_MAX;
		if (wire_left(w) > 0) {
			next = my_lenenc(w);
			collation = my_lenenc(w);
		}
	}
}

static void read_column_charset(struct wire *w, struct my_map *map,
				is_kind is_one)
{
	for (uint32_t i = 0; i < map->ncols; i++)
		if (is_one(&map->cols[i]))
			map->cols[i].collation = (uint32_t)my_lenenc(w);
}

static void read_names(struct wire *w, struct my_map *map)
{
	for (uint32_t i = 0; i < map->ncols; i++)
		map->cols[i].name = my_lenenc_slice(w);
	map->has_names = true;
}

static int read_labels(struct wire *w, struct my_map *map, uint8_t type,
		       struct arena *a, struct err *e)
{
	for (uint32_t i = 0; i < map->ncols; i++) {
		struct my_column *c = &map->cols[i];
		uint64_t n;

		if (c->type != type)
			continue;
		n = my_lenenc(w);
		if (n > MAX_LABELS || n > wire_left(w))
			return malformed(e, "more labels than there is room for");
		c->labels = arena_calloc(a, n ? (size_t)n : 1,
					 sizeof(*c->labels));
		if (c->labels == NULL)
			return err_no_memory(e);
		c->nlabels = (uint32_t)n;
		for (uint32_t k = 0; k < n; k++)
			c->labels[k] = my_lenenc_slice(w);
	}
	return 0;
}

/* Columns in the order of the key; with prefixes, each with the length of its
 * prefix behind it. */
static int read_key(struct wire *w, struct my_map *map, bool prefixed,
		    struct err *e)
{
	uint16_t at = 0;

	while (wire_left(w) > 0) {
		uint64_t i = my_lenenc(w);

		if (prefixed)
			my_lenenc(w);
		if (!wire_ok(w))
			break;
		if (i >= map->ncols || map->cols[i].key_position != 0)
			return malformed(e, "its primary key makes no sense");
		map->cols[i].key_position = ++at;
	}
	return 0;
}

static int read_block(uint8_t kind, struct wire *w, struct my_map *map,
		      struct arena *a, struct err *e)
{
	switch (kind) {
	case SIGNEDNESS:
		read_signs(w, map);
		break;
	case DEFAULT_CHARSET:
		read_default_charset(w, map, is_text);
		break;
	case COLUMN_CHARSET:
		read_column_charset(w, map, is_text);
		break;
	case COLUMN_NAME:
		read_names(w, map);
		break;
	case SET_LABELS:
		return read_labels(w, map, MY_TYPE_SET, a, e);
	case ENUM_LABELS:
		return read_labels(w, map, MY_TYPE_ENUM, a, e);
	case SIMPLE_KEY:
		return read_key(w, map, false, e);
	case PREFIX_KEY:
		return read_key(w, map, true, e);
	case LABELS_DEFAULT_CHARSET:
		read_default_charset(w, map, is_labelled);
		break;
	case LABELS_COLUMN_CHARSET:
		read_column_charset(w, map, is_labelled);
		break;
	default: /* kinds of geometry, visibility, dimensions: of no interest */
		break;
	}
	return 0;
}

/* Bounded by the length in front: MySQL 8.0.17 and 8.0.18 append bytes. */
static int read_blocks(struct wire *w, struct my_map *map, struct arena *a,
		       struct err *e)
{
	while (wire_ok(w) && wire_left(w) > 0) {
		uint8_t kind = wire_u8(w);
		struct wire block = wire_of(my_lenenc_slice(w));

		if (!wire_ok(w))
			break;
		if (read_block(kind, &block, map, a, e) < 0)
			return -1;
		if (!wire_ok(&block))
			return err_set(e, CODE_source_protocol,
				       "its block %u is truncated", kind);
	}
	return wire_ok(w) ? 0 : truncated(e);
}

/* --- all -------------------------------------------------------------------- */

/* Labels are in the character set of their column. */
static int settle_column(struct my_column *c, const struct my_charsets *charsets,
			 struct arena *a, struct err *e)
{
	if (c->collation != 0)
		c->charset = my_charsets_get(charsets, c->collation);
	for (uint32_t k = 0; k < c->nlabels; k++) {
		if (c->charset != NULL && my_charset_is_binary(c->charset) &&
		    utf8_is_valid(c->labels[k]))
			continue;
		if (c->charset == NULL ||
		    !my_charset_utf8(c->charset, c->labels[k], a, &c->labels[k]))
			return a->failed
				       ? err_no_memory(e)
				       : err_set(e, CODE_value_invalid,
						 "column \"%.*s\": a label is in character set %u, which cannot be read",
						 SLICE_ARG(c->name),
						 c->collation);
	}
	return 0;
}

static int check_name(struct slice name, const char *what, struct err *e)
{
	if (utf8_is_valid(name))
		return 0;
	return err_set(e, CODE_value_invalid, "the name of a %s is not valid UTF-8",
		       what);
}

uint64_t my_map_id(struct wire *w)
{
	return my_le(w, 6);
}

static int read_columns(struct wire *w, struct arena *a, struct my_map *map,
			struct err *e)
{
	uint64_t n = my_lenenc(w);
	const uint8_t *types, *nullable;

	if (wire_ok(w) && n > MAX_COLUMNS)
		return malformed(e, "more columns than a table can have");
	types = wire_take(w, (size_t)n);
	if (types == NULL)
		return truncated(e);
	map->ncols = (uint32_t)n;
	map->cols = arena_calloc(a, n ? (size_t)n : 1, sizeof(*map->cols));
	if (map->cols == NULL)
		return err_no_memory(e);
	for (uint32_t i = 0; i < map->ncols; i++)
		map->cols[i].type = types[i];
	if (read_metas(w, map, e) < 0)
		return -1;
	nullable = wire_take(w, (size_t)(n + 7) / 8);
	if (nullable == NULL)
		return truncated(e);
	for (uint32_t i = 0; i < map->ncols; i++)
		map->cols[i].is_nullable = nullable[i / 8] >> i % 8 & 1;
	return 0;
}

int my_map_read(struct wire *w, const struct my_charsets *charsets,
		struct arena *a, struct my_map *map, struct err *e)
{
	wire_le16(w);
	map->db = wire_bytes(w, wire_u8(w));
	wire_u8(w);
	map->name = my_lenenc_slice(w);
	wire_u8(w);
	if (!wire_ok(w))
		return truncated(e);
	if (check_name(map->db, "database", e) < 0 ||
	    check_name(map->name, "table", e) < 0 ||
	    read_columns(w, a, map, e) < 0 || read_blocks(w, map, a, e) < 0)
		return -1;
	for (uint32_t i = 0; i < map->ncols; i++)
		if (check_name(map->cols[i].name, "column", e) < 0 ||
		    settle_column(&map->cols[i], charsets, a, e) < 0)
			return -1;
	return a->failed ? err_no_memory(e) : 0;
}

/* --- the table --------------------------------------------------------------- */

static uint32_t hash_labels(const struct my_column *c)
{
	uint64_t h = c->nlabels;

	for (uint32_t k = 0; k < c->nlabels; k++)
		h = h * UINT64_C(0x9E3779B97F4A7C15) + slice_hash(c->labels[k]);
	return (uint32_t)(h ^ h >> 32);
}

/* Of what the fingerprint has no field for: the key, and what can be NULL. */
static uint32_t hash_facts(const struct my_map *map)
{
	uint64_t h = map->ncols;

	for (uint32_t i = 0; i < map->ncols; i++)
		h = (h ^ (uint64_t)map->cols[i].key_position << 1 ^
		     map->cols[i].is_nullable) *
		    UINT64_C(0x9E3779B97F4A7C15);
	return (uint32_t)(h >> 32);
}

static void shape_column(const struct my_column *c, struct arena *a,
			 struct column *out)
{
	struct buf name = BUF_INIT;

	my_type_print(c, &name);
	*out = (struct column){
		.name = c->name,
		.type_name = slice_dup(a, buf_get(&name)),
		.type = my_type_of(c),
		.source_type = c->type | (uint32_t)c->is_unsigned << 8 |
			       c->collation << 16,
		.modifier = is_labelled(c) ? (int32_t)hash_labels(c) : c->meta,
		.is_identity = true,
		.is_nullable = c->is_nullable,
		.key_position = c->key_position,
	};
	a->failed |= name.failed;
	buf_fini(&name);
}

int my_map_shape(const struct my_map *map, struct arena *a, struct table *proto,
		 struct err *e)
{
	if (!map->has_names) {
		err_set(e, CODE_source_config,
			"the server's log has no names of columns: binlog_row_metadata is not FULL");
		err_hint(e, "SET GLOBAL binlog_row_metadata = 'FULL'; sessions that are open keep what they have");
		return -1;
	}
	*proto = (struct table){
		.source_id = hash_facts(map),
		.identity = IDENTITY_FULL,
		.schema = map->db,
		.name = map->name,
		.ncols = map->ncols,
		.cols = arena_calloc(a, map->ncols ? map->ncols : 1,
				     sizeof(struct column)),
		.full_name = table_full_name(a, map->db, map->name),
	};
	if (proto->cols == NULL)
		return err_no_memory(e);
	for (uint32_t i = 0; i < map->ncols; i++)
		shape_column(&map->cols[i], a, &proto->cols[i]);
	return a->failed ? err_no_memory(e) : 0;
}
