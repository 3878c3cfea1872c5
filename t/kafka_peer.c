/* kafka_peer.c: what the tests of the Kafka sink need beside kcat (Leat::Kafka).
 *
 *	kafka_peer mock TOPIC...
 *		librdkafka's mock cluster of one broker, until standard input ends
 *	kafka_peer txn BROKERS ID TOPIC KEY VALUE
 *		a transaction of somebody else that holds one record
 *
 * The first line of output says where, or that it is open.  Then it obeys a command
 * a line, and answers "ok", or what went wrong:
 *
 *	error API CODE N	the next N requests of that kind are answered so
 *	slow MS			each answer takes that long
 *	clear API
 *	commit | abort		the transaction */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define WAIT_MS 30000
#define MOST 64

static int answer(const char *text)
{
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		return -1;
	return 0;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	if (rd_kafka_conf_set(conf, name, value, NULL, 0) != RD_KAFKA_CONF_OK)
		exit(1);
}

static rd_kafka_t *producer(rd_kafka_conf_t *conf)
{
	char why[300];
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));

	if (rk == NULL) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	return rk;
}

/* --- mock ----------------------------------------------------------------- */

static const char *obey(rd_kafka_mock_cluster_t *mock, const char *line)
{
	rd_kafka_resp_err_t errors[MOST];
	int api, code, n;

	if (sscanf(line, "error %d %d %d", &api, &code, &n) == 3 && n <= MOST) {
		for (int i = 0; i < n; i++)
			errors[i] = (rd_kafka_resp_err_t)code;
		rd_kafka_mock_push_request_errors_array(mock, (int16_t)api,
							(size_t)n, errors);
		return "ok";
	}
	if (sscanf(line, "slow %d", &n) == 1)
		return rd_kafka_err2name(rd_kafka_mock_broker_set_rtt(mock, 1, n));
	if (sscanf(line, "clear %d", &api) == 1) {
		rd_kafka_mock_clear_request_errors(mock, (int16_t)api);
		return "ok";
	}
	return "no such command";
}

static int serve_mock(int n, char **topics)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_mock_cluster_t *mock;
	rd_kafka_t *rk;
	char line[200];

	set(conf, "log_level", "3"); /* it has no brokers of its own */
	rk = producer(conf);
	mock = rd_kafka_mock_cluster_new(rk, 1);
	if (mock == NULL)
		return 1;
	for (int i = 0; i < n; i++)
		rd_kafka_mock_topic_create(mock, topics[i], 1, 1);
	answer(rd_kafka_mock_cluster_bootstraps(mock));
	while (fgets(line, sizeof(line), stdin) != NULL &&
	       answer(obey(mock, line)) == 0)
		;
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(rk);
	return 0;
}

/* --- txn ------------------------------------------------------------------ */

static const char *text_of(rd_kafka_error_t *error)
{
	static char text[300];

	snprintf(text, sizeof(text), "%s",
		 error ? rd_kafka_error_string(error) : "ok");
	if (error != NULL)
		rd_kafka_error_destroy(error);
	return text;
}

static const char *begin(rd_kafka_t *rk, char **words)
{
	rd_kafka_error_t *error = rd_kafka_init_transactions(rk, WAIT_MS);
	rd_kafka_resp_err_t err;

	if (error == NULL)
		error = rd_kafka_begin_transaction(rk);
	if (error != NULL)
		return text_of(error);
	err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(words[0]),
				RD_KAFKA_V_PARTITION(0),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				RD_KAFKA_V_KEY(words[1], strlen(words[1])),
				RD_KAFKA_V_VALUE(words[2], strlen(words[2])),
				RD_KAFKA_V_END);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = rd_kafka_flush(rk, WAIT_MS);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? "open" : rd_kafka_err2str(err);
}

static const char *end(rd_kafka_t *rk, const char *line)
{
	if (strcmp(line, "commit\n") == 0)
		return text_of(rd_kafka_commit_transaction(rk, WAIT_MS));
	if (strcmp(line, "abort\n") == 0)
		return text_of(rd_kafka_abort_transaction(rk, WAIT_MS));
	return "no such command";
}

static int hold_txn(char **words)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char line[200];

	set(conf, "bootstrap.servers", words[0]);
	set(conf, "transactional.id", words[1]);
	rk = producer(conf);
	answer(begin(rk, words + 2));
	while (fgets(line, sizeof(line), stdin) != NULL &&
	       answer(end(rk, line)) == 0)
		;
	rd_kafka_destroy(rk);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "mock") == 0)
		return serve_mock(argc - 2, argv + 2);
	if (argc == 7 && strcmp(argv[1], "txn") == 0)
		return hold_txn(argv + 2);
	fprintf(stderr, "usage: kafka_peer mock TOPIC... | txn BROKERS ID TOPIC KEY VALUE\n");
	return 2;
}
