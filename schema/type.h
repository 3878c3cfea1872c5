/* type.h: the types that leat tells apart.
 *
 * A type says how a column's values are to be read by whoever encodes or
 * transforms them; the server's own name of the type goes along in the column.
 * The canonical text form of each is PostgreSQL's with DateStyle ISO,
 * IntervalStyle postgres, TimeZone UTC, extra_float_digits 3, lc_monetary C
 * (PostgreSQL manual, chapter "Data Types"); the other sources print the same. */
#ifndef LEAT_SCHEMA_TYPE_H
#define LEAT_SCHEMA_TYPE_H

#include "base/slice.h"

/* TYPE(NAME, name, tag): tag is the value_tag that a present value has.
 * The order is stored in logs and state: add at the end only. */
#define TYPES(TYPE)                              \
	TYPE(OTHER, "other", TEXT) /* the server's text as it is */ \
	TYPE(BOOL, "bool", BOOL)                 \
	TYPE(INT16, "int16", INT)                \
	TYPE(INT32, "int32", INT)                \
	TYPE(INT64, "int64", INT)                \
	TYPE(UINT32, "uint32", UINT)             \
	TYPE(UINT64, "uint64", UINT)             \
	TYPE(FLOAT32, "float32", TEXT) /* shortest text that reads back the same */ \
	TYPE(FLOAT64, "float64", TEXT)           \
	TYPE(DECIMAL, "decimal", TEXT)           \
	TYPE(MONEY, "money", TEXT)               \
	TYPE(TEXT, "text", TEXT)                 \
	TYPE(CHAR, "char", TEXT) /* blank-padded */ \
	TYPE(BYTES, "bytes", BYTES)              \
	TYPE(DATE, "date", TEXT)                 \
	TYPE(TIME, "time", TEXT)                 \
	TYPE(TIMETZ, "timetz", TEXT)             \
	TYPE(TIMESTAMP, "timestamp", TEXT)       \
	TYPE(TIMESTAMPTZ, "timestamptz", TEXT)   \
	TYPE(INTERVAL, "interval", TEXT)         \
	TYPE(UUID, "uuid", TEXT)                 \
	TYPE(JSON, "json", TEXT)                 \
	TYPE(XML, "xml", TEXT)                   \
	TYPE(BITS, "bits", TEXT) /* zeros and ones */ \
	TYPE(ENUM, "enum", TEXT)                 \
	TYPE(NET, "net", TEXT) /* inet, cidr, macaddr */ \
	TYPE(ARRAY, "array", TEXT) /* the server's array literal */

enum type {
#define TYPE(NAME, name, tag) TYPE_##NAME,
	TYPES(TYPE)
#undef TYPE
	TYPE_COUNT
};

const char *type_name(enum type t);

#endif
