#include "config.h"
#include "sinks/kafka_txn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"

#define INIT_MS 10000
/* Of it at once, to hear why nobody answers. */
#define INIT_SLICE_MS 500
#define INIT_PAUSE_MS 20
#define FLUSH_MS 30000
#define ABORT_MS 3000
/* How long the local queue may stay full. */
#define FULL_MS 10
/* How long a request is waited for before a flush. */
#define ANSWER_MS 100
/* Records between two looks at what has been delivered. */
#define LOOK_EVERY 1000
#define SLOTS 256

/* How long the broker goes on writing markers when EndTxn is answered.  A partition
 * that is announced earlier is turned away, and again only after a fixed 20 ms. */
#define SETTLE_MS 3
/* From one commit to the next. */
#define BETWEEN_MS 5
#define API_END_TXN 26 /* Kafka's protocol, "API keys" */

struct kafka_txn {
	struct kafka_owner owner;
	const struct kafka_conf *conf;
	rd_kafka_t *rk;
	bool is_open;	/* something was or may have been produced */
	bool is_ending; /* a commit was tried */
	bool is_spoiled;
	bool is_careful; /* each record is in a request of its own */
	bool wants_care; /* some record is at fault, nobody knows which */
	int64_t begun_ms, ended_ms;
	int64_t request_ms; /* longer than this no request is waited for */
	unsigned unlooked;
	/* Bytes of keys and values that are not delivered, by partition (by its
	 * hash); how many slots have more than goes into one request. */
	size_t request_bytes, undelivered[SLOTS];
	unsigned nlarge;
	atomic_uint ends_sent; /* of the transaction; by librdkafka's threads */

	/* the first record that the broker did not take; written while polling */
	rd_kafka_resp_err_t failed;
	uint64_t failed_seq;
	char failed_topic[256];
};

/* --- what answers mean -------------------------------------------------- */

static bool is_setting(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
	case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
	case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
	case RD_KAFKA_RESP_ERR__INVALID_ARG:
	case RD_KAFKA_RESP_ERR__NOT_CONFIGURED:
		return true;
	default:
		return false;
	}
}

static bool is_refusal(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
		return true;
	default:
		return false;
	}
}

/* The record itself is at fault, and will be each time. */
static bool is_record(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
	       err == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
	       err == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

/* The order of the tests is that of librdkafka's manual: fatal, abortable,
 * retriable; none of them counts as fatal.  Fatal and abortable come out alike:
 * an abort would be as much in doubt as the commit was, so the producer is
 * replaced in both cases.  _FENCED is no exception: librdkafka says it of a
 * transaction that outlived its own timeout as well, and only the read-back
 * knows which it was. */
enum verdict kafka_judge(const struct kafka_answer *a, enum code *code)
{
	*code = CODE_none;
	if (a->err == RD_KAFKA_RESP_ERR_NO_ERROR && !a->is_fatal)
		return VERDICT_OK;
	if (is_record(a->err)) {
		*code = CODE_event_rejected;
		return VERDICT_REJECT;
	}
	if (is_setting(a->err)) {
		*code = CODE_sink_config;
		return VERDICT_FATAL;
	}
	if (a->call == KAFKA_INIT) {
		*code = is_refusal(a->err) ? CODE_sink_refused
					   : CODE_sink_unreachable;
		return VERDICT_RETRY;
	}
	if (a->call == KAFKA_PRODUCE && a->err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return VERDICT_AGAIN;
	*code = is_refusal(a->err) ? CODE_sink_refused : CODE_sink_doubt;
	if (!a->is_fatal && !a->requires_abort && a->is_retriable) {
		*code = CODE_sink_unreachable;
		return VERDICT_RETRY;
	}
	return VERDICT_REWIND;
}

static enum verdict fail(struct kafka_txn *t, const struct kafka_answer *a,
			 const char *text, struct err *e)
{
	static const char *const what[] = {
		[KAFKA_INIT] = "could not begin as a producer",
		[KAFKA_BEGIN] = "could not begin a transaction",
		[KAFKA_PRODUCE] = "a record was not taken",
		[KAFKA_DELIVER] = "a record was not delivered",
		[KAFKA_COMMIT] = "could not commit a transaction",
	};
	enum code code;
	enum verdict v = kafka_judge(a, &code);

	if (v == VERDICT_REWIND)
		t->is_spoiled = true;
	if (v != VERDICT_OK && v != VERDICT_AGAIN)
		err_set(e, code, "%s: %s (%s)", what[a->call], text,
			rd_kafka_err2name(a->err));
	if (code_kind(code) == CODE_RETRY && code != CODE_none)
		kafka_conf_explain(t->rk, e);
	return v;
}

/* *Takes* error. */
static enum verdict settle(struct kafka_txn *t, enum kafka_call call,
			   rd_kafka_error_t *error, struct err *e)
{
	struct kafka_answer a = {.call = call};
	enum verdict v;

	if (error == NULL)
		return VERDICT_OK;
	a.err = rd_kafka_error_code(error);
	a.is_fatal = rd_kafka_error_is_fatal(error);
	a.requires_abort = rd_kafka_error_txn_requires_abort(error);
	a.is_retriable = rd_kafka_error_is_retriable(error);
	v = fail(t, &a, rd_kafka_error_string(error), e);
	rd_kafka_error_destroy(error);
	return v;
}

/* The delivery that failed is the reason, what the call said the consequence.  A
 * broker refuses all that came in one request with a record that it does not take:
 * the next producer sends them one by one, and then it is known. */
static enum verdict undelivered(struct kafka_txn *t, struct err *e)
{
	struct kafka_answer a = {.call = KAFKA_DELIVER, .err = t->failed};
	enum verdict v;
	char text[400];

	snprintf(text, sizeof(text), "seq %" PRIu64 ", topic \"%s\": %s",
		 t->failed_seq, t->failed_topic, rd_kafka_err2str(t->failed));
	*e = ERR_INIT;
	v = fail(t, &a, text, e);
	t->is_spoiled = true;
	if (v != VERDICT_REJECT)
		return v;
	e->seq = t->failed_seq;
	t->wants_care = !t->is_careful;
	if (!t->wants_care)
		return v;
	e->code = CODE_sink_doubt;
	return VERDICT_REWIND;
}

/* --- what is on its way --------------------------------------------------- */

static size_t *slot_of(struct kafka_txn *t, const rd_kafka_topic_t *rkt,
		       int32_t partition)
{
	size_t h = (uintptr_t)rkt / 64 * 31 + (size_t)partition;

	return &t->undelivered[h % SLOTS];
}

static void note_sent(struct kafka_txn *t, const rd_kafka_topic_t *rkt,
		    int32_t partition, size_t n)
{
	size_t *slot = slot_of(t, rkt, partition);

	t->nlarge += *slot <= t->request_bytes && *slot + n > t->request_bytes;
	*slot += n;
}

static void note_delivered(struct kafka_txn *t, const rd_kafka_message_t *m)
{
	size_t *slot = slot_of(t, m->rkt, m->partition), n = m->len + m->key_len;

	t->nlarge -= *slot > t->request_bytes && *slot - n <= t->request_bytes;
	*slot -= n;
}

/* --- callbacks ---------------------------------------------------------- */

/* By a thread of librdkafka. */
static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int fd, const char *broker,
				   int32_t id, int16_t api, int16_t version,
				   int32_t corr, size_t size, void *opaque)
{
	struct kafka_txn *t = opaque;

	(void)rk, (void)fd, (void)broker, (void)id;
	(void)version, (void)corr, (void)size;
	if (api == API_END_TXN) {
		atomic_fetch_add(&t->ends_sent, 1);
		fault(FAULT_kafka_sent);
	}
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf,
				  void *opaque, char *why, size_t size)
{
	(void)conf, (void)why, (void)size;
	return rd_kafka_interceptor_add_on_request_sent(rk, "leat", on_sent,
							opaque);
}

/* By our own thread, in poll, flush and commit.  Successes are of interest too:
 * flush looks only every 10 ms whether all is delivered, unless a report wakes it. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_txn *t = opaque;

	note_delivered(t, m);
	/* what is thrown away with a transaction is not why it failed */
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
	    t->failed != RD_KAFKA_RESP_ERR_NO_ERROR ||
	    m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
	    m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		return;
	/* the rest would wait until it is too old */
	if (t->conf->delivery == DELIVERY_EXACTLY_ONCE)
		rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE |
					   RD_KAFKA_PURGE_F_NON_BLOCKING);
	t->failed = m->err;
	t->failed_seq = (uint64_t)(uintptr_t)m->_private;
	snprintf(t->failed_topic, sizeof(t->failed_topic), "%s",
		 m->rkt ? rd_kafka_topic_name(m->rkt) : "");
}

/* --- life --------------------------------------------------------------- */

static rd_kafka_conf_t *make_conf(struct kafka_txn *t, const char *id,
				  struct err *e)
{
	rd_kafka_conf_t *rkc = kafka_conf_make(t->conf, RD_KAFKA_PRODUCER,
					       &t->owner, e);
	char timeout[32];
	int rc;

	if (rkc == NULL)
		return NULL;
	rd_kafka_conf_set_dr_msg_cb(rkc, on_delivery);
	rd_kafka_conf_interceptor_add_on_new(rkc, "leat", on_new, t);
	rc = kafka_conf_set(rkc, "delivery.report.only.error", "false", e);
	if (t->is_careful)
		rc |= kafka_conf_set(rkc, "batch.num.messages", "1", e);
	if (t->conf->delivery == DELIVERY_AT_LEAST_ONCE) {
		rc |= kafka_conf_set(rkc, "enable.idempotence", "true", e);
	} else {
		snprintf(timeout, sizeof(timeout), "%" PRId64,
			 t->conf->transaction_timeout);
		rc |= kafka_conf_set(rkc, "transactional.id", id, e);
		rc |= kafka_conf_set(rkc, "transaction.timeout.ms", timeout, e);
	}
	if (rc == 0)
		return rkc;
	rd_kafka_conf_destroy(rkc);
	return NULL;
}

static rd_kafka_error_t *init(struct kafka_txn *t)
{
	int64_t until = clock_mono_ms() + INIT_MS;

	for (;;) {
		rd_kafka_error_t *error = rd_kafka_init_transactions(
			t->rk, INIT_SLICE_MS);

		if (error == NULL || !rd_kafka_error_is_retriable(error))
			return error;
		rd_kafka_poll(t->rk, INIT_PAUSE_MS);
		if (t->owner.barred != RD_KAFKA_RESP_ERR_NO_ERROR ||
		    clock_mono_ms() >= until)
			return error;
		rd_kafka_error_destroy(error);
	}
}

struct kafka_txn *kafka_txn_open(const struct kafka_conf *c, const char *id,
				 const char *component, bool is_careful,
				 struct err *e)
{
	struct kafka_txn *t = calloc(1, sizeof(*t));
	rd_kafka_conf_t *rkc;

	if (t == NULL) {
		err_no_memory(e);
		return NULL;
	}
	t->owner.component = component;
	t->conf = c;
	t->is_careful = is_careful;
	rkc = make_conf(t, id, e);
	if (rkc != NULL)
		t->rk = kafka_handle_new(RD_KAFKA_PRODUCER, rkc, e);
	fault(FAULT_kafka_fence);
	if (t->rk != NULL &&
	    (c->delivery == DELIVERY_AT_LEAST_ONCE ||
	     settle(t, KAFKA_INIT, init(t), e) == VERDICT_OK)) {
		t->request_ms = kafka_conf_number(t->rk, "socket.timeout.ms");
		t->request_bytes = (size_t)kafka_conf_number(t->rk,
							     "batch.size");
		fault(FAULT_kafka_init);
		return t;
	}
	kafka_txn_close(t);
	return NULL;
}

void kafka_txn_close(struct kafka_txn *t)
{
	rd_kafka_error_t *error;

	if (t == NULL)
		return;
	/* else readers wait for its timeout */
	if (t->is_open && !t->is_ending && !t->is_spoiled &&
	    t->conf->delivery == DELIVERY_EXACTLY_ONCE) {
		fault(FAULT_kafka_abort);
		error = rd_kafka_abort_transaction(t->rk, ABORT_MS);
		if (error != NULL)
			rd_kafka_error_destroy(error);
	}
	if (t->rk != NULL)
		rd_kafka_destroy(t->rk);
	free(t);
}

rd_kafka_t *kafka_txn_handle(struct kafka_txn *t)
{
	return t->rk;
}

bool kafka_txn_wants_care(const struct kafka_txn *t)
{
	return t->wants_care;
}

bool kafka_txn_is_open(const struct kafka_txn *t)
{
	return t->is_open;
}

bool kafka_txn_is_ending(const struct kafka_txn *t)
{
	return t->is_ending;
}

int64_t kafka_txn_rested(const struct kafka_txn *t)
{
	return t->ended_ms + BETWEEN_MS;
}

/* --- a transaction ------------------------------------------------------ */

static void let_settle(struct kafka_txn *t)
{
	int64_t now, until = t->ended_ms + SETTLE_MS;

	while (t->ended_ms != 0 && (now = clock_mono_ms()) < until)
		rd_kafka_poll(t->rk, (int)(until - now));
}

enum verdict kafka_txn_begin(struct kafka_txn *t, struct err *e)
{
	enum verdict v = VERDICT_OK;

	fault(FAULT_kafka_begin);
	let_settle(t);
	if (t->conf->delivery == DELIVERY_EXACTLY_ONCE)
		v = settle(t, KAFKA_BEGIN, rd_kafka_begin_transaction(t->rk), e);
	if (v != VERDICT_OK)
		return v;
	atomic_store(&t->ends_sent, 0);
	t->is_open = true;
	t->begun_ms = clock_mono_ms();
	fault(FAULT_kafka_empty);
	return VERDICT_OK;
}

/* -1: the record is too late for this transaction. */
static int wait_for_room(struct kafka_txn *t)
{
	rd_kafka_poll(t->rk, FULL_MS);
	return clock_mono_ms() - t->begun_ms < t->conf->transaction_timeout ? 0
									   : -1;
}

static rd_kafka_resp_err_t queue_record(struct kafka_txn *t,
					const struct kafka_record *r)
{
	void *value = (void *)(uintptr_t)r->value.p;
	void *opaque = (void *)(uintptr_t)r->seq;

	if (r->header != NULL)
		return rd_kafka_producev(
			t->rk, RD_KAFKA_V_RKT(r->rkt),
			RD_KAFKA_V_PARTITION(r->partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_KEY(r->key.p, r->key.n),
			RD_KAFKA_V_VALUE(value, r->value.n),
			RD_KAFKA_V_HEADER(r->header, r->header_value.p,
					  (ssize_t)r->header_value.n),
			RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
	if (rd_kafka_produce(r->rkt, r->partition, RD_KAFKA_MSG_F_COPY, value,
			     r->value.n, r->key.p, r->key.n, opaque) == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	return rd_kafka_last_error();
}

enum verdict kafka_txn_produce(struct kafka_txn *t, const struct kafka_record *r,
			       struct err *e)
{
	struct kafka_answer a = {.call = KAFKA_PRODUCE};
	enum verdict v;

	do {
		a.err = queue_record(t, r);
	} while (a.err == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
		 wait_for_room(t) == 0);
	if (a.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		note_sent(t, r->rkt, r->partition, r->key.n + r->value.n);
		if (++t->unlooked >= LOOK_EVERY) {
			t->unlooked = 0;
			rd_kafka_poll(t->rk, 0);
		}
		return VERDICT_OK;
	}
	a.is_fatal = a.err == RD_KAFKA_RESP_ERR__FATAL;
	/* part of what belongs together is queued */
	t->is_spoiled = true;
	rd_kafka_poll(t->rk, 0);
	if (t->failed != RD_KAFKA_RESP_ERR_NO_ERROR)
		return undelivered(t, e);
	v = fail(t, &a, rd_kafka_err2str(a.err), e);
	if (v == VERDICT_REJECT || v == VERDICT_FATAL)
		return VERDICT_FATAL;
	err_set(e, CODE_sink_doubt, "the queue to the brokers stays full");
	return VERDICT_REWIND;
}

/* An idempotent producer has one request on its way for a partition.  A flush that
 * has records for another one does not wait for the answer: librdkafka's thread looks
 * again and again whether it is there, which costs more than the rest of its work.
 * So what is more than a request is waited for before. */
static void wait_for_most(struct kafka_txn *t)
{
	int64_t until = clock_mono_ms() + ANSWER_MS, now;

	while (t->nlarge > 0 && (now = clock_mono_ms()) < until)
		if (rd_kafka_poll(t->rk, (int)(until - now)) > 0)
			until = clock_mono_ms() + ANSWER_MS;
}

enum verdict kafka_txn_flush(struct kafka_txn *t, struct err *e)
{
	struct kafka_answer a = {.call = KAFKA_COMMIT, .is_retriable = true};

	wait_for_most(t);
	a.err = rd_kafka_flush(t->rk, FLUSH_MS);
	if (t->failed != RD_KAFKA_RESP_ERR_NO_ERROR)
		return undelivered(t, e);
	if (a.err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return VERDICT_OK;
	return fail(t, &a, rd_kafka_err2str(a.err), e);
}

static enum verdict end_flushed(struct kafka_txn *t, struct err *e)
{
	enum verdict v = kafka_txn_flush(t, e);

	if (v == VERDICT_OK)
		t->is_open = t->is_ending = false;
	return v;
}

/* Of a transaction that is committed: is a request for that still on its way?  It
 * could end a later transaction. */
static bool is_stray(const struct kafka_txn *t, unsigned ends, int64_t took)
{
	if (fault_mutates("trust_ends", ""))
		return false;
	return ends > 1 || took >= t->request_ms;
}

static enum verdict in_doubt(struct kafka_txn *t, unsigned ends, int64_t took,
			     struct err *e)
{
	t->is_spoiled = true;
	err_set(e, CODE_sink_doubt,
		"a commit took %u requests and %" PRId64 " ms", ends, took);
	return VERDICT_REWIND;
}

enum verdict kafka_txn_commit(struct kafka_txn *t, struct err *e)
{
	int64_t start, took;
	unsigned ends;
	enum verdict v;

	t->is_ending = true;
	if (t->conf->delivery == DELIVERY_AT_LEAST_ONCE)
		return end_flushed(t, e);
	if (fault(FAULT_kafka_commit))
		return in_doubt(t, 0, 0, e);
	wait_for_most(t);
	start = clock_mono_ms();
	/* -1 is what the manual asks for: what is left of the transaction's
	 * timeout; any other value may lose track of its state */
	v = settle(t, KAFKA_COMMIT, rd_kafka_commit_transaction(t->rk, -1), e);
	took = clock_mono_ms() - start;
	if (v == VERDICT_RETRY)
		return v;
	if (v != VERDICT_OK && t->failed != RD_KAFKA_RESP_ERR_NO_ERROR)
		return undelivered(t, e);
	if (v != VERDICT_OK)
		return v;
	ends = atomic_load(&t->ends_sent);
	t->is_open = t->is_ending = false;
	t->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
	t->ended_ms = clock_mono_ms();
	if (fault(FAULT_kafka_committed) || is_stray(t, ends, took))
		return in_doubt(t, ends, took, e);
	return VERDICT_OK;
}
