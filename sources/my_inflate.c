/* my_inflate.c: see my_inflate.h.
 *
 * MariaDB, an event: u8 0x80 | n, n bytes big-endian of the plain length, then
 * zlib's stream.  A column: u8, 0 when the rest is plain, else 0x80 with the
 * number n of bytes of the plain length in the lowest three bits, and 0x08 for a
 * stream without zlib's header.
 *
 * MySQL, TRANSACTION_PAYLOAD: fields of u8 kind, length, value, ended by kind 0;
 * then the payload, events without checksums. */
#include "config.h"
#include "sources/my_inflate.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "sources/my_event.h"

/* What a server can have made: an event is less than 4 GiB, a column too. */
#define MAX_PLAIN UINT32_MAX
#define MAX_EVENT (UINT32_C(1) << 30)
#define CHUNK (64u << 10)

static bool inflate_all(struct slice in, bool raw, char *out, size_t n)
{
	z_stream z = {.next_in = (Bytef *)in.p, .avail_in = (uInt)in.n,
		      .next_out = (Bytef *)out, .avail_out = (uInt)n};
	int rc;

	if (in.n > UINT32_MAX || inflateInit2(&z, raw ? -15 : 15) != Z_OK)
		return false;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return rc == Z_STREAM_END && z.avail_out == 0;
}

static bool inflate_into(struct wire *w, unsigned length, bool raw,
			 struct arena *a, struct slice *out)
{
	uint64_t n = my_be(w, length);
	struct slice in = wire_bytes(w, wire_left(w));
	char *p;

	/* zlib makes of a byte at most 1032 */
	if (!wire_ok(w) || length == 0 || length > 4 || n > MAX_PLAIN ||
	    n / 1040 > in.n)
		return false;
	p = arena_alloc(a, n ? (size_t)n : 1);
	if (p == NULL || !inflate_all(in, raw, p, (size_t)n))
		return false;
	*out = (struct slice){p, (size_t)n};
	return true;
}

bool my_inflate_column(struct slice in, struct arena *a, struct slice *out)
{
	struct wire w = wire_of(in);
	uint8_t head;

	*out = in;
	if (in.n == 0)
		return true;
	head = wire_u8(&w);
	if (head == 0) {
		*out = (struct slice){in.p + 1, in.n - 1};
		return true;
	}
	return head & 0x80 &&
	       inflate_into(&w, head & 7, head & 8, a, out);
}

int my_inflate_event(struct slice in, struct arena *a, struct slice *out,
		     struct err *e)
{
	struct wire w = wire_of(in);
	uint8_t head = wire_u8(&w);

	if (head & 0x80 && inflate_into(&w, head & 7, false, a, out))
		return 0;
	return a->failed ? err_no_memory(e)
			 : err_set(e, CODE_source_protocol,
				   "what is compressed in it is damaged");
}

/* --- TRANSACTION_PAYLOAD -------------------------------------------------- */

enum { FIELD_END, FIELD_SIZE, FIELD_KIND, FIELD_PLAIN_SIZE };
enum { KIND_ZSTD = 0, KIND_PLAIN = 255 };

struct my_payload {
	ZSTD_DStream *z; /* NULL: it is plain */
	ZSTD_inBuffer in;
	bool is_ended;	/* a frame of zstd has ended */
	struct buf out; /* decompressed, and not returned from `at` on */
	size_t at;
};

static int damaged(struct err *e)
{
	return err_set(e, CODE_source_protocol,
		       "what is compressed in it is damaged");
}

static int read_fields(struct wire *w, uint64_t *kind, struct err *e)
{
	*kind = KIND_PLAIN;
	for (;;) {
		uint64_t field = my_lenenc(w);
		struct wire value;

		if (!wire_ok(w))
			return err_set(e, CODE_source_protocol,
				       "it is truncated");
		if (field == FIELD_END)
			return 0;
		value = wire_of(my_lenenc_slice(w));
		if (field == FIELD_KIND)
			*kind = my_lenenc(&value);
		if (!wire_ok(&value))
			w->failed = true;
	}
}

struct my_payload *my_payload_open(struct slice body, struct err *e)
{
	struct wire w = wire_of(body);
	struct my_payload *p;
	uint64_t kind;

	if (read_fields(&w, &kind, e) < 0)
		return NULL;
	if (kind != KIND_ZSTD && kind != KIND_PLAIN) {
		err_set(e, CODE_source_protocol, "compression of kind %llu",
			(unsigned long long)kind);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p != NULL && kind == KIND_ZSTD)
		p->z = ZSTD_createDStream();
	if (p == NULL || (kind == KIND_ZSTD && p->z == NULL)) {
		free(p);
		err_no_memory(e);
		return NULL;
	}
	p->in.src = w.p;
	p->in.size = wire_left(&w);
	p->is_ended = true;
	return p;
}

void my_payload_close(struct my_payload *p)
{
	if (p == NULL)
		return;
	ZSTD_freeDStream(p->z);
	buf_fini(&p->out);
	free(p);
}

static int decompress(struct my_payload *p, struct err *e)
{
	ZSTD_outBuffer out = {p->out.p + p->out.n, p->out.cap - p->out.n, 0};
	size_t rc;

	if (p->z == NULL) {
		size_t n = p->in.size - p->in.pos;

		n = n < out.size ? n : out.size;
		buf_put(&p->out, (const char *)p->in.src + p->in.pos, n);
		p->in.pos += n;
		return 0;
	}
	rc = ZSTD_decompressStream(p->z, &out, &p->in);
	if (ZSTD_isError(rc))
		return damaged(e);
	p->is_ended = rc == 0;
	p->out.n += out.pos;
	return 0;
}

/* n bytes from p->at on are there: 1, or 0 when nothing at all is left. */
static int want(struct my_payload *p, size_t n, struct err *e)
{
	if (p->out.n - p->at < n && p->at > 0) {
		memmove(p->out.p, p->out.p + p->at, p->out.n - p->at);
		p->out.n -= p->at;
		p->at = 0;
	}
	while (p->out.n - p->at < n) {
		size_t had = p->out.n, used = p->in.pos;

		if (p->is_ended && p->in.pos == p->in.size)
			return p->out.n == p->at ? 0 : damaged(e);
		if (!buf_room(&p->out, CHUNK))
			return err_no_memory(e);
		if (decompress(p, e) < 0)
			return -1;
		if (p->out.n == had && p->in.pos == used)
			return damaged(e);
	}
	return 1;
}

int my_payload_next(struct my_payload *p, struct slice *event, struct err *e)
{
	struct wire w;
	size_t size;
	int rc = want(p, MY_HEADER_SIZE, e);

	if (rc <= 0)
		return rc;
	w = wire_of((struct slice){p->out.p + p->at, p->out.n - p->at});
	wire_bytes(&w, 9);
	size = wire_le32(&w);
	if (size < MY_HEADER_SIZE || size > MAX_EVENT)
		return damaged(e);
	rc = want(p, size, e);
	if (rc <= 0)
		return rc < 0 ? rc : damaged(e);
	*event = (struct slice){p->out.p + p->at, size};
	p->at += size;
	return 1;
}
