/* The client of a schema registry against one that answers as it is told. */
#include "config.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/http.h"
#include "sinks/schema_registry.h"
#include "t/net.h"
#include "t/tap.h"

/* What the server does, and what it saw. */
static struct {
	unsigned status;
	const char *answer;
	unsigned requests;
	char method[8], path[256], user[64], password[64], authorization[128],
		type[64];
	struct buf body;
} server;

static enum MHD_Result reply(struct MHD_Connection *c)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		strlen(server.answer), (void *)(uintptr_t)server.answer,
		MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc = MHD_queue_response(c, server.status, r);

	MHD_destroy_response(r);
	return rc;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c,
			      const char *url, const char *method,
			      const char *version, const char *data,
			      size_t *size, void **state)
{
	char *user, *password = NULL;

	(void)arg, (void)version;
	if (*state == NULL) {
		*state = &server;
		server.requests++;
		buf_reset(&server.body, SIZE_MAX);
		return MHD_YES;
	}
	if (*size > 0) {
		buf_put(&server.body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	copy(server.method, sizeof(server.method), method);
	copy(server.path, sizeof(server.path), url);
	copy(server.authorization, sizeof(server.authorization),
	     MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"));
	copy(server.type, sizeof(server.type),
	     MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"));
	user = MHD_basic_auth_get_username_password(c, &password);
	copy(server.user, sizeof(server.user), user);
	copy(server.password, sizeof(server.password), password);
	MHD_free(user);
	MHD_free(password);
	return reply(c);
}

static struct MHD_Daemon *daemon_on(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
		answer, NULL, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);

	if (!has_loopback())
		tap_skip_all("no network");
	if (d == NULL)
		tap_skip_all("no port to listen on");
	*port = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port;
	return d;
}

static struct schema_registry *sr;
static uint32_t id;
static struct err e;

static bool asks(const char *subject, unsigned status, const char *text)
{
	server.status = status;
	server.answer = text;
	e = ERR_INIT;
	id = 0;
	return schema_registry_id(sr, subject, SLICE("{\"type\":\"long\"}"), &id,
				  &e) == 0;
}

static void answers(void)
{
	json_t *doc;

	ok(asks("shop.public.users-value", 200, "{\"id\":7}") && id == 7,
	   "a schema is registered");
	is_str(server.method, "POST", "by POST");
	is_str(server.path, "/base/subjects/shop.public.users-value/versions",
	       "below the URL, which may end in a slash");
	is_str(server.type, "application/vnd.schemaregistry.v1+json",
	       "with the registry's own type");
	doc = json_loadb(server.body.p, server.body.n, 0, NULL);
	is_str(json_string_value(json_object_get(doc, "schema")),
	       "{\"type\":\"long\"}", "the schema is a string in the body");
	json_decref(doc);
	ok(asks("a b/\xc3\xa4", 200, "{\"id\":4294967295}") &&
		   id == UINT32_MAX, "the largest number fits");
	is_str(server.path, "/base/subjects/a b/\xc3\xa4/versions",
	       "any subject is escaped");
	ok(!asks("s", 409, "{\"error_code\":409,\"message\":\"no default\"}") &&
		   e.code == CODE_schema_refused && strstr(e.msg, "no default") &&
		   e.hint[0], "an incompatible one is refused: %s", e.msg);
	ok(!asks("s", 422, "{\"message\":\"not Avro\"}") &&
		   e.code == CODE_schema_refused, "so is an invalid one: %s",
	   e.msg);
	ok(!asks("s", 401, "Unauthorized") && e.code == CODE_sink_config &&
		   strstr(e.hint, "registry_user"),
	   "without the right credentials: %s", e.msg);
	ok(!asks("s", 503, "<html>") && e.code == CODE_sink_unreachable,
	   "a registry that is ill is asked again: %s", e.msg);
	ok(!asks("s", 404, "") && e.code == CODE_sink_config,
	   "something else that answers is no registry: %s", e.msg);
	ok(!asks("s", 200, "{\"id\":0}") && e.code == CODE_sink_unreachable,
	   "an answer without a number is none: %s", e.msg);
	ok(!asks("s", 200, "[") && e.code == CODE_sink_unreachable,
	   "nor is what is no JSON");
	server.status = 200;
	server.answer = "[]";
	e = ERR_INIT;
	ok(schema_registry_check(sr, &e) == 0 &&
		   strcmp(server.method, "GET") == 0 &&
		   strcmp(server.path, "/base/subjects") == 0,
	   "it asks for the subjects");
}

static void credentials(struct schema_registry_conf *conf)
{
	char user[] = "leat", secret[] = "env:LEAT_T_SECRET";

	setenv("LEAT_T_SECRET", "s3cret", 1);
	conf->user = user;
	conf->password = secret;
	ok(asks("s", 200, "{\"id\":1}") && strcmp(server.user, "leat") == 0 &&
		   strcmp(server.password, "s3cret") == 0,
	   "user and password go along");
	setenv("LEAT_T_SECRET", "rotated", 1);
	ok(asks("s", 200, "{\"id\":1}") &&
		   strcmp(server.password, "rotated") == 0,
	   "a new password is used without a restart");
	conf->token = secret;
	ok(asks("s", 200, "{\"id\":1}") &&
		   strcmp(server.authorization, "Bearer rotated") == 0,
	   "a token goes first");
	ok(!asks("s", 403, "{}") && strstr(e.msg, "rotated") == NULL,
	   "no message holds it: %s", e.msg);
	unsetenv("LEAT_T_SECRET");
	ok(!asks("s", 200, "{\"id\":1}") && e.code == CODE_conf_secret,
	   "a secret that is not there is said: %s", e.msg);
	conf->user = conf->password = conf->token = NULL;
}

static void several(struct schema_registry_conf *conf, char *good)
{
	char nobody[] = "http://127.0.0.1:1";
	char *urls[] = {nobody, good};
	unsigned before;

	conf->urls.v = urls;
	conf->urls.n = 2;
	ok(asks("s", 200, "{\"id\":9}") && id == 9,
	   "the next URL is tried where nobody answers");
	urls[0] = good;
	before = server.requests;
	ok(!asks("s", 500, "{}") && server.requests == before + 2,
	   "each is asked once: %s", e.msg);
	before = server.requests;
	ok(!asks("s", 409, "{}") && server.requests == before + 1,
	   "what is refused is not asked again");
	conf->urls.n = 1;
	urls[0] = nobody;
	schema_registry_free(sr);
	sr = schema_registry_new(conf);
	ok(!asks("s", 200, "{}") && e.code == CODE_sink_unreachable,
	   "nobody at all: %s", e.msg);
}

int main(void)
{
	uint16_t port;
	struct MHD_Daemon *d = daemon_on(&port);
	struct schema_registry_conf conf = {.timeout = 5000};
	char url[64];
	char *urls[] = {url};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/base/", port);
	conf.urls.v = urls;
	conf.urls.n = 1;
	sr = schema_registry_new(&conf);
	if (sr == NULL)
		abort();
	answers();
	credentials(&conf);
	several(&conf, url);
	schema_registry_free(sr);
	MHD_stop_daemon(d);
	buf_fini(&server.body);
	return tap_done();
}
