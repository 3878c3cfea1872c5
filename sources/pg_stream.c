/* The CopyBoth loop's parts.
 *
 * Frames, all integers big-endian:
 *	w  start 8, end 8, time 8, one pgoutput message
 *	k  end 8, time 8, reply requested 1
 *	r  write 8, flush 8, apply 8, time 8, reply requested 1    (ours)
 *
 * The walsender sends each message by itself, and a reader that wakes for each
 * keeps it busy with that.  So while data pours in the socket is told to wake us
 * only for a good amount of it (SO_RCVLOWAT) and is looked at every few
 * milliseconds anyway; when little comes, a single byte wakes.
 *
 * That amount is what libpq's buffer holds, and it is asked to read once between
 * two waits: with more than 32 KiB in a larger buffer it calls recv() until
 * nothing is left, for one of the messages each time, and the server then sends
 * them as slowly as that. */
#include "config.h"
#include "sources/pg_stream.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/wire.h"
#include "sources/pg_query.h"
#include "sources/pgoutput.h"

#define FEEDBACK_MS 10000
#define FEEDBACK_PAUSE_MS 100
#define GATHER_BYTES 16384
#define GATHER_MS 5
#define POUR_BYTES 8192	  /* in GATHER_MS: that is pouring */
#define TRICKLE_BYTES 2048 /* in GATHER_MS: no more */
#define PING_WINDOW_MS 5000
#define PING_LIMIT 250
#define END_MS 1000

/* --- frames */

/* Microseconds from 1970-01-01 to 2000-01-01. */
#define PG_EPOCH_US INT64_C(946684800000000)

bool pg_frame_parse(struct slice bytes, struct pg_frame *f)
{
	struct wire w = wire_of(bytes);

	*f = (struct pg_frame){.type = (char)wire_u8(&w)};
	switch (f->type) {
	case 'w':
		f->start = wire_be64(&w);
		f->end = wire_be64(&w);
		wire_be64(&w);
		f->payload = wire_bytes(&w, wire_left(&w));
		return wire_ok(&w) && f->payload.n > 0;
	case 'k':
		f->end = wire_be64(&w);
		wire_be64(&w);
		f->asks = wire_u8(&w) != 0;
		return wire_ok(&w);
	default:
		return false;
	}
}

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

void pg_status_put(uint8_t out[PG_STATUS_SIZE], uint64_t write, uint64_t flush,
		   int64_t wall_us, bool ask)
{
	out[0] = 'r';
	put_be64(out + 1, write);
	put_be64(out + 9, flush);
	put_be64(out + 17, flush);
	put_be64(out + 25, (uint64_t)(wall_us - PG_EPOCH_US));
	out[33] = ask;
}

/* --- begin and end */

static void set_lowat(struct pg_stream *st, int bytes)
{
	/* a socket that knows no low-water mark wakes for each message */
	(void)setsockopt(PQsocket(st->s->c), SOL_SOCKET, SO_RCVLOWAT, &bytes,
			 sizeof(bytes));
}

int pg_stream_begin(struct pg_stream *st, struct pg_session *s, uint64_t at,
		    int64_t sender_timeout_ms, struct err *e)
{
	int64_t now = clock_mono_ms(), third = sender_timeout_ms / 3;

	*st = (struct pg_stream){
		.s = s,
		.received = at,
		.interval_ms = third > 0 && third < FEEDBACK_MS ? third
								: FEEDBACK_MS,
		.silence_ms = sender_timeout_ms * 2,
		.now_ms = now,
		.sent_ms = now,
		.moved_ms = now,
		.heard_ms = now,
		.pings_ms = now,
		.window_ms = now,
		.is_encrypted = PQsslInUse(s->c) || PQgssEncInUse(s->c),
	};
	if (PQsetnonblocking(s->c, 1) != 0)
		return pg_conn_lost(s, e);
	return 0;
}

static int send_status(struct pg_stream *st, int64_t now, struct err *e)
{
	uint8_t frame[PG_STATUS_SIZE];
	int rc;

	pg_status_put(frame, st->received, st->flush, clock_wall_us(),
		      now - st->heard_ms >= st->interval_ms);
	rc = PQputCopyData(st->s->c, (const char *)frame, sizeof(frame));
	if (rc == 0)
		return 0;
	if (rc < 0)
		return pg_conn_lost(st->s, e);
	st->sent_ms = now;
	st->sent_flush = st->flush;
	st->asked = false;
	rc = PQflush(st->s->c);
	st->unsent = rc > 0;
	return rc < 0 ? pg_conn_lost(st->s, e) : 0;
}

static void drop_held(struct pg_stream *st)
{
	PQfreemem(st->held);
	st->held = NULL;
}

/* Reads on, without looking, until the server has ended the copy too. */
static void drain(struct pg_stream *st)
{
	int64_t end = clock_mono_ms() + END_MS;
	int rc;

	set_lowat(st, 1);
	while (clock_mono_ms() < end) {
		PQflush(st->s->c);
		if (!pg_conn_is_alive(st->s))
			return;
		while ((rc = PQgetCopyData(st->s->c, &st->held, 1)) > 0)
			drop_held(st);
		if (rc < 0)
			return;
		pg_conn_wait(st->s, POLLIN, &end);
	}
}

void pg_stream_end(struct pg_stream *st)
{
	struct err ignored = ERR_INIT;

	if (st->s == NULL)
		return;
	drop_held(st);
	if (!st->is_lost && PQstatus(st->s->c) == CONNECTION_OK) {
		bool good = st->flush <= st->sent_flush ||
			    send_status(st, clock_mono_ms(), &ignored) == 0;

		if (good && PQputCopyEnd(st->s->c, NULL) > 0)
			drain(st);
	}
	*st = (struct pg_stream){0};
}

int pg_stream_leave(struct pg_stream *st, struct err *e)
{
	drop_held(st);
	set_lowat(st, 1);
	if (st->flush > st->sent_flush && send_status(st, clock_mono_ms(), e) < 0)
		return -1;
	*st = (struct pg_stream){0};
	return 0;
}

/* --- receiving */

/* A ping that comes again as soon as it is answered, and nothing that could be
 * said: the server cannot stop because of us. */
static int count_ping(struct pg_stream *st, struct err *e)
{
	if (st->now_ms - st->pings_ms > PING_WINDOW_MS ||
	    st->moved_ms > st->pings_ms) {
		st->pings_ms = st->now_ms;
		st->pings = 0;
	}
	if (++st->pings <= PING_LIMIT)
		return 0;
	return err_set(e, CODE_source_unreachable,
		       "the server asks for progress that the sink does not make; letting go of it so that it can stop");
}

static int take_frame(struct pg_stream *st, struct slice bytes,
		      enum pg_heard *heard, struct slice *msg, uint64_t *lsn,
		      struct err *e)
{
	struct pg_frame f;

	if (!pg_frame_parse(bytes, &f))
		return err_set(e, CODE_source_protocol,
			       "the server sent a malformed frame of %zu bytes",
			       bytes.n);
	if (f.end > st->received)
		st->received = f.end;
	st->window_bytes += bytes.n;
	st->heard_ms = st->now_ms;
	st->came_in = true;
	if (f.type == 'w') {
		*heard = PG_HEARD_MESSAGE;
		*msg = f.payload;
		*lsn = f.start;
		return 0;
	}
	*heard = PG_HEARD_POSITION;
	st->walend = f.end;
	st->asked |= f.asks;
	st->wants_flush |= f.asks && st->flush < f.end;
	return f.asks ? count_ping(st, e) : 0;
}

/* The copy is over: by an error of the server, or because it shuts down. */
static int ended(struct pg_stream *st, struct pg_result **failed, struct err *e)
{
	PGresult *res = PQgetResult(st->s->c);

	st->is_lost = true;
	if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR &&
	    pg_result_state(res)[0] != '\0') {
		pg_query_error(res, e);
		*failed = res;
		return -1;
	}
	if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR)
		pg_conn_lost(st->s, e);
	else
		err_set(e, CODE_source_unreachable,
			"the server has ended the stream");
	PQclear(res);
	return -1;
}

int pg_stream_next(struct pg_stream *st, enum pg_heard *heard,
		   struct slice *msg, uint64_t *lsn, struct pg_result **failed,
		   struct err *e)
{
	int n;

	*failed = NULL;
	*heard = PG_HEARD_NOTHING;
	drop_held(st);
	n = PQgetCopyData(st->s->c, &st->held, 1);
	/* the warning came before this message, which is not to be counted */
	if (st->s->publication_skipped) {
		char behind[PG_LSN_SIZE];

		pg_lsn_print(behind, st->received);
		err_set(e, CODE_publication_missing,
			"the publication is missing behind %s of the server's log: its changes are being skipped",
			behind);
		err_hint(e, "Create it again if need be; then, to go on with a gap: leat offsets set %s now --accept-gap",
			 st->s->pipeline);
		return -1;
	}
	if (n > 0)
		return take_frame(st, (struct slice){st->held, (size_t)n}, heard,
				  msg, lsn, e);
	if (n < 0)
		return ended(st, failed, e);
	if (st->is_lost)
		return pg_conn_lost(st->s, e);
	return 0;
}

void pg_stream_rest(struct pg_stream *st)
{
	drop_held(st);
}

/* Looks at what came in since the last time: did it pour? */
static void judge_rate(struct pg_stream *st, int64_t now)
{
	int64_t ms = now - st->window_ms;
	size_t per_window;

	if (ms < GATHER_MS)
		return;
	per_window = st->window_bytes * GATHER_MS / (size_t)ms;
	if (!st->is_pouring && per_window >= POUR_BYTES) {
		st->is_pouring = true;
		set_lowat(st, GATHER_BYTES);
	} else if (st->is_pouring && per_window < TRICKLE_BYTES) {
		st->is_pouring = false;
		set_lowat(st, 1);
	}
	st->window_ms = now;
	st->window_bytes = 0;
}

bool pg_stream_wait(struct pg_stream *st, int64_t until_ms, int wake_fd)
{
	struct pollfd fds[2] = {
		{.fd = PQsocket(st->s->c),
		 .events = (short)(POLLIN | (st->unsent ? POLLOUT : 0))},
		{.fd = wake_fd, .events = POLLIN},
	};
	int64_t now = clock_mono_ms();

	judge_rate(st, now);
	if (st->is_pouring && until_ms > now + GATHER_MS)
		until_ms = now + GATHER_MS;
	/* bytes may wait in the cipher's buffer, where poll does not see them,
	 * and one read brings one of the server's messages */
	if (st->is_encrypted && st->came_in)
		until_ms = now;
	else if (st->is_encrypted && until_ms > now + FEEDBACK_PAUSE_MS)
		until_ms = now + FEEDBACK_PAUSE_MS;
	st->came_in = false;
	poll(fds, 2, clock_poll_ms(until_ms));
	if (st->unsent)
		st->unsent = PQflush(st->s->c) > 0;
	if (PQconsumeInput(st->s->c) == 0)
		st->is_lost = true;
	st->now_ms = clock_mono_ms();
	return fds[1].revents != 0;
}

/* --- feedback */

void pg_stream_flushed(struct pg_stream *st, uint64_t lsn)
{
	if (lsn <= st->flush)
		return;
	st->flush = lsn;
	st->moved_ms = clock_mono_ms();
}

int64_t pg_stream_due(const struct pg_stream *st)
{
	if (st->asked || st->flush > st->sent_flush)
		return st->sent_ms + FEEDBACK_PAUSE_MS;
	return st->sent_ms + st->interval_ms;
}

int pg_stream_feedback(struct pg_stream *st, int64_t now_ms, struct err *e)
{
	bool answer = st->asked && st->flush > st->sent_flush;

	if (st->unsent) {
		int rc = PQflush(st->s->c);

		st->unsent = rc > 0;
		if (rc != 0)
			return rc < 0 ? pg_conn_lost(st->s, e) : 0;
	}
	if (!answer && now_ms < pg_stream_due(st))
		return 0;
	return send_status(st, now_ms, e);
}

int pg_stream_check_alive(const struct pg_stream *st, struct err *e)
{
	/* by the time of the last look: a reader that was kept from reading does
	 * not know what lies in the socket */
	int64_t silent_ms = st->now_ms - st->heard_ms;

	if (st->silence_ms == 0 || silent_ms < st->silence_ms)
		return 0;
	return err_set(e, CODE_source_unreachable,
		       "nothing was heard from the server for %lld s",
		       (long long)silent_ms / 1000);
}
