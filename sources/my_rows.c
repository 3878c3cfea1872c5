/* my_rows.c: see my_rows.h.
 *
 * u48 number of the table, u16 flags, in version 2 u16 length (its own two bytes
 * included) and more data of no interest, number of columns, a bit for each that
 * is there (lowest first), for updates the same of the row after; then the rows:
 * a bit for each column that is there and NULL, the values of the others.  An
 * update has two images a row. */
#include "config.h"
#include "sources/my_rows.h"

#include "sources/my_inflate.h"
#include "sources/my_value.h"

static int truncated(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it is truncated");
}

static bool get_bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

/* --- the head --------------------------------------------------------------- */

struct kind {
	enum op op;
	uint8_t version;
	bool is_compressed;
};

static bool kind_of(uint8_t type, struct kind *k)
{
	switch (type) {
	case MY_WRITE_V1: *k = (struct kind){OP_INSERT, 1, false}; break;
	case MY_UPDATE_V1: *k = (struct kind){OP_UPDATE, 1, false}; break;
	case MY_DELETE_V1: *k = (struct kind){OP_DELETE, 1, false}; break;
	case MY_WRITE: *k = (struct kind){OP_INSERT, 2, false}; break;
	case MY_UPDATE: *k = (struct kind){OP_UPDATE, 2, false}; break;
	case MY_DELETE: *k = (struct kind){OP_DELETE, 2, false}; break;
	case MY_MARIA_WRITE_COMPRESSED_V1:
		*k = (struct kind){OP_INSERT, 1, true};
		break;
	case MY_MARIA_UPDATE_COMPRESSED_V1:
		*k = (struct kind){OP_UPDATE, 1, true};
		break;
	case MY_MARIA_DELETE_COMPRESSED_V1:
		*k = (struct kind){OP_DELETE, 1, true};
		break;
	case MY_MARIA_WRITE_COMPRESSED:
		*k = (struct kind){OP_INSERT, 2, true};
		break;
	case MY_MARIA_UPDATE_COMPRESSED:
		*k = (struct kind){OP_UPDATE, 2, true};
		break;
	case MY_MARIA_DELETE_COMPRESSED:
		*k = (struct kind){OP_DELETE, 2, true};
		break;
	default:
		return false;
	}
	return true;
}

bool my_rows_is_one(uint8_t type)
{
	struct kind k;

	return kind_of(type, &k);
}

static int skip_extra(struct wire *w, struct err *e)
{
	uint16_t n = wire_le16(w);

	if (n < 2)
		w->failed = true;
	else
		wire_bytes(w, n - 2u);
	return wire_ok(w) ? 0 : truncated(e);
}

static bool is_all(const uint8_t *bits, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!get_bit(bits, i))
			return false;
	return true;
}

int my_rows_open(const struct my_header *h, struct wire *w, struct arena *a,
		 struct my_rows *rows, struct err *e)
{
	struct kind k = {0};
	struct slice rest;
	uint64_t width;
	size_t bytes;

	kind_of(h->type, &k);
	rows->op = k.op;
	rows->table_id = my_map_id(w);
	wire_le16(w);
	if (k.version == 2 && skip_extra(w, e) < 0)
		return -1;
	width = my_lenenc(w);
	if (!wire_ok(w) || width > wire_left(w) * 8)
		return truncated(e);
	if (width == 0 && rows->table_id != MY_NO_TABLE)
		return err_set(e, CODE_source_protocol, "rows of no columns");
	rows->width = (uint32_t)width;
	bytes = (size_t)(width + 7) / 8;
	rows->first = wire_take(w, bytes);
	rows->second = k.op == OP_UPDATE ? wire_take(w, bytes) : rows->first;
	if (!wire_ok(w))
		return truncated(e);
	rows->is_full = is_all(rows->first, rows->width) &&
			is_all(rows->second, rows->width);
	rest = wire_bytes(w, wire_left(w));
	if (k.is_compressed && my_inflate_event(rest, a, &rest, e) < 0)
		return -1;
	rows->rows = wire_of(rest);
	return 0;
}

/* --- images --------------------------------------------------------------- */

static const uint8_t *take_nulls(struct my_rows *rows, const uint8_t *present)
{
	uint32_t n = 0;

	if (rows->is_full)
		n = rows->width;
	else
		for (uint32_t i = 0; i < rows->width; i++)
			n += get_bit(present, i);
	return wire_take(&rows->rows, (n + 7) / 8);
}

static int bad_value(const struct my_map *map, uint32_t i, enum my_read why,
		     struct err *e)
{
	const struct my_column *c = &map->cols[i];

	if (why == MY_READ_NOT_TEXT) {
		err_set(e, CODE_value_invalid,
			c->charset ? "a value is no text in character set %s"
				   : "a value is in a character set that is not known%s",
			c->charset ? my_charset_name(c->charset) : "");
	} else if (why == MY_READ_UNKNOWN) {
		err_set(e, CODE_source_config,
			"its values cannot be read: binlog_row_metadata is not FULL");
		err_hint(e, "SET GLOBAL binlog_row_metadata = 'FULL'");
	} else {
		err_set(e, CODE_source_protocol,
			"a value is not one of its type (%u)", c->type);
	}
	err_wrap(e, "table \"%.*s.%.*s\": column \"%.*s\"", SLICE_ARG(map->db),
		 SLICE_ARG(map->name), SLICE_ARG(c->name));
	return -1;
}

static int check_width(const struct my_rows *rows, const struct my_map *map,
		       struct err *e)
{
	if (likely(rows->width == map->ncols))
		return 0;
	return err_set(e, CODE_source_protocol,
		       "table \"%.*s.%.*s\" has %u columns, a row of it %u",
		       SLICE_ARG(map->db), SLICE_ARG(map->name), map->ncols,
		       rows->width);
}

static int skip_image(struct my_rows *rows, const struct my_map *map,
		      const uint8_t *present, struct err *e)
{
	const uint8_t *nulls = take_nulls(rows, present);
	uint32_t k = 0;

	if (nulls == NULL)
		return truncated(e);
	for (uint32_t i = 0; i < map->ncols; i++) {
		if (!get_bit(present, i))
			continue;
		if (!get_bit(nulls, k++))
			my_value_take(&map->cols[i], &rows->rows);
	}
	return wire_ok(&rows->rows) ? 0 : truncated(e);
}

static struct value *read_image(struct my_rows *rows, const struct my_map *map,
				const uint8_t *present, struct batch *b,
				struct err *e)
{
	const uint8_t *nulls = take_nulls(rows, present);
	struct value *v = batch_values(b, map->ncols);
	uint32_t k = 0;

	if (nulls == NULL || v == NULL) {
		if (nulls == NULL)
			truncated(e);
		else
			err_no_memory(e);
		return NULL;
	}
	for (uint32_t i = 0; i < map->ncols; i++) {
		enum my_read why;
		struct slice bytes;

		v[i].tag = VALUE_UNCHANGED;
		if (unlikely(!get_bit(present, i)))
			continue;
		v[i].tag = VALUE_NULL;
		if (get_bit(nulls, k++))
			continue;
		bytes = my_value_take(&map->cols[i], &rows->rows);
		if (unlikely(!wire_ok(&rows->rows))) {
			truncated(e);
			return NULL;
		}
		why = my_value_read(&map->cols[i], bytes, &b->arena, &v[i]);
		if (unlikely(why != MY_READ_OK || b->arena.failed)) {
			if (b->arena.failed)
				err_no_memory(e);
			else
				bad_value(map, i, why, e);
			return NULL;
		}
	}
	return v;
}

int my_rows_skip(struct my_rows *rows, const struct my_map *map, struct err *e)
{
	if (check_width(rows, map, e) < 0 ||
	    skip_image(rows, map, rows->first, e) < 0)
		return -1;
	return rows->op == OP_UPDATE ? skip_image(rows, map, rows->second, e) : 0;
}

int my_rows_read(struct my_rows *rows, const struct my_map *map,
		 struct batch *b, struct value **before, struct value **after,
		 struct err *e)
{
	*before = *after = NULL;
	if (check_width(rows, map, e) < 0)
		return -1;
	if (rows->op != OP_INSERT) {
		*before = read_image(rows, map, rows->first, b, e);
		if (*before == NULL)
			return -1;
	}
	if (rows->op != OP_DELETE) {
		*after = read_image(rows, map, rows->second, b, e);
		if (*after == NULL)
			return -1;
	}
	return 0;
}
