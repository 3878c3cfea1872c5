#include "config.h"
#include "agent/log_view.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/event_view.h"
#include "base/clock.h"
#include "base/pattern.h"

#define BATCH_BYTES (1u << 20)
#define OUT_BYTES (256u << 10)

struct show {
	const struct log_view *view;
	struct event_view lines;
	size_t at_once; /* the longest write that cannot block after poll() */
	uint64_t shown;
	bool is_over;
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

	if (s->lines.out.failed)
		return err_no_memory(e);
	while (at < s->lines.out.n) {
		size_t n = s->lines.out.n - at;
		ssize_t done;
		int room = wait_for_room(s, e);

		if (room < 0)
			return -1;
		if (room == 0) {
			s->is_over = true;
			break;
		}
		done = write(STDOUT_FILENO, s->lines.out.p + at,
			     n < s->at_once ? n : s->at_once);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, CODE_failed, errno,
				       "could not write to standard output");
		if (done > 0)
			at += (size_t)done;
	}
	buf_reset(&s->lines.out, 4 * OUT_BYTES);
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

static int show_event(struct show *s, const struct event *ev, struct err *e)
{
	if (event_view_put(&s->lines, ev, e) != 0)
		return -1;
	s->shown++;
	return s->lines.out.n >= OUT_BYTES ? flush(s, e) : 0;
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
	struct log_reader *r = log_reader_open(path, start, NULL, e);
	struct err ignored = ERR_INIT;
	struct batch *b = batch_new();
	struct stat st;
	int rc = -1;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		s.at_once = SSIZE_MAX;
	if (b == NULL)
		err_no_memory(e);
	else if (event_view_init(&s.lines, &view->encoding, e) == 0 && r != NULL)
		rc = show_all(&s, r, b, e);
	/* what stands before an event that cannot be written */
	if (rc != 0)
		(void)!flush(&s, &ignored);
	log_reader_close(r);
	batch_free(b);
	event_view_fini(&s.lines);
	return rc;
}
