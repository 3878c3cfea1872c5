/* The Kafka sink without a broker: what answers mean, names, partitions, and the
 * producer against librdkafka's mock cluster, for what a broker does not do on
 * demand. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/note.h"
#include "sinks/kafka_topics.h"
#include "sinks/kafka_txn.h"
#include "t/net.h"
#include "t/tap.h"

/* wants rdkafka.h before it */
#include <librdkafka/rdkafka_mock.h>

#define E(name) RD_KAFKA_RESP_ERR_##name

/* --- what answers mean --------------------------------------------------- */

enum { FATAL = 1, ABORT = 2, RETRIABLE = 4 };

static const struct {
	enum kafka_call call;
	rd_kafka_resp_err_t err;
	int flags;
	enum verdict verdict;
	enum code code;
	const char *what;
} answers[] = {
	{KAFKA_COMMIT, E(NO_ERROR), 0, VERDICT_OK, CODE_none, "none is good"},
	{KAFKA_INIT, E(_TIMED_OUT), RETRIABLE, VERDICT_RETRY, CODE_sink_unreachable,
	 "nobody answers at the beginning"},
	{KAFKA_INIT, E(INVALID_TRANSACTION_TIMEOUT), FATAL, VERDICT_FATAL,
	 CODE_sink_config, "a timeout that the broker does not allow"},
	{KAFKA_INIT, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), FATAL,
	 VERDICT_RETRY, CODE_sink_refused, "an id that the user may not have"},
	{KAFKA_INIT, E(_FENCED), FATAL, VERDICT_RETRY, CODE_sink_unreachable,
	 "two that begin at once"},
	{KAFKA_BEGIN, E(_FENCED), FATAL, VERDICT_REWIND, CODE_sink_doubt,
	 "fenced when a transaction begins"},
	{KAFKA_BEGIN, E(_STATE), 0, VERDICT_REWIND, CODE_sink_doubt,
	 "a state that should not be"},
	{KAFKA_PRODUCE, E(_QUEUE_FULL), 0, VERDICT_AGAIN, CODE_none,
	 "a full queue"},
	{KAFKA_PRODUCE, E(MSG_SIZE_TOO_LARGE), 0, VERDICT_REJECT,
	 CODE_event_rejected, "a record that is too large for us"},
	{KAFKA_PRODUCE, E(_FATAL), FATAL, VERDICT_REWIND, CODE_sink_doubt,
	 "a producer that is dead"},
	{KAFKA_DELIVER, E(MSG_SIZE_TOO_LARGE), 0, VERDICT_REJECT,
	 CODE_event_rejected, "a record that is too large for the broker"},
	{KAFKA_DELIVER, E(INVALID_RECORD), 0, VERDICT_REJECT,
	 CODE_event_rejected, "a record that the broker does not like"},
	{KAFKA_DELIVER, E(_MSG_TIMED_OUT), 0, VERDICT_REWIND, CODE_sink_doubt,
	 "a record that nobody took in time"},
	{KAFKA_DELIVER, E(TOPIC_AUTHORIZATION_FAILED), 0, VERDICT_REWIND,
	 CODE_sink_refused, "a topic that may not be written"},
	{KAFKA_COMMIT, E(_TIMED_OUT), RETRIABLE, VERDICT_RETRY,
	 CODE_sink_unreachable, "a commit that may be asked for again"},
	{KAFKA_COMMIT, E(_FENCED), FATAL, VERDICT_REWIND, CODE_sink_doubt,
	 "fenced, or too old"},
	{KAFKA_COMMIT, E(INVALID_TXN_STATE), FATAL | RETRIABLE, VERDICT_REWIND,
	 CODE_sink_doubt, "fatal counts before retriable"},
	{KAFKA_COMMIT, E(UNKNOWN_PRODUCER_ID), ABORT | RETRIABLE, VERDICT_REWIND,
	 CODE_sink_doubt, "so does abortable"},
	{KAFKA_COMMIT, E(UNKNOWN), 0, VERDICT_REWIND, CODE_sink_doubt,
	 "an error without a class counts as fatal"},
	{KAFKA_COMMIT, E(UNSUPPORTED_VERSION), FATAL, VERDICT_FATAL,
	 CODE_sink_config, "a broker that cannot"},
};

static void test_answers(void)
{
	for (size_t i = 0; i < countof(answers); i++) {
		struct kafka_answer a = {
			.call = answers[i].call,
			.err = answers[i].err,
			.is_fatal = answers[i].flags & FATAL,
			.requires_abort = answers[i].flags & ABORT,
			.is_retriable = answers[i].flags & RETRIABLE,
		};
		enum code code;
		enum verdict v = kafka_judge(&a, &code);

		ok(v == answers[i].verdict && code == answers[i].code,
		   "%s (verdict %d, %s)", answers[i].what, v, code_name(code));
	}
}

/* --- names and partitions ------------------------------------------------ */

static const struct origin shop = {.name = SLICE("shop"), .db = SLICE("db 1")};
static const struct table tab = {.schema = SLICE("public"),
				 .name = SLICE("a.b c")};

static void is_name(const char *template, const struct table *t, const char *want)
{
	struct buf name = BUF_INIT;
	struct err e = ERR_INIT;
	int rc = kafka_topic_name(template, "p", &shop, t, &name, &e);

	if (want == NULL)
		ok(rc != 0 && e.code == CODE_sink_config, "%s: %s", template,
		   e.msg);
	else
		is_str(rc == 0 ? name.p : e.msg, want, "%s", template);
	buf_fini(&name);
}

static void test_names(void)
{
	char longest[251];

	is_name("{source}.{schema}.{table}", &tab, "shop.public.a.b_c");
	is_name("x-{db}_{pipeline}", NULL, "x-db_1_p");
	is_name("plain", NULL, "plain");
	is_name("{nothing}", &tab, NULL);
	is_name("{table", &tab, NULL);
	is_name("{table}", NULL, NULL);
	is_name("a b", &tab, NULL);
	is_name("", &tab, NULL);
	memset(longest, 'x', sizeof(longest));
	longest[250] = '\0';
	is_name(longest, NULL, NULL);
}

static void test_partitions(void)
{
	struct kafka_note note = {.partitions = 7};
	struct kafka_route r = {.table = SLICE("public.t"), .note = &note};
	char key[40];
	int differ = 0;

	memset(key, 0xe4, sizeof(key));
	for (size_t n = 1; n < sizeof(key); n++) {
		key[n / 2] = (char)(n * 37);
		differ += kafka_partition(&r, (struct slice){key, n}) !=
			  rd_kafka_msg_partitioner_murmur2(NULL, key, n, 7, NULL,
							   NULL);
	}
	is_int(differ, 0, "keys go where librdkafka's murmur2 would have them");
	/* from Kafka's own tests, UtilsTest */
	ok((int32_t)kafka_murmur2(SLICE("21")) == -973932308 &&
	   (int32_t)kafka_murmur2(SLICE("foobar")) == -790332482 &&
	   (int32_t)kafka_murmur2(SLICE("a-little-bit-long-string")) ==
		   -985981536, "and Java's");
	ok(kafka_partition(&r, (struct slice){NULL, 0}) ==
	   kafka_partition(&r, SLICE("public.t")),
	   "what has no key goes by its table");
}

/* --- the conf ------------------------------------------------------------ */

static struct kafka_conf conf;

static void is_refused(const char *property, const char *like)
{
	struct kafka_owner owner = {.component = "test"};
	struct opt_list saved = conf.properties;
	char *v[] = {(char *)(uintptr_t)property};
	struct err e = ERR_INIT;
	rd_kafka_conf_t *rkc;

	conf.properties = (struct opt_list){v, 1};
	rkc = kafka_conf_make(&conf, RD_KAFKA_PRODUCER, &owner, &e);
	conf.properties = saved;
	ok(rkc == NULL && e.code == CODE_sink_config && strstr(e.msg, like),
	   "%s is refused: %s", property, e.msg);
	if (rkc != NULL)
		rd_kafka_conf_destroy(rkc);
}

static void test_properties(void)
{
	is_refused("acks=1", "leat's to set");
	is_refused("Enable.Idempotence=false", "leat's to set");
	is_refused("transactional.id=x", "leat's to set");
	is_refused("linger.ms", "not name=value");
	is_refused("linger.ms=x", "linger.ms");
	is_refused("no.such.thing=1", "no.such.thing");
}

static void test_secret(void)
{
	struct kafka_owner owner = {.component = "test"};
	char text[64];
	size_t n = sizeof(text);
	struct err e = ERR_INIT;
	rd_kafka_conf_t *rkc;

	conf.sasl_mechanism = 1;
	conf.sasl_user = (char *)(uintptr_t)"me";
	conf.sasl_password = (char *)(uintptr_t)"env:LEAT_T_SECRET";
	unsetenv("LEAT_T_SECRET");
	ok(kafka_conf_make(&conf, RD_KAFKA_PRODUCER, &owner, &e) == NULL &&
	   e.code == CODE_conf_secret, "a secret that is not there: %s", e.msg);
	for (int i = 0; i < 2; i++) {
		const char *secret = i == 0 ? "first" : "second";

		e = ERR_INIT;
		n = sizeof(text);
		setenv("LEAT_T_SECRET", secret, 1);
		rkc = kafka_conf_make(&conf, RD_KAFKA_PRODUCER, &owner, &e);
		if (rkc == NULL)
			abort();
		rd_kafka_conf_get(rkc, "sasl.password", text, &n);
		is_str(text, secret, "it is read each time");
		rd_kafka_conf_destroy(rkc);
	}
	conf.sasl_mechanism = 0;
	conf.sasl_user = conf.sasl_password = NULL;
}

/* --- a producer and the mock cluster --------------------------------------- */

#define API_PRODUCE 0
#define API_INIT 22
#define API_ADD 24
#define API_END 26

static rd_kafka_mock_cluster_t *mock;

static const struct {
	int16_t api;
	size_t n; /* how often */
	rd_kafka_resp_err_t err;
	bool opens;
	enum verdict verdict; /* of the commit */
	enum code code;
	const char *what;
} scripts[] = {
	{API_END, 0, 0, true, VERDICT_OK, CODE_none, "nothing goes wrong"},
	{API_ADD, 2, E(CONCURRENT_TRANSACTIONS), true, VERDICT_OK, CODE_none,
	 "the last transaction is not done"},
	{API_ADD, 1, E(COORDINATOR_NOT_AVAILABLE), true, VERDICT_OK, CODE_none,
	 "a coordinator that is away"},
	{API_ADD, 1, E(COORDINATOR_LOAD_IN_PROGRESS), true, VERDICT_OK,
	 CODE_none, "one that has just begun"},
	{API_ADD, 1, E(NOT_COORDINATOR), true, VERDICT_OK, CODE_none,
	 "one that is no longer it"},
	{API_PRODUCE, 1, E(NOT_LEADER_FOR_PARTITION), true, VERDICT_OK,
	 CODE_none, "a leader that moved"},
	{API_PRODUCE, 1, E(NOT_ENOUGH_REPLICAS), true, VERDICT_OK, CODE_none,
	 "too few copies for a moment"},
	{API_PRODUCE, 1, E(NOT_ENOUGH_REPLICAS_AFTER_APPEND), true, VERDICT_OK,
	 CODE_none, "or behind the writing"},
	{API_END, 2, E(_TRANSPORT), true, VERDICT_REWIND, CODE_sink_doubt,
	 "a commit that was sent three times"},
	{API_END, 1, E(COORDINATOR_LOAD_IN_PROGRESS), true, VERDICT_REWIND,
	 CODE_sink_doubt, "one that was sent twice"},
	{API_END, 1, E(COORDINATOR_NOT_AVAILABLE), true, VERDICT_REWIND,
	 CODE_sink_doubt, "because the coordinator was away"},
	{API_END, 1, E(NOT_COORDINATOR), true, VERDICT_REWIND, CODE_sink_doubt,
	 "or was no longer it"},
	{API_END, 1, E(CONCURRENT_TRANSACTIONS), true, VERDICT_REWIND,
	 CODE_sink_doubt, "or was busy with it"},
	{API_END, 1, E(INVALID_PRODUCER_EPOCH), true, VERDICT_REWIND,
	 CODE_sink_doubt, "an epoch of before at the commit"},
	{API_END, 1, E(UNKNOWN_PRODUCER_ID), true, VERDICT_REWIND,
	 CODE_sink_doubt, "a producer that the broker has forgotten"},
	{API_END, 1, E(INVALID_PRODUCER_ID_MAPPING), true, VERDICT_REWIND,
	 CODE_sink_doubt, "or knows by another id"},
	{API_END, 1, E(UNKNOWN), true, VERDICT_REWIND, CODE_sink_doubt,
	 "an answer that says nothing"},
	{API_END, 1, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), true,
	 VERDICT_REWIND, CODE_sink_refused, "an id that is no longer allowed"},
	{API_END, 1, E(CLUSTER_AUTHORIZATION_FAILED), true, VERDICT_REWIND,
	 CODE_sink_refused, "a cluster that no longer is"},
	{API_END, 1, E(INVALID_TXN_STATE), true, VERDICT_REWIND,
	 CODE_sink_doubt, "a transaction that the broker does not have"},
	{API_END, 1, E(PRODUCER_FENCED), true, VERDICT_REWIND,
	 CODE_sink_doubt, "fenced at the commit"},
	{API_ADD, 1, E(PRODUCER_FENCED), true, VERDICT_REWIND,
	 CODE_sink_doubt, "fenced before"},
	{API_ADD, 1, E(INVALID_PRODUCER_EPOCH), true, VERDICT_REWIND,
	 CODE_sink_doubt, "fenced before, as older brokers say it"},
	{API_ADD, 1, E(INVALID_TXN_STATE), true, VERDICT_REWIND,
	 CODE_sink_doubt, "a state that the broker does not like"},
	{API_ADD, 1, E(INVALID_PRODUCER_ID_MAPPING), true, VERDICT_REWIND,
	 CODE_sink_doubt, "an id that has expired"},
	{API_ADD, 1, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), true,
	 VERDICT_REWIND, CODE_sink_refused, "an id that may not be used"},
	{API_ADD, 1, E(CLUSTER_AUTHORIZATION_FAILED), true, VERDICT_REWIND,
	 CODE_sink_refused, "a cluster that may not"},
	{API_ADD, 1, E(TOPIC_AUTHORIZATION_FAILED), true, VERDICT_REWIND,
	 CODE_sink_refused, "a topic that may not be written"},
	{API_PRODUCE, 1, E(MSG_SIZE_TOO_LARGE), true, VERDICT_REWIND,
	 CODE_sink_doubt, "a request that the broker finds too large"},
	{API_PRODUCE, 1, E(INVALID_PRODUCER_EPOCH), true, VERDICT_REWIND,
	 CODE_sink_doubt, "an epoch of before"},
	{API_PRODUCE, 1, E(UNKNOWN_PRODUCER_ID), true, VERDICT_REWIND,
	 CODE_sink_doubt, "a partition that has forgotten the producer"},
	{API_PRODUCE, 1, E(OUT_OF_ORDER_SEQUENCE_NUMBER), true, VERDICT_REWIND,
	 CODE_sink_doubt, "one that lacks something"},
	{API_PRODUCE, 1, E(INVALID_TXN_STATE), true, VERDICT_REWIND,
	 CODE_sink_doubt, "one that knows of no transaction"},
	{API_PRODUCE, 1, E(INVALID_RECORD), true, VERDICT_REWIND,
	 CODE_sink_doubt, "records of which a broker finds one invalid"},
	{API_PRODUCE, 1, E(TOPIC_AUTHORIZATION_FAILED), true, VERDICT_REWIND,
	 CODE_sink_refused, "a topic that may no longer be written"},
	{API_PRODUCE, 1, E(CLUSTER_AUTHORIZATION_FAILED), true, VERDICT_REWIND,
	 CODE_sink_refused, "a cluster that may no longer"},
	{API_INIT, 1, E(COORDINATOR_NOT_AVAILABLE), true, VERDICT_OK, CODE_none,
	 "a coordinator that is away at the beginning"},
	{API_INIT, 1, E(CONCURRENT_TRANSACTIONS), true, VERDICT_OK, CODE_none,
	 "a transaction that is still being ended"},
	{API_INIT, 1, E(CLUSTER_AUTHORIZATION_FAILED), false, 0,
	 CODE_sink_refused, "a cluster that is not allowed"},
	{API_INIT, 1, E(PRODUCER_FENCED), false, 0, CODE_sink_unreachable,
	 "fenced at the beginning: it begins again"},
	{API_INIT, 1, E(INVALID_TRANSACTION_TIMEOUT), false, 0,
	 CODE_sink_config, "a timeout that is not allowed"},
	{API_INIT, 1, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), false, 0,
	 CODE_sink_refused, "an id that is not allowed"},
};

static enum verdict one_transaction(struct kafka_txn *t, struct err *e)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(kafka_txn_handle(t), "t", NULL);
	struct kafka_record r = {.rkt = rkt, .key = SLICE("key"),
				 .value = SLICE("value"), .seq = 1};
	enum verdict v = kafka_txn_begin(t, e);

	for (int i = 0; i < 3 && v == VERDICT_OK; i++)
		v = kafka_txn_produce(t, &r, e);
	if (v == VERDICT_OK)
		v = kafka_txn_commit(t, e);
	rd_kafka_topic_destroy(rkt);
	return v;
}

/* What is good goes on, what is not begins anew; both deliver.  *Takes* t. */
static void goes_on(struct kafka_txn *t, enum verdict v, const char *what)
{
	struct err e = ERR_INIT;

	if (t == NULL || v != VERDICT_OK) {
		kafka_txn_close(t);
		t = kafka_txn_open(&conf, "id", "test", false, &e);
	}
	v = t != NULL ? one_transaction(t, &e) : VERDICT_FATAL;
	ok(v == VERDICT_OK, "%s: and the next transaction goes through%s", what,
	   e.msg);
	kafka_txn_close(t);
}

static void test_mock(void)
{
	for (size_t i = 0; i < countof(scripts); i++) {
		rd_kafka_resp_err_t errors[4];
		struct err e = ERR_INIT;
		struct kafka_txn *t;
		enum verdict v = 0;

		for (size_t j = 0; j < countof(errors); j++)
			errors[j] = scripts[i].err;
		rd_kafka_mock_push_request_errors_array(mock, scripts[i].api,
							scripts[i].n, errors);
		t = kafka_txn_open(&conf, "id", "test", false, &e);
		if (t != NULL)
			v = one_transaction(t, &e);
		ok((t != NULL) == scripts[i].opens && v == scripts[i].verdict &&
		   e.code == scripts[i].code, "%s: verdict %d %s %s",
		   scripts[i].what, v, code_name(e.code), e.msg);
		rd_kafka_mock_clear_request_errors(mock, scripts[i].api);
		goes_on(t, v, scripts[i].what);
	}
}

/* The answer to a commit comes later than a request is waited for, or not before
 * the transaction is over. */
static void test_late(int64_t transaction_ms, size_t n, const char *what)
{
	struct opt_list saved = conf.properties;
	char *v[] = {(char *)(uintptr_t)"socket.timeout.ms=1000"};
	int64_t saved_ms = conf.transaction_timeout;
	struct err e = ERR_INIT;
	enum verdict verdict = VERDICT_FATAL;
	struct kafka_txn *t;

	conf.properties = (struct opt_list){v, 1};
	conf.transaction_timeout = transaction_ms;
	for (size_t i = 0; i < n; i++)
		rd_kafka_mock_broker_push_request_error_rtts(
			mock, 1, API_END, 1, E(NO_ERROR), 1500);
	t = kafka_txn_open(&conf, "id", "test", false, &e);
	if (t != NULL)
		verdict = one_transaction(t, &e);
	ok(verdict == VERDICT_REWIND && e.code == CODE_sink_doubt,
	   "%s: verdict %d %s %s", what, verdict, code_name(e.code), e.msg);
	rd_kafka_mock_clear_request_errors(mock, API_END);
	conf.properties = saved;
	conf.transaction_timeout = saved_ms;
	goes_on(t, verdict, what);
}

/* Records go one by one, and the second one is refused. */
static void test_careful(void)
{
	const rd_kafka_resp_err_t errors[] = {E(NO_ERROR), E(MSG_SIZE_TOO_LARGE)};
	struct err e = ERR_INIT;
	struct kafka_txn *t;
	enum verdict v = VERDICT_FATAL;

	t = kafka_txn_open(&conf, "id", "test", true, &e);
	if (t != NULL) {
		rd_kafka_topic_t *rkt =
			rd_kafka_topic_new(kafka_txn_handle(t), "t", NULL);

		rd_kafka_mock_push_request_errors_array(
			mock, API_PRODUCE, countof(errors), errors);
		v = kafka_txn_begin(t, &e);
		for (uint64_t i = 1; i <= 3 && v == VERDICT_OK; i++) {
			struct kafka_record r = {.rkt = rkt,
						 .value = SLICE("value"),
						 .seq = i};

			v = kafka_txn_produce(t, &r, &e);
		}
		if (v == VERDICT_OK)
			v = kafka_txn_commit(t, &e);
		rd_kafka_topic_destroy(rkt);
	}
	ok(v == VERDICT_REJECT && e.code == CODE_event_rejected && e.seq == 2 &&
	   !kafka_txn_wants_care(t), "the one that the broker does not take is named: verdict %d %s",
	   v, e.msg);
	rd_kafka_mock_clear_request_errors(mock, API_PRODUCE);
	goes_on(t, v, "one by one");
}

static void test_flush(void)
{
	struct err e = ERR_INIT;
	struct kafka_txn *t;

	conf.delivery = DELIVERY_AT_LEAST_ONCE;
	t = kafka_txn_open(&conf, "id", "test", false, &e);
	ok(t != NULL && one_transaction(t, &e) == VERDICT_OK &&
	   one_transaction(t, &e) == VERDICT_OK, "without transactions: %s",
	   e.msg);
	kafka_txn_close(t);
	conf.delivery = DELIVERY_EXACTLY_ONCE;
}

static void test_with_brokers(void)
{
	char why[200];
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, why, sizeof(why));

	mock = rk ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
	if (mock == NULL)
		abort();
	free(conf.brokers);
	conf.brokers = strdup(rd_kafka_mock_cluster_bootstraps(mock));
	rd_kafka_mock_topic_create(mock, "t", 1, 1);
	test_mock();
	test_late(30000, 1, "a commit that is answered late");
	test_late(3000, 10, "one that is not answered");
	test_careful();
	test_flush();
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(rk);
}

int main(void)
{
	struct err e = ERR_INIT;

	note_setup(NOTE_ERROR + 1, false);
	if (opt_defaults(kafka_opts, &conf, &e) != 0)
		abort();
	conf.brokers = strdup("127.0.0.1:1");
	test_answers();
	test_names();
	test_partitions();
	test_properties();
	test_secret();
	if (has_loopback())
		test_with_brokers();
	else
		printf("# no network: nothing was asked of brokers\n");
	opt_free(kafka_opts, &conf);
	return tap_done();
}
