/* log.c: segments of frames, put before everybody who reads or goes on with
 * them.
 *
 * Input: a byte, then a segment behind its header.  The byte's bits
 *   1  there is a tip at the end
 *   2  what follows are bytes of a file as they are
 *   4  first comes, with its length before, what a named reader has stored
 * Without 2 they are frames, sealed here, so that the CRCs are right and what is
 * behind them is reached: kind, codec, flags: a byte each; first seq, last seq
 * less that, count, synced, commit time, length after decompression: varints;
 * the body with its length before.  Kind 255 begins another segment, whose first
 * seq follows. */
#include "config.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/note.h"
#include "log/frame.h"
#include "log/log.h"
#include "log/log_verify.h"
#include "log/readers.h"
#include "schema/cursor.h"
#include "t/encodings.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_RAW (1u << 20)
#define NEXT_SEGMENT 255

static char dir[64];

static const char *path_of(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int rm_one(const char *path, const struct stat *st, int type,
		  struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void clean(void)
{
	nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void prepare(void)
{
	if (dir[0] != '\0')
		clean();
	else
		atexit(clean);
	note_setup(NOTE_ERROR + 1, false);
	snprintf(dir, sizeof(dir), "%s/leat-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
}

static void put_frame(struct wire *w, uint8_t kind, struct buf *out,
		      uint32_t salt, uint32_t *chain)
{
	struct frame f = {.kind = (enum frame_kind)kind, .prev_crc = *chain};
	struct slice body;
	size_t at = out->n;
	uint64_t raw;

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

static void spew(const char *name, const void *p, size_t n)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static void spew_segment(uint64_t first_seq, const struct buf *b)
{
	char name[40];

	snprintf(name, sizeof(name), "%020" PRIu64 ".log", first_seq);
	spew(name, b->p, b->n);
}

/* The header, then frames up to the end or to the next segment. */
static void put_segment(struct wire *w, uint64_t first_seq, uint32_t *chain,
			bool is_raw, struct buf *out)
{
	struct segment_head head = {.first_seq = first_seq, .created_us = 1,
				    .seed = *chain};
	uint32_t salt = frame_salt(head.uuid, first_seq);

	buf_reset(out, SIZE_MAX);
	if (!buf_room(out, SEGMENT_HEADER_SIZE))
		abort();
	segment_head_encode(&head, (uint8_t *)out->p);
	out->n = SEGMENT_HEADER_SIZE;
	if (is_raw)
		buf_put(out, wire_take(w, wire_left(w)), wire_left(w));
	while (wire_left(w) > 0) {
		uint8_t kind = wire_u8(w);

		if (kind == NEXT_SEGMENT)
			break;
		put_frame(w, kind, out, salt, chain);
	}
	spew_segment(first_seq, out);
}

static void write_log(struct wire *w)
{
	struct buf out = BUF_INIT;
	uint8_t how = wire_u8(w), bytes[TIP_SIZE];
	struct tip t = {.segment = 1, .seq = 1};
	uint32_t chain = 0;

	if (how & 4) {
		struct slice place = wire_lenslice(w);

		if (mkdir(path_of("readers"), 0700) != 0)
			abort();
		spew("readers/stored", place.p, place.n);
	}
	put_segment(w, t.segment, &chain, how & 2, &out);
	for (int i = 0; i < 3 && wire_left(w) > 0; i++) {
		t.segment = wire_varint(w);
		put_segment(w, t.segment, &chain, false, &out);
	}
	if (how & 1) {
		t.offset = out.n;
		tip_encode(&t, bytes);
		spew("tip", bytes, sizeof(bytes));
	}
	buf_fini(&out);
}

/* Behind all that was read there is nothing. */
static void read_again(struct log_reader *r, struct batch *b)
{
	struct log_start start = {.kind = START_CURSOR};
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	struct log_place place;
	struct log_reader *again;

	log_reader_cursor(r, &text);
	start.cursor = buf_get(&text);
	if (!log_place_parse(start.cursor, &place))
		abort();
	again = log_reader_open(dir, &start, "again", &e);
	batch_reset(b);
	if (again != NULL && log_reader_ack(again, start.cursor, &e) == 0 &&
	    log_reader_read(again, b, 1 << 16, &e) == 0)
		for (size_t i = 0; i < b->n; i++)
			if (b->ev[i].op != OP_SCHEMA)
				abort();
	(void)log_reader_behind(r);
	log_reader_close(again);
	buf_fini(&text);
}

static void read_from(const struct log_start *start)
{
	struct err e = ERR_INIT;
	struct log_reader *r = log_reader_open(dir, start, NULL, &e);
	struct batch *b = batch_new();
	struct encoded out = ENCODED_INIT;

	while (r != NULL && b != NULL) {
		batch_reset(b);
		if (log_reader_read(r, b, 1 << 16, &e) != 0)
			break;
		if (b->n == 0) {
			if (start->kind == START_EARLIEST)
				read_again(r, b);
			break;
		}
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

/* A row of a table that is new to the log, and a commit. */
static int write_row(struct log_writer *w, uint64_t seq, struct err *e)
{
	static const struct origin origin = {
		{"fuzz", 4}, {"fuzz", 4}, {"fuzz", 4}, {"1", 1}, 1};
	static const struct txn txn = {.origin = &origin, .commit_us = 1000000,
				       .id = {"1", 1}, .coord = {"1", 1}};
	struct column col = {.name = SLICE("id"), .type = TYPE_INT64};
	struct table proto = {.schema = SLICE("fuzz"), .name = SLICE("fuzz"),
			      .version = 1, .from_seq = seq, .ncols = 1,
			      .cols = &col};
	struct table *tab = table_new(&proto);
	struct cursor c = {1, seq, SLICE("fuzz"), 0, false};
	struct value one = {.tag = VALUE_INT, .i = 1};
	struct schema_change change = {.cursor_source = SLICE("fuzz")};
	struct batch *b = batch_new();
	struct event *ev;
	int rc;

	for (int i = 0; i < 2; i++) {
		ev = batch_add(b);
		ev->op = i == 0 ? OP_SCHEMA : OP_INSERT;
		ev->seq = seq;
		ev->txn = &txn;
		ev->table = batch_use_table(b, tab);
		ev->schema = i == 0 ? &change : NULL;
		ev->after = i == 0 ? NULL : &one;
	}
	rc = log_writer_table(w, &b->ev[0], e) != 0 ||
			     log_writer_append(w, b, 0, 2, e) != 0 ||
			     log_writer_commit(w, &c, e) != 0
		     ? -1
		     : 0;
	batch_free(b);
	table_unref(tab);
	return rc;
}

/* What a writer makes of it must be a log that can be opened again, and one that
 * took a row has it. */
static void write_on(void)
{
	const struct log_conf conf = {.path = dir, .segment_size = 2000,
				      .max_event_size = 1 << 20};
	struct cursor c, was = {0};

	for (int i = 0; i < 2; i++) {
		struct registry tables;
		struct buf text = BUF_INIT;
		struct err e = ERR_INIT, ignored = ERR_INIT;
		struct log_writer *w;

		registry_init(&tables);
		w = log_writer_open(&conf, "fuzz", &tables, &text, &e);
		if (i > 0 && w == NULL && e.code != CODE_log_corrupt)
			abort();
		if (cursor_parse(buf_get(&text), &c, &ignored) != 0)
			c = (struct cursor){0};
		if (w != NULL && was.seq > 0 && c.seq != was.seq)
			abort();
		was = (struct cursor){0};
		if (w != NULL && c.seq < UINT64_MAX / 2 &&
		    write_row(w, c.seq + 1, &e) == 0)
			was.seq = c.seq + 1;
		log_writer_close(w);
		registry_fini(&tables);
		buf_fini(&text);
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
