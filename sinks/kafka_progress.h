/* kafka_progress.h: where a pipeline stands, in a topic of its own.
 *
 * One partition, compacted.  Keys, and values as lines "word text" (of which the
 * last one goes to the end, whatever it holds):
 *
 *	transaction	of open_transaction: what has been counted (kafka_meta.c)
 *	cursor		format 1, commit N, writer W, agent HOST,
 *			[open_transaction ID,] cursor leat1 ...
 *	begin		agent HOST: the first record of each transaction
 *	topic:NAME	partitions N[, table FULL_NAME]
 *	table:FULL_NAME	the version of the table's shape, in its stored form
 *
 * The record `cursor` is the last one of each transaction.  commit counts them;
 * writer is who wrote it, new with each sink that is opened.  open_transaction is
 * there when the commit had to end inside a transaction of the source: a reader
 * who wants only whole ones waits for the next record without it. */
#ifndef LEAT_SINKS_KAFKA_PROGRESS_H
#define LEAT_SINKS_KAFKA_PROGRESS_H

#include "sinks/kafka_topics.h"
#include "sinks/kafka_txn.h"

#define KAFKA_WRITER_SIZE 33

struct kafka_progress {
	bool has; /* a cursor record */
	struct buf value; /* what the slices point into */
	struct slice cursor, agent;
	struct slice open_txn; /* empty: the cursor stands behind whole ones */
	uint64_t commit;
	char writer[KAFKA_WRITER_SIZE];
	struct buf transaction; /* what was put last */
	/* private */
	rd_kafka_topic_t *rkt; /* of the producer */
};

void kafka_progress_init(struct kafka_progress *p);
void kafka_progress_fini(struct kafka_progress *p);
/* A new name for a writer. */
int kafka_writer_name(char out[KAFKA_WRITER_SIZE], struct err *e);

/* Reads what is committed in the topic, by a handle of its own: cursor, table
 * versions into reg, notes of topics into t.  A topic that does not exist holds
 * nothing.  to_end: it was claimed, so it exists; transactions that are open there
 * are waited for a little, and whose they are is said. */
int kafka_progress_read(struct kafka_progress *p, const struct kafka_conf *c,
			const char *topic, const char *component, bool to_end,
			struct registry *reg, struct kafka_topics *t,
			struct err *e);
/* Makes sure of the topic, by the producer. */
int kafka_progress_claim(struct kafka_progress *p, const struct kafka_conf *c,
			 rd_kafka_t *rk, const char *topic, struct err *e);

/* Into the open transaction.  put_begin() comes first: it says to whoever finds a
 * transaction open whose it is, and has the progress topic made known to it in the
 * same request as the others, not in one more before the commit. */
enum verdict kafka_progress_put_begin(struct kafka_progress *p,
				      struct kafka_txn *txn, struct err *e);
enum verdict kafka_progress_put_transaction(struct kafka_progress *p,
					    struct kafka_txn *txn,
					    struct slice stored, struct err *e);
enum verdict kafka_progress_put_table(struct kafka_progress *p,
				      struct kafka_txn *txn,
				      const struct table *tab, struct err *e);
enum verdict kafka_progress_put_topics(struct kafka_progress *p,
				       struct kafka_txn *txn,
				       struct kafka_topics *t, struct err *e);
/* text: the cursor's text form; open_txn: empty when whole. */
enum verdict kafka_progress_put_cursor(struct kafka_progress *p,
				       struct kafka_txn *txn, struct slice text,
				       struct slice open_txn, uint64_t commit,
				       const char *writer, struct err *e);

#endif
