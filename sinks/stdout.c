/* stdout.c: see stdout.h; leat.conf(5), section "Sinks".
 *
 * Lines gather in one buffer and go out whole.  The descriptor belongs to
 * whoever started us, so it is never made non-blocking: where a write could
 * block (anything but a file) poll() comes first and a write is no longer than
 * what a writable pipe takes, so that a reader that does not read never holds
 * up a stop.  A write that fails says nothing about how much a reader has seen:
 * hence at least once.
 *
 * There is one standard output, so there is one sink of it at a time; what is
 * left of a line that a sink had begun when it was closed is the first that the
 * next one writes. */
#include "config.h"
#include "sinks/stdout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "schema/encode.h"

#define FLUSH_BYTES (64u << 10)
#define KEEP_BYTES (1u << 20)
#define WAIT_MS 100

struct stdout_conf {
	struct encoding encoding;
};

static const struct opt stdout_opts[] = {
	ENCODING_OPTS(offsetof(struct stdout_conf, encoding)),
	OPT_END,
};

struct stdout_sink {
	struct sink base;
	struct buf out;
	size_t written; /* of out */
	size_t at_once;	/* the longest write */
	bool has_it;	/* standard output is this sink's */
	bool is_file;
	bool is_in_line; /* the last byte that was written ends no line */
	struct encoder *encoder;
	struct encoded enc;
};

static atomic_flag is_taken = ATOMIC_FLAG_INIT;
static struct buf rest_of_line; /* of whoever has it */

static int stdout_check(struct sink *snk, struct report *r, struct err *e)
{
	const struct stdout_conf *conf = snk->conf;
	char where[256];

	if (encoding_check(&conf->encoding, false, e) != 0)
		return -1;
	snprintf(where, sizeof(where), "sink \"%s\"", snk->name);
	report_add(r, FINDING_WARNING, CODE_none, where, NULL,
		   "standard output keeps no place: after a crash the events since the last commit are written again, with the same ids");
	return 0;
}

static int take(struct stdout_sink *so, struct err *e)
{
	if (atomic_flag_test_and_set(&is_taken)) {
		err_set(e, CODE_sink_config,
			"another pipeline writes to standard output");
		err_hint(e, "Let this one write to a log, and print that with "
			    "`leat log tail`.");
		return -1;
	}
	so->has_it = true;
	buf_slice(&so->out, buf_get(&rest_of_line));
	if (so->out.failed)
		return err_no_memory(e);
	so->is_in_line = so->out.n > 0;
	buf_fini(&rest_of_line);
	return 0;
}

static int stdout_open(struct sink *snk, struct sink_held *held, struct err *e)
{
	struct stdout_sink *so = (struct stdout_sink *)snk;
	const struct stdout_conf *conf = snk->conf;
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(STDOUT_FILENO, &st) != 0)
		return err_sys(e, CODE_sink_config, errno,
			       "standard output cannot be written to");
	if ((flags & O_ACCMODE) == O_RDONLY) {
		err_set(e, CODE_sink_config, "standard output is closed");
		err_hint(e, "Redirect it to a pipe or a file.");
		return -1;
	}
	so->is_file = S_ISREG(st.st_mode);
	so->at_once = so->is_file || (flags & O_NONBLOCK) ? SSIZE_MAX
							  : PIPE_BUF;
	held->is_known = held->has_cursor = false;
	if (encoding_check(&conf->encoding, false, e) != 0)
		return -1;
	if (so->encoder == NULL) /* kept from an open() that failed */
		so->encoder = encoder_new(&conf->encoding, NULL);
	if (so->encoder == NULL)
		return err_no_memory(e);
	return take(so, e);
}

/* A reader that is gone does not come back; a full disk may pass, and what is
 * buffered stays. */
static enum verdict broken(struct err *e, int errnum)
{
	if (errnum == EPIPE) {
		err_set(e, CODE_sink_closed,
			"whoever was reading standard output is gone");
		return VERDICT_FATAL;
	}
	err_sys(e, CODE_sink_unreachable, errnum,
		"could not write to standard output");
	return VERDICT_RETRY;
}

/* Writes what is buffered; VERDICT_AGAIN when nobody took it in time. */
static enum verdict drain(struct stdout_sink *so, int wait_ms, struct err *e)
{
	struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (so->written < so->out.n) {
		size_t n = so->out.n - so->written;
		ssize_t done;
		int ready = poll(&pfd, 1, wait_ms);

		if (ready < 0 && errno != EINTR)
			return broken(e, errno);
		if (ready <= 0)
			return VERDICT_AGAIN;
		done = file_write(STDOUT_FILENO, so->out.p + so->written,
				  n < so->at_once ? n : so->at_once);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return broken(e, errno);
		if (done <= 0)
			continue;
		so->written += (size_t)done;
		so->is_in_line = so->out.p[so->written - 1] != '\n';
	}
	buf_reset(&so->out, KEEP_BYTES);
	so->written = 0;
	return VERDICT_OK;
}

static int put_event(struct stdout_sink *so, const struct event *ev,
		     struct err *e)
{
	if (encode_event(so->encoder, ev, &so->enc, e) != 0)
		return -1;
	for (size_t i = 0; i < so->enc.n; i++) {
		const struct record *rec = &so->enc.rec[i];

		buf_put(&so->out, so->enc.bytes.p + rec->value_at,
			rec->value_n);
		buf_u8(&so->out, '\n');
	}
	return so->out.failed ? err_no_memory(e) : 0;
}

/* Nothing of a call that fails half-way is kept. */
static enum verdict take_back(struct stdout_sink *so, size_t kept,
			      const struct err *e)
{
	so->out.failed = false;
	so->out.n = kept;
	return e->code == CODE_event_rejected ? VERDICT_REJECT : VERDICT_RETRY;
}

static enum verdict stdout_write(struct sink *snk, const struct batch *b,
				 size_t first, size_t count, struct err *e)
{
	struct stdout_sink *so = (struct stdout_sink *)snk;
	enum verdict v = VERDICT_OK;
	size_t kept;

	if (so->out.n - so->written >= FLUSH_BYTES)
		v = drain(so, WAIT_MS, e);
	if (v != VERDICT_OK)
		return v;
	kept = so->out.n;
	for (size_t i = first; i < first + count; i++) {
		if (b->ev[i].op == OP_SCHEMA) /* comes by apply_schema() */
			continue;
		if (put_event(so, &b->ev[i], e) != 0) {
			e->index = i;
			return take_back(so, kept, e);
		}
	}
	if (so->out.n - so->written < FLUSH_BYTES)
		return VERDICT_OK;
	v = drain(so, 0, e);
	return v == VERDICT_AGAIN ? VERDICT_OK : v;
}

static enum verdict stdout_commit(struct sink *snk, const struct cursor *c,
				  struct err *e)
{
	struct stdout_sink *so = (struct stdout_sink *)snk;
	enum verdict v = drain(so, WAIT_MS, e);

	(void)c;
	if (v != VERDICT_OK || !so->is_file || file_sync(STDOUT_FILENO, e) == 0)
		return v;
	/* what the file has got is not known: all since the last commit again,
	 * and not behind a line that may have no end */
	buf_u8(&so->out, '\n');
	so->is_in_line = !so->out.failed;
	e->code = CODE_sink_unreachable;
	return VERDICT_REWIND;
}

static enum verdict stdout_apply_schema(struct sink *snk,
					const struct event *ev, struct err *e)
{
	struct stdout_sink *so = (struct stdout_sink *)snk;
	size_t kept = so->out.n;

	if (put_event(so, ev, e) != 0)
		return take_back(so, kept, e);
	return VERDICT_OK;
}

static int stdout_drop(struct sink *snk, struct err *e)
{
	(void)snk;
	(void)e;
	return 0;
}

static void give_back(struct stdout_sink *so)
{
	const char *p = so->out.p + so->written, *end;

	if (so->is_in_line) {
		end = memchr(p, '\n', so->out.n - so->written);
		buf_put(&rest_of_line, p, (size_t)(end + 1 - p));
	}
	so->has_it = so->is_in_line = false;
	atomic_flag_clear(&is_taken);
}

static void stdout_close(struct sink *snk)
{
	struct stdout_sink *so = (struct stdout_sink *)snk;

	if (so->has_it)
		give_back(so);
	buf_fini(&so->out);
	so->written = 0;
	encoder_free(so->encoder);
	so->encoder = NULL;
	encoded_fini(&so->enc);
}

const struct sink_ops stdout_sink = {
	.type = "stdout",
	.class = SINK_AT_LEAST_ONCE,
	.opts = stdout_opts,
	.conf_size = sizeof(struct stdout_conf),
	.size = sizeof(struct stdout_sink),
	.check = stdout_check,
	.open = stdout_open,
	.write = stdout_write,
	.commit = stdout_commit,
	.apply_schema = stdout_apply_schema,
	.drop = stdout_drop,
	.close = stdout_close,
};
