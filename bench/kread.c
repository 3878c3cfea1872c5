/* kread: the consumer of bench/run's Kafka parts; no code of leat is in it.
 *
 *	kread BROKERS TOPIC drain ROWS     until row ROWS can be read
 *	kread BROKERS TOPIC count ROWS     reads all there is
 *	kread BROKERS TOPIC latency        what comes, until SIGTERM
 *
 * It reads partition 0 with isolation.level=read_committed, and finds in each
 * value, Debezium's JSON, the first "id" behind "after" and source.ts_us.
 *
 * drain consumes nothing, which would cost the machine more than some of what is
 * measured: it asks for the last stable offset, and prints "SECONDS OFFSET" (the
 * wall clock) whenever that grew.  Only when it is large enough the last records
 * are read: the last line is the first moment at which row ROWS was readable.
 * count prints {"rows", "distinct", "ordered", "bytes"}.  latency prints "ready",
 * then the microseconds from source.ts_us, the commit, to here of each record. */
#include "config.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_US 10000
#define TIMEOUT_MS 10000
/* records at the end, control records among them, that are looked at */
#define TAIL 5

static volatile sig_atomic_t is_over;

static void on_term(int sig)
{
	(void)sig;
	is_over = 1;
}

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "kread: %s: %s\n", what, why);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[300];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) !=
	    RD_KAFKA_CONF_OK)
		fail(name, why);
}

static rd_kafka_t *consumer_new(const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[300];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", brokers);
	set(conf, "group.id", "kread");
	set(conf, "isolation.level", "read_committed");
	set(conf, "enable.auto.commit", "false");
	set(conf, "enable.partition.eof", "true");
	set(conf, "socket.nagle.disable", "true");
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (rk == NULL)
		fail("consumer", why);
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

/* From there on; OFFSET_END too. */
static void read_from(rd_kafka_t *rk, const char *topic, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t rc;

	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
	rc = rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("assign", rd_kafka_err2str(rc));
}

/* The number behind `name`, which stands behind `where`; -1: there is none. */
static int64_t find(const rd_kafka_message_t *m, const char *where,
		    const char *name)
{
	const char *p = m->payload, *end = p + m->len;

	if (m->len == 0)
		return -1;
	p = memmem(p, (size_t)(end - p), where, strlen(where));
	p = p ? memmem(p, (size_t)(end - p), name, strlen(name)) : NULL;
	return p ? strtoll(p + strlen(name), NULL, 10) : -1;
}

static int64_t id_of(const rd_kafka_message_t *m)
{
	return find(m, "\"after\":{", "\"id\":");
}

/* NULL: nothing for a moment.  *is_end: all that is readable was read. */
static rd_kafka_message_t *next(rd_kafka_t *rk, bool *is_end)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);

	*is_end = false;
	if (m == NULL || m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return m;
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		*is_end = true;
	else if (m->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		fail("read", rd_kafka_message_errstr(m));
	rd_kafka_message_destroy(m);
	return NULL;
}

/* --- drain ---------------------------------------------------------------- */

static int64_t last_id(rd_kafka_t *rk, const char *topic, int64_t end)
{
	rd_kafka_message_t *m;
	bool is_end = false;
	int64_t id = -1;

	read_from(rk, topic, end > TAIL ? end - TAIL : 0);
	while (!is_end) {
		m = next(rk, &is_end);
		if (m == NULL)
			continue;
		id = id_of(m);
		rd_kafka_message_destroy(m);
	}
	rd_kafka_assign(rk, NULL);
	return id;
}

/* The last stable offset, 0 while there is no topic. */
static int64_t stable(rd_kafka_t *rk, const char *topic)
{
	int64_t low, high;

	if (rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high,
					     TIMEOUT_MS) !=
	    RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return high;
}

static void drain(rd_kafka_t *rk, const char *topic, int64_t rows)
{
	int64_t seen = 0, at, offset;

	while (!is_over) {
		offset = stable(rk, topic);
		at = now_us();
		if (offset > seen) {
			printf("%lld.%06lld %lld\n", (long long)(at / 1000000),
			       (long long)(at % 1000000), (long long)offset);
			seen = offset;
			if (offset >= rows && last_id(rk, topic, offset) >= rows)
				break;
		}
		usleep(ASK_US);
	}
	fflush(stdout);
}

/* --- count ---------------------------------------------------------------- */

static void count(rd_kafka_t *rk, const char *topic, int64_t rows)
{
	uint8_t *seen = calloc((size_t)rows + 1, 1);
	uint64_t all = 0, distinct = 0, ordered = 0, bytes = 0;
	int64_t id, last = 0;
	rd_kafka_message_t *m;
	bool is_end = false;

	if (seen == NULL)
		fail("count", "out of memory");
	read_from(rk, topic, 0);
	while (!is_end) {
		m = next(rk, &is_end);
		if (m == NULL)
			continue;
		id = id_of(m);
		bytes += m->len;
		rd_kafka_message_destroy(m);
		all++;
		if (id < 1 || id > rows)
			continue;
		distinct += !seen[id];
		seen[id] = 1;
		ordered += id > last;
		last = id;
	}
	printf("{\"rows\":%llu,\"distinct\":%llu,\"ordered\":%llu,\"bytes\":%llu}\n",
	       (unsigned long long)all, (unsigned long long)distinct,
	       (unsigned long long)ordered, (unsigned long long)bytes);
	free(seen);
}

/* --- latency -------------------------------------------------------------- */

static void latency(rd_kafka_t *rk, const char *topic)
{
	bool is_ready = false, is_end;
	rd_kafka_message_t *m;
	int64_t us;

	setvbuf(stdout, NULL, _IOLBF, 0);
	read_from(rk, topic, RD_KAFKA_OFFSET_END);
	while (!is_over) {
		m = next(rk, &is_end);
		if (is_end && !is_ready) {
			puts("ready");
			is_ready = true;
		}
		if (m == NULL)
			continue;
		us = find(m, "\"source\":{", "\"ts_us\":");
		if (us > 0)
			printf("%lld\n", (long long)(now_us() - us));
		rd_kafka_message_destroy(m);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[3] : "";
	int64_t rows = argc == 5 ? strtoll(argv[4], NULL, 10) : 0;
	bool is_latency = argc == 4 && strcmp(what, "latency") == 0;
	rd_kafka_t *rk;

	if (!is_latency && (rows <= 0 || (strcmp(what, "drain") != 0 &&
					  strcmp(what, "count") != 0))) {
		fputs("usage: kread BROKERS TOPIC drain|count ROWS\n"
		      "       kread BROKERS TOPIC latency\n", stderr);
		return 2;
	}
	signal(SIGTERM, on_term);
	rk = consumer_new(argv[1]);
	if (is_latency)
		latency(rk, argv[2]);
	else if (strcmp(what, "drain") == 0)
		drain(rk, argv[2], rows);
	else
		count(rk, argv[2], rows);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return 0;
}
