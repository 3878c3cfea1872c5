/* my_text.h: numbers and times as the texts that leat has for them. */
#ifndef LEAT_SOURCES_MY_TEXT_H
#define LEAT_SOURCES_MY_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* A decimal of `precision` digits, `scale` of them behind the point: the bytes
 * it takes, and its text ("-1234.56", at most 70 characters; returns how many, 0
 * when the bytes are none). */
#define MY_DECIMAL_SIZE 72
size_t my_decimal_bytes(unsigned precision, unsigned scale);
size_t my_decimal_print(char out[MY_DECIMAL_SIZE], unsigned precision,
			unsigned scale, struct slice bytes);
/* The shortest text that reads back as the same number, as PostgreSQL lays it
 * out; its length. */
#define MY_FLOAT_SIZE 40
size_t my_float_print(char out[MY_FLOAT_SIZE], double v, bool is_single);
/* The same, of a finite double as MySQL lays it out in JSON: 1.0, 1e20, 1.5e-16. */
size_t my_double_print(char out[MY_FLOAT_SIZE], double v);
/* "2024-02-29 23:59:59.123456", `digits` behind the point, of: year * 13 + month
 * 17 bits, day 5, hour 5, minute 6, second 6; its length. */
#define MY_TIME_SIZE 40
size_t my_datetime_print(char out[MY_TIME_SIZE], uint64_t packed, uint32_t us,
			 unsigned digits);
/* "-12:34:56.789" of: hour 10 bits and more, minute 6, second 6 */
size_t my_duration_print(char out[MY_TIME_SIZE], bool negative, uint32_t packed,
			 uint32_t us, unsigned digits);
size_t my_date_print(char out[MY_TIME_SIZE], unsigned year, unsigned month,
		     unsigned day);

#endif
