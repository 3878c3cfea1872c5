/* connect.h: columns and values as Kafka Connect and Debezium know them.
 *
 * A column's type becomes a Connect type with, often, a semantic name
 * (Debezium's documentation of its connectors, "Data type mappings"); which one
 * is chosen by modes that are named and valued as Debezium's.  A value is
 * converted to that type, or the event is refused: never a wrong number. */
#ifndef LEAT_SCHEMA_CONNECT_H
#define LEAT_SCHEMA_CONNECT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "schema/table.h"
#include "schema/value.h"

enum decimal_mode { DECIMAL_STRING, DECIMAL_PRECISE, DECIMAL_DOUBLE };
enum time_mode {
	TIME_ISO, /* as leat-envelope(7), VALUES */
	TIME_ADAPTIVE,
	TIME_ADAPTIVE_MICROSECONDS,
	TIME_CONNECT,
	TIME_ISOSTRING,
	TIME_MICROSECONDS,
	TIME_NANOSECONDS,
};
enum binary_mode { BINARY_BYTES, BINARY_BASE64, BINARY_BASE64_URL, BINARY_HEX };
enum interval_mode { INTERVAL_TEXT, INTERVAL_NUMERIC, INTERVAL_STRING };

struct connect_modes {
	enum decimal_mode decimal;
	enum time_mode time;
	enum binary_mode binary;
	enum interval_mode interval;
	/* arrays as lists, hstores as JSON and points as structs, not as the
	 * server's text */
	bool unfold;
	/* in place of an unchanged value that was not sent; p = NULL: null.  The
	 * second is the item of a list, in quotes */
	struct slice unavailable, unavailable_item;
};

enum connect_kind {
	CONNECT_BOOLEAN,
	CONNECT_INT16,
	CONNECT_INT32,
	CONNECT_INT64,
	CONNECT_FLOAT32,
	CONNECT_FLOAT64,
	CONNECT_STRING,
	CONNECT_BYTES,
	CONNECT_VARIABLE_DECIMAL, /* a struct of scale and value */
	CONNECT_POINT, /* a struct of x, y, wkb and srid */
	CONNECT_ARRAY,
	CONNECT_STRUCT, /* of a record; no column has it */
};

/* A value of the kind that its type has. */
struct connect_value {
	bool is_null;
	union {
		bool b;
		int64_t i;
		struct slice s; /* texts, bytes, floats as text; of arrays and
				   points what stands between the brackets */
	};
	int32_t scale; /* CONNECT_VARIABLE_DECIMAL, beside s */
};

struct connect_type {
	enum connect_kind kind;
	int (*convert)(const struct connect_type *t, struct slice text,
		       struct buf *scratch, struct connect_value *out);
	const char *name; /* semantic; NULL: none */
	int32_t precision, scale; /* Decimal; precision 0: not known */
	int32_t length;		  /* of bits, or of a fraction of a second */
	int64_t unit_us; /* of a time that is a number; 0: nanoseconds */
	enum binary_mode binary;
	struct slice labels; /* of an enum; the column's */
	struct connect_type *element; /* CONNECT_ARRAY */
};

/* Fills *out; elements of arrays are in the arena (whose flag tells of a lack of
 * memory). */
void connect_type_of(const struct column *col, const struct connect_modes *m,
		     struct arena *a, struct connect_type *out);

/* What `out` points to is in v or in scratch, which is overwritten.  -1 with
 * CODE_event_rejected when the type cannot carry the value.  An unchanged value
 * becomes `unavailable` where a text or bytes can stand, a list of it
 * where texts can, else null. */
int connect_convert(const struct connect_type *t, const struct column *col,
		    const struct value *v, const struct connect_modes *m,
		    struct buf scratch[2], struct connect_value *out,
		    struct err *e) MUST_CHECK;

/* Bytes as text; BINARY_BYTES as base64, which is what JSON has for them. */
void connect_put_bytes(struct buf *b, enum binary_mode mode, struct slice s);
/* A float of the server's text. */
double connect_double(struct slice text);
/* Of a CONNECT_POINT's s: the well-known binary form (ISO 19125-1, little endian). */
#define CONNECT_WKB_BYTES 21
void connect_wkb(struct slice text, uint8_t out[CONNECT_WKB_BYTES]);

/* Elements of a CONNECT_ARRAY one after the other: *rest begins as the array's
 * s.  1 with *out, 0 at the end, -1 with err set. */
int connect_next(const struct connect_type *array, const struct column *col,
		 struct slice *rest, struct buf scratch[2],
		 struct connect_value *out, struct err *e) MUST_CHECK;

#endif
