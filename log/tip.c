#include "config.h"
#include "log/tip.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "log/segment.h"

int tip_create(const char *dir, struct err *e)
{
	char path[LOG_PATH_MAX];

	if (log_path(path, dir, "tip", e) != 0)
		return -1;
	return file_open(path, O_RDWR | O_CREAT, e);
}

int tip_publish(int fd, const struct tip *t, struct err *e)
{
	uint8_t bytes[TIP_SIZE];

	tip_encode(t, bytes);
	return file_write_at(fd, bytes, sizeof(bytes), 0, e);
}

int tip_open(const char *dir)
{
	char path[LOG_PATH_MAX];
	struct err e = ERR_INIT;

	if (log_path(path, dir, "tip", &e) != 0)
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A write of 64 bytes can be seen half done, but not again and again. */
bool tip_load(int fd, struct tip *t)
{
	uint8_t bytes[TIP_SIZE];
	struct err e = ERR_INIT;
	size_t got;

	for (int attempt = 0; attempt < 100; attempt++)
		if (file_read_at(fd, bytes, sizeof(bytes), 0, &got, &e) == 0 &&
		    got == sizeof(bytes) && tip_decode(bytes, t))
			return true;
	return false;
}

bool log_is_held(const char *dir)
{
	char path[LOG_PATH_MAX];
	struct err e = ERR_INIT;

	return log_path(path, dir, "lock", &e) == 0 && file_is_locked(path);
}
