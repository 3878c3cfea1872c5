/* log.c: a segment of frames, put before everybody who reads one.
 *
 * Input: a byte, then a segment behind its header.  The byte's lowest bit: with
 * a tip at the end; the next: what follows are bytes of a file as they are.
 * Else they are frames, sealed here, so that the CRCs are right and what is
 * behind them is reached: kind, codec, flags: a byte each; first seq, last seq
 * less that, count, synced, commit time, length after decompression: varints;
 * the body with its length before. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/note.h"
#include "log/frame.h"
#include "log/log.h"
#include "log/log_verify.h"
#include "t/encodings.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_RAW (1u << 20)

static char dir[64], segment[128], tip_file[128];

static void clean(void)
{
	static const char *const names[] = {"lock", "tip", "readers",
					    "00000000000000000001.log"};
	char path[128];

	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	remove(dir);
}

static void prepare(void)
{
	if (dir[0] != '\0')
		return;
	note_setup(NOTE_ERROR + 1, false);
	snprintf(dir, sizeof(dir), "%s/leat-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(segment, sizeof(segment), "%s/00000000000000000001.log", dir);
	snprintf(tip_file, sizeof(tip_file), "%s/tip", dir);
	atexit(clean);
}

static void put_frame(struct wire *w, struct buf *out, uint32_t salt,
		      uint32_t *chain)
{
	struct frame f = {.prev_crc = *chain};
	struct slice body;
	size_t at = out->n;
	uint64_t raw;

	f.kind = (enum frame_kind)wire_u8(w);
	f.codec = (enum frame_codec)wire_u8(w);
	f.flags = wire_u8(w);
	f.first_seq = wire_varint(w);
	f.last_seq = f.first_seq + wire_varint(w);
	f.count = (uint32_t)wire_varint(w);
	f.synced = wire_varint(w);
	f.commit_us = wire_zigzag(w);
	raw = wire_varint(w);
	body = wire_lenslice(w);
	if (!wire_ok(w))
		return;
	f.stored = (uint32_t)body.n;
	f.raw = f.codec == CODEC_NONE ? f.stored : (uint32_t)(raw % MAX_RAW);
	if (!buf_room(out, FRAME_HEADER_SIZE + body.n + 8))
		return;
	out->n += FRAME_HEADER_SIZE;
	buf_slice(out, body);
	frame_seal(&f, salt, (uint8_t *)out->p + at);
	out->n = at + (size_t)frame_size(&f);
	*chain = f.crc;
}

static void spew(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static void write_log(struct wire *w)
{
	struct segment_head head = {.first_seq = 1, .created_us = 1};
	struct buf out = BUF_INIT;
	uint8_t how = wire_u8(w), bytes[TIP_SIZE];
	uint32_t chain = 0, salt = frame_salt(head.uuid, 1);

	if (!buf_room(&out, SEGMENT_HEADER_SIZE))
		abort();
	segment_head_encode(&head, (uint8_t *)out.p);
	out.n = SEGMENT_HEADER_SIZE;
	if (how & 2)
		buf_put(&out, w->p, wire_left(w));
	else
		while (wire_left(w) > 0)
			put_frame(w, &out, salt, &chain);
	spew(segment, out.p, out.n);
	unlink(tip_file);
	if (how & 1) {
		struct tip t = {.segment = 1, .offset = out.n, .seq = 1};

		tip_encode(&t, bytes);
		spew(tip_file, bytes, sizeof(bytes));
	}
	buf_fini(&out);
}

static void read_from(const struct log_start *start)
{
	struct err e = ERR_INIT;
	struct log_reader *r = log_reader_open(dir, start, NULL, &e);
	struct batch *b = batch_new();
	struct encoded out = ENCODED_INIT;

	while (r != NULL && b != NULL) {
		batch_reset(b);
		if (log_reader_read(r, b, 1 << 16, &e) != 0 || b->n == 0)
			break;
		for (size_t i = 0; i < b->n; i++)
			if (!encodes_all(&b->ev[i], &out))
				abort();
	}
	encoded_fini(&out);
	log_reader_close(r);
	batch_free(b);
}

static void look(void)
{
	struct log_stat st;
	struct err e = ERR_INIT;
	uint64_t open_bytes;

	if (log_stat(dir, &st, &e) == 0)
		log_stat_fini(&st);
	e = ERR_INIT;
	(void)!log_verify(dir, &st, &open_bytes, &e);
	log_stat_fini(&st);
}

/* What a writer makes of it must be a log that can be opened again. */
static void write_on(void)
{
	const struct log_conf conf = {.path = dir, .segment_size = 1 << 20,
				      .max_event_size = 1 << 20};

	for (int i = 0; i < 2; i++) {
		struct registry tables;
		struct buf cursor = BUF_INIT;
		struct err e = ERR_INIT;
		struct log_writer *w;

		registry_init(&tables);
		w = log_writer_open(&conf, "fuzz", &tables, &cursor, &e);
		if (i == 1 && w == NULL && e.code != CODE_log_corrupt)
			abort();
		log_writer_close(w);
		registry_fini(&tables);
		buf_fini(&cursor);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct wire w = wire_of((struct slice){(const char *)p, n});

	prepare();
	write_log(&w);
	read_from(&(struct log_start){.kind = START_EARLIEST});
	read_from(&(struct log_start){.kind = START_SEQ, .seq = 3});
	read_from(&(struct log_start){.kind = START_TIME, .us = 1001000000});
	look();
	write_on();
	return 0;
}
