/* One query for each version of a table, when it is first seen. */
#include "config.h"
#include "sources/pg_catalog.h"

#include <inttypes.h>
#include <stdio.h>

#include "sources/pg_query.h"

#define DESCRIBE_MS 10000

static const char describe_sql[] =
	"SELECT v.i, CASE WHEN t.oid IS NOT NULL"
	" THEN pg_catalog.format_type(v.type, v.modifier) END,"
	" COALESCE(a.attnotnull, false), COALESCE(k.position, 0),"
	" COALESCE(t.typtype = 'e', false), COALESCE(a.attnum, 0),"
	" (SELECT pg_catalog.string_agg(l.enumlabel, ',' ORDER BY l.enumsortorder)"
	" FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid"
	" OR (t.typcategory = 'A' AND l.enumtypid = t.typelem)),"
	" CASE WHEN t.typtype = 'd'"
	" THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END"
	" FROM unnest($2::text[], $3::oid[], $4::integer[])"
	" WITH ORDINALITY v (name, type, modifier, i)"
	" LEFT JOIN pg_catalog.pg_type t ON t.oid = v.type"
	" LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::oid"
	" AND a.attname = v.name AND a.atttypid = v.type"
	" AND a.atttypmod = v.modifier AND a.attnum > 0 AND NOT a.attisdropped"
	" LEFT JOIN pg_catalog.pg_index x ON x.indrelid = a.attrelid"
	" AND x.indisprimary"
	" LEFT JOIN LATERAL unnest(x.indkey::smallint[])"
	" WITH ORDINALITY k (attnum, position) ON k.attnum = a.attnum"
	" AND k.position <= x.indnkeyatts"
	" ORDER BY v.i";

/* An element of an array literal. */
static void put_element(struct buf *b, struct slice s)
{
	buf_u8(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)s.p[i]);
	}
	buf_u8(b, '"');
}

static void put_columns(const struct table *t, struct buf *names,
			struct buf *types, struct buf *modifiers)
{
	const char *sep = "{";

	for (uint32_t i = 0; i < t->ncols; i++) {
		buf_text(names, sep);
		put_element(names, t->cols[i].name);
		buf_printf(types, "%s%" PRIu32, sep, t->cols[i].source_type);
		buf_printf(modifiers, "%s%" PRId32, sep, t->cols[i].modifier);
		sep = ",";
	}
	buf_text(names, t->ncols ? "}" : "{}");
	buf_text(types, t->ncols ? "}" : "{}");
	buf_text(modifiers, t->ncols ? "}" : "{}");
	buf_u8(names, '\0');
	buf_u8(types, '\0');
	buf_u8(modifiers, '\0');
}

static void take_facts(const struct pg_result *res, struct table *proto,
		       struct arena *a)
{
	for (int row = 0; row < pg_rows(res); row++) {
		int64_t i = pg_int(res, row, 0), position = pg_int(res, row, 3);
		int64_t number = pg_int(res, row, 5);
		struct column *col;

		if (i < 1 || i > (int64_t)proto->ncols)
			continue;
		col = &proto->cols[i - 1];
		col->type_name = slice_dup(a, pg_cell(res, row, 1));
		col->is_nullable = !pg_is_true(res, row, 2);
		if (col->type == TYPE_OTHER && pg_is_true(res, row, 4))
			col->type = TYPE_ENUM;
		col->key_position = position > 0 && position <= UINT16_MAX
					    ? (uint16_t)position
					    : 0;
		col->number = number > 0 && number <= UINT16_MAX
				      ? (uint16_t)number
				      : 0;
		col->labels = slice_dup(a, pg_cell(res, row, 6));
		col->base_name = slice_dup(a, pg_cell(res, row, 7));
		if (col->type == TYPE_OTHER && col->labels.n > 0)
			col->type = TYPE_ARRAY; /* of an enum */
	}
}

/* A key with a column that the stream does not carry (a column list) or that
 * has changed since tells no rows apart. */
static void drop_partial_key(struct table *t)
{
	uint32_t seen = 0, highest = 0;

	for (uint32_t i = 0; i < t->ncols; i++) {
		uint16_t at = t->cols[i].key_position;

		seen += at > 0;
		highest = at > highest ? at : highest;
	}
	if (seen == highest)
		return;
	for (uint32_t i = 0; i < t->ncols; i++)
		t->cols[i].key_position = 0;
}

int pg_catalog_describe(void *arg, struct table *proto, struct arena *a,
			struct err *e)
{
	struct pg *pg = arg;
	struct buf names = BUF_INIT, types = BUF_INIT, modifiers = BUF_INIT;
	struct pg_result *res = NULL;
	char oid[16];
	int rc = -1;

	for (uint32_t i = 0; i < proto->ncols; i++) {
		proto->cols[i].is_nullable = true;
		proto->cols[i].key_position = 0;
	}
	snprintf(oid, sizeof(oid), "%" PRIu32, proto->source_id);
	put_columns(proto, &names, &types, &modifiers);
	if (names.failed || types.failed || modifiers.failed) {
		err_no_memory(e);
	} else {
		const char *params[] = {oid, names.p, types.p, modifiers.p};

		pg_hurry(pg, DESCRIBE_MS);
		if (pg_side(pg, e) == 0)
			res = pg_query_params(&pg->side, describe_sql, params, 4,
					      e);
		pg_hurry(pg, 0);
	}
	if (res != NULL) {
		take_facts(res, proto, a);
		drop_partial_key(proto);
		rc = a->failed ? err_no_memory(e) : 0;
	}
	pg_result_free(res);
	buf_fini(&names);
	buf_fini(&types);
	buf_fini(&modifiers);
	return rc;
}
