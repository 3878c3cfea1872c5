#include "config.h"
#include "agent/ask.h"

#include <errno.h>

#include "base/http.h"

void ask_put(struct buf *path, char sep, const char *name, struct slice value)
{
	buf_printf(path, "%c%s=", sep, name);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '_' || c == '-')
			buf_u8(path, (uint8_t)c);
		else
			buf_printf(path, "%%%02X", (unsigned char)c);
	}
}

enum asked ask(const char *socket_path, const char *method, const char *path,
	       struct buf *out, struct err *e)
{
	struct http *h = http_new();
	struct buf url = BUF_INIT;
	enum http_result rc = HTTP_FAILED;
	const char *why = "out of memory";
	long status = 0;
	int sys = 0;

	buf_printf(&url, "http://leat%s", path);
	buf_u8(&url, '\0');
	if (h != NULL && !url.failed)
		rc = http_ask(h, &(struct http_request){
				      .method = method,
				      .url = url.p,
				      .unix_socket = socket_path,
				      .timeout_ms = 10000,
			      }, &status, out, &sys, &why);
	buf_fini(&url);
	if (rc == HTTP_NOT_CONNECTED && sys == EACCES) {
		err_sys(e, CODE_failed, EACCES, "could not ask the agent at \"%s\"",
			socket_path);
		err_hint(e, "Be root, or a member of the group that owns the socket.");
	} else if (rc == HTTP_FAILED || (rc == HTTP_ANSWERED && status != 200)) {
		err_set(e, CODE_failed, "the agent at \"%s\" did not answer: %s",
			socket_path, rc == HTTP_FAILED ? why : "unexpected status");
	}
	http_free(h);
	if (err_is_set(e))
		return ASK_FAILED;
	return rc == HTTP_ANSWERED ? ASK_OK : ASK_NOT_RUNNING;
}
