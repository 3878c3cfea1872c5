#include "config.h"
#include "sinks/kafka_admin.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define ADMIN_MS 15000
#define METADATA_MS 10000
/* How long a topic that was made may take to be known. */
#define KNOWN_MS 15000

/* The broker's answer; *takes* the event, NULL when none came. */
static rd_kafka_resp_err_t read_created(rd_kafka_event_t *event, char *why,
					size_t size)
{
	const rd_kafka_topic_result_t **results;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *text = NULL;
	size_t n = 0;

	if (event != NULL)
		err = rd_kafka_event_error(event);
	if (event != NULL && err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		results = rd_kafka_CreateTopics_result_topics(
			rd_kafka_event_CreateTopics_result(event), &n);
		err = n > 0 ? rd_kafka_topic_result_error(results[0])
			    : RD_KAFKA_RESP_ERR__FAIL;
		if (n > 0)
			text = rd_kafka_topic_result_error_string(results[0]);
	}
	snprintf(why, size, "%s", text ? text : rd_kafka_err2str(err));
	if (event != NULL)
		rd_kafka_event_destroy(event);
	return err;
}

static int not_created(const char *name, rd_kafka_resp_err_t err,
		       const char *why, struct err *e)
{
	enum code code = CODE_sink_unreachable;

	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
	case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
		return 0;
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		code = CODE_sink_refused;
		break;
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
	case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
	case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		code = CODE_sink_config;
		break;
	default:
		break;
	}
	return err_set(e, code, "topic \"%s\" could not be made: %s", name, why);
}

int kafka_admin_create(rd_kafka_t *rk, const char *name, int partitions,
		       int replication, const char *policy, struct err *e)
{
	rd_kafka_AdminOptions_t *opt;
	rd_kafka_NewTopic_t *topic;
	rd_kafka_queue_t *queue;
	rd_kafka_resp_err_t err;
	char why[300];

	topic = rd_kafka_NewTopic_new(name, partitions,
				      replication > 0 ? replication : -1, why,
				      sizeof(why));
	if (topic == NULL)
		return err_set(e, CODE_sink_config, "topic \"%s\": %s", name,
			       why);
	if (policy != NULL)
		rd_kafka_NewTopic_set_config(topic, "cleanup.policy", policy);
	opt = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_AdminOptions_set_request_timeout(opt, ADMIN_MS, NULL, 0);
	rd_kafka_AdminOptions_set_operation_timeout(opt, ADMIN_MS, NULL, 0);
	queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, &topic, 1, opt, queue);
	err = read_created(rd_kafka_queue_poll(queue, ADMIN_MS + 1000), why,
			   sizeof(why));
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(opt);
	rd_kafka_NewTopic_destroy(topic);
	return err == RD_KAFKA_RESP_ERR__TIMED_OUT && kafka_conf_explain(rk, e)
		       ? -1
		       : not_created(name, err, why, e);
}

int kafka_admin_partitions(rd_kafka_t *rk, rd_kafka_topic_t *rkt, struct err *e)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, rkt, &md,
						    METADATA_MS);
	int n = 0;

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && md->topic_cnt > 0) {
		err = md->topics[0].err;
		n = md->topics[0].partition_cnt;
	}
	if (md != NULL)
		rd_kafka_metadata_destroy(md);
	if (err == RD_KAFKA_RESP_ERR__TRANSPORT ||
	    err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
	    err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		if (kafka_conf_explain(rk, e))
			return -1;
	}
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return n;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		return 0;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		return err_set(e, CODE_sink_refused, "topic \"%s\": %s",
			       rd_kafka_topic_name(rkt), rd_kafka_err2str(err));
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		return err_set(e, CODE_sink_config, "topic \"%s\": %s",
			       rd_kafka_topic_name(rkt), rd_kafka_err2str(err));
	default:
		return err_set(e, CODE_sink_unreachable, "topic \"%s\": %s",
			       rd_kafka_topic_name(rkt), rd_kafka_err2str(err));
	}
}

int kafka_admin_await(rd_kafka_t *rk, rd_kafka_topic_t *rkt, struct err *e)
{
	int64_t until = clock_mono_ms() + KNOWN_MS;
	int n;

	while ((n = kafka_admin_partitions(rk, rkt, e)) == 0) {
		if (clock_mono_ms() > until)
			return err_set(e, CODE_sink_unreachable,
				       "topic \"%s\" was made, but the broker does not know it",
				       rd_kafka_topic_name(rkt));
		usleep(20000);
	}
	return n;
}

/* A handle for a few questions: a producer without a transaction. */
rd_kafka_t *kafka_admin_open(const struct kafka_conf *c, struct kafka_owner *owner,
			     struct err *e)
{
	rd_kafka_conf_t *rkc = kafka_conf_make(c, RD_KAFKA_PRODUCER, owner, e);

	return rkc ? kafka_handle_new(RD_KAFKA_PRODUCER, rkc, e) : NULL;
}

static int delete_topic(rd_kafka_t *rk, const char *name, struct err *e)
{
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t n = 0;

	rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, ADMIN_MS);
	if (event != NULL) {
		err = rd_kafka_event_error(event);
		results = rd_kafka_DeleteTopics_result_topics(
			rd_kafka_event_DeleteTopics_result(event), &n);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR && n > 0)
			err = rd_kafka_topic_result_error(results[0]);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_DeleteTopic_destroy(topic);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR ||
	    err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return 0;
	return err_set(e, CODE_sink_unreachable,
		       "topic \"%s\" could not be removed: %s", name,
		       rd_kafka_err2str(err));
}

int kafka_admin_delete(const struct kafka_conf *c, const char *topic,
		       const char *component, struct err *e)
{
	struct kafka_owner owner = {.component = component};
	rd_kafka_t *rk = kafka_admin_open(c, &owner, e);
	int rc;

	if (rk == NULL)
		return -1;
	rc = delete_topic(rk, topic, e);
	rd_kafka_destroy(rk);
	return rc;
}

static char *read_setting(rd_kafka_event_t *event, const char *name, char *out,
			  size_t size)
{
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t n = 0, count = 0;

	resources = rd_kafka_DescribeConfigs_result_resources(
		rd_kafka_event_DescribeConfigs_result(event), &n);
	if (n == 0 || rd_kafka_ConfigResource_error(resources[0]) != 0)
		return NULL;
	entries = rd_kafka_ConfigResource_configs(resources[0], &count);
	for (size_t i = 0; i < count; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) != 0 ||
		    value == NULL)
			continue;
		snprintf(out, size, "%s", value);
		return out;
	}
	return NULL;
}

char *kafka_admin_setting(rd_kafka_t *rk, rd_kafka_ResourceType_t type,
			  const char *of, const char *name, char *out, size_t size)
{
	rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(type, of);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	char *found = NULL;

	rd_kafka_DescribeConfigs(rk, &res, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, ADMIN_MS);
	if (event != NULL && rd_kafka_event_error(event) == 0)
		found = read_setting(event, name, out, size);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_ConfigResource_destroy(res);
	return found;
}
