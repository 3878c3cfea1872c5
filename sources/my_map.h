/* my_map.h: TABLE_MAP events: the shape of a table, as its rows need it.
 *
 * With binlog_row_metadata=FULL a map has everything: names, signedness,
 * character sets, labels, the primary key.  Without it columns have no names,
 * and MariaDB's default tells not even which numbers are unsigned. */
#ifndef LEAT_SOURCES_MY_MAP_H
#define LEAT_SOURCES_MY_MAP_H

#include "base/wire.h"
#include "schema/table.h"
#include "sources/my_charset.h"

/* Types of columns, as events number them. */
enum my_type {
	MY_TYPE_DECIMAL = 0, /* before MySQL 5.0 */
	MY_TYPE_TINY = 1,
	MY_TYPE_SHORT = 2,
	MY_TYPE_LONG = 3,
	MY_TYPE_FLOAT = 4,
	MY_TYPE_DOUBLE = 5,
	MY_TYPE_TIMESTAMP = 7,
	MY_TYPE_LONGLONG = 8,
	MY_TYPE_INT24 = 9,
	MY_TYPE_DATE = 10,
	MY_TYPE_TIME = 11,
	MY_TYPE_DATETIME = 12,
	MY_TYPE_YEAR = 13,
	MY_TYPE_VARCHAR = 15,
	MY_TYPE_BIT = 16,
	MY_TYPE_TIMESTAMP2 = 17,
	MY_TYPE_DATETIME2 = 18,
	MY_TYPE_TIME2 = 19,
	MY_TYPE_BLOB_COMPRESSED = 140, /* MariaDB */
	MY_TYPE_VARCHAR_COMPRESSED = 141,
	MY_TYPE_VECTOR = 242, /* MySQL */
	MY_TYPE_JSON = 245,
	MY_TYPE_NEWDECIMAL = 246,
	MY_TYPE_ENUM = 247,
	MY_TYPE_SET = 248,
	MY_TYPE_BLOB = 252,
	MY_TYPE_VAR_STRING = 253,
	MY_TYPE_STRING = 254,
	MY_TYPE_GEOMETRY = 255,
};

struct my_column {
	uint8_t type;	  /* ENUM and SET are told from STRING */
	bool is_unsigned;
	bool is_nullable;
	/* STRING, VARCHAR: most bytes; ENUM, SET, BLOB and the like: bytes of
	 * the number or length in front; NEWDECIMAL: precision << 8 | scale; BIT:
	 * bits; temporals: digits of the fraction */
	uint16_t meta;
	uint16_t key_position; /* from 1; 0: not in the primary key */
	uint32_t collation;    /* 0: not told */
	const struct my_charset *charset; /* NULL: not told, or not known */
	struct slice name;
	struct slice *labels; /* of ENUM and SET, UTF-8 */
	uint32_t nlabels;
};

struct my_map {
	uint64_t id;
	struct slice db, name; /* UTF-8 */
	uint32_t ncols;
	struct my_column *cols;
	bool has_names, has_signs;
};

/* The number that rows refer to a map by: in front of everything else. */
uint64_t my_map_id(struct wire *w);
/* Reads the body, behind the number.  Everything lives in the arena; slices of
 * names may point into the body, if that is in the arena too. */
int my_map_read(struct wire *w, const struct my_charsets *charsets,
		struct arena *a, struct my_map *map, struct err *e) MUST_CHECK;

/* What the table is to leat; into the arena.  Fails when names are missing
 * (CODE_source_config). */
int my_map_shape(const struct my_map *map, struct arena *a, struct table *proto,
		 struct err *e) MUST_CHECK;

#endif
