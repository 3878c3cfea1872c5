#include "config.h"
#include "base/http.h"

#include <curl/curl.h>
#include <stdlib.h>

struct http {
	CURL *curl;
	char why[CURL_ERROR_SIZE];
};

struct http *http_new(void)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->curl = curl_easy_init();
	if (h->curl == NULL) {
		free(h);
		return NULL;
	}
	return h;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

static size_t take(char *p, size_t size, size_t n, void *out)
{
	buf_put(out, p, size * n);
	return ((struct buf *)out)->failed ? 0 : size * n;
}

static bool add_header(struct curl_slist **list, const char *name,
		       const char *value)
{
	struct buf line = BUF_INIT;
	struct curl_slist *more = NULL;

	buf_printf(&line, "%s%s", name, value);
	buf_u8(&line, '\0');
	if (!line.failed)
		more = curl_slist_append(*list, line.p);
	buf_fini(&line);
	if (more != NULL)
		*list = more;
	return more != NULL;
}

static bool set_headers(CURL *curl, const struct http_request *rq,
			struct curl_slist **list)
{
	/* an answer of 100 is not waited for */
	bool good = add_header(list, "Expect:", "");

	if (rq->content_type != NULL)
		good = good &&
		       add_header(list, "Content-Type: ", rq->content_type) &&
		       add_header(list, "Accept: ", rq->content_type);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *list);
	return good;
}

static void set_credentials(CURL *curl, const struct http_request *rq)
{
	if (rq->token != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, rq->token);
	} else if (rq->user != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, rq->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD,
				 rq->password ? rq->password : "");
	}
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER,
			 rq->tls == HTTP_TLS_REQUIRE ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST,
			 rq->tls == HTTP_TLS_VERIFY_FULL ? 2L : 0L);
	if (rq->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, rq->ca_file);
	if (rq->cert_file != NULL)
		curl_easy_setopt(curl, CURLOPT_SSLCERT, rq->cert_file);
	if (rq->key_file != NULL)
		curl_easy_setopt(curl, CURLOPT_SSLKEY, rq->key_file);
}

static void set_request(struct http *h, const struct http_request *rq,
			struct buf *out)
{
	CURL *curl = h->curl;

	curl_easy_reset(curl); /* connections stay */
	h->why[0] = '\0';
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, h->why);
	curl_easy_setopt(curl, CURLOPT_URL, rq->url);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	if (rq->unix_socket != NULL)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH,
				 rq->unix_socket);
	if (rq->body.p != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)rq->body.n);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, rq->body.p);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, rq->method);
	set_credentials(curl, rq);
}

enum http_result http_ask(struct http *h, const struct http_request *rq,
			  long *status, struct buf *out, int *sys,
			  const char **why)
{
	struct curl_slist *headers = NULL;
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long os = 0;

	*status = 0;
	set_request(h, rq, out);
	if (set_headers(h->curl, rq, &headers))
		rc = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, status);
	curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &os);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	*sys = (int)os;
	*why = h->why[0] ? h->why : curl_easy_strerror(rc);
	if (rc == CURLE_OK)
		return HTTP_ANSWERED;
	return rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST
		       ? HTTP_NOT_CONNECTED
		       : HTTP_FAILED;
}
