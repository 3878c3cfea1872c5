/* frame.h: the bytes of a log on disk.
 *
 * A log is a directory of segments, files named by the lowest seq that may be in
 * them (20 decimal digits and ".log"), each a segment header and frames without
 * a gap up to the end of the file or to zeros (space that was reserved).  All
 * integers are little-endian.
 *
 *	segment header, 64 bytes
 *	   0 u64 magic "LEATLOG1"
 *	   8 u32 format version (1)
 *	  12 u32 size of this header (64)
 *	  16     uuid of the log, 16 bytes
 *	  32 u64 first seq: that of the file's name
 *	  40 i64 time it was made, microseconds since 1970
 *	  48 i64 latest commit time of all events in the segments before
 *	  56 u32 CRC of the last frame of the segment before: what the chain of
 *		 this one starts from; of the first segment 0
 *	  60 u32 CRC-32C of bytes 0..59
 *
 *	frame header, 64 bytes, then the body, then zeros up to a multiple of 8
 *	   0 u32 magic "LEFR"
 *	   4 u8  kind    5 u8 codec    6 u8 flags    7 u8 zero
 *	   8 u32 length of the body as stored
 *	  12 u32 length of the body after decompression
 *	  16 u64 first seq: rows, of the first event; table and commit, of the last
 *		 event before
 *	  24 u64 last seq: rows, of the last event; else as first seq
 *	  32 u32 count of events or table versions in the body
 *	  36 u32 CRC of the frame before
 *	  40 u64 synced: up to this offset of the segment everything was known to
 *		 be durable when the frame was written
 *	  48 i64 commit time: rows, the latest in the body; else the latest of all
 *		 events before
 *	  56 u32 CRC-32C of bytes 0..55, body and padding, chained: it goes on from
 *		 the CRC of the frame before
 *	  60 u32 CRC-32C of bytes 0..59, gone on from the CRC of uuid and first
 *		 seq of the segment: bytes of another log or another segment
 *		 are never taken for a frame
 *
 * Bodies: rows, what rowbin.h writes; table, for each version its stored form
 * and its schema event (both with their length before, see tables.h); commit,
 * the text of the pipeline's cursor, empty when there has been none.
 *
 * Rows and commits behind which the source's transaction goes on say so
 * (FRAME_INSIDE); of two without an event between them the later one is right.
 *
 * At the head of each segment the newest version of every table and the last
 * commit are repeated (FRAME_REPEAT), so each can be read by itself.  A segment
 * ends in a commit frame.
 *
 *	tip, 64 bytes: up to where readers may go
 *	   0 u64 magic "LEATTIP1"
 *	   8     uuid
 *	  24 u64 first seq of the segment
 *	  32 u64 offset in it, directly behind a commit frame
 *	  40 u64 last seq before it
 *	  48 u32 CRC of that commit frame
 *	  52     zeros
 *	  60 u32 CRC-32C of bytes 0..59 */
#ifndef LEAT_LOG_FRAME_H
#define LEAT_LOG_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
	SEGMENT_HEADER_SIZE = 64,
	FRAME_HEADER_SIZE = 64,
	TIP_SIZE = 64,
	UUID_SIZE = 16,
	UUID_TEXT_SIZE = 37,
};

/* More than any body can have: an event is at most 1 GiB. */
#define FRAME_BODY_MAX ((1u << 30) + (64u << 20))

struct segment_head {
	uint8_t uuid[UUID_SIZE];
	uint64_t first_seq;
	int64_t created_us, max_commit_us;
	uint32_t seed;
};

/* Stored. */
enum frame_kind { FRAME_ROWS = 1, FRAME_TABLE, FRAME_COMMIT };
enum frame_codec { CODEC_NONE, CODEC_ZSTD };
enum {
	FRAME_REPEAT = 1,
	FRAME_INSIDE = 2, /* the source's transaction goes on behind it */
};

struct frame {
	enum frame_kind kind;
	enum frame_codec codec;
	unsigned flags;
	uint32_t stored, raw;
	uint64_t first_seq, last_seq;
	uint32_t count;
	uint32_t prev_crc, crc;
	uint64_t synced;
	int64_t commit_us;
};

struct tip {
	uint8_t uuid[UUID_SIZE];
	uint64_t segment, offset, seq;
	uint32_t crc;
};

void segment_head_encode(const struct segment_head *h,
			 uint8_t out[SEGMENT_HEADER_SIZE]);
/* CODE_log_corrupt when it is damaged, CODE_log_wrong when it is sound and of a
 * format that this program does not know. */
int segment_head_decode(const uint8_t in[SEGMENT_HEADER_SIZE],
			struct segment_head *h, struct err *e) MUST_CHECK;
/* What the header CRCs of the segment's frames go on from. */
uint32_t frame_salt(const uint8_t uuid[UUID_SIZE], uint64_t first_seq);

/* Bytes the frame takes in the file. */
static inline uint64_t frame_size(const struct frame *f)
{
	return (FRAME_HEADER_SIZE + (uint64_t)f->stored + 7) & ~UINT64_C(7);
}

/* The header is at p, the body of f->stored bytes behind it, and room for the
 * padding.  Fills in header, padding and f->crc. */
void frame_seal(struct frame *f, uint32_t salt, uint8_t *p);
/* false when this is not a frame's header of the segment. */
bool frame_decode(const uint8_t in[FRAME_HEADER_SIZE], uint32_t salt,
		  struct frame *f);
/* The same without a look at the header's CRC, for a segment whose header does
 * not tell what it starts from: only frame_body_is_sound() tells then. */
bool frame_decode_loosely(const uint8_t in[FRAME_HEADER_SIZE], struct frame *f);
/* p: the whole frame, frame_size() bytes. */
bool frame_body_is_sound(const struct frame *f, const uint8_t *p);

void tip_encode(const struct tip *t, uint8_t out[TIP_SIZE]);
bool tip_decode(const uint8_t in[TIP_SIZE], struct tip *t);

void uuid_make(uint8_t uuid[UUID_SIZE]);
void uuid_print(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT_SIZE]);
bool uuid_parse(struct slice text, uint8_t uuid[UUID_SIZE]);

#endif
