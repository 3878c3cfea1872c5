/* log_lib.h: logs in temporary directories, and events to fill them with. */
#ifndef LEAT_T_UNIT_LOG_LIB_H
#define LEAT_T_UNIT_LOG_LIB_H

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/note.h"
#include "log/log.h"
#include "log/frame.h"
#include "t/tap.h"

#define DIR_MAX 256

static const struct origin lib_origin = {
	{"postgresql", 10}, {"shop", 4}, {"shopdb", 6}, {"0.1.0", 5}, 1};

static int lib_rm_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void lib_rmtree(const char *path)
{
	nftw(path, lib_rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A fresh place; what stood there before is gone. */
static inline const char *lib_dir(const char *name)
{
	static char dir[DIR_MAX], base[128];

	if (base[0] == '\0')
		tap_dir(base, "log");
	if (name == NULL) {
		lib_rmtree(base);
		return NULL;
	}
	snprintf(dir, sizeof(dir), "%s/%s", base, name);
	lib_rmtree(dir);
	return dir;
}

static inline struct log_conf lib_conf(const char *dir)
{
	return (struct log_conf){.path = (char *)(uintptr_t)dir,
				 .segment_size = 1 << 20,
				 .max_event_size = 1 << 20,
				 .compression = 1};
}

static inline struct table *lib_table(const char *name, uint32_t version,
				      uint64_t from_seq)
{
	struct column cols[3] = {
		{.name = SLICE("id"), .type_name = SLICE("bigint"),
		 .type = TYPE_INT64, .source_type = 20, .modifier = -1,
		 .is_identity = true, .key_position = 1},
		{.name = SLICE("note"), .type_name = SLICE("text"),
		 .type = TYPE_TEXT, .source_type = 25, .modifier = -1,
		 .is_nullable = true},
		{.name = SLICE("more"), .type_name = SLICE("text"),
		 .type = TYPE_TEXT, .source_type = 25, .modifier = -1,
		 .is_nullable = true},
	};
	struct table proto = {.version = version,
			      .from_seq = from_seq,
			      .source_id = 1000,
			      .schema = SLICE("public"),
			      .name = slice_of(name),
			      .ncols = version > 1 ? 3 : 2,
			      .cols = cols};

	return table_new(&proto);
}

/* Transactions of three rows, a second apart, beginning at 1000 s. */
static inline int64_t lib_commit_us(uint64_t seq)
{
	return (int64_t)(1000 + (seq - 1) / 3) * 1000000;
}

static inline const struct txn *lib_txn(struct batch *b, uint64_t seq)
{
	struct txn *t = arena_new(&b->arena, struct txn);
	struct buf coord = BUF_INIT;

	t->origin = &lib_origin;
	t->commit_us = lib_commit_us(seq);
	t->xid = 700 + (seq - 1) / 3;
	t->commit_pos = t->xid << 8;
	buf_hex(&coord, t->commit_pos);
	t->coord = t->id = slice_dup(&b->arena, buf_get(&coord));
	buf_fini(&coord);
	return t;
}

static inline struct event *lib_event(struct batch *b, enum op op,
				      struct table *tab, uint64_t seq)
{
	struct event *ev = batch_add(b);

	ev->op = op;
	ev->table = tab ? batch_use_table(b, tab) : NULL;
	ev->txn = lib_txn(b, seq);
	ev->seq = seq;
	ev->ordinal = ev->table_ordinal = (seq - 1) % 3 + 1;
	ev->pos = seq * 100;
	ev->read_us = ev->txn->commit_us + 5;
	return ev;
}

static inline void lib_insert(struct batch *b, struct table *tab, uint64_t seq,
			      size_t text)
{
	struct event *ev = lib_event(b, OP_INSERT, tab, seq);
	char *p = arena_alloc(&b->arena, text ? text : 1);
	uint64_t x = seq * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < text; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (char)('a' + x % 26);
	}
	ev->after = batch_values(b, tab->ncols);
	ev->after[0] = (struct value){.tag = VALUE_INT, .i = (int64_t)seq};
	for (uint32_t i = 1; i < tab->ncols; i++)
		ev->after[i] = (struct value){.tag = VALUE_TEXT, .s = {p, text}};
}

static inline void lib_schema(struct batch *b, struct table *tab,
			      struct table *prev, uint64_t seq)
{
	struct event *ev = lib_event(b, OP_SCHEMA, tab, seq);

	ev->ordinal = ev->table_ordinal = 0;
	ev->schema = arena_new(&b->arena, struct schema_change);
	ev->schema->prev = prev;
	ev->schema->cursor_source = SLICE("before");
}

static inline struct cursor lib_cursor(uint64_t seq)
{
	return (struct cursor){.incarnation = 1, .seq = seq,
			       .source = SLICE("pg somewhere")};
}

/* --- an open log and what is in force in it --------------------------- */

struct lib_log {
	struct log_conf conf;
	struct log_writer *w;
	struct registry tables;
	struct buf cursor;
	struct err e;
};

static inline bool lib_open(struct lib_log *l)
{
	registry_init(&l->tables);
	l->cursor = BUF_INIT;
	l->e = ERR_INIT;
	l->w = log_writer_open(&l->conf, "test", &l->tables, &l->cursor, &l->e);
	return l->w != NULL;
}

static inline void lib_close(struct lib_log *l)
{
	log_writer_close(l->w);
	registry_fini(&l->tables);
	buf_fini(&l->cursor);
	l->w = NULL;
}

static inline uint64_t lib_cursor_seq(const struct lib_log *l)
{
	struct cursor c;
	struct err e = ERR_INIT;

	if (l->cursor.n == 0)
		return 0;
	return cursor_parse(buf_get(&l->cursor), &c, &e) == 0 ? c.seq
							       : UINT64_MAX;
}

/* Writes rows first..last of the table (its schema event before, if there is
 * one to be written), and commits. */
static inline bool lib_rows(struct lib_log *l, struct table *tab, uint64_t first,
			    uint64_t last, size_t text, bool commit)
{
	struct batch *b = batch_new();
	struct cursor c = lib_cursor(last);
	bool good;

	lib_schema(b, tab, NULL, first);
	good = log_writer_table(l->w, &b->ev[0], &l->e) == 0;
	for (uint64_t seq = first; seq <= last; seq++)
		lib_insert(b, tab, seq, text);
	good = good && log_writer_append(l->w, b, 0, b->n, &l->e) == 0;
	if (good && commit)
		good = log_writer_commit(l->w, &c, &l->e) == 0;
	batch_free(b);
	return good;
}

/* --- reading ---------------------------------------------------------- */

struct lib_read {
	uint64_t rows, schemas;
	uint64_t first, last; /* seq of rows; 0: none */
	bool in_order, is_sound;
	struct buf cursor;
	struct err e;
};

static inline void lib_check_row(struct lib_read *r, const struct event *ev)
{
	if (r->first == 0)
		r->first = ev->seq;
	r->in_order = r->in_order && (r->last == 0 || ev->seq == r->last + 1);
	r->last = ev->seq;
	r->rows++;
	r->is_sound = r->is_sound && ev->op == OP_INSERT &&
		      ev->after[0].i == (int64_t)ev->seq &&
		      ev->txn->commit_us == lib_commit_us(ev->seq) &&
		      ev->ordinal == (ev->seq - 1) % 3 + 1 &&
		      ev->pos == ev->seq * 100 &&
		      slice_eq(ev->txn->origin->name, lib_origin.name);
}

static inline void lib_take(struct lib_read *r, const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct event *ev = &b->ev[i];

		if (ev->op != OP_SCHEMA) {
			lib_check_row(r, ev);
			continue;
		}
		r->schemas++;
		/* directly before a row, with its seq */
		r->is_sound = r->is_sound && i + 1 < b->n &&
			      ev->seq == b->ev[i + 1].seq;
	}
}

/* Everything from `start` to the end of what is committed. */
static inline struct lib_read lib_read_all(const char *dir, const char *start,
					   size_t bytes)
{
	struct lib_read r = {.in_order = true, .is_sound = true};
	struct log_start at;
	struct log_reader *reader = NULL;
	struct batch *b = batch_new();

	r.e = ERR_INIT;
	if (log_start_parse(slice_of(start), &at, &r.e) == 0)
		reader = log_reader_open(dir, &at, NULL, &r.e);
	while (reader != NULL) {
		batch_reset(b);
		if (log_reader_read(reader, b, bytes, &r.e) != 0 || b->n == 0)
			break;
		lib_take(&r, b);
	}
	if (reader != NULL)
		log_reader_cursor(reader, &r.cursor);
	log_reader_close(reader);
	batch_free(b);
	return r;
}

static inline bool lib_is_range(const struct lib_read *r, uint64_t first,
				uint64_t last)
{
	return !err_is_set(&r->e) && r->in_order && r->is_sound &&
	       r->rows == (last >= first ? last - first + 1 : 0) &&
	       (r->rows == 0 || (r->first == first && r->last == last));
}

/* --- files ------------------------------------------------------------ */

static inline char *lib_slurp(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		abort();
	*n = (size_t)st.st_size;
	p = malloc(*n + 1);
	if (read(fd, p, *n) != (ssize_t)*n)
		abort();
	close(fd);
	return p;
}

static inline void lib_spew(const char *path, const char *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static inline const char *lib_file(const char *dir, const char *name)
{
	static char path[2][1024];
	static int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static inline const char *lib_segment(const char *dir, uint64_t first_seq)
{
	char name[40];

	snprintf(name, sizeof(name), "%020" PRIu64 ".log", first_seq);
	return lib_file(dir, name);
}

#endif
