/* tip.h: up to where readers may go, and how they learn that it has moved.
 *
 * The writer overwrites the 64 bytes of the file `tip` after each sync, without
 * syncing them: behind the tip there may be more that is durable, never less.
 * Readers wait for the write by inotify, or look ten times a second where there
 * is none. */
#ifndef LEAT_LOG_TIP_H
#define LEAT_LOG_TIP_H

#include "log/frame.h"

/* Makes the file if need be; the descriptor, or -1. */
int tip_create(const char *dir, struct err *e);
int tip_publish(int fd, const struct tip *t, struct err *e) MUST_CHECK;
/* Readers: -1 when there is no such file. */
int tip_open(const char *dir);
/* false when what stands there is no tip. */
bool tip_load(int fd, struct tip *t);

/* Does a process hold the log's lock? */
bool log_is_held(const char *dir);

#endif
