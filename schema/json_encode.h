/* json_encode.h: values, rows and what else both formats show, as JSON. */
#ifndef LEAT_SCHEMA_JSON_ENCODE_H
#define LEAT_SCHEMA_JSON_ENCODE_H

#include "base/json.h"
#include "schema/event.h"
#include "schema/shape.h"

#define json_lit(b, lit) buf_put((b), "" lit, sizeof(lit) - 1)

/* What one record shows of an event: all of it, or one half of an update that
 * changed the key. */
struct shown {
	const struct event *ev;
	char branch; /* 'd', 'i' or 0 */
	enum op op;
	const struct value *before, *after; /* NULL: the record has none */
	struct shape *shape; /* values by its types; NULL: as VALUES has them */
	const struct shape_plan *plan; /* NULL: plain */
	struct buf *scratch; /* overwritten */
	struct err *err;     /* set when a value does not fit its type */
};

/* Of column i for the record's key; NULL: the record does not tell. */
const struct value *shown_key_value(const struct shown *s, uint32_t i);

enum {
	COLUMNS_IDENTITY = 1, /* only those that a BEFORE_KEY image carries */
	COLUMNS_FLAT = 2,     /* beside fields of the row format: see
				 json_column_name() */
};

/* "c", "u", "d", "r", "t", "m", "schema", "gap" */
const char *json_op(enum op op);

void json_value(struct buf *b, const struct column *col, const struct value *v);
/* Quoted.  With COLUMNS_FLAT a column that is called like a field of the row
 * format gets underscores behind until nothing else is called so. */
void json_column_name(struct buf *b, const struct table *tab, uint32_t i,
		      unsigned flags);
/* One value by the shape's type of the column, or as json_value() has it. */
void json_shown_value(struct buf *b, const struct shown *s, uint32_t i,
		      const struct value *v);
/* `"a":1,"b":"x",` : a comma behind each; json_close() ends the object.  Values
 * that were not sent are left out, unless the shape wants whole rows. */
void json_columns(struct buf *b, const struct shown *s, const struct value *v,
		  unsigned flags);
bool json_has_unchanged(const struct table *tab, const struct value *v);
/* ["a","b"] */
void json_unchanged(struct buf *b, const struct table *tab,
		    const struct value *v, unsigned flags);
/* Ends an object or array: the last comma, if there is one, becomes `end`. */
void json_close(struct buf *b, char end);

/* Microseconds since 1970 in other units. */
void json_ms(struct buf *b, int64_t us);
void json_ns(struct buf *b, int64_t us);
void json_bool(struct buf *b, bool v);
void json_id(struct buf *b, const struct shown *s); /* quoted */

/* Whole objects; scratch is overwritten. */
/* {"id":1}, the whole row or what is known of it; null when v is NULL. */
void json_image(struct buf *b, const struct shown *s, const struct value *v);
void json_schema_change(struct buf *b, struct buf *scratch,
			const struct event *ev);
void json_gap(struct buf *b, const struct gap *gap);
/* ["public.a","public.b"] */
void json_table_names(struct buf *b, const struct truncate *t);

#endif
