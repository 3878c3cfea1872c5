/* decimal.h: exact decimals, from their text to what Kafka Connect's Decimal and
 * Avro's decimal carry: an unscaled integer as big-endian two's complement, and
 * a scale beside it. */
#ifndef LEAT_SCHEMA_DECIMAL_H
#define LEAT_SCHEMA_DECIMAL_H

#include <stdint.h>

#include "base/buf.h"

/* "-12.340": an optional sign, digits, perhaps a point and digits; no exponent. */
bool decimal_is(struct slice text);
/* Digits behind the point. */
int32_t decimal_scale(struct slice text);
/* Appends text * 10^scale, as few bytes as hold it.  False when that is no
 * integer or text is no decimal; a lack of memory shows in the buffer. */
bool decimal_unscaled(struct slice text, int32_t scale, struct buf *out);

#endif
