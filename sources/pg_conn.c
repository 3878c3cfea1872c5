/* Connections.
 *
 * The hosts of a conninfo are tried one after the other by this file and not by
 * libpq: only so can a host that does not answer be given up after
 * connect_timeout, a stop be heeded meanwhile, and the SQLSTATE of a refusal be
 * learnt (libpq puts it into its message, if asked between the start of a
 * connection and its first answer).
 *
 * Nothing here or in libpq writes to stderr: notices of the server become log
 * lines. */
#include "config.h"
#include "sources/pg_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/note.h"
#include "base/secret.h"
#include "sources/pg_query.h"
#include "sources/pg_state.h"

#define NOTICE_PAUSE_MS 60000
#define STOP_GRACE_MS 1000
#define CLOSE_MS 500

/* A1, and what keeps a mistake of ours from hurting the server.  The settings
 * that an option of libpq would trip over (target_session_attrs looks at
 * default_transaction_read_only) are set once the connection stands. */
static const char settings[] =
	"-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3"
	" -c timezone=UTC -c bytea_output=hex -c lc_monetary=C"
	" -c statement_timeout=30s -c lock_timeout=1s"
	" -c idle_in_transaction_session_timeout=60s"
	/* the claim is held as long as the server believes that we live, and
	 * outside of streaming there is no wal_sender_timeout */
	" -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10"
	" -c tcp_keepalives_count=6";
static const char read_only[] = "SET default_transaction_read_only = on";

const char *pg_component(char out[PG_COMPONENT_SIZE], const char *pipeline)
{
	snprintf(out, PG_COMPONENT_SIZE, "pipeline \"%s\"", pipeline);
	return out;
}

/* --- notices */

static void receive_notice(void *arg, const PGresult *res)
{
	struct pg_session *s = arg;
	const char *msg = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	char component[PG_COMPONENT_SIZE];
	uint64_t hash;
	int64_t now = clock_mono_ms();

	if (msg == NULL || severity == NULL)
		return;
	/* PostgreSQL 18 skips the changes of a publication that was missing at
	 * their time, with no more than a warning (in the server's language) */
	if ((function != NULL && strcmp(function, "LoadPublications") == 0) ||
	    strstr(msg, "skipped loading publication") != NULL)
		s->publication_skipped = true;
	/* the same warning comes again and again while its cause lasts */
	hash = slice_hash(slice_of(msg));
	if (hash == s->notice_hash && now - s->notice_ms < NOTICE_PAUSE_MS)
		return;
	s->notice_hash = hash;
	s->notice_ms = now;
	note(strcmp(severity, "WARNING") == 0 ? NOTE_WARNING : NOTE_DEBUG,
	     pg_component(component, s->pipeline), CODE_server_notice,
	     NOTE_KV({"severity", severity}, {"sqlstate", state ? state : ""}),
	     "the server says: %s", msg);
}

/* --- waiting */

int pg_conn_wait(struct pg_session *s, short events, int64_t *deadline_ms)
{
	struct pollfd fds[2] = {
		{.fd = PQsocket(s->c), .events = events},
		{.fd = s->is_woken ? -1 : s->wake_fd, .events = POLLIN},
	};
	int64_t soon;

	if (poll(fds, 2, clock_poll_ms(*deadline_ms)) < 0 && errno != EINTR)
		return 1; /* let libpq find out */
	if (fds[1].revents != 0) {
		s->is_woken = true;
		soon = clock_mono_ms() + STOP_GRACE_MS;
		if (soon < *deadline_ms)
			*deadline_ms = soon;
	}
	return fds[0].revents != 0;
}

/* --- one host */

struct target {
	const char *host, *hostaddr, *port; /* NULL: as in the conninfo */
	const char *options;
	const char *password;
};

static PGconn *start(const struct pg_session *s, const struct target *t)
{
	char application[PG_COMPONENT_SIZE];
	const char *names[20], *values[20];
	size_t n = 0;

	/* before the conninfo stands what it may override */
#define PARAM(name, value) (names[n] = (name), values[n] = (value), n++)
	snprintf(application, sizeof(application), "leat/%s", s->pipeline);
	PARAM("keepalives", "1");
	PARAM("keepalives_idle", "30");
	PARAM("keepalives_interval", "10");
	PARAM("tcp_user_timeout", "60000");
	PARAM("dbname", s->conf->conninfo);
	if (t->host != NULL)
		PARAM("host", t->host);
	if (t->hostaddr != NULL)
		PARAM("hostaddr", t->hostaddr);
	if (t->port != NULL)
		PARAM("port", t->port);
	if (t->password != NULL)
		PARAM("password", t->password);
	PARAM("application_name", application);
	PARAM("client_encoding", "UTF8");
	PARAM("options", t->options);
	if (s->is_walsender)
		PARAM("replication", "database");
	PARAM(NULL, NULL);
#undef PARAM
	return PQconnectStartParams(names, values, 1);
}

/* libpq's verbose text of a failure is
 *	connection to server at "h", port 1 failed: FATAL:  28P01: message
 *	DETAIL:  ...
 * and without a server's answer just one line. */
static int connect_error(struct pg_session *s, struct err *e)
{
	char line[400], state[6] = "";
	const char *text = PQerrorMessage(s->c);
	size_t n = strcspn(text, "\n");
	char *at;

	snprintf(line, sizeof(line), "%.*s", (int)n, text);
	for (at = line; (at = strstr(at, ":  ")) != NULL; at++) {
		size_t len = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (len != 5 || strncmp(at + 8, ": ", 2) != 0)
			continue;
		memcpy(state, at + 3, 5);
		memmove(at + 3, at + 10, strlen(at + 10) + 1);
		break;
	}
	if (strstr(text, "unsupported startup parameter") != NULL)
		memcpy(state, "08P01", 6);
	pg_state_error(state, line, NULL, e);
	/* libpq has read the conninfo and tried nothing */
	if (strncmp(text, "invalid ", 8) == 0 ||
	    strncmp(text, "could not match ", 16) == 0) {
		e->code = CODE_source_config;
		err_hint(e, "Mend the conninfo.");
	}
	if (PQconnectionNeedsPassword(s->c)) {
		e->code = CODE_source_refused;
		err_hint(e, "Give the option password, or use a method of pg_hba.conf that needs none.");
	}
	return -1;
}

static int await_start(struct pg_session *s, int64_t timeout_ms, struct err *e)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	if (s->until_ms != 0 && s->until_ms < deadline) {
		deadline = s->until_ms;
		timeout_ms = deadline - clock_mono_ms();
	}

	for (;;) {
		if (next == PGRES_POLLING_OK)
			return 0;
		if (next == PGRES_POLLING_FAILED)
			return connect_error(s, e);
		if (pg_conn_wait(s, next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				 &deadline) == 0 &&
		    clock_mono_ms() >= deadline)
			return err_set(e, CODE_source_unreachable,
				       s->is_woken ? "connecting was interrupted"
						   : "no answer from the server "
						     "within %lld ms",
				       (long long)timeout_ms);
		next = PQconnectPoll(s->c);
	}
}

/* A database without an encoding converts nothing; its server would end the
 * stream at the first text that is not UTF-8, and not say whose it is.  The
 * decoder looks for itself and does say it. */
static int set_up(struct pg_session *s, struct err *e)
{
	const char *encoding = PQparameterStatus(s->c, "server_encoding");

	s->version = PQserverVersion(s->c);
	if (pg_query_run(s, read_only, e) != 0)
		return -1;
	if (!s->is_walsender || encoding == NULL ||
	    strcmp(encoding, "SQL_ASCII") != 0)
		return 0;
	return pg_query_run(s, "SET client_encoding = 'SQL_ASCII'", e);
}

static int open_one(struct pg_session *s, const struct target *t,
		    int64_t timeout_ms, struct err *e)
{
	s->is_woken = false;
	s->publication_skipped = false;
	s->c = start(s, t);
	if (s->c == NULL)
		return err_no_memory(e);
	PQsetNoticeReceiver(s->c, receive_notice, s);
	PQsetErrorVerbosity(s->c, PQERRORS_VERBOSE);
	if (PQstatus(s->c) == CONNECTION_BAD)
		connect_error(s, e);
	else if (await_start(s, timeout_ms, e) == 0 && set_up(s, e) == 0) {
		PQsetErrorVerbosity(s->c, PQERRORS_DEFAULT);
		return 0;
	}
	pg_conn_close(s);
	return -1;
}

/* --- the conninfo */

static const char *value_of(const PQconninfoOption *opts, const char *name)
{
	for (; opts->keyword != NULL; opts++)
		if (strcmp(opts->keyword, name) == 0)
			return opts->val;
	return NULL;
}

static unsigned count_items(const char *list)
{
	unsigned n = 1;

	for (; list != NULL && *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* The i-th item of a comma list, its only one when it has just one; NULL when
 * the list is. */
static const char *item(const char *list, unsigned i, struct buf *out)
{
	struct slice rest = slice_of(list), one;

	if (list == NULL)
		return NULL;
	one = slice_cut(&rest, ',');
	for (; i > 0 && rest.p != NULL; i--)
		one = slice_cut(&rest, ',');
	buf_reset(out, SIZE_MAX);
	buf_slice(out, one);
	buf_u8(out, '\0');
	return out->failed ? "" : out->p;
}

static int open_hosts(struct pg_session *s, const PQconninfoOption *opts,
		      struct target *t, int64_t timeout_ms, struct err *e)
{
	const char *host = value_of(opts, "host");
	const char *hostaddr = value_of(opts, "hostaddr");
	const char *port = value_of(opts, "port");
	unsigned n = count_items(host), nports = count_items(port);
	struct buf h = BUF_INIT, a = BUF_INIT, p = BUF_INIT;
	struct err first = ERR_INIT;
	int rc = -1;

	if (count_items(hostaddr) > n)
		n = count_items(hostaddr);
	/* a list that libpq would refuse is libpq's to complain about */
	if (n == 1 || (nports != 1 && nports != n))
		return open_one(s, t, timeout_ms, e);
	for (unsigned i = 0; i < n && rc < 0; i++) {
		struct err one = ERR_INIT;

		t->host = item(host, i, &h);
		t->hostaddr = item(hostaddr, i, &a);
		t->port = item(port, i, &p);
		rc = open_one(s, t, timeout_ms, &one);
		if (rc < 0 && err_is_set(&first))
			err_detail(&first, "Another host: %s.", one.msg);
		if (rc < 0 && !err_is_set(&first))
			first = one;
		if (rc < 0 && s->is_woken)
			break;
	}
	if (rc < 0)
		*e = first;
	buf_fini(&h);
	buf_fini(&a);
	buf_fini(&p);
	return rc;
}

/* Overwritten before it is freed: a core dump need not hold it. */
static void forget(struct buf *secret)
{
	if (secret->p != NULL)
		explicit_bzero(secret->p, secret->cap);
	buf_fini(secret);
}

static int read_password(const struct pg_conf *conf, struct buf *out, struct err *e)
{
	if (conf->password == NULL)
		return 0;
	if (secret_read(conf->password, out, e) < 0)
		return -1;
	buf_u8(out, '\0');
	return out->failed ? err_no_memory(e) : 0;
}

/* The very server that another session has reached. */
static void pin(struct target *t, const struct pg_session *other)
{
	const char *addr = PQhostaddr(other->c);

	t->host = PQhost(other->c);
	t->hostaddr = addr != NULL && addr[0] != '\0' ? addr : NULL;
	t->port = PQport(other->c);
}

int pg_conn_open(struct pg_session *s, const struct pg_session *same,
		 int64_t timeout_ms, struct err *e)
{
	struct buf password = BUF_INIT, options = BUF_INIT;
	struct target t = {0};
	PQconninfoOption *opts;
	char *why = NULL;
	int rc = -1;

	pg_conn_close(s);
	opts = PQconninfoParse(s->conf->conninfo, &why);
	if (opts == NULL && (why == NULL || strstr(why, "out of memory") != NULL)) {
		err_no_memory(e);
		goto out;
	}
	if (opts == NULL) {
		/* libpq's text may quote the string, and a password with it */
		err_set(e, CODE_conf_value, "conninfo is not a connection string of libpq");
		goto out;
	}
	if (read_password(s->conf, &password, e) < 0)
		goto out;
	if (value_of(opts, "options") != NULL)
		buf_printf(&options, "%s ", value_of(opts, "options"));
	buf_text(&options, settings);
	buf_u8(&options, '\0');
	if (options.failed) {
		err_no_memory(e);
		goto out;
	}
	t.options = options.p;
	t.password = password.n > 0 ? password.p : NULL;
	if (same != NULL) {
		pin(&t, same);
		rc = open_one(s, &t, timeout_ms, e);
	} else {
		rc = open_hosts(s, opts, &t, timeout_ms, e);
	}
out:
	PQconninfoFree(opts);
	PQfreemem(why);
	forget(&password);
	buf_fini(&options);
	return rc;
}

/* --- an open connection */

/* Claim and slot are free only when the server process has ended, which whoever
 * comes next relies on: a command right after a stop, say.  Waits for its end of
 * the connection, for a little. */
static void await_end(int fd)
{
	int64_t end = clock_mono_ms() + CLOSE_MS;
	char rest[4096];

	while (clock_mono_ms() < end) {
		struct pollfd f = {.fd = fd, .events = POLLIN};

		if (poll(&f, 1, clock_poll_ms(end)) > 0 &&
		    recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			break;
	}
}

void pg_conn_close(struct pg_session *s)
{
	bool waits = s->is_walsender && PQstatus(s->c) == CONNECTION_OK;
	int fd = waits ? fcntl(PQsocket(s->c), F_DUPFD_CLOEXEC, 0) : -1;

	PQfinish(s->c);
	s->c = NULL;
	if (fd >= 0) {
		await_end(fd);
		close(fd);
	}
}

bool pg_conn_is_open(const struct pg_session *s)
{
	return s->c != NULL;
}

bool pg_conn_is_alive(struct pg_session *s)
{
	return s->c != NULL && PQconsumeInput(s->c) == 1 &&
	       PQstatus(s->c) == CONNECTION_OK;
}

void pg_conn_cancel(struct pg_session *s)
{
	PGcancel *cancel = PQgetCancel(s->c);
	char why[256];

	if (cancel != NULL)
		PQcancel(cancel, why, sizeof(why));
	PQfreeCancel(cancel);
}

int pg_conn_lost(struct pg_session *s, struct err *e)
{
	const char *text = s->c ? PQerrorMessage(s->c) : "";
	size_t n = strcspn(text, "\n");

	return err_set(e, CODE_source_unreachable, "%.*s",
		       n ? (int)n : 36, n ? text : "the server has closed the connection");
}

const char *pg_conn_database(const struct pg_session *s)
{
	const char *name = PQdb(s->c);

	return name ? name : "";
}

int pg_conn_pid(const struct pg_session *s)
{
	return PQbackendPID(s->c);
}
