/* slice.h: a borrowed run of bytes, never assumed to end in NUL.
 *
 * A slice does not own what it points to: whoever hands one out says how long
 * it lives.  {NULL, 0} is the empty slice as well as "none"; where the two
 * differ, a flag beside the slice tells. */
#ifndef LEAT_BASE_SLICE_H
#define LEAT_BASE_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct slice {
	const char *p;
	size_t n;
};

#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
/* for "%.*s" */
#define SLICE_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *cstr)
{
	return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *cstr)
{
	return slice_eq(a, slice_of(cstr));
}

/* Byte order, shorter first when one is a prefix: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
bool slice_has_prefix(struct slice s, const char *prefix);

/* Copies into the arena, with a NUL behind that n does not count.  On a lack of
 * memory the result is {NULL, 0} and the arena's failure flag is set. */
struct slice slice_dup(struct arena *a, struct slice s);

/* Cuts off and returns what stands before the first `sep` in *rest; *rest keeps
 * what follows (n = 0 and p = NULL when there was no separator). */
struct slice slice_cut(struct slice *rest, char sep);

/* Whole-slice numbers: false on an empty slice, a stray character, overflow. */
bool slice_to_i64(struct slice s, int64_t *out);
bool slice_to_u64(struct slice s, uint64_t *out);
bool slice_hex_to_u64(struct slice s, uint64_t *out);

/* XXH3, 64 bits: the same on every machine and in every version, so it may be
 * stored. */
uint64_t slice_hash(struct slice s);

#endif
