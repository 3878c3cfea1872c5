#include "config.h"
#include "sinks/kafka_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sinks/kafka_admin.h"
#include "sinks/kafka_topics.h"

#define ASK_MS 10000

struct check {
	const struct kafka_conf *conf;
	const char *topic, *where;
	struct report *r;
	rd_kafka_t *rk;
};

/* The templates, by a table that stands for all. */
static void check_names(const struct check *ck, const char *pipeline)
{
	const struct origin o = {.name = SLICE("s"), .db = SLICE("d")};
	const struct table tab = {.schema = SLICE("s"), .name = SLICE("t")};
	struct buf name = BUF_INIT;
	struct err e = ERR_INIT;

	if (kafka_topic_name(ck->conf->topic, pipeline, &o, &tab, &name, &e) != 0)
		report_err(ck->r, ck->where, &e);
	e = ERR_INIT;
	if (kafka_topic_name(ck->conf->other_topic, pipeline, &o, NULL, &name,
			     &e) != 0)
		report_err(ck->r, ck->where, &e);
	buf_fini(&name);
}

/* The id of one broker, or -1. */
static int check_brokers(const struct check *ck, struct err *e)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_resp_err_t err = rd_kafka_metadata(ck->rk, 0, NULL, &md, ASK_MS);
	int id = -1;

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && kafka_conf_explain(ck->rk, e))
		return -1;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(e, CODE_sink_unreachable, "%s: %s",
			       ck->conf->brokers, rd_kafka_err2str(err));
	report_add(ck->r, FINDING_OK, CODE_none, ck->where, NULL,
		   "%d broker%s at %s (librdkafka %s)", md->broker_cnt,
		   md->broker_cnt == 1 ? " answers" : "s answer",
		   ck->conf->brokers, rd_kafka_version_str());
	if (md->broker_cnt > 0)
		id = md->brokers[0].id;
	rd_kafka_metadata_destroy(md);
	return id;
}

static void check_timeout(const struct check *ck, int broker)
{
	char id[16], text[64];
	int64_t most;

	snprintf(id, sizeof(id), "%d", broker);
	if (kafka_admin_setting(ck->rk, RD_KAFKA_RESOURCE_BROKER, id,
				"transaction.max.timeout.ms", text,
				sizeof(text)) == NULL) {
		report_add(ck->r, FINDING_WARNING, CODE_none, ck->where, NULL,
			   "the brokers do not tell their settings; a transaction_timeout above their transaction.max.timeout.ms would be refused");
		return;
	}
	most = strtoll(text, NULL, 10);
	if (ck->conf->transaction_timeout > most)
		report_add(ck->r, FINDING_ERROR, CODE_sink_config, ck->where,
			   NULL,
			   "transaction_timeout is %" PRId64 " ms, and the brokers allow %" PRId64,
			   ck->conf->transaction_timeout, most);
}

static void check_policy(const struct check *ck)
{
	char text[64];

	if (kafka_admin_setting(ck->rk, RD_KAFKA_RESOURCE_TOPIC, ck->topic,
				"cleanup.policy", text, sizeof(text)) != NULL &&
	    strcmp(text, "compact") != 0)
		report_add(ck->r, FINDING_ERROR, CODE_sink_config, ck->where,
			   NULL,
			   "progress topic \"%s\" has cleanup.policy %s: what it holds would be deleted some day; it must be compact",
			   ck->topic, text);
}

static void check_progress(const struct check *ck)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(ck->rk, ck->topic, NULL);
	struct err e = ERR_INIT;
	int n = rkt ? kafka_admin_partitions(ck->rk, rkt, &e) : -1;

	if (n < 0)
		report_err(ck->r, ck->where, &e);
	else if (n > 1)
		report_add(ck->r, FINDING_ERROR, CODE_sink_config, ck->where,
			   NULL, "progress topic \"%s\" has %d partitions; it must have one",
			   ck->topic, n);
	else if (n == 1)
		check_policy(ck);
	else if (ck->conf->create_topics)
		report_add(ck->r, FINDING_OK, CODE_none, ck->where, NULL,
			   "progress topic \"%s\" will be made", ck->topic);
	else
		report_add(ck->r, FINDING_ERROR, CODE_topic_missing, ck->where,
			   NULL, "progress topic \"%s\" does not exist, and create_topics is no",
			   ck->topic);
	if (rkt != NULL)
		rd_kafka_topic_destroy(rkt);
}

static void check_cost(const struct check *ck)
{
	if (ck->conf->delivery == DELIVERY_AT_LEAST_ONCE) {
		report_add(ck->r, FINDING_WARNING, CODE_none, ck->where, NULL,
			   "without transactions a crash delivers again what came since the last commit, with the same ids");
		return;
	}
	if (ck->conf->cleanup_policy > 0 && !ck->conf->partial_rows &&
	    strstr(kafka_cleanup_policy(ck->conf), "compact") != NULL)
		report_add(ck->r, FINDING_COST, CODE_none, ck->where, NULL,
			   "a table whose updates may leave out large values must have REPLICA IDENTITY FULL, as topics are compacted");
	report_add(ck->r, FINDING_COST, CODE_none, ck->where, NULL,
		   "each commit is one transaction: a marker in every partition that it wrote to, and two records in \"%s\"",
		   ck->topic);
	report_add(ck->r, FINDING_COST, CODE_none, ck->where, NULL,
		   "an agent that dies without a successor holds back readers of committed records for up to %" PRId64 " s (transaction_timeout), and %s",
		   ck->conf->transaction_timeout / 1000,
		   "until the brokers look for such transactions, by default every 10 s");
}

int kafka_check(const struct kafka_conf *c, const char *pipeline,
		const char *topic, const char *where, struct report *r,
		struct err *e)
{
	struct kafka_owner owner = {.component = where};
	struct check ck = {c, topic, where, r, NULL};
	int broker;

	check_names(&ck, pipeline);
	ck.rk = kafka_admin_open(c, &owner, e);
	if (ck.rk == NULL) {
		if (e->code != CODE_sink_config)
			return -1;
		report_err(r, where, e);
		return 0;
	}
	broker = check_brokers(&ck, e);
	if (broker >= 0) {
		if (c->delivery == DELIVERY_EXACTLY_ONCE)
			check_timeout(&ck, broker);
		check_progress(&ck);
		check_cost(&ck);
	}
	rd_kafka_destroy(ck.rk);
	return broker >= 0 ? 0 : -1;
}
