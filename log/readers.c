#include "config.h"
#include "log/readers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "log/segment.h"

#define CURSOR_MAX 4096u

void log_place_print(const struct log_place *p, struct buf *out)
{
	char uuid[UUID_TEXT_SIZE];

	uuid_print(p->uuid, uuid);
	buf_printf(out, "log uuid=%s seq=%" PRIu64 " crc=%08" PRIX32, uuid,
		   p->seq, p->crc);
}

static bool take_field(struct slice *rest, const char *name, struct slice *value)
{
	struct slice field = slice_cut(rest, ' ');
	size_t n = strlen(name);

	if (!slice_has_prefix(field, name))
		return false;
	*value = (struct slice){field.p + n, field.n - n};
	return true;
}

bool log_place_parse(struct slice text, struct log_place *p)
{
	struct slice rest = text, uuid, seq, crc;
	uint64_t n;

	if (!slice_is(slice_cut(&rest, ' '), "log") ||
	    !take_field(&rest, "uuid=", &uuid) ||
	    !take_field(&rest, "seq=", &seq) ||
	    !take_field(&rest, "crc=", &crc) || rest.n > 0 ||
	    !uuid_parse(uuid, p->uuid) || !slice_to_u64(seq, &p->seq) ||
	    !slice_hex_to_u64(crc, &n) || n > UINT32_MAX)
		return false;
	p->crc = (uint32_t)n;
	return true;
}

bool reader_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 200 || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("_-.", name[i]) == NULL)
			return false;
	return true;
}

/* Locks and half-written cursors lie beside the cursors. */
static bool is_cursor_file(const char *name)
{
	size_t n = strlen(name);

	return reader_name_is_valid(name) &&
	       (n < 5 || strcmp(name + n - 5, ".lock") != 0) &&
	       (n < 4 || strcmp(name + n - 4, ".tmp") != 0);
}

static int reader_path(char out[LOG_PATH_MAX], const char *dir,
		       const char *name, const char *suffix, struct err *e)
{
	int n = snprintf(out, LOG_PATH_MAX, "%s/readers/%s%s", dir, name, suffix);

	if (n < 0 || n >= LOG_PATH_MAX)
		return err_sys(e, CODE_log_io, ENAMETOOLONG,
			       "could not open \"%.100s...\"", dir);
	return 0;
}

int reader_store(const char *dir, const char *name, struct slice cursor,
		 struct err *e)
{
	char path[LOG_PATH_MAX], temp[LOG_PATH_MAX];
	int fd, rc = -1;

	if (reader_path(path, dir, name, "", e) != 0 ||
	    reader_path(temp, dir, name, ".tmp", e) != 0)
		return -1;
	fd = file_open(temp, O_WRONLY | O_CREAT | O_TRUNC, e);
	if (fd < 0)
		return -1;
	if (file_write_at(fd, cursor.p, cursor.n, 0, e) == 0 &&
	    file_write_at(fd, "\n", 1, cursor.n, e) == 0 &&
	    file_sync(fd, e) == 0)
		rc = 0;
	close(fd);
	return rc == 0 ? file_rename(temp, path, e) : -1;
}

int readers_sync(const char *dir, struct err *e)
{
	char path[LOG_PATH_MAX];

	return log_path(path, dir, "readers", e) != 0 ? -1
						       : file_sync_dir(path, e);
}

int reader_load(const char *dir, const char *name, struct buf *out,
		struct err *e)
{
	char path[LOG_PATH_MAX], text[CURSOR_MAX];
	size_t got;
	int fd, rc;

	if (reader_path(path, dir, name, "", e) != 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(e, CODE_log_io, errno, "could not open \"%s\"",
			       path);
	rc = file_read_at(fd, text, sizeof(text), 0, &got, e);
	close(fd);
	if (rc != 0)
		return -1;
	if (got > 0 && text[got - 1] == '\n')
		got--;
	buf_put(out, text, got);
	return out->failed ? err_no_memory(e) : 1;
}

bool reader_is_held(const char *dir, const char *name)
{
	char path[LOG_PATH_MAX];
	struct err e = ERR_INIT;

	return reader_path(path, dir, name, ".lock", &e) == 0 &&
	       file_is_locked(path);
}

int reader_remove(const char *dir, const char *name, struct err *e)
{
	static const char *const suffixes[] = {"", ".tmp", ".lock"};
	char path[LOG_PATH_MAX];

	for (size_t i = 0; i < countof(suffixes); i++)
		if (reader_path(path, dir, name, suffixes[i], e) != 0 ||
		    file_remove(path, e) != 0)
			return -1;
	return readers_sync(dir, e);
}

int readers_each(const char *dir,
		 int (*f)(void *arg, const char *name, struct slice cursor),
		 void *arg, struct err *e)
{
	char path[LOG_PATH_MAX];
	struct buf text = BUF_INIT;
	struct dirent *ent;
	int rc = 0;
	DIR *d;

	if (log_path(path, dir, "readers", e) != 0)
		return -1;
	d = opendir(path);
	if (d == NULL)
		return errno == ENOENT ? 0
				       : err_sys(e, CODE_log_io, errno,
						 "could not open directory \"%s\"",
						 path);
	while (rc == 0 && (ent = readdir(d)) != NULL) {
		if (!is_cursor_file(ent->d_name))
			continue;
		buf_reset(&text, SIZE_MAX);
		rc = reader_load(dir, ent->d_name, &text, e);
		if (rc > 0)
			rc = f(arg, ent->d_name, buf_get(&text));
	}
	closedir(d);
	buf_fini(&text);
	return rc;
}
