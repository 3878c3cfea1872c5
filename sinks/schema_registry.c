#include "config.h"
#include "sinks/schema_registry.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "base/json.h"
#include "base/secret.h"

#define JSON_TYPE "application/vnd.schemaregistry.v1+json"
/* More than a registry has to say. */
#define ANSWER_BYTES (64u << 10)

const char *const schema_registry_tls[] = {"verify-full", "verify-ca", "require",
					   NULL};

struct schema_registry {
	const struct schema_registry_conf *conf;
	struct http *http;
	size_t at; /* the URL that answered last */
	struct buf url, body, answer, password, token;
};

struct schema_registry *schema_registry_new(
	const struct schema_registry_conf *conf)
{
	struct schema_registry *sr = calloc(1, sizeof(*sr));

	if (sr == NULL)
		return NULL;
	sr->conf = conf;
	sr->http = http_new();
	if (sr->http == NULL) {
		free(sr);
		return NULL;
	}
	return sr;
}

static void forget_secrets(struct schema_registry *sr)
{
	if (sr->password.p != NULL)
		explicit_bzero(sr->password.p, sr->password.cap);
	if (sr->token.p != NULL)
		explicit_bzero(sr->token.p, sr->token.cap);
	sr->password.n = sr->token.n = 0;
}

void schema_registry_free(struct schema_registry *sr)
{
	if (sr == NULL)
		return;
	forget_secrets(sr);
	http_free(sr->http);
	buf_fini(&sr->url);
	buf_fini(&sr->body);
	buf_fini(&sr->answer);
	buf_fini(&sr->password);
	buf_fini(&sr->token);
	free(sr);
}

/* NULL where there is none. */
static int read_secret(const char *ref, struct buf *into, const char **out,
		       struct err *e)
{
	*out = NULL;
	into->n = 0;
	if (ref == NULL)
		return 0;
	if (secret_read(ref, into, e) != 0)
		return -1;
	buf_u8(into, '\0');
	*out = into->p;
	return into->failed ? err_no_memory(e) : 0;
}

/* Percent-encoding of a path's segment, RFC 3986 section 2.1. */
static void put_segment(struct buf *b, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		char c = *p;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
			buf_u8(b, (uint8_t)c);
		else
			buf_printf(b, "%%%02X", (uint8_t)c);
	}
}

static void put_url(struct schema_registry *sr, size_t i, const char *subject)
{
	const char *base = sr->conf->urls.v[i];
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	buf_reset(&sr->url, SIZE_MAX);
	buf_put(&sr->url, base, n);
	buf_text(&sr->url, "/subjects");
	if (subject != NULL) {
		buf_u8(&sr->url, '/');
		put_segment(&sr->url, subject);
		buf_text(&sr->url, "/versions");
	}
	buf_u8(&sr->url, '\0');
}

/* What a registry says of an error: its own words, if it has any. */
static const char *message_of(const json_t *doc)
{
	const char *text = json_string_value(json_object_get(doc, "message"));

	return text ? text : "no reason given";
}

/* 4xx but for a time-out says that asking again is of no use. */
static int refused(struct schema_registry *sr, const char *subject, long status,
		   const json_t *doc, struct err *e)
{
	const char *url = sr->conf->urls.v[sr->at];

	if (status == 401 || status == 403) {
		err_set(e, CODE_sink_config,
			"registry \"%s\" does not let us in: status %ld: %s", url,
			status, message_of(doc));
		err_hint(e, "Set registry_user and registry_password, or registry_token.");
		return -1;
	}
	if (status == 409) {
		err_set(e, CODE_schema_refused,
			"registry \"%s\": the schema does not go together with the last one of subject \"%s\": %s",
			url, subject, message_of(doc));
		err_hint(e, "Set the compatibility of the subject to NONE (PUT %s/config/%s), or choose other topics.",
			 url, subject);
		return -1;
	}
	if (status == 422)
		return err_set(e, CODE_schema_refused,
			       "registry \"%s\" takes the schema of subject \"%s\" for none: %s",
			       url, subject, message_of(doc));
	return err_set(e, status >= 500 || status == 408 || status == 429
				  ? CODE_sink_unreachable
				  : CODE_sink_config,
		       "registry \"%s\" answered with status %ld: %s", url,
		       status, message_of(doc));
}

static int ask_one(struct schema_registry *sr, struct http_request *rq,
		   const char *subject, json_t **doc, struct err *e)
{
	const char *why;
	long status;
	int sys;

	buf_reset(&sr->answer, ANSWER_BYTES);
	if (http_ask(sr->http, rq, &status, &sr->answer, &sys, &why) !=
	    HTTP_ANSWERED)
		return err_set(e, CODE_sink_unreachable,
			       "registry \"%s\" did not answer: %s",
			       sr->conf->urls.v[sr->at], why);
	*doc = json_loadb(sr->answer.p ? sr->answer.p : "", sr->answer.n, 0, NULL);
	return status == 200 ? 0 : refused(sr, subject, status, *doc, e);
}

/* Asks each URL once, from the one on that answered last. */
static int ask(struct schema_registry *sr, const char *method,
	       const char *subject, json_t **doc, struct err *e)
{
	const struct schema_registry_conf *conf = sr->conf;
	struct http_request rq = {
		.method = method,
		.body = buf_get(&sr->body),
		.content_type = JSON_TYPE,
		.user = conf->user,
		.tls = (enum http_tls)conf->tls,
		.ca_file = conf->ca,
		.cert_file = conf->cert,
		.key_file = conf->key,
		.timeout_ms = conf->timeout,
	};
	int rc = -1;

	*doc = NULL;
	if (read_secret(conf->password, &sr->password, &rq.password, e) != 0 ||
	    read_secret(conf->token, &sr->token, &rq.token, e) != 0)
		return -1;
	for (size_t i = 0; rc != 0 && i < conf->urls.n; i++) {
		struct err why = ERR_INIT;

		put_url(sr, sr->at, subject);
		rq.url = sr->url.p;
		if (sr->url.failed || sr->body.failed) {
			rc = err_no_memory(e);
			break;
		}
		json_decref(*doc);
		*doc = NULL;
		rc = ask_one(sr, &rq, subject, doc, &why);
		if (rc != 0) {
			*e = err_is_set(e) ? *e : why;
			if (why.code != CODE_sink_unreachable)
				break;
			sr->at = (sr->at + 1) % conf->urls.n;
		}
	}
	forget_secrets(sr);
	if (rc == 0)
		*e = ERR_INIT;
	return rc;
}

int schema_registry_id(struct schema_registry *sr, const char *subject,
		       struct slice schema, uint32_t *id, struct err *e)
{
	json_int_t number = 0;
	json_t *doc;
	int rc;

	buf_reset(&sr->body, ANSWER_BYTES);
	buf_text(&sr->body, "{\"schema\":");
	json_quoted(&sr->body, schema);
	buf_u8(&sr->body, '}');
	rc = ask(sr, "POST", subject, &doc, e);
	if (rc == 0)
		number = json_integer_value(json_object_get(doc, "id"));
	json_decref(doc);
	if (rc != 0)
		return -1;
	if (number < 1 || number > UINT32_MAX)
		return err_set(e, CODE_sink_unreachable,
			       "registry \"%s\" gave the schema of subject \"%s\" no number",
			       sr->conf->urls.v[sr->at], subject);
	*id = (uint32_t)number;
	return 0;
}

int schema_registry_check(struct schema_registry *sr, struct err *e)
{
	json_t *doc;
	int rc;

	buf_fini(&sr->body); /* a question without one */
	rc = ask(sr, "GET", NULL, &doc, e);
	json_decref(doc);
	return rc;
}
