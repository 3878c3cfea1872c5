/* clock.h: the two clocks.  Deadlines and intervals use the monotonic one, so
 * that a wall clock set back or forward does not disturb them. */
#ifndef LEAT_BASE_CLOCK_H
#define LEAT_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

int64_t clock_mono_ms(void);
/* microseconds since 1970-01-01 UTC */
int64_t clock_wall_us(void);
/* What poll(2) takes: milliseconds from now to the monotonic deadline, 0 when
 * it has passed, -1 for CLOCK_NEVER. */
int clock_poll_ms(int64_t deadline_ms);

#define CLOCK_NEVER INT64_MAX

/* "2026-11-21T03:04:05.678901Z"; returns its length (27, years 0 to 9999). */
#define CLOCK_ISO_SIZE 32
int clock_iso(char out[CLOCK_ISO_SIZE], int64_t wall_us);

/* "2026-11-21T03:04:05.678Z" and shorter: seconds, fraction and time of day may
 * be left out, a space may stand for the T, +01:00 for the Z; without a zone it
 * is UTC.  false for anything else. */
bool clock_parse(struct slice text, int64_t *wall_us);

#endif
