/* readers.h: where named readers stand: DIR/readers/NAME, one line of text.
 *
 * Their cursors hold back deletion by age.  A cursor in a log is the source
 * part
 *
 *	log uuid=U seq=N crc=X
 *
 * everything up to seq N was read; X (hex) is the CRC of the rows frame that N
 * is in, 00000000 when that is not known. */
#ifndef LEAT_LOG_READERS_H
#define LEAT_LOG_READERS_H

#include "base/buf.h"
#include "log/frame.h"

struct log_place {
	uint8_t uuid[UUID_SIZE];
	uint64_t seq;
	uint32_t crc;
};

void log_place_print(const struct log_place *p, struct buf *out);
bool log_place_parse(struct slice text, struct log_place *p);

/* Letters, digits, '_', '-' and '.', not at the front. */
bool reader_name_is_valid(const char *name);
int reader_store(const char *dir, const char *name, struct slice cursor,
		 struct err *e) MUST_CHECK;
/* Makes the names durable; what reader_store() replaces stays a place of it. */
int readers_sync(const char *dir, struct err *e) MUST_CHECK;
/* Appends the stored cursor.  1: there is one, 0: none, -1: error. */
int reader_load(const char *dir, const char *name, struct buf *out,
		struct err *e);
/* Does a process run the pipeline of that name? */
bool reader_is_held(const char *dir, const char *name);
/* Cursor and lock go; not there is no error. */
int reader_remove(const char *dir, const char *name, struct err *e) MUST_CHECK;
/* Calls f for each named reader, with the text of its cursor. */
int readers_each(const char *dir,
		 int (*f)(void *arg, const char *name, struct slice cursor),
		 void *arg, struct err *e) MUST_CHECK;

#endif
