/* kafka_records.h: the records of one call of the agent's.
 *
 * They are all made before the first is sent, which is when topics are found or
 * made, schemas get their numbers and sizes are looked at: what fails there
 * fails with nothing taken. */
#ifndef LEAT_SINKS_KAFKA_RECORDS_H
#define LEAT_SINKS_KAFKA_RECORDS_H

#include "schema/encode.h"
#include "sinks/kafka_topics.h"
#include "sinks/kafka_txn.h"

/* One record; its bytes are in kafka_records.bytes. */
struct kafka_out {
	const struct kafka_route *route;
	const struct event *ev; /* *borrowed* */
	size_t key_at, key_n, value_at, value_n;
	size_t with_at, with_n; /* the header's value, n = 0: none */
	const char *header;
	bool is_tombstone;
};

struct kafka_records {
	struct buf bytes;
	struct kafka_out *out;
	size_t n, cap;
};

void kafka_records_fini(struct kafka_records *c);
void kafka_records_reset(struct kafka_records *c);
/* What an event was encoded to.  CODE_event_rejected when it is larger than
 * most. */
int kafka_records_add(struct kafka_records *c, const struct kafka_conf *conf,
		   size_t most, const struct kafka_route *route,
		   const struct event *ev, const struct encoded *enc,
		   struct err *e) MUST_CHECK;
enum verdict kafka_records_send(const struct kafka_records *c,
			     const struct kafka_out *out, struct kafka_txn *txn,
			     struct err *e);

#endif
