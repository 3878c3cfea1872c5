/* my_rows.h: the rows of a rows event.
 *
 * MySQL source documentation, "Rows_event", versions 1 and 2; MariaDB's
 * compressed ones.  One event holds rows of one table and one kind. */
#ifndef LEAT_SOURCES_MY_ROWS_H
#define LEAT_SOURCES_MY_ROWS_H

#include "schema/batch.h"
#include "sources/my_event.h"
#include "sources/my_map.h"

struct my_rows {
	enum op op;
	uint64_t table_id;
	uint32_t width;
	/* a bit for each column that is there: of the only image, or of the row
	 * before and the row after */
	const uint8_t *first, *second;
	bool is_full;	  /* every column is there */
	struct wire rows; /* what has not been read */
};

/* Of a table that does not exist: it only ends a statement. */
#define MY_NO_TABLE UINT64_C(0xffffff)

bool my_rows_is_one(uint8_t type);
/* The body of such an event; compressed rows go into the arena. */
int my_rows_open(const struct my_header *h, struct wire *w, struct arena *a,
		 struct my_rows *rows, struct err *e) MUST_CHECK;
/* Passes over a row without reading it. */
int my_rows_skip(struct my_rows *rows, const struct my_map *map, struct err *e)
	MUST_CHECK;
/* Reads a row into the batch, where the event's bytes have to be: *before and
 * *after, NULL where there is none. */
int my_rows_read(struct my_rows *rows, const struct my_map *map,
		 struct batch *b, struct value **before, struct value **after,
		 struct err *e) MUST_CHECK;

#endif
