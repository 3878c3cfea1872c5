#include "config.h"
#include "agent/log_view.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/pattern.h"

#define BATCH_BYTES (1u << 20)
#define OUT_BYTES (256u << 10)

struct show {
	const struct log_view *view;
	struct encoder *encoder;
	struct encoded enc;
	struct buf out;
	size_t at_once; /* the longest write that cannot block after poll() */
	uint64_t shown;
	bool is_over;
	uint32_t schemas; /* that were shown */
};

/* --- output ---------------------------------------------------------- */

/* 1: standard output takes more, 0: stop, -1: error */
static int wait_for_room(const struct show *s, struct err *e)
{
	struct pollfd p[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
			      {.fd = s->view->stop_fd, .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_sys(e, CODE_system, errno, "could not poll");
	return p[1].revents == 0;
}

/* What whoever reads us does not take is not taken away from a stop. */
static int flush(struct show *s, struct err *e)
{
	size_t at = 0;

	if (s->out.failed)
		return err_no_memory(e);
	while (at < s->out.n) {
		size_t n = s->out.n - at;
		ssize_t done;
		int room = wait_for_room(s, e);

		if (room < 0)
			return -1;
		if (room == 0) {
			s->is_over = true;
			break;
		}
		done = write(STDOUT_FILENO, s->out.p + at,
			     n < s->at_once ? n : s->at_once);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, CODE_failed, errno,
				       "could not write to standard output");
		if (done > 0)
			at += (size_t)done;
	}
	buf_reset(&s->out, 4 * OUT_BYTES);
	return 0;
}

static bool is_stopped(const struct log_view *v)
{
	struct pollfd p = {.fd = v->stop_fd, .events = POLLIN};

	return v->stop_fd >= 0 && poll(&p, 1, 0) > 0;
}

/* --- which events ---------------------------------------------------- */

static bool has_table(const struct log_view *v, const struct table *tab)
{
	for (size_t i = 0; i < v->ntables; i++)
		if (pattern_match(v->tables[i], tab->schema, tab->name))
			return true;
	return false;
}

static bool is_wanted(const struct log_view *v, const struct event *ev)
{
	if (v->ops != 0 && !(v->ops & 1u << ev->op))
		return false;
	if (v->ntables == 0)
		return true;
	if (ev->op == OP_TRUNCATE) {
		for (uint32_t i = 0; i < ev->truncate->ntables; i++)
			if (has_table(v, ev->truncate->tables[i]))
				return true;
		return false;
	}
	return ev->table != NULL && has_table(v, ev->table);
}

static bool is_behind(const struct log_view *v, const struct event *ev)
{
	return (v->to_seq != 0 && ev->seq > v->to_seq) ||
	       (v->to_us != 0 && ev->txn->commit_us > v->to_us);
}

/* Avro's schemas come as lines of their own, in front of the first record that
 * needs them, with the numbers that the records bear. */
static int show_schema(void *arg, const struct table *tab, bool is_key,
		       struct slice schema, uint32_t *id, struct err *e)
{
	struct show *s = arg;

	*id = ++s->schemas;
	buf_printf(&s->out, "{\"id\":%u,\"subject\":", *id);
	if (tab != NULL)
		json_quoted(&s->out, tab->full_name);
	else
		buf_text(&s->out, "\"message\"");
	buf_printf(&s->out, ",\"is_key\":%s,\"schema\":",
		   is_key ? "true" : "false");
	buf_slice(&s->out, schema);
	buf_text(&s->out, "}\n");
	return s->out.failed ? err_no_memory(e) : 0;
}

static void put_avro(struct show *s, const struct record *r)
{
	const char *p = s->enc.bytes.p;

	buf_text(&s->out, "{\"key\":");
	if (r->key_n > 0) {
		buf_u8(&s->out, '"');
		json_base64(&s->out, (struct slice){p + r->key_at, r->key_n});
		buf_u8(&s->out, '"');
	} else {
		buf_text(&s->out, "null");
	}
	buf_text(&s->out, ",\"value\":\"");
	json_base64(&s->out, (struct slice){p + r->value_at, r->value_n});
	buf_text(&s->out, "\"}");
}

static int show_event(struct show *s, const struct event *ev, struct err *e)
{
	if (encode_event(s->encoder, ev, &s->enc, e) != 0)
		return -1;
	for (size_t i = 0; i < s->enc.n; i++) {
		const struct record *r = &s->enc.rec[i];

		if (r->value_n == 0)
			continue;
		if (s->view->encoding.format == FORMAT_AVRO)
			put_avro(s, r);
		else
			buf_put(&s->out, s->enc.bytes.p + r->value_at,
				r->value_n);
		buf_u8(&s->out, '\n');
	}
	s->shown++;
	return s->out.n >= OUT_BYTES ? flush(s, e) : 0;
}

static int show_batch(struct show *s, const struct batch *b, struct err *e)
{
	const struct log_view *v = s->view;

	for (size_t i = 0; i < b->n && !s->is_over; i++) {
		const struct event *ev = &b->ev[i];

		if (is_behind(v, ev)) {
			s->is_over = true;
			break;
		}
		if (!is_wanted(v, ev))
			continue;
		if (show_event(s, ev, e) != 0)
			return -1;
		if (v->count != 0 && s->shown >= v->count)
			s->is_over = true;
	}
	return flush(s, e);
}

static int show_all(struct show *s, struct log_reader *r, struct batch *b,
		    struct err *e)
{
	while (!s->is_over && !is_stopped(s->view)) {
		batch_reset(b);
		if (log_reader_read(r, b, BATCH_BYTES, e) != 0)
			return -1;
		if (show_batch(s, b, e) != 0)
			return -1;
		if (b->n > 0)
			continue;
		if (!s->view->follow)
			break;
		if (log_reader_wait(r, CLOCK_NEVER, s->view->stop_fd, e) != 0)
			return -1;
	}
	return 0;
}

int log_view_run(const char *path, const struct log_start *start,
		 const struct log_view *view, struct err *e)
{
	struct show s = {.view = view, .at_once = PIPE_BUF};
	struct encoder_registry registry = {&s, show_schema};
	struct log_reader *r = log_reader_open(path, start, NULL, e);
	struct err ignored = ERR_INIT;
	struct batch *b = batch_new();
	struct stat st;
	int rc = -1;

	s.encoder = encoder_new(&view->encoding, &registry);
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		s.at_once = SSIZE_MAX;
	if (b == NULL || s.encoder == NULL)
		err_no_memory(e);
	else if (r != NULL)
		rc = show_all(&s, r, b, e);
	/* what stands before an event that cannot be written */
	if (rc != 0)
		(void)!flush(&s, &ignored);
	log_reader_close(r);
	batch_free(b);
	encoder_free(s.encoder);
	encoded_fini(&s.enc);
	buf_fini(&s.out);
	return rc;
}
