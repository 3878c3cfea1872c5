#include "config.h"
#include "log/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define NAME_DIGITS 20u
#define AHEAD (128u << 10)
/* What one huge frame needed is not kept. */
#define WINDOW_KEEP (1u << 20)

int log_path(char out[LOG_PATH_MAX], const char *dir, const char *name,
	     struct err *e)
{
	int n = snprintf(out, LOG_PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= LOG_PATH_MAX)
		return err_sys(e, CODE_log_io, ENAMETOOLONG,
			       "could not open \"%.100s...\"", dir);
	return 0;
}

int segment_path(char out[LOG_PATH_MAX], const char *dir, uint64_t first_seq,
		 struct err *e)
{
	char name[NAME_DIGITS + 5];

	snprintf(name, sizeof(name), "%020" PRIu64 ".log", first_seq);
	return log_path(out, dir, name, e);
}

/* --- the directory --------------------------------------------------- */

static bool parse_name(const char *name, uint64_t *first_seq)
{
	return strlen(name) == NAME_DIGITS + 4 &&
	       strcmp(name + NAME_DIGITS, ".log") == 0 &&
	       slice_to_u64((struct slice){name, NAME_DIGITS}, first_seq);
}

static bool is_ours(const char *name)
{
	static const char *const known[] = {".", "..", "lock", "tip",
					    "readers", "lost+found"};

	for (size_t i = 0; i < countof(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static int add(struct segment_list *l, uint64_t first_seq, uint64_t size)
{
	if ((l->n & (l->n - 1)) == 0) {
		size_t cap = l->n ? l->n * 2 : 1;
		struct segment_name *v = realloc(l->v, cap * sizeof(*v));

		if (v == NULL)
			return -1;
		l->v = v;
	}
	l->v[l->n++] = (struct segment_name){first_seq, size};
	return 0;
}

static int by_seq(const void *a, const void *b)
{
	const struct segment_name *x = a, *y = b;

	return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static int read_entries(DIR *d, struct segment_list *l, struct err *e)
{
	struct dirent *ent;
	struct stat st;
	uint64_t seq;

	while (errno = 0, (ent = readdir(d)) != NULL) {
		if (!parse_name(ent->d_name, &seq)) {
			l->has_foreign |= !is_ours(ent->d_name);
			continue;
		}
		/* deleted while we look: as if it had not been there */
		if (fstatat(dirfd(d), ent->d_name, &st, 0) != 0)
			continue;
		if (add(l, seq, (uint64_t)st.st_size) != 0)
			return err_no_memory(e);
	}
	if (errno != 0)
		return err_sys(e, CODE_log_io, errno,
			       "could not read the log's directory");
	return 0;
}

int segment_list_read(const char *dir, struct segment_list *l, struct err *e)
{
	DIR *d = opendir(dir);
	int rc;

	*l = (struct segment_list){0};
	if (d == NULL && (errno == ENOENT || errno == ENOTDIR))
		return err_set(e, CODE_log_wrong, "there is no log at \"%s\"",
			       dir);
	if (d == NULL)
		return err_sys(e, CODE_log_io, errno,
			       "could not open directory \"%s\"", dir);
	rc = read_entries(d, l, e);
	closedir(d);
	if (rc != 0)
		segment_list_fini(l);
	else if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_seq);
	return rc;
}

void segment_list_fini(struct segment_list *l)
{
	free(l->v);
	*l = (struct segment_list){0};
}

ptrdiff_t segment_list_find(const struct segment_list *l, uint64_t seq)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].first_seq <= seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (ptrdiff_t)lo - 1;
}

/* --- one segment ----------------------------------------------------- */

int segment_damaged(const struct segment *s, uint64_t at, const char *what,
		    struct err *e)
{
	err_set(e, CODE_log_corrupt,
		"segment \"%s\" is damaged at offset %" PRIu64 ": %s", s->path,
		at, what);
	err_hint(e, "Restore the segment from a backup; `leat log verify` then tells whether that was all.");
	return -1;
}

static int check_head(struct segment *s, struct err *e)
{
	uint8_t head[SEGMENT_HEADER_SIZE];
	size_t got;

	if (file_read_at(s->fd, head, sizeof(head), 0, &got, e) != 0)
		return -1;
	if (got < sizeof(head))
		return segment_damaged(s, 0, "the header is cut off", e);
	if (segment_head_decode(head, &s->head, e) != 0) {
		err_wrap(e, "segment \"%s\"", s->path);
		return -1;
	}
	if (s->head.first_seq != s->first_seq)
		return err_set(e, CODE_log_wrong,
			       "segment \"%s\" has a name that is not its own: it was made as %020" PRIu64 ".log",
			       s->path, s->head.first_seq);
	s->salt = frame_salt(s->head.uuid, s->first_seq);
	return 0;
}

int segment_open(struct segment *s, const char *dir, uint64_t first_seq,
		 int flags, struct err *e)
{
	segment_close(s);
	s->first_seq = first_seq;
	s->ahead = AHEAD;
	if (segment_path(s->path, dir, first_seq, e) != 0)
		return -1;
	s->fd = file_open(s->path, flags, e);
	return s->fd < 0 ? -1 : check_head(s, e);
}

void segment_close(struct segment *s)
{
	if (s->fd >= 0)
		close(s->fd);
	buf_fini(&s->window);
	*s = SEGMENT_NONE;
}

void segment_written(struct segment *s)
{
	buf_fini(&s->window);
}

/* The n bytes at `at`, which lie below `end`; fewer at the end of the file. */
static int look(struct segment *s, uint64_t at, size_t n, uint64_t end,
		struct slice *out, struct err *e)
{
	struct buf *w = &s->window;
	size_t want = n, got;

	if (n > end - at)
		n = want = (size_t)(end - at);
	if (at < s->window_at || at + n > s->window_at + w->n) {
		if (want < s->ahead)
			want = s->ahead;
		if (want > end - at)
			want = (size_t)(end - at);
		buf_reset(w, want > WINDOW_KEEP ? want : WINDOW_KEEP);
		if (!buf_room(w, want ? want : 1))
			return err_no_memory(e);
		if (file_read_at(s->fd, w->p, want, at, &got, e) != 0) {
			err_wrap(e, "segment \"%s\"", s->path);
			return -1;
		}
		s->window_at = at;
		w->n = got;
		if (n > got)
			n = got;
	}
	*out = (struct slice){w->p + (at - s->window_at), n};
	return 0;
}

static bool decode(const struct segment *s, struct slice bytes, struct frame *f)
{
	const uint8_t *p = (const uint8_t *)bytes.p;

	if (bytes.n < FRAME_HEADER_SIZE)
		return false;
	return s->has_no_salt ? frame_decode_loosely(p, f)
			      : frame_decode(p, s->salt, f);
}

static bool is_zero(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != 0)
			return false;
	return true;
}

enum step segment_step(struct segment *s, uint64_t at, uint64_t end,
		       uint32_t chain, struct frame *f, const uint8_t **stored,
		       struct err *e)
{
	struct slice bytes;

	if (at >= end)
		return STEP_END;
	if (look(s, at, FRAME_HEADER_SIZE, end, &bytes, e) != 0)
		return STEP_ERROR;
	if (is_zero(bytes))
		return STEP_END;
	if (!decode(s, bytes, f) || f->prev_crc != chain || frame_size(f) > end - at)
		return STEP_BAD;
	if (stored == NULL)
		return STEP_FRAME;
	if (look(s, at, (size_t)frame_size(f), end, &bytes, e) != 0)
		return STEP_ERROR;
	if (bytes.n < frame_size(f) ||
	    !frame_body_is_sound(f, (const uint8_t *)bytes.p))
		return STEP_BAD;
	*stored = (const uint8_t *)bytes.p + FRAME_HEADER_SIZE;
	return STEP_FRAME;
}

enum step segment_probe(struct segment *s, uint64_t at, uint64_t end,
			struct frame *f, struct err *e)
{
	const uint8_t *stored;
	struct slice bytes;

	if (at >= end)
		return STEP_END;
	if (look(s, at, FRAME_HEADER_SIZE, end, &bytes, e) != 0)
		return STEP_ERROR;
	if (!decode(s, bytes, f))
		return STEP_BAD;
	return segment_step(s, at, end, f->prev_crc, f, &stored, e);
}
