/* http.h: an HTTP client, by libcurl, which is known to http.c alone.
 *
 * One request at a time; the connection is kept for the next one.  Redirects are
 * not followed and no proxy of the environment is asked: what the conf names is
 * what is talked to. */
#ifndef LEAT_BASE_HTTP_H
#define LEAT_BASE_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum http_tls {
	HTTP_TLS_VERIFY_FULL, /* of https: certificate and name of the host */
	HTTP_TLS_VERIFY_CA,   /* the certificate */
	HTTP_TLS_REQUIRE,     /* nothing: encrypted, to whomever */
};

struct http_request {
	const char *method; /* GET, POST, ... */
	const char *url;
	const char *unix_socket; /* NULL: over the network */
	struct slice body;
	const char *content_type; /* of body and answer; NULL: none is said */
	const char *user, *password; /* basic authentication; NULL: none */
	const char *token;	     /* bearer; NULL: none */
	enum http_tls tls;
	const char *ca_file; /* NULL: the system's */
	const char *cert_file, *key_file; /* of this client; NULL: none */
	int64_t timeout_ms;
};

enum http_result {
	HTTP_ANSWERED,	     /* whatever the status */
	HTTP_NOT_CONNECTED,  /* nobody is there: nothing was sent */
	HTTP_FAILED,	     /* anything else: it may have arrived */
};

struct http;

/* *Returns owned*, or NULL on lack of memory. */
struct http *http_new(void);
void http_free(struct http *h);
/* Appends the answer's body to out.  Unless HTTP_ANSWERED, *sys is the errno of
 * the operating system or 0, and *why libcurl's words, valid until the next
 * request. */
enum http_result http_ask(struct http *h, const struct http_request *rq,
			  long *status, struct buf *out, int *sys,
			  const char **why);

#endif
