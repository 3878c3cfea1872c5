/* connect_value.h: the conversions that connect_type_of() chooses from.
 *
 * Each takes a value's text (or bytes) and fills *out: 0, or -1 when the type
 * cannot carry it; a lack of memory shows in scratch. */
#ifndef LEAT_SCHEMA_CONNECT_VALUE_H
#define LEAT_SCHEMA_CONNECT_VALUE_H

#include "schema/connect.h"

typedef int connect_fn(const struct connect_type *t, struct slice text,
		       struct buf *scratch, struct connect_value *out);

connect_fn connect_to_bits;
connect_fn connect_to_bool;
connect_fn connect_to_bytes;
connect_fn connect_to_bytes_of_hex;
connect_fn connect_to_days;
connect_fn connect_to_decimal;
connect_fn connect_to_double;
connect_fn connect_to_duration;
connect_fn connect_to_hstore;
connect_fn connect_to_int;
connect_fn connect_to_iso_date;
connect_fn connect_to_iso_duration;
connect_fn connect_to_iso_time;
connect_fn connect_to_iso_timestamp;
connect_fn connect_to_list;
connect_fn connect_to_money;
connect_fn connect_to_money_number;
connect_fn connect_to_point;
connect_fn connect_to_text;
connect_fn connect_to_time;
connect_fn connect_to_timestamp;
connect_fn connect_to_variable_decimal;

#endif
