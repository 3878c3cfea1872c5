/* pg_stream.h: the walsender's stream: messages in, feedback out.
 *
 * PostgreSQL manual, "Streaming Replication Protocol".  Knows frames, timers and
 * the socket; nothing of what the messages say.
 *
 * Feedback (A6): `flush` is only what pg_stream_flushed() was told and never
 * falls; `write` is the highest position heard of.  It goes out on a timer, soon
 * after flush has moved, and when the server asks, but rate-limited: a server
 * that shuts down asks again at once after each answer. */
#ifndef LEAT_SOURCES_PG_STREAM_H
#define LEAT_SOURCES_PG_STREAM_H

#include "sources/pg_conn.h"

struct pg_stream {
	struct pg_session *s;
	char *held;	   /* libpq's memory of the last message */
	bool is_lost;	   /* the socket is gone; what came before is still read */

	uint64_t received; /* highest position heard of */
	uint64_t walend;   /* of the last keepalive */
	uint64_t flush, sent_flush;
	int64_t interval_ms; /* between two messages of feedback */
	int64_t silence_ms;  /* after that long the server is taken for dead; 0:
				it is not expected to speak */
	int64_t now_ms;	     /* when the socket was last looked at */
	int64_t sent_ms, moved_ms, heard_ms;
	bool asked;	   /* the server waits for an answer */
	bool wants_flush;  /* ... and for more than we could confirm */
	bool unsent;	   /* libpq holds bytes that the socket did not take */

	/* keepalives that ask while nothing moves (A6.6) */
	int64_t pings_ms;
	unsigned pings;

	/* receiving: see pg_stream_wait() */
	bool is_pouring;
	int64_t window_ms;
	size_t window_bytes;
	bool is_encrypted;
	bool came_in; /* something, since the last wait */
};

enum pg_heard {
	PG_HEARD_NOTHING, /* no whole message is buffered */
	PG_HEARD_MESSAGE,
	PG_HEARD_POSITION, /* a keepalive: st->walend */
};

/* Takes the session, which must have just entered COPY BOTH. */
int pg_stream_begin(struct pg_stream *st, struct pg_session *s, uint64_t at,
		    int64_t sender_timeout_ms, struct err *e) MUST_CHECK;
/* Sends the last feedback and ends the stream in order, within a short time. */
void pg_stream_end(struct pg_stream *st);

/* Somebody has made the server give the stream up, and the rest is of no interest:
 * lets go of the session, which pg_peek_adopt() takes. */
int pg_stream_leave(struct pg_stream *st, struct err *e) MUST_CHECK;

/* The next message that is buffered; msg lives until the next call.  *failed
 * (*owned by the caller*) is the server's error when it sent one. */
int pg_stream_next(struct pg_stream *st, enum pg_heard *heard,
		   struct slice *msg, uint64_t *lsn, struct pg_result **failed,
		   struct err *e) MUST_CHECK;

/* The last message is not needed any more; it may be a large one. */
void pg_stream_rest(struct pg_stream *st);

/* Waits for input, for wake_fd or for the time, and takes what the socket has.
 * While data pours in it lets some gather first.  True when woken. */
bool pg_stream_wait(struct pg_stream *st, int64_t until_ms, int wake_fd);

/* Everything before lsn is durable at the sink. */
void pg_stream_flushed(struct pg_stream *st, uint64_t lsn);
/* Sends feedback if it is due. */
int pg_stream_feedback(struct pg_stream *st, int64_t now_ms, struct err *e)
	MUST_CHECK;
/* Has it fallen silent?  To be asked when all that came has been read. */
int pg_stream_check_alive(const struct pg_stream *st, struct err *e) MUST_CHECK;
/* When feedback will be due if nothing happens. */
int64_t pg_stream_due(const struct pg_stream *st);

/* One frame, for the tests: false when it is malformed. */
struct pg_frame {
	char type; /* 'w' or 'k' */
	uint64_t start, end;
	bool asks;
	struct slice payload;
};
bool pg_frame_parse(struct slice bytes, struct pg_frame *f);
#define PG_STATUS_SIZE 34
void pg_status_put(uint8_t out[PG_STATUS_SIZE], uint64_t write, uint64_t flush,
		   int64_t wall_us, bool ask);

#endif
