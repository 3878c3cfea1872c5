#include "config.h"
#include "log/frame.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/wire.h"

static const char segment_magic[8] = "LEATLOG1";
static const char tip_magic[8] = "LEATTIP1";
static const char frame_magic[4] = "LEFR";
#define FORMAT_VERSION 1u

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static struct wire wire_at(const uint8_t *p, size_t n)
{
	return wire_of((struct slice){(const char *)p, n});
}

/* --- segment header -------------------------------------------------- */

void segment_head_encode(const struct segment_head *h,
			 uint8_t out[SEGMENT_HEADER_SIZE])
{
	memcpy(out, segment_magic, 8);
	put_le(out + 8, FORMAT_VERSION, 4);
	put_le(out + 12, SEGMENT_HEADER_SIZE, 4);
	memcpy(out + 16, h->uuid, UUID_SIZE);
	put_le(out + 32, h->first_seq, 8);
	put_le(out + 40, (uint64_t)h->created_us, 8);
	put_le(out + 48, (uint64_t)h->max_commit_us, 8);
	put_le(out + 56, h->seed, 4);
	put_le(out + 60, crc32c(0, out, 60), 4);
}

int segment_head_decode(const uint8_t in[SEGMENT_HEADER_SIZE],
			struct segment_head *h, struct err *e)
{
	struct wire w = wire_at(in + 8, SEGMENT_HEADER_SIZE - 8);
	uint32_t version = wire_le32(&w), size = wire_le32(&w);

	memcpy(h->uuid, wire_take(&w, UUID_SIZE), UUID_SIZE);
	h->first_seq = wire_le64(&w);
	h->created_us = (int64_t)wire_le64(&w);
	h->max_commit_us = (int64_t)wire_le64(&w);
	h->seed = wire_le32(&w);
	if (memcmp(in, segment_magic, 8) != 0 ||
	    wire_le32(&w) != crc32c(0, in, 60))
		return err_set(e, CODE_log_corrupt,
			       "the segment's header is damaged");
	if (version != FORMAT_VERSION || size != SEGMENT_HEADER_SIZE)
		return err_set(e, CODE_log_wrong,
			       "the segment has format version %u, this program knows %u",
			       version, FORMAT_VERSION);
	return 0;
}

uint32_t frame_salt(const uint8_t uuid[UUID_SIZE], uint64_t first_seq)
{
	uint8_t seq[8];

	put_le(seq, first_seq, 8);
	return crc32c(crc32c(0, uuid, UUID_SIZE), seq, sizeof(seq));
}

/* --- frames ---------------------------------------------------------- */

void frame_seal(struct frame *f, uint32_t salt, uint8_t *p)
{
	size_t end = FRAME_HEADER_SIZE + (size_t)f->stored;
	size_t size = (size_t)frame_size(f);

	memcpy(p, frame_magic, 4);
	p[4] = (uint8_t)f->kind;
	p[5] = (uint8_t)f->codec;
	p[6] = (uint8_t)f->flags;
	p[7] = 0;
	put_le(p + 8, f->stored, 4);
	put_le(p + 12, f->raw, 4);
	put_le(p + 16, f->first_seq, 8);
	put_le(p + 24, f->last_seq, 8);
	put_le(p + 32, f->count, 4);
	put_le(p + 36, f->prev_crc, 4);
	put_le(p + 40, f->synced, 8);
	put_le(p + 48, (uint64_t)f->commit_us, 8);
	memset(p + end, 0, size - end);
	f->crc = crc32c(crc32c(f->prev_crc, p, 56), p + FRAME_HEADER_SIZE,
			size - FRAME_HEADER_SIZE);
	put_le(p + 56, f->crc, 4);
	put_le(p + 60, crc32c(salt, p, 60), 4);
}

bool frame_decode_loosely(const uint8_t in[FRAME_HEADER_SIZE], struct frame *f)
{
	struct wire w = wire_at(in + 4, FRAME_HEADER_SIZE - 4);
	unsigned kind = wire_u8(&w), codec = wire_u8(&w);

	if (memcmp(in, frame_magic, 4) != 0)
		return false;
	f->kind = (enum frame_kind)kind;
	f->codec = (enum frame_codec)codec;
	f->flags = wire_u8(&w);
	wire_u8(&w);
	f->stored = wire_le32(&w);
	f->raw = wire_le32(&w);
	f->first_seq = wire_le64(&w);
	f->last_seq = wire_le64(&w);
	f->count = wire_le32(&w);
	f->prev_crc = wire_le32(&w);
	f->synced = wire_le64(&w);
	f->commit_us = (int64_t)wire_le64(&w);
	f->crc = wire_le32(&w);
	return kind >= FRAME_ROWS && kind <= FRAME_COMMIT &&
	       codec <= CODEC_ZSTD &&
	       f->stored <= FRAME_BODY_MAX && f->raw <= FRAME_BODY_MAX &&
	       (codec != CODEC_NONE || f->stored == f->raw) &&
	       f->last_seq >= f->first_seq;
}

bool frame_decode(const uint8_t in[FRAME_HEADER_SIZE], uint32_t salt,
		  struct frame *f)
{
	struct wire w = wire_at(in + 60, 4);

	return frame_decode_loosely(in, f) &&
	       wire_le32(&w) == crc32c(salt, in, 60);
}

bool frame_body_is_sound(const struct frame *f, const uint8_t *p)
{
	return f->crc == crc32c(crc32c(f->prev_crc, p, 56),
				p + FRAME_HEADER_SIZE,
				(size_t)frame_size(f) - FRAME_HEADER_SIZE);
}

/* --- tip ------------------------------------------------------------- */

void tip_encode(const struct tip *t, uint8_t out[TIP_SIZE])
{
	memset(out, 0, TIP_SIZE);
	memcpy(out, tip_magic, 8);
	memcpy(out + 8, t->uuid, UUID_SIZE);
	put_le(out + 24, t->segment, 8);
	put_le(out + 32, t->offset, 8);
	put_le(out + 40, t->seq, 8);
	put_le(out + 48, t->crc, 4);
	put_le(out + 60, crc32c(0, out, 60), 4);
}

bool tip_decode(const uint8_t in[TIP_SIZE], struct tip *t)
{
	struct wire w = wire_at(in + 8, TIP_SIZE - 8);

	memcpy(t->uuid, wire_take(&w, UUID_SIZE), UUID_SIZE);
	t->segment = wire_le64(&w);
	t->offset = wire_le64(&w);
	t->seq = wire_le64(&w);
	t->crc = wire_le32(&w);
	wire_take(&w, 8);
	return memcmp(in, tip_magic, 8) == 0 &&
	       wire_le32(&w) == crc32c(0, in, 60);
}

/* --- uuid ------------------------------------------------------------ */

void uuid_make(uint8_t uuid[UUID_SIZE])
{
	/* version 4, RFC 4122; time and pid if the kernel has nothing to give */
	if (getrandom(uuid, UUID_SIZE, 0) != UUID_SIZE) {
		put_le(uuid, (uint64_t)clock_wall_us(), 8);
		put_le(uuid + 8, (uint64_t)getpid(), 8);
	}
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

void uuid_print(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT_SIZE])
{
	char *p = out;

	for (int i = 0; i < UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid[i]);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool uuid_parse(struct slice text, uint8_t uuid[UUID_SIZE])
{
	size_t at = 0;

	if (text.n != UUID_TEXT_SIZE - 1)
		return false;
	for (int i = 0; i < UUID_SIZE; i++) {
		int hi, lo;

		if ((i == 4 || i == 6 || i == 8 || i == 10) &&
		    text.p[at++] != '-')
			return false;
		hi = hex_digit(text.p[at++]);
		lo = hex_digit(text.p[at++]);
		if (hi < 0 || lo < 0)
			return false;
		uuid[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
