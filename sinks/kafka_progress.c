#include "config.h"
#include "sinks/kafka_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "sinks/kafka_admin.h"

#define ASK_MS 10000
/* For how long nothing may come while there should be more. */
#define SILENCE_MS 10000
/* How long transactions of others are waited for. */
#define FOREIGN_MS 5000
#define FORMAT "1"

#define KEY_CURSOR "cursor"
#define KEY_BEGIN "begin"
#define KEY_TRANSACTION "transaction"
#define KEY_TOPIC "topic:"
#define KEY_TABLE "table:"

void kafka_progress_init(struct kafka_progress *p)
{
	*p = (struct kafka_progress){.value = BUF_INIT};
}

void kafka_progress_fini(struct kafka_progress *p)
{
	if (p->rkt != NULL)
		rd_kafka_topic_destroy(p->rkt);
	buf_fini(&p->value);
	buf_fini(&p->transaction);
	kafka_progress_init(p);
}

int kafka_writer_name(char out[KAFKA_WRITER_SIZE], struct err *e)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_set(e, CODE_system, "no random numbers");
	snprintf(out, KAFKA_WRITER_SIZE, "%016" PRIx64 "%016" PRIx64, random[0],
		 random[1]);
	return 0;
}

/* --- reading ------------------------------------------------------------ */

struct reading {
	struct kafka_owner owner;
	struct kafka_progress *p;
	struct registry *reg;
	struct kafka_topics *topics;
	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt;
};

static int unreadable(struct slice key, struct err *e)
{
	err_set(e, CODE_sink_config,
		"the progress topic has a record \"%.*s\" that cannot be read",
		SLICE_ARG(key));
	err_detail(e, "It is not leat's, or of a newer leat.");
	return -1;
}

/* The next "word text" line; what is called `last` has all the rest. */
static bool next_line(struct slice *rest, const char *last, struct slice *word,
		      struct slice *text)
{
	if (rest->n == 0)
		return false;
	*text = *rest;
	*word = slice_cut(text, ' ');
	if (slice_is(*word, last))
		*rest = (struct slice){NULL, 0};
	else {
		*rest = *text;
		*text = slice_cut(rest, '\n');
	}
	return true;
}

static int read_cursor(struct kafka_progress *p, struct slice value,
		       struct err *e)
{
	struct slice rest, word, text;
	bool is_known = false;

	buf_reset(&p->value, SIZE_MAX);
	buf_slice(&p->value, value);
	if (p->value.failed)
		return err_no_memory(e);
	p->cursor = p->open_txn = (struct slice){NULL, 0};
	rest = buf_get(&p->value);
	while (next_line(&rest, "cursor", &word, &text)) {
		if (slice_is(word, "format"))
			is_known = slice_is(text, FORMAT);
		else if (slice_is(word, "commit"))
			is_known &= slice_to_u64(text, &p->commit);
		else if (slice_is(word, "writer"))
			snprintf(p->writer, sizeof(p->writer), "%.*s",
				 SLICE_ARG(text));
		else if (slice_is(word, "agent"))
			p->agent = text;
		else if (slice_is(word, "open_transaction"))
			p->open_txn = text;
		else if (slice_is(word, "cursor"))
			p->cursor = text;
	}
	if (!is_known || p->cursor.n == 0)
		return unreadable(SLICE(KEY_CURSOR), e);
	p->has = true;
	return 0;
}

static int read_transaction(struct kafka_progress *p, struct slice value,
			    struct err *e)
{
	buf_reset(&p->transaction, SIZE_MAX);
	buf_slice(&p->transaction, value);
	return p->transaction.failed ? err_no_memory(e) : 0;
}

static int read_topic(struct kafka_topics *t, struct slice key,
		      struct slice value, struct err *e)
{
	struct slice name = {key.p + sizeof(KEY_TOPIC) - 1,
			     key.n - (sizeof(KEY_TOPIC) - 1)};
	struct slice word, text, table = {NULL, 0};
	int64_t partitions = 0;

	while (next_line(&value, "table", &word, &text)) {
		if (slice_is(word, "table"))
			table = text;
		else if (slice_is(word, "partitions") &&
			 !slice_to_i64(text, &partitions))
			return unreadable(key, e);
	}
	if (partitions < 1 || partitions > INT32_MAX)
		return unreadable(key, e);
	return kafka_topics_remember(t, name, table, (int32_t)partitions, e);
}

static int read_table(struct registry *reg, struct slice value, struct err *e)
{
	struct wire w = wire_of(value);
	struct table *tab = table_decode(&w, e);

	return tab == NULL ? -1 : registry_load(reg, tab, e);
}

static int read_record(struct reading *r, struct slice key, struct slice value,
		       struct err *e)
{
	if (value.p == NULL || slice_is(key, KEY_BEGIN))
		return 0;
	if (slice_is(key, KEY_CURSOR))
		return read_cursor(r->p, value, e);
	if (slice_is(key, KEY_TRANSACTION))
		return read_transaction(r->p, value, e);
	if (slice_has_prefix(key, KEY_TOPIC))
		return read_topic(r->topics, key, value, e);
	if (slice_has_prefix(key, KEY_TABLE))
		return read_table(r->reg, value, e);
	return unreadable(key, e);
}

/* Records until the end that committed reading has; *end gets it. */
static int read_all(struct reading *r, int64_t *end, struct err *e)
{
	for (;;) {
		rd_kafka_message_t *m = rd_kafka_consume(r->rkt, 0, SILENCE_MS);
		rd_kafka_resp_err_t err = m ? m->err
					    : RD_KAFKA_RESP_ERR__TIMED_OUT;
		int rc = 0;

		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			rc = read_record(r, (struct slice){m->key, m->key_len},
					 (struct slice){m->payload, m->len}, e);
		else if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			*end = m->offset;
		else
			rc = err_set(e, CODE_sink_unreachable,
				     "topic \"%s\" could not be read: %s",
				     rd_kafka_topic_name(r->rkt),
				     m ? rd_kafka_message_errstr(m)
				       : rd_kafka_err2str(err));
		if (m != NULL)
			rd_kafka_message_destroy(m);
		if (rc != 0 || err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			return rc;
	}
}

static int ask_bounds(struct reading *r, int64_t *low, int64_t *stable,
		      struct err *e)
{
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(
		r->rk, rd_kafka_topic_name(r->rkt), 0, low, stable, ASK_MS);

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(e, CODE_sink_unreachable,
		       "topic \"%s\": its bounds could not be asked: %s",
		       rd_kafka_topic_name(r->rkt), rd_kafka_err2str(err));
}

/* Once to the end of what is committed; 1 when something open lies behind it. */
static int read_once(struct reading *r, int64_t *end, struct err *e)
{
	int64_t low, stable, high = -1;
	int rc;

	if (ask_bounds(r, &low, &stable, e) != 0)
		return -1;
	/* a number, because asking for "the beginning" costs another 500 ms */
	if (rd_kafka_consume_start(r->rkt, 0, low) != 0)
		return err_set(e, CODE_sink_unreachable,
			       "topic \"%s\" could not be read: %s",
			       rd_kafka_topic_name(r->rkt),
			       rd_kafka_err2str(rd_kafka_last_error()));
	rc = read_all(r, end, e);
	/* behind a fetch this is the end of everything, committed or not */
	rd_kafka_get_watermark_offsets(r->rk, rd_kafka_topic_name(r->rkt), 0,
				       &low, &high);
	rd_kafka_consume_stop(r->rkt, 0);
	if (rc != 0)
		return rc;
	/* who has just become leader may learn late how far is committed; the
	 * bounds do not go back (KIP-207), but what can be fetched does */
	if (*end < stable)
		return err_set(e, CODE_sink_unreachable,
			       "topic \"%s\" was read up to offset %" PRId64 " only, and goes on to %" PRId64,
			       rd_kafka_topic_name(r->rkt), *end, stable);
	return high > *end;
}

static int open_reader(struct reading *r, const struct kafka_conf *c,
		       const char *topic, const char *level, struct err *e)
{
	const char *const settings[][2] = {
		{"isolation.level", level},
		{"enable.partition.eof", "true"},
		{"fetch.wait.max.ms", "10"},
		{"fetch.error.backoff.ms", "20"},
		/* what was deleted meanwhile is an error and not the end */
		{"auto.offset.reset", "error"},
		{"check.crcs", "true"},
	};
	rd_kafka_conf_t *rkc = kafka_conf_make(c, RD_KAFKA_CONSUMER, &r->owner,
					       e);

	if (rkc == NULL)
		return -1;
	for (size_t i = 0; i < countof(settings); i++)
		if (kafka_conf_set(rkc, settings[i][0], settings[i][1], e) != 0) {
			rd_kafka_conf_destroy(rkc);
			return -1;
		}
	r->rk = kafka_handle_new(RD_KAFKA_CONSUMER, rkc, e);
	if (r->rk == NULL)
		return -1;
	r->rkt = rd_kafka_topic_new(r->rk, topic, NULL);
	if (r->rkt == NULL)
		return err_set(e, CODE_sink_config, "topic \"%s\": %s", topic,
			       rd_kafka_err2str(rd_kafka_last_error()));
	return 0;
}

static void close_reader(struct reading *r)
{
	if (r->rkt != NULL)
		rd_kafka_topic_destroy(r->rkt);
	if (r->rk != NULL)
		rd_kafka_destroy(r->rk);
}

/* Who wrote at or behind the offset what is not committed; "" when that cannot
 * be found out. */
static void find_foreign(const struct reading *r, const struct kafka_conf *c,
			 int64_t offset, char *agent, size_t size)
{
	struct reading open = {.owner = r->owner};
	struct err ignored = ERR_INIT;
	rd_kafka_message_t *m = NULL;

	agent[0] = '\0';
	if (open_reader(&open, c, rd_kafka_topic_name(r->rkt),
			"read_uncommitted", &ignored) == 0 &&
	    rd_kafka_consume_start(open.rkt, 0, offset) == 0) {
		m = rd_kafka_consume(open.rkt, 0, SILENCE_MS);
		if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			snprintf(agent, size, "%.*s", (int)m->len,
				 m->payload ? (char *)m->payload : "");
		if (m != NULL)
			rd_kafka_message_destroy(m);
		rd_kafka_consume_stop(open.rkt, 0);
	}
	close_reader(&open);
	agent[strcspn(agent, "\n")] = '\0';
}

static int read_to_end(struct reading *r, const struct kafka_conf *c,
		       struct err *e)
{
	int64_t until = clock_mono_ms() + FOREIGN_MS, end = 0;
	char agent[300];
	int rc;

	while ((rc = read_once(r, &end, e)) == 1 && clock_mono_ms() < until)
		usleep(50000);
	if (rc != 1)
		return rc;
	find_foreign(r, c, end, agent, sizeof(agent));
	err_set(e, CODE_sink_unreachable,
		"topic \"%s\": another producer (%s) has a transaction open at offset %" PRId64,
		rd_kafka_topic_name(r->rkt), agent, end);
	err_detail(e, "What it holds is not known before it ends or times out.");
	/* Kafka 4.3.1 forgets to end those of partitions without a leader */
	err_hint(e, "If it outlives every timeout, the brokers have lost it: `kafka-transactions.sh --bootstrap-server %s abort --topic %s --partition 0 --start-offset %" PRId64 "` ends it, and find-hanging --broker-id N lists those of other partitions.",
		 c->brokers, rd_kafka_topic_name(r->rkt), end);
	return -1;
}

int kafka_progress_read(struct kafka_progress *p, const struct kafka_conf *c,
			const char *topic, const char *component, bool to_end,
			struct registry *reg, struct kafka_topics *t,
			struct err *e)
{
	struct reading r = {.owner = {.component = component}, .p = p, .reg = reg,
			    .topics = t};
	int64_t end;
	int n = -1;

	p->has = false;
	p->open_txn = (struct slice){NULL, 0};
	/* one that was claimed is there, although not each broker may know it */
	if (open_reader(&r, c, topic, "read_committed", e) == 0)
		n = to_end ? kafka_admin_await(r.rk, r.rkt, e)
			   : kafka_admin_partitions(r.rk, r.rkt, e);
	if (n > 1)
		n = err_set(e, CODE_sink_config,
			    "topic \"%s\" must have one partition, and has %d",
			    topic, n);
	if (n > 0 && to_end)
		n = read_to_end(&r, c, e);
	else if (n > 0)
		n = read_once(&r, &end, e) < 0 ? -1 : 0;
	close_reader(&r);
	return n;
}

/* --- writing ------------------------------------------------------------ */

int kafka_progress_claim(struct kafka_progress *p, const struct kafka_conf *c,
			 rd_kafka_t *rk, const char *topic, struct err *e)
{
	int n;

	p->rkt = rd_kafka_topic_new(rk, topic, NULL);
	if (p->rkt == NULL)
		return err_set(e, CODE_sink_config, "topic \"%s\": %s", topic,
			       rd_kafka_err2str(rd_kafka_last_error()));
	if (c->create_topics &&
	    kafka_admin_create(rk, topic, 1, (int)c->replication, "compact",
			       e) != 0)
		return -1;
	n = c->create_topics ? kafka_admin_await(rk, p->rkt, e)
			     : kafka_admin_partitions(rk, p->rkt, e);
	if (n == 0) {
		err_set(e, CODE_topic_missing, "topic \"%s\" does not exist",
			topic);
		err_hint(e, "Make it, with one partition and cleanup.policy=compact, or say create_topics = yes.");
	}
	return n > 0 ? 0 : -1;
}

static void put_agent(struct buf *out)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	buf_printf(out, "agent %s\n", host);
}

static enum verdict put(struct kafka_progress *p, struct kafka_txn *txn,
			struct buf *key, struct buf *value, struct err *e)
{
	struct kafka_record r = {.rkt = p->rkt, .key = buf_get(key),
				 .value = buf_get(value)};
	enum verdict v = VERDICT_RETRY;

	if (key->failed || value->failed)
		err_no_memory(e);
	else
		v = kafka_txn_produce(txn, &r, e);
	buf_fini(key);
	buf_fini(value);
	return v;
}

enum verdict kafka_progress_put_begin(struct kafka_progress *p,
				      struct kafka_txn *txn, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;

	buf_text(&key, KEY_BEGIN);
	put_agent(&value);
	return put(p, txn, &key, &value, e);
}

enum verdict kafka_progress_put_transaction(struct kafka_progress *p,
					    struct kafka_txn *txn,
					    struct slice stored, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;

	buf_text(&key, KEY_TRANSACTION);
	buf_slice(&value, stored);
	return put(p, txn, &key, &value, e);
}

enum verdict kafka_progress_put_table(struct kafka_progress *p,
				      struct kafka_txn *txn,
				      const struct table *tab, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;

	buf_text(&key, KEY_TABLE);
	buf_slice(&key, tab->full_name);
	table_encode(tab, &value);
	return put(p, txn, &key, &value, e);
}

static enum verdict put_topic(struct kafka_progress *p, struct kafka_txn *txn,
			      const struct kafka_note *note, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;

	buf_text(&key, KEY_TOPIC);
	buf_slice(&key, note->topic);
	buf_printf(&value, "partitions %" PRId32, note->partitions);
	if (note->table.n > 0) {
		buf_text(&value, "\ntable ");
		buf_slice(&value, note->table);
	}
	return put(p, txn, &key, &value, e);
}

enum verdict kafka_progress_put_topics(struct kafka_progress *p,
				       struct kafka_txn *txn,
				       struct kafka_topics *t, struct err *e)
{
	struct map_entry *ent;
	enum verdict v;

	for (size_t i = 0;
	     t->nnew > 0 && (ent = map_next(&t->by_topic, &i)) != NULL;) {
		struct kafka_note *note = ent->value;

		if (!note->is_new)
			continue;
		v = put_topic(p, txn, note, e);
		if (v != VERDICT_OK)
			return v;
		note->is_new = false;
		t->nnew--;
	}
	return VERDICT_OK;
}

enum verdict kafka_progress_put_cursor(struct kafka_progress *p,
				       struct kafka_txn *txn, struct slice text,
				       struct slice open_txn, uint64_t commit,
				       const char *writer, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;

	buf_text(&key, KEY_CURSOR);
	buf_printf(&value, "format " FORMAT "\ncommit %" PRIu64 "\nwriter %s\n",
		   commit, writer);
	put_agent(&value);
	if (open_txn.n > 0) {
		buf_text(&value, "open_transaction ");
		buf_slice(&value, open_txn);
		buf_u8(&value, '\n');
	}
	buf_text(&value, "cursor ");
	buf_slice(&value, text);
	return put(p, txn, &key, &value, e);
}
