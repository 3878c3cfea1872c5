#include "config.h"
#include "base/wire.h"

struct slice wire_cstr(struct wire *w)
{
	const uint8_t *nul = w->failed || w->p == w->end
				     ? NULL
				     : memchr(w->p, 0, wire_left(w));
	struct slice s;

	if (nul == NULL) {
		w->failed = true;
		w->p = w->end;
		return (struct slice){0};
	}
	s = (struct slice){(const char *)w->p, (size_t)(nul - w->p)};
	w->p = nul + 1;
	return s;
}

uint64_t wire_varint(struct wire *w)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t c = wire_u8(w);

		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return w->failed ? 0 : v;
	}
	w->failed = true;
	return 0;
}

int64_t wire_zigzag(struct wire *w)
{
	uint64_t v = wire_varint(w);

	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

struct slice wire_lenslice(struct wire *w)
{
	uint64_t n = wire_varint(w);

	if (n > wire_left(w)) {
		w->failed = true;
		return (struct slice){0};
	}
	return wire_bytes(w, (size_t)n);
}
