/* conf_load.c: files, includes, and what is given twice.
 *
 * include() takes a path or a glob, relative to the file it stands in; what a
 * glob finds is read in the order of its bytes.  A file may be included more
 * than once, but not by itself. */
#include "config.h"
#include "agent/conf_load.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf_values.h"

enum {
	BLOCK_SIZE = 16 * 1024,
	FILE_LIMIT = 1024 * 1024,
	FILES_LIMIT = 1000,
	SECTIONS_LIMIT = 1000,
	DEPTH_LIMIT = 10,
};

/* The file that is being read, and those that led to it. */
struct chain {
	const struct chain *parent;
	const char *name;
	struct conf_place from; /* the include; line 0: none */
	unsigned depth;
	dev_t dev;
	ino_t ino;
};

static int load_text(struct conf_load *l, const struct chain *file,
		     struct slice text, struct conf_place *where,
		     struct err *e);

void conf_load_init(struct conf_load *l)
{
	*l = (struct conf_load){.top = {.kind = "", .name = ""}};
	arena_init(&l->arena, BLOCK_SIZE);
	l->last_option = &l->top.options;
	l->last_section = &l->sections;
}

void conf_load_fini(struct conf_load *l)
{
	map_fini(&l->names);
	map_fini(&l->options);
	conf_errors_clear(&l->errors);
	arena_fini(&l->arena);
}

/* --- what is given twice ------------------------------------------------- */

static void fail_twice(struct conf_load *l, const struct conf_place *place,
		       const struct conf_place *first, const char *what)
{
	struct err *x = conf_fail(&l->errors, place);

	err_set(x, CODE_conf_value, "%s is given twice", what);
	err_detail(x, "First given at %.300s:%u:%u.", first->file, first->line,
		   first->col);
}

/* Takes an option out of the section when `seen` (name -> option) has it; +=
 * is never too much. */
static int drop_options(struct conf_load *l, struct scan *s,
			struct scan_section *section, struct map *seen,
			struct err *e)
{
	struct scan_option **at = &section->options, *o;
	char what[300];

	while ((o = *at) != NULL) {
		struct scan_option *first = map_get(seen, slice_of(o->name));

		if (first == NULL && map_put(seen, slice_of(o->name), o) != 0)
			return err_no_memory(e);
		if (first == NULL || o->is_append) {
			at = &o->next;
			continue;
		}
		if (section->kind[0] != '\0')
			snprintf(what, sizeof(what),
				 "option \"%.64s\" of %.64s \"%.64s\"", o->name,
				 section->kind, section->name);
		else
			snprintf(what, sizeof(what), "option \"%.64s\"",
				 o->name);
		fail_twice(l, &o->place, &first->place, what);
		scan_blank(s, o->begin, o->end);
		*at = o->next;
	}
	return 0;
}

static int drop_section(struct conf_load *l, struct scan *s,
			struct scan_section *section, struct err *e)
{
	struct scan_section *first;
	struct buf key = BUF_INIT;
	struct slice name;
	char what[200];

	buf_printf(&key, "%s %s", section->kind, section->name);
	name = slice_dup(&l->arena, buf_get(&key));
	buf_fini(&key);
	if (name.p == NULL)
		return err_no_memory(e);
	first = map_get(&l->names, name);
	if (first == NULL)
		return map_put(&l->names, name, section) == 0
			       ? 0
			       : err_no_memory(e);
	snprintf(what, sizeof(what), "%.64s \"%.64s\"", section->kind,
		 section->name);
	fail_twice(l, &section->place, &first->place, what);
	scan_blank(s, section->begin, section->end);
	section->is_duplicate = true;
	return 0;
}

static int drop_duplicates(struct conf_load *l, struct scan *s, struct err *e)
{
	struct scan_section *section = s->sections;

	if (drop_options(l, s, &s->top, &l->options, e) != 0)
		return -1;
	for (; section != NULL; section = section->next) {
		struct map seen = MAP_INIT;
		int rc = drop_options(l, s, section, &seen, e);

		map_fini(&seen);
		if (rc != 0 || drop_section(l, s, section, e) != 0)
			return -1;
	}
	return 0;
}

/* --- files --------------------------------------------------------------- */

/* Where it was included, or nowhere. */
static int fail_file(const struct chain *file, struct conf_place *where,
		     struct err *e, int errnum, const char *what)
{
	*where = file->from;
	err_sys(e, CODE_conf_syntax, errnum, "could not %s conf \"%.300s\"", what,
		file->name);
	if (file->parent == NULL && errnum == ENOENT)
		err_hint(e, "Say which file is the conf: -c FILE, or LEAT_CONF in the environment.");
	return -1;
}

static int fail_include(const struct chain *file, struct conf_place *where,
			struct err *e, const char *why)
{
	*where = file->from;
	return err_set(e, CODE_conf_syntax, "%s: \"%.300s\"", why, file->name);
}

static int check_chain(struct chain *file, const struct stat *st,
		       struct conf_place *where, struct err *e)
{
	if (S_ISDIR(st->st_mode))
		return fail_file(file, where, e, EISDIR, "read");
	if (file->parent != NULL && !S_ISREG(st->st_mode))
		return fail_include(file, where, e,
				    "included file is not a regular file");
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	for (const struct chain *up = file->parent; up != NULL; up = up->parent)
		if (up->dev == file->dev && up->ino == file->ino)
			return fail_include(file, where, e,
					    "file includes itself");
	return 0;
}

static int read_fd(int fd, struct buf *text)
{
	ssize_t got;

	do {
		if (!buf_room(text, 16 * 1024))
			return ENOMEM;
		got = read(fd, text->p + text->n, 16 * 1024);
		if (got < 0 && errno != EINTR)
			return errno;
		text->n += got > 0 ? (size_t)got : 0;
		if (text->n > FILE_LIMIT)
			return EFBIG;
	} while (got != 0);
	return 0;
}

static int load_file(struct conf_load *l, struct chain *file,
		     struct conf_place *where, struct err *e)
{
	/* a pipe may be the conf itself, but must not be waited for here */
	int wait = file->parent != NULL ? O_NONBLOCK : 0;
	struct buf text = BUF_INIT;
	struct stat st;
	int fd, rc;

	if (file->depth > DEPTH_LIMIT)
		return fail_include(file, where, e,
				    "includes are nested more than 10 deep");
	fd = open(file->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | wait);
	if (fd < 0)
		return fail_file(file, where, e, errno, "open");
	rc = fstat(fd, &st) != 0 ? fail_file(file, where, e, errno, "read")
				 : check_chain(file, &st, where, e);
	if (rc == 0) {
		int errnum = read_fd(fd, &text);

		if (errnum != 0)
			rc = fail_file(file, where, e, errnum, "read");
	}
	close(fd);
	if (rc == 0)
		rc = load_text(l, file, buf_get(&text), where, e);
	buf_fini(&text);
	return rc;
}

/* --- includes ------------------------------------------------------------ */

static int on_glob_error(const char *path, int errnum)
{
	(void)path;
	return errnum != ENOENT && errnum != ENOTDIR;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The pattern, from the folder of the file that includes; in a glob that
 * folder's name stands for itself.  NULL on lack of memory. */
static const char *from_folder(struct conf_load *l, const struct chain *file,
			       const char *pattern, bool is_glob)
{
	const char *slash = strrchr(file->name, '/');
	struct buf path = BUF_INIT;
	const char *copy;

	if (pattern[0] != '/' && slash != NULL) {
		for (const char *p = file->name; p <= slash; p++) {
			if (is_glob && strchr("*?[]\\", *p) != NULL)
				buf_u8(&path, '\\');
			buf_u8(&path, (uint8_t)*p);
		}
	}
	buf_text(&path, pattern);
	copy = path.failed ? NULL : slice_dup(&l->arena, buf_get(&path)).p;
	buf_fini(&path);
	return copy;
}

static int load_include(struct conf_load *l, const struct chain *file,
			const char *name, const struct scan_include *inc,
			struct conf_place *where, struct err *e)
{
	struct chain next = {
		.parent = file,
		.name = slice_dup(&l->arena, slice_of(name)).p,
		.from = inc->place,
		.depth = file->depth + 1,
	};

	return next.name ? load_file(l, &next, where, e) : err_no_memory(e);
}

static int include(struct conf_load *l, const struct chain *file,
		   const struct scan_include *inc, struct conf_place *where,
		   struct err *e)
{
	bool is_glob = strpbrk(inc->pattern, "*?[") != NULL;
	const char *path = from_folder(l, file, inc->pattern, is_glob);
	glob_t found = {0};
	int rc;

	*where = inc->place;
	if (path == NULL)
		return err_no_memory(e);
	if (!is_glob)
		return load_include(l, file, path, inc, where, e);
	rc = glob(path, GLOB_NOSORT, on_glob_error, &found);
	if (rc == GLOB_NOSPACE) {
		rc = err_no_memory(e);
	} else if (rc == GLOB_ABORTED) {
		rc = err_sys(e, CODE_conf_syntax, errno,
			     "could not search \"%.300s\"", path);
	} else {
		rc = 0;
		if (found.gl_pathc > 0)
			qsort(found.gl_pathv, found.gl_pathc,
			      sizeof(*found.gl_pathv), compare);
		for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
			rc = load_include(l, file, found.gl_pathv[i], inc,
					  where, e);
	}
	globfree(&found);
	return rc;
}

/* --- one file ------------------------------------------------------------ */

/* Moves what was found in one file behind what was found before. */
static int take(struct conf_load *l, struct scan *s, struct conf_place *where,
		struct err *e)
{
	*l->last_option = s->top.options;
	while (*l->last_option != NULL)
		l->last_option = &(*l->last_option)->next;
	*l->last_section = s->sections;
	while (*l->last_section != NULL) {
		if (++l->count > SECTIONS_LIMIT) {
			*where = (*l->last_section)->place;
			return err_set(e, CODE_conf_syntax,
				       "more than %d sections", SECTIONS_LIMIT);
		}
		l->last_section = &(*l->last_section)->next;
	}
	return 0;
}

static int load_text(struct conf_load *l, const struct chain *file,
		     struct slice text, struct conf_place *where, struct err *e)
{
	struct scan s = {.arena = &l->arena,
			 .errors = &l->errors,
			 .file = file->name,
			 .nth = l->files++};
	int rc = 0;

	*where = file->from;
	if (s.nth >= FILES_LIMIT)
		return err_set(e, CODE_conf_syntax, "more than %d files",
			       FILES_LIMIT);
	text = slice_dup(&l->arena, text);
	if (text.p == NULL)
		return err_no_memory(e);
	s.text = (char *)text.p;
	s.n = text.n;
	if (conf_scan(&s, where, e) != 0)
		return -1;
	if (drop_duplicates(l, &s, e) != 0 || take(l, &s, where, e) != 0 ||
	    conf_values(&s, where, e) != 0)
		return -1;
	for (struct scan_include *inc = s.includes; inc != NULL && rc == 0;
	     inc = inc->next)
		if (!inc->is_unset)
			rc = include(l, file, inc, where, e);
	return rc;
}

int conf_load_file(struct conf_load *l, const char *path,
		   struct conf_place *where, struct err *e)
{
	struct chain file = {.name = slice_dup(&l->arena, slice_of(path)).p};

	return file.name ? load_file(l, &file, where, e) : err_no_memory(e);
}

int conf_load_text(struct conf_load *l, const char *name, struct slice text,
		   struct conf_place *where, struct err *e)
{
	struct chain file = {.name = slice_dup(&l->arena, slice_of(name)).p};

	return file.name ? load_text(l, &file, text, where, e)
			 : err_no_memory(e);
}
