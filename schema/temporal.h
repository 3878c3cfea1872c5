/* temporal.h: the canonical texts of times, read back into numbers.
 *
 * The forms are those of schema/type.h; the calendar is the proleptic Gregorian
 * one, as in PostgreSQL (manual, appendix "Date/Time Support") and in ISO 8601. */
#ifndef LEAT_SCHEMA_TEMPORAL_H
#define LEAT_SCHEMA_TEMPORAL_H

#include <stdint.h>

#include "base/buf.h"

#define DAY_US INT64_C(86400000000)

enum temporal {
	TEMPORAL_OK,
	TEMPORAL_INFINITY,
	TEMPORAL_MINUS_INFINITY,
	TEMPORAL_BAD, /* not of that form */
};

/* A point in time: whole days since 1970-01-01 and microseconds behind that
 * midnight, since the one in the other's unit need not fit 64 bits. */
struct moment {
	int64_t days, us;
};

struct interval {
	int64_t months, days, us;
};

/* "2024-02-29", "0044-03-15 BC"; us is 0. */
enum temporal temporal_date(struct slice s, struct moment *out);
/* "12:34:56.789", up to "24:00:00"; *zone_s is seconds east of Greenwich when
 * "+05:30" stands behind, else 0. */
bool temporal_time(struct slice s, int64_t *us, int32_t *zone_s);
/* "2024-02-29 12:34:56.789", with a zone or without, " BC" last. */
enum temporal temporal_timestamp(struct slice s, struct moment *out);
/* "1 year 2 mons -3 days +04:05:06.7" */
enum temporal temporal_interval(struct slice s, struct interval *out);

/* In units of `unit_us` microseconds since 1970, rounded down; false when that
 * does not fit. */
bool temporal_since_epoch(const struct moment *m, int64_t unit_us, int64_t *out);

/* "2024-02-29", "-0043-03-15", "+12345-06-07": ISO 8601. */
void temporal_print_date(struct buf *b, const struct moment *m);
/* "12:34:56.789": no fraction when it is 0, no zeros at its end. */
void temporal_print_time(struct buf *b, int64_t us);
/* "P1Y2M-3DT4H5M6.7S": each part, also when it is 0, as Debezium has it. */
void temporal_print_interval(struct buf *b, const struct interval *iv);

#endif
