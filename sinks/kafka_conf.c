#include "config.h"
#include "sinks/kafka_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "base/note.h"

static const char *const deliveries[] = {"exactly_once", "at_least_once", NULL};
static const char *const tls_levels[] = {"off", "require", "verify-ca",
					 "verify-full", NULL};
static const char *const mechanisms[] = {"none", "PLAIN", "SCRAM-SHA-256",
					 "SCRAM-SHA-512", NULL};
static const char *const policies[] = {"broker", "delete", "compact",
				       "compact,delete", NULL};
static const char *const partition_changes[] = {"stop", "continue", NULL};

#define AT(field) .offset = offsetof(struct kafka_conf, field)

const struct opt kafka_opts[] = {
	{.name = "brokers", .type = OPT_TEXT, .flags = OPT_REQUIRED, AT(brokers),
	 .help = "Where to begin: host:port, comma separated."},
	{.name = "topic", .type = OPT_TEXT, AT(topic),
	 .dflt = "{source}.{schema}.{table}",
	 .help = "Name of the topic of a table's rows."},
	{.name = "other_topic", .type = OPT_TEXT, AT(other_topic),
	 .dflt = "{source}.other",
	 .help = "Topic of the events that are no row's: truncate, message, schema and gap."},
	{.name = "transaction_topic", .type = OPT_TEXT, AT(transaction_topic),
	 .help = "Topic of where transactions begin and end, as Debezium writes it."},
	{.name = "schema_topic", .type = OPT_TEXT, AT(schema_topic),
	 .help = "Topic of new versions of tables, as Debezium writes them."},
	{.name = "heartbeat_interval", .type = OPT_TIME, AT(heartbeat_interval),
	 .dflt = "0", .min = 0, .max = 86400000,
	 .help = "How often an idle pipeline writes a heartbeat; 0: never."},
	{.name = "heartbeat_topic", .type = OPT_TEXT, AT(heartbeat_topic),
	 .dflt = "__debezium-heartbeat.{source}",
	 .help = "Topic of heartbeats."},
	ENCODING_OPTS(offsetof(struct kafka_conf, encoding)),
	SCHEMA_REGISTRY_OPTS(offsetof(struct kafka_conf, registry)),
	{.name = "delivery", .type = OPT_CHOICE, AT(delivery),
	 .dflt = "exactly_once", .choices = deliveries,
	 .help = "Whether transactions are used."},
	{.name = "create_topics", .type = OPT_BOOL, AT(create_topics),
	 .dflt = "yes",
	 .help = "Whether topics that do not exist are made."},
	{.name = "partitions", .type = OPT_INT, AT(partitions), .dflt = "1",
	 .min = 1, .max = 100000,
	 .help = "Partitions of a topic that is made."},
	{.name = "replication", .type = OPT_INT, AT(replication), .dflt = "0",
	 .min = 0, .max = 100,
	 .help = "Copies of a topic that is made; 0 takes the broker's default."},
	{.name = "cleanup_policy", .type = OPT_CHOICE, AT(cleanup_policy),
	 .dflt = "broker", .choices = policies,
	 .help = "cleanup.policy of a topic that is made."},
	{.name = "tombstones", .type = OPT_BOOL, AT(tombstones), .dflt = "yes",
	 .help = "Whether a delete is followed by a record of its key without a value."},
	{.name = "partial_rows", .type = OPT_BOOL, AT(partial_rows),
	 .dflt = "no",
	 .help = "Whether a compacted topic takes rows of which values may be left out."},
	{.name = "on_partition_change", .type = OPT_CHOICE,
	 AT(on_partition_change), .dflt = "stop", .choices = partition_changes,
	 .help = "What is done when a topic has another number of partitions than before."},
	{.name = "progress_topic", .type = OPT_TEXT, AT(progress_topic),
	 .dflt = "leat.progress.{pipeline}",
	 .help = "Topic in which the pipeline keeps its place."},
	{.name = "transactional_id", .type = OPT_TEXT, AT(transactional_id),
	 .dflt = "leat.{pipeline}",
	 .help = "transactional.id of the pipeline's producer."},
	{.name = "transaction_timeout", .type = OPT_TIME,
	 AT(transaction_timeout), .dflt = "30s", .min = 1000, .max = 900000,
	 .help = "When the broker ends a transaction that nobody ends."},
	{.name = "tls", .type = OPT_CHOICE, AT(tls), .dflt = "off",
	 .choices = tls_levels,
	 .help = "Whether the connection is encrypted, and what is verified."},
	{.name = "tls_ca", .type = OPT_TEXT, AT(tls_ca),
	 .help = "File of the certificates that are trusted."},
	{.name = "tls_cert", .type = OPT_TEXT, AT(tls_cert),
	 .help = "File of the client's certificate."},
	{.name = "tls_key", .type = OPT_TEXT, AT(tls_key),
	 .help = "File of the client's key."},
	{.name = "tls_key_password", .type = OPT_SECRET, AT(tls_key_password),
	 .help = "Password of that key."},
	{.name = "sasl_mechanism", .type = OPT_CHOICE, AT(sasl_mechanism),
	 .dflt = "none", .choices = mechanisms,
	 .help = "How the client says who it is."},
	{.name = "sasl_user", .type = OPT_TEXT, AT(sasl_user),
	 .help = "Name of the user."},
	{.name = "sasl_password", .type = OPT_SECRET, AT(sasl_password),
	 .help = "Password of the user."},
	{.name = "properties", .type = OPT_LIST, AT(properties),
	 .help = "Settings of librdkafka, as \"name=value\"."},
	OPT_END,
};

const char *kafka_cleanup_policy(const struct kafka_conf *c)
{
	return c->cleanup_policy > 0 ? policies[c->cleanup_policy] : NULL;
}

/* What librdkafka says goes where ours does.  Called by its threads. */
static void on_log(const rd_kafka_t *rk, int level, const char *fac,
		   const char *text)
{
	const struct kafka_owner *owner = rd_kafka_opaque(rk);

	note(level <= LOG_ERR ? NOTE_WARNING : NOTE_DEBUG, owner->component,
	     CODE_progress, NOTE_KV({"facility", fac}), "librdkafka: %s", text);
}

/* By rd_kafka_poll().  The calls themselves only say that nobody answers. */
static void on_error(rd_kafka_t *rk, int err, const char *why, void *opaque)
{
	struct kafka_owner *owner = opaque;

	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
	    err == RD_KAFKA_RESP_ERR__SSL) {
		owner->barred = err;
		snprintf(owner->barred_why, sizeof(owner->barred_why), "%s", why);
		return;
	}
	note(NOTE_DEBUG, owner->component, CODE_progress,
	     NOTE_KV({"error", rd_kafka_err2name(err)}), "librdkafka: %s", why);
}

/* Before 2.6.1 it repeats its nonce in the last message of SCRAM (RFC 5802), which
 * brokers from 4.0 on do not let pass: confluentinc/librdkafka#4895. */
#define SCRAM_IS_RIGHT 0x02060100

static void hint_at_login(const struct kafka_owner *owner, struct err *e)
{
	if (owner->barred == RD_KAFKA_RESP_ERR__AUTHENTICATION &&
	    strstr(owner->barred_why, "SCRAM") != NULL &&
	    rd_kafka_version() < SCRAM_IS_RIGHT)
		err_hint(e, "Check sasl_user and sasl_password. Kafka 4 takes SCRAM from librdkafka 2.6.1 and later only, and this is %s: use PLAIN with tls there, or a newer librdkafka.",
			 rd_kafka_version_str());
	else if (owner->barred == RD_KAFKA_RESP_ERR__AUTHENTICATION)
		err_hint(e, "Check sasl_mechanism, sasl_user and sasl_password; the password is read again at the next attempt.");
	else if (strstr(owner->barred_why, "verif") != NULL)
		err_hint(e, "Let tls_ca name the certificate of the authority that the brokers' certificates are from, and brokers the hosts that stand in them.");
	else
		err_hint(e, "Check tls, tls_ca, tls_cert and tls_key, and that the port is one for TLS.");
}

bool kafka_conf_explain(rd_kafka_t *rk, struct err *e)
{
	struct kafka_owner *owner = rd_kafka_opaque(rk);

	rd_kafka_poll(rk, 0);
	if (owner->barred == RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	*e = ERR_INIT;
	err_set(e, CODE_sink_refused, "the brokers refused the login: %s",
		owner->barred_why);
	hint_at_login(owner, e);
	owner->barred = RD_KAFKA_RESP_ERR_NO_ERROR;
	return true;
}

int kafka_conf_set(rd_kafka_conf_t *rkc, const char *name, const char *value,
		   struct err *e)
{
	char why[300];

	if (rd_kafka_conf_set(rkc, name, value, why, sizeof(why)) ==
	    RD_KAFKA_CONF_OK)
		return 0;
	return err_set(e, CODE_sink_config, "property \"%s\": %s", name, why);
}

static int set_if(rd_kafka_conf_t *rkc, const char *name, const char *value,
		  struct err *e)
{
	return value == NULL ? 0 : kafka_conf_set(rkc, name, value, e);
}

static int set_secret(rd_kafka_conf_t *rkc, const char *name, const char *ref,
		      struct err *e)
{
	struct buf secret = BUF_INIT;
	int rc;

	if (ref == NULL)
		return 0;
	rc = secret_read(ref, &secret, e);
	if (rc == 0) {
		buf_u8(&secret, '\0');
		if (secret.failed)
			rc = err_no_memory(e);
		/* librdkafka's own text could hold it */
		else if (rd_kafka_conf_set(rkc, name, secret.p, NULL, 0) !=
			 RD_KAFKA_CONF_OK)
			rc = err_set(e, CODE_sink_config,
				     "property \"%s\" cannot be set", name);
	}
	buf_fini(&secret);
	return rc;
}

static int set_security(rd_kafka_conf_t *rkc, const struct kafka_conf *c,
			struct err *e)
{
	bool tls = c->tls != TLS_OFF, sasl = c->sasl_mechanism > 0;

	if (kafka_conf_set(rkc, "security.protocol",
			   tls ? (sasl ? "sasl_ssl" : "ssl")
			       : (sasl ? "sasl_plaintext" : "plaintext"),
			   e) != 0)
		return -1;
	if (tls && (kafka_conf_set(rkc, "enable.ssl.certificate.verification",
				   c->tls == TLS_REQUIRE ? "false" : "true",
				   e) != 0 ||
		    kafka_conf_set(rkc, "ssl.endpoint.identification.algorithm",
				   c->tls == TLS_VERIFY_FULL ? "https" : "none",
				   e) != 0 ||
		    set_if(rkc, "ssl.ca.location", c->tls_ca, e) != 0 ||
		    set_if(rkc, "ssl.certificate.location", c->tls_cert, e) != 0 ||
		    set_if(rkc, "ssl.key.location", c->tls_key, e) != 0 ||
		    set_secret(rkc, "ssl.key.password", c->tls_key_password,
			       e) != 0))
		return -1;
	if (!sasl)
		return 0;
	if (kafka_conf_set(rkc, "sasl.mechanisms", mechanisms[c->sasl_mechanism],
			   e) != 0 ||
	    set_if(rkc, "sasl.username", c->sasl_user, e) != 0)
		return -1;
	return set_secret(rkc, "sasl.password", c->sasl_password, e);
}

/* Exactly once and order stand on these. */
static const char *const ours[] = {
	"bootstrap.servers", "metadata.broker.list", "transactional.id",
	"transaction.timeout.ms", "enable.idempotence", "acks",
	"request.required.acks", "isolation.level", "enable.partition.eof",
	"enable.gapless.guarantee", "group.id", "security.protocol",
	"delivery.report.only.error", "sasl.password", "ssl.key.password",
};

static int set_property(rd_kafka_conf_t *rkc, rd_kafka_type_t type,
			const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	char name[100];

	if (eq == NULL || eq == text || (size_t)(eq - text) >= sizeof(name))
		return err_set(e, CODE_sink_config,
			       "properties: \"%s\" is not name=value", text);
	memcpy(name, text, (size_t)(eq - text));
	name[eq - text] = '\0';
	for (size_t i = 0; i < countof(ours); i++)
		if (strcasecmp(ours[i], name) == 0) {
			err_set(e, CODE_sink_config,
				"properties: \"%s\" is leat's to set", name);
			err_hint(e, "Take it out of properties; leat.conf(5) has the option for it, if there is one.");
			return -1;
		}
	/* those of a producer mean nothing to the handle that reads back */
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(rkc, name, eq + 1, NULL, 0);
		return 0;
	}
	return kafka_conf_set(rkc, name, eq + 1, e);
}

static const struct {
	const char *name, *value;
} defaults[] = {
	{"client.id", "leat"},
	{"log.connection.close", "false"},
	/* with Nagle a small EndTxn waits for a delayed acknowledgement */
	{"socket.nagle.disable", "true"},
	{"socket.keepalive.enable", "true"},
	{"reconnect.backoff.max.ms", "1000"},
};
static const struct {
	const char *name, *value;
} producer_defaults[] = {
	/* of records for which no request has room yet; a commit does not wait */
	{"linger.ms", "100"},
	{"batch.size", "1000000"},
	{"batch.num.messages", "100000"},
	{"queue.buffering.max.messages", "1000000"},
	{"queue.buffering.max.kbytes", "65536"},
	{"message.max.bytes", "1048588"}, /* a broker's own default */
	{"compression.codec", "lz4"},
};

static int fill(rd_kafka_conf_t *rkc, const struct kafka_conf *c,
		rd_kafka_type_t type, struct err *e)
{
	for (size_t i = 0; i < countof(defaults); i++)
		if (kafka_conf_set(rkc, defaults[i].name, defaults[i].value,
				   e) != 0)
			return -1;
	for (size_t i = 0; type == RD_KAFKA_PRODUCER &&
	     i < countof(producer_defaults); i++)
		if (kafka_conf_set(rkc, producer_defaults[i].name,
				   producer_defaults[i].value, e) != 0)
			return -1;
	if (kafka_conf_set(rkc, "bootstrap.servers", c->brokers, e) != 0 ||
	    set_security(rkc, c, e) != 0)
		return -1;
	for (size_t i = 0; i < c->properties.n; i++)
		if (set_property(rkc, type, c->properties.v[i], e) != 0)
			return -1;
	return 0;
}

rd_kafka_conf_t *kafka_conf_make(const struct kafka_conf *c, rd_kafka_type_t type,
				 struct kafka_owner *owner, struct err *e)
{
	rd_kafka_conf_t *rkc = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(rkc, on_log);
	rd_kafka_conf_set_error_cb(rkc, on_error);
	rd_kafka_conf_set_opaque(rkc, owner);
	if (fill(rkc, c, type, e) == 0)
		return rkc;
	rd_kafka_conf_destroy(rkc);
	return NULL;
}

rd_kafka_t *kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *rkc,
			     struct err *e)
{
	char why[300];
	rd_kafka_t *rk = rd_kafka_new(type, rkc, why, sizeof(why));

	if (rk == NULL) {
		rd_kafka_conf_destroy(rkc);
		err_set(e, CODE_sink_config, "%s", why);
	}
	return rk;
}

int64_t kafka_conf_number(rd_kafka_t *rk, const char *name)
{
	char text[32] = "";
	size_t n = sizeof(text);

	if (rd_kafka_conf_get(rd_kafka_conf(rk), name, text, &n) !=
	    RD_KAFKA_CONF_OK)
		return 0;
	return strtoll(text, NULL, 10);
}
