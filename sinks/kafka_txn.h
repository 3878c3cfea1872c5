/* kafka_txn.h: one producer and its transactions.
 *
 * With delivery = exactly_once a commit is one Kafka transaction; with
 * at_least_once it is a flush.
 *
 * librdkafka's producers keep their epoch from one transaction to the next, and
 * it repeats an EndTxn by itself when a connection fails.  One that is late is
 * applied to whatever transaction of that epoch is open then (KAFKA-17754).  So
 * EndTxn requests are counted on their way out, and a producer that sent more
 * than one for a transaction, or whose call failed or took longer than a request
 * may, is not used again: a new one gets a new epoch, which fences every stray
 * request of the old one, and what was committed is read back, never guessed.
 * For the same reason nothing is aborted behind a commit that is in doubt. */
#ifndef LEAT_SINKS_KAFKA_TXN_H
#define LEAT_SINKS_KAFKA_TXN_H

#include "sinks/kafka_conf.h"
#include "sinks/sink.h"

enum kafka_call {
	KAFKA_INIT,
	KAFKA_BEGIN,
	KAFKA_PRODUCE, /* the local queue's answer */
	KAFKA_DELIVER, /* the broker's, by delivery report */
	KAFKA_COMMIT,
};

/* What librdkafka said of a call. */
struct kafka_answer {
	enum kafka_call call;
	rd_kafka_resp_err_t err;
	bool is_fatal, requires_abort, is_retriable;
};

/* The one place that knows what an answer means: the verdict, and the code that
 * goes with it. */
enum verdict kafka_judge(const struct kafka_answer *a, enum code *code);

struct kafka_txn;

/* *Returns owned* or NULL.  open: fences whoever else has the id and ends what
 * they left open.  is_careful: each record goes in a request of its own, so that it
 * is known which one the brokers do not take. */
struct kafka_txn *kafka_txn_open(const struct kafka_conf *c, const char *id,
				 const char *component, bool is_careful,
				 struct err *e);
/* Did the brokers refuse records, and the next producer has to find out which? */
bool kafka_txn_wants_care(const struct kafka_txn *t);
/* A transaction that nobody tried to commit is aborted. */
void kafka_txn_close(struct kafka_txn *t);
rd_kafka_t *kafka_txn_handle(struct kafka_txn *t); /* *borrowed* */

enum verdict kafka_txn_begin(struct kafka_txn *t, struct err *e);
struct kafka_record {
	rd_kafka_topic_t *rkt;
	int32_t partition;
	struct slice key, value; /* p = NULL: none */
	const char *header;	 /* NULL: none */
	struct slice header_value;
	uint64_t seq; /* for messages only */
};

/* Copies it.  Anything but OK leaves the transaction spoiled. */
enum verdict kafka_txn_produce(struct kafka_txn *t, const struct kafka_record *r,
			       struct err *e);
bool kafka_txn_is_open(const struct kafka_txn *t);
/* True from the first try to commit until one has succeeded: then only commit()
 * may be called. */
bool kafka_txn_is_ending(const struct kafka_txn *t);
enum verdict kafka_txn_commit(struct kafka_txn *t, struct err *e);
/* Everything is with the broker; only for at_least_once. */
enum verdict kafka_txn_flush(struct kafka_txn *t, struct err *e);
/* The moment (monotonic) from which on the broker is done with the last one. */
int64_t kafka_txn_rested(const struct kafka_txn *t);

#endif
