#include "config.h"
#include "agent/ask.h"

#include <curl/curl.h>
#include <errno.h>

static size_t take(char *p, size_t size, size_t n, void *out)
{
	buf_put(out, p, size * n);
	return ((struct buf *)out)->failed ? 0 : size * n;
}

enum asked ask(const char *socket_path, const char *path, struct buf *out,
	       struct err *e)
{
	CURL *curl = curl_easy_init();
	struct buf url = BUF_INIT;
	long status = 0, why = 0;
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	buf_printf(&url, "http://leat%s", path);
	buf_u8(&url, '\0');
	if (curl != NULL && !url.failed) {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
		curl_easy_setopt(curl, CURLOPT_URL, url.p);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		/* a proxy of the environment has no business here */
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
		rc = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &why);
	}
	curl_easy_cleanup(curl);
	buf_fini(&url);
	if (rc == CURLE_COULDNT_CONNECT && why == EACCES) {
		err_sys(e, CODE_failed, EACCES, "could not ask the agent at \"%s\"",
			socket_path);
		err_hint(e, "Be root, or a member of the group that owns the socket.");
		return ASK_FAILED;
	}
	if (rc == CURLE_COULDNT_CONNECT)
		return ASK_NOT_RUNNING;
	if (rc == CURLE_OK && status == 200)
		return ASK_OK;
	err_set(e, CODE_failed, "the agent at \"%s\" did not answer: %s",
		socket_path, rc != CURLE_OK ? curl_easy_strerror(rc)
					    : "unexpected status");
	return ASK_FAILED;
}
