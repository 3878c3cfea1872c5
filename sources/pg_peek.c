#include "config.h"
#include "sources/pg_peek.h"

#include <libpq-fe.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/wire.h"
#include "sources/pg_query.h"

#define GATHER_BYTES 65536
#define GATHER_MS 5
/* of what a cipher holds the socket does not know */
#define LOOK_MS 100

static void set_lowat(struct pg_peek *k, bool is_pouring)
{
	int bytes = is_pouring ? GATHER_BYTES : 1;

	if (k->is_pouring == is_pouring)
		return;
	k->is_pouring = is_pouring;
	(void)setsockopt(PQsocket(k->s->c), SOL_SOCKET, SO_RCVLOWAT, &bytes,
			 sizeof(bytes));
}

int pg_peek_send(struct pg_peek *k, struct pg_session *s, const char *sql,
		 struct err *e)
{
	pg_peek_end(k);
	k->s = s;
	if (PQsetnonblocking(s->c, 1) != 0)
		return pg_conn_lost(s, e);
	return pg_query_send(s, sql, e);
}

void pg_peek_adopt(struct pg_peek *k, struct pg_session *s)
{
	pg_peek_end(k);
	k->s = s;
	k->is_copying = true;
}

static void drop_held(struct pg_peek *k)
{
	PQfreemem(k->held);
	k->held = NULL;
}

void pg_peek_end(struct pg_peek *k)
{
	drop_held(k);
	pg_result_free(k->res);
	if (k->s != NULL && k->s->c != NULL)
		set_lowat(k, false);
	*k = (struct pg_peek){0};
}

static void keep_result(struct pg_peek *k, PGresult *res)
{
	if (k->res != NULL && pg_peek_failed(k) != NULL) {
		PQclear(res);
		return;
	}
	pg_result_free(k->res);
	k->res = res;
}

enum pg_peek_got pg_peek_next(struct pg_peek *k, struct slice *data)
{
	PGresult *res;
	int n;

	drop_held(k);
	for (;;) {
		if (k->is_copying) {
			n = PQgetCopyData(k->s->c, &k->held, 1);
			if (n > 0) {
				*data = (struct slice){k->held, (size_t)n};
				return PG_PEEK_DATA;
			}
			if (n == 0 && !pg_peek_is_lost(k))
				return PG_PEEK_NOTHING;
			k->is_copying = false;
		}
		if (PQisBusy(k->s->c) && !pg_peek_is_lost(k))
			return PG_PEEK_NOTHING;
		res = PQgetResult(k->s->c);
		if (res == NULL) {
			set_lowat(k, false);
			return PG_PEEK_END;
		}
		k->is_copying = PQresultStatus(res) == PGRES_COPY_OUT;
		keep_result(k, res);
	}
}

static int malformed(struct err *e)
{
	return err_set(e, CODE_source_protocol,
		       "the server sent a malformed row of a chunk");
}

/* Head, all integers big-endian: signature 11, flags 4, length 4 and as many
 * bytes.  Row: columns 2, then of each its length 4 and its bytes; -1 columns:
 * the end.  The head comes with the first row. */
int pg_peek_row(struct pg_peek *k, struct slice data, uint64_t *lsn,
		struct slice *msg, struct err *e)
{
	static const char signature[11] = "PGCOPY\n\377\r\n";
	struct wire w = wire_of(data);
	uint16_t columns;

	if (!k->has_begun) {
		struct slice sig = wire_bytes(&w, sizeof(signature));

		wire_be32(&w);
		wire_bytes(&w, wire_be32(&w));
		if (!wire_ok(&w) || memcmp(sig.p, signature, sig.n) != 0)
			return malformed(e);
		k->has_begun = true;
		/* or by itself */
		if (wire_left(&w) == 0)
			return 0;
	}
	columns = wire_be16(&w);
	if (columns == UINT16_MAX && wire_ok(&w) && wire_left(&w) == 0) {
		k->has_ended = true;
		return 0;
	}
	if (columns != 2 || wire_be32(&w) != 8)
		return malformed(e);
	*lsn = wire_be64(&w);
	*msg = wire_bytes(&w, wire_be32(&w));
	if (!wire_ok(&w) || wire_left(&w) > 0 || k->has_ended)
		return malformed(e);
	k->rows++;
	k->bytes += data.n;
	return 1;
}

bool pg_peek_wait(struct pg_peek *k, int64_t until_ms, int wake_fd)
{
	int unsent = PQflush(k->s->c);
	struct pollfd fds[2] = {
		{.fd = PQsocket(k->s->c),
		 .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0))},
		{.fd = wake_fd, .events = POLLIN},
	};
	int64_t now = clock_mono_ms();

	set_lowat(k, k->rows > 0);
	if (k->is_pouring && until_ms > now + GATHER_MS)
		until_ms = now + GATHER_MS;
	else if (until_ms > now + LOOK_MS &&
		 (PQsslInUse(k->s->c) || PQgssEncInUse(k->s->c)))
		until_ms = now + LOOK_MS;
	poll(fds, 2, clock_poll_ms(until_ms));
	/* a loss shows in the connection's status */
	(void)PQconsumeInput(k->s->c);
	return fds[1].revents != 0;
}

const struct pg_result *pg_peek_failed(const struct pg_peek *k)
{
	switch (PQresultStatus(k->res)) {
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
		return k->res;
	default:
		return NULL;
	}
}

bool pg_peek_is_lost(const struct pg_peek *k)
{
	return PQstatus(k->s->c) != CONNECTION_OK;
}
