/* buf.h: growable output.
 *
 * Appending cannot fail silently: a lack of memory sets `failed`, after which
 * every append does nothing; test once at the end.  The bytes move when the
 * buffer grows, so slices of them are taken only when it is finished. */
#ifndef LEAT_BASE_BUF_H
#define LEAT_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/util.h"

struct buf {
	char *p;
	size_t n, cap;
	bool failed;
};

#define BUF_INIT ((struct buf){0})

void buf_fini(struct buf *b);
/* Empties it and keeps the memory, unless that is more than `keep` bytes. */
void buf_reset(struct buf *b, size_t keep);
/* Room for n more bytes, at b->p + b->n; false when there is none to be had. */
bool buf_grow(struct buf *b, size_t n);

static inline bool buf_room(struct buf *b, size_t n)
{
	return likely(!b->failed && b->cap - b->n >= n) || buf_grow(b, n);
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n > 0 && buf_room(b, n)) {
		memcpy(b->p + b->n, p, n);
		b->n += n;
	}
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
	if (buf_room(b, 1))
		b->p[b->n++] = (char)v;
}

static inline void buf_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.p, s.n);
}

static inline struct slice buf_get(const struct buf *b)
{
	return (struct slice){b->p, b->n};
}

void buf_text(struct buf *b, const char *cstr);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_i64(struct buf *b, int64_t v); /* decimal digits */
void buf_u64(struct buf *b, uint64_t v);
void buf_hex(struct buf *b, uint64_t v); /* upper case, no leading zeros */

/* binary, for what wire.h reads */
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);   /* LEB128 */
void buf_zigzag(struct buf *b, int64_t v);    /* signed, zigzag, LEB128 */
void buf_lenslice(struct buf *b, struct slice s); /* varint length, bytes */

#endif
