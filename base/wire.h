/* wire.h: a bounded cursor over bytes from outside, with a sticky error.
 *
 * After the first read past the end every read returns zero or an empty slice
 * and wire_ok() is false: read everything, test once.  Slices point into the
 * input. */
#ifndef LEAT_BASE_WIRE_H
#define LEAT_BASE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/util.h"

struct wire {
	const uint8_t *p, *end;
	bool failed;
};

static inline struct wire wire_of(struct slice s)
{
	const uint8_t *p = (const uint8_t *)(s.p ? s.p : "");

	return (struct wire){p, p + s.n, false};
}

static inline bool wire_ok(const struct wire *w)
{
	return !w->failed;
}

static inline size_t wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->p);
}

/* NULL when fewer than n bytes are left. */
static inline const uint8_t *wire_take(struct wire *w, size_t n)
{
	const uint8_t *p = w->p;

	if (unlikely(w->failed || wire_left(w) < n)) {
		w->failed = true;
		w->p = w->end;
		return NULL;
	}
	w->p += n;
	return p;
}

static inline uint8_t wire_u8(struct wire *w)
{
	const uint8_t *p = wire_take(w, 1);

	return p ? *p : 0;
}

static inline uint16_t wire_be16(struct wire *w)
{
	const uint8_t *p = wire_take(w, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wire_be32(struct wire *w)
{
	const uint8_t *p = wire_take(w, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
			   (uint32_t)p[2] << 8 | p[3]
		 : 0;
}

static inline uint64_t wire_be64(struct wire *w)
{
	uint64_t hi = wire_be32(w);

	return hi << 32 | wire_be32(w);
}

static inline uint16_t wire_le16(struct wire *w)
{
	const uint8_t *p = wire_take(w, 2);

	return p ? (uint16_t)(p[1] << 8 | p[0]) : 0;
}

static inline uint32_t wire_le32(struct wire *w)
{
	const uint8_t *p = wire_take(w, 4);

	return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
			   (uint32_t)p[1] << 8 | p[0]
		 : 0;
}

static inline uint64_t wire_le64(struct wire *w)
{
	uint64_t lo = wire_le32(w);

	return (uint64_t)wire_le32(w) << 32 | lo;
}

static inline struct slice wire_bytes(struct wire *w, size_t n)
{
	const uint8_t *p = wire_take(w, n);

	return p ? (struct slice){(const char *)p, n} : (struct slice){0};
}

/* Up to and without a NUL, which is taken too. */
struct slice wire_cstr(struct wire *w);
/* LEB128; more than 64 bits is an error. */
uint64_t wire_varint(struct wire *w);
int64_t wire_zigzag(struct wire *w);
/* varint length, bytes */
struct slice wire_lenslice(struct wire *w);

#endif
