#include "config.h"
#include "agent/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include "agent/dlq.h"
#include "base/json.h"
#include "base/utf8.h"

struct control {
	struct MHD_Daemon *daemon;
	const struct status_agent *agent;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status,
			     struct buf *body)
{
	struct MHD_Response *r;
	enum MHD_Result rc;

	if (body->failed)
		return MHD_NO;
	utf8_mend(body->p, body->n);
	r = MHD_create_response_from_buffer(body->n, body->p,
					    MHD_RESPMEM_MUST_COPY);
	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", "application/json");
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static struct pipeline *find_pipeline(const struct control *ctl, const char *name)
{
	for (size_t i = 0; name != NULL && i < ctl->agent->n; i++)
		if (strcmp(pipeline_name(ctl->agent->pipelines[i]), name) == 0)
			return ctl->agent->pipelines[i];
	return NULL;
}

static const char *word(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
}

/* By a connection to the file of its own: the writer looks there when it is poked. */
static int change_letters(struct control *ctl, struct MHD_Connection *c,
			  const char *url, struct buf *body, struct err *e)
{
	const char *name = word(c, "pipeline"), *count = word(c, "count");
	struct pipeline *p = find_pipeline(ctl, name);
	struct slice id = slice_of(word(c, "id"));
	uint64_t n = 0, expected = 0;
	struct dlq *q;
	int rc = 0;

	if (p == NULL)
		return err_set(e, CODE_usage, "the agent has no pipeline \"%s\"",
			       name ? name : "");
	if (count != NULL && !slice_to_u64(slice_of(count), &expected))
		return err_set(e, CODE_usage, "\"%s\" is not a number", count);
	q = dlq_open(ctl->agent->conf->state_dir, name, false, e);
	if (q != NULL && strcmp(url, "/dlq/retry") == 0)
		rc = dlq_want(q, id, &n, e);
	else if (q != NULL)
		rc = dlq_drop(q, id, expected, &n, e);
	dlq_close(q);
	pipeline_poke(p);
	if (rc != 0 || err_is_set(e))
		return -1;
	buf_printf(body, "{\"count\":%llu,\"state\":", (unsigned long long)n);
	json_quoted(body, slice_of(pipeline_phase_names[pipeline_phase(p)]));
	buf_text(body, "}\n");
	return 0;
}

static unsigned post(struct control *ctl, struct MHD_Connection *c,
		     const char *url, struct buf *body)
{
	struct err e = ERR_INIT;

	if (change_letters(ctl, c, url, body, &e) != 0) {
		buf_u8(body, '{');
		status_put_error(body, &e);
		buf_text(body, "\"count\":0}\n");
	}
	return MHD_HTTP_OK;
}

static bool is_for_letters(const char *url)
{
	return strcmp(url, "/dlq/retry") == 0 || strcmp(url, "/dlq/drop") == 0;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *c,
			      const char *url, const char *method,
			      const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	static char seen;
	struct control *ctl = cls;
	struct buf body = BUF_INIT;
	unsigned status = MHD_HTTP_OK;
	bool is_post = strcmp(method, "POST") == 0;
	enum MHD_Result rc;

	(void)version, (void)upload;
	/* a request with a body is told of first without it */
	if (is_post && (*request == NULL || *upload_size > 0)) {
		*request = &seen;
		*upload_size = 0;
		return MHD_YES;
	}
	if (is_post && is_for_letters(url))
		status = post(ctl, c, url, &body);
	else if (strcmp(method, "GET") != 0) {
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
		buf_text(&body, "{\"message\":\"only GET is known\"}\n");
	} else if (strcmp(url, "/status") == 0)
		status_print(ctl->agent, &body);
	else {
		status = MHD_HTTP_NOT_FOUND;
		buf_text(&body, "{\"message\":\"no such thing; there is /status\"}\n");
	}
	rc = reply(c, status, &body);
	buf_fini(&body);
	return rc;
}

/* Takes away the socket of an agent that is gone; nothing else. */
static int remove_dead(const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	int fd, rc, why;

	if (lstat(a->sun_path, &st) != 0)
		return 0; /* bind() says what is wrong, if anything */
	if (!S_ISSOCK(st.st_mode)) {
		err_set(e, CODE_conf_value,
			"control_socket \"%s\" exists and is no socket",
			a->sun_path);
		err_hint(e, "Give control_socket another path.");
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, CODE_system, errno, "could not make a socket");
	rc = connect(fd, (const struct sockaddr *)a, sizeof(*a));
	if (rc != 0 && errno == ECONNREFUSED)
		rc = unlink(a->sun_path);
	else if (rc == 0)
		rc = err_set(e, CODE_state_held,
			     "another agent answers at control_socket \"%s\"",
			     a->sun_path);
	why = errno;
	close(fd);
	if (rc == 0)
		return 0;
	err_sys(e, CODE_system, why, "could not replace control_socket \"%s\"",
		a->sun_path);
	err_hint(e, "Stop the other agent, or give each a control_socket and a "
		    "state_dir of its own.");
	return -1;
}

static int bind_at(const struct sockaddr_un *a, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int rc;

	if (fd < 0)
		return err_sys(e, CODE_system, errno, "could not make a socket");
	mask = umask(0117);
	rc = bind(fd, (const struct sockaddr *)a, sizeof(*a));
	umask(mask);
	if (rc == 0 && listen(fd, 16) == 0)
		return fd;
	err_sys(e, CODE_system, errno, "could not bind control_socket \"%s\"",
		a->sun_path);
	close(fd);
	return -1;
}

static int listen_at(struct control *ctl, const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		err_set(e, CODE_conf_value,
			"control_socket \"%s\" is longer than the %zu bytes "
			"that a unix socket allows", path,
			sizeof(a.sun_path) - 1);
		err_hint(e, "Set control_socket to a shorter path.");
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = remove_dead(&a, e) == 0 ? bind_at(&a, e) : -1;
	if (fd >= 0)
		memcpy(ctl->path, path, strlen(path) + 1);
	return fd;
}

struct control *control_open(const char *path, const struct status_agent *agent,
			     struct err *e)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int fd;

	if (ctl == NULL) {
		err_no_memory(e);
		return NULL;
	}
	ctl->agent = agent;
	fd = listen_at(ctl, path, e);
	if (fd < 0) {
		free(ctl);
		return NULL;
	}
	ctl->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
		answer, ctl, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_TIMEOUT, 10u,
		MHD_OPTION_CONNECTION_LIMIT, 32u, MHD_OPTION_END);
	if (ctl->daemon == NULL) {
		err_set(e, CODE_system, "could not serve the control socket");
		close(fd);
		control_close(ctl);
		return NULL;
	}
	return ctl;
}

void control_close(struct control *ctl)
{
	if (ctl == NULL)
		return;
	if (ctl->daemon != NULL)
		MHD_stop_daemon(ctl->daemon);
	if (ctl->path[0] != '\0')
		unlink(ctl->path);
	free(ctl);
}
