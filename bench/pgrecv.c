/* pgrecv: the raw receiver, what bench/run holds leat's Postgres source against.
 *
 *	pgrecv CONNINFO SLOT PUBLICATION ROWS each | lowat | timed
 *
 * Reads the slot's changes, looks at the first byte of each and throws it away,
 * until so many row changes and the end of their transaction were seen: no
 * client that uses libpq can do less.  It wakes for each message; or for 16 KiB
 * (SO_RCVLOWAT) and after 5 ms at the latest; or is woken by no message and
 * looks every 200 us.  Nothing is confirmed to the server before the end. */
#include "config.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOWAT 16384
#define GATHER_MS 5
#define PAUSE_US 200

enum manner { EACH, LOWAT_AND_TIME, TIMED, NMANNERS };
static const char *const manners[] = {"each", "lowat", "timed"};

/* Frames of the copy: see sources/pg_stream.c. */
#define DATA_HEADER 25
#define STATUS_SIZE 34

struct receiver {
	PGconn *c;
	uint64_t rows, messages, bytes, last;
};

static _Noreturn void fail(const char *what, const PGconn *c)
{
	fprintf(stderr, "pgrecv: %s: %s", what, c ? PQerrorMessage(c) : "\n");
	exit(1);
}

static uint64_t get_be64(const char *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

static void send_status(struct receiver *r)
{
	char frame[STATUS_SIZE] = "r";

	for (int field = 0; field < 3; field++)
		for (int i = 0; i < 8; i++)
			frame[1 + 8 * field + i] = (char)(r->last >> (56 - 8 * i));
	if (PQputCopyData(r->c, frame, sizeof(frame)) < 0 || PQflush(r->c) < 0)
		fail("status", r->c);
}

static void begin(struct receiver *r, const char *conninfo, const char *slot,
		  const char *publication, enum manner manner)
{
	int lowat = LOWAT;
	char text[1024];
	PGresult *res;

	snprintf(text, sizeof(text), "%s replication=database", conninfo);
	r->c = PQconnectdb(text);
	if (PQstatus(r->c) != CONNECTION_OK)
		fail("connect", r->c);
	snprintf(text, sizeof(text),
		 "START_REPLICATION SLOT %s LOGICAL 0/0"
		 " (proto_version '1', publication_names '%s')", slot, publication);
	res = PQexec(r->c, text);
	if (PQresultStatus(res) != PGRES_COPY_BOTH)
		fail("start", r->c);
	PQclear(res);
	if (manner == LOWAT_AND_TIME &&
	    setsockopt(PQsocket(r->c), SOL_SOCKET, SO_RCVLOWAT, &lowat,
		       sizeof(lowat)) != 0)
		fail("SO_RCVLOWAT", NULL);
}

/* True behind the commit of the last row. */
static bool take(struct receiver *r, const char *p, size_t n, uint64_t rows)
{
	if (p[0] == 'k' && n >= 18) {
		if (p[17] != 0)
			send_status(r);
		return false;
	}
	if (p[0] != 'w' || n <= DATA_HEADER)
		fail("unknown frame", NULL);
	r->last = get_be64(p + 1);
	r->messages++;
	r->bytes += n - DATA_HEADER;
	switch (p[DATA_HEADER]) {
	case 'I':
	case 'U':
	case 'D':
		r->rows++;
		break;
	case 'C':
		return r->rows >= rows;
	}
	return false;
}

static void await(struct receiver *r, enum manner manner)
{
	struct pollfd f = {PQsocket(r->c), POLLIN, 0};

	if (manner == TIMED)
		usleep(PAUSE_US);
	else
		poll(&f, 1, GATHER_MS);
	if (PQconsumeInput(r->c) == 0)
		fail("read", r->c);
}

static void receive(struct receiver *r, uint64_t rows, enum manner manner)
{
	bool is_over = false;
	char *p;
	int n;

	while (!is_over) {
		n = PQgetCopyData(r->c, &p, manner != EACH);
		if (n < 0)
			fail("copy", r->c);
		if (n == 0) {
			await(r, manner);
			continue;
		}
		is_over = take(r, p, (size_t)n, rows);
		PQfreemem(p);
	}
}

int main(int argc, char **argv)
{
	struct receiver r = {0};
	enum manner manner = EACH;

	while (argc == 6 && manner < NMANNERS &&
	       strcmp(argv[5], manners[manner]) != 0)
		manner++;
	if (argc != 6 || manner == NMANNERS) {
		fputs("usage: pgrecv CONNINFO SLOT PUBLICATION ROWS"
		      " each | lowat | timed\n", stderr);
		return 2;
	}
	begin(&r, argv[1], argv[2], argv[3], manner);
	receive(&r, strtoull(argv[4], NULL, 10), manner);
	send_status(&r);
	PQfinish(r.c);
	printf("{\"rows\":%llu,\"messages\":%llu,\"bytes\":%llu}\n",
	       (unsigned long long)r.rows, (unsigned long long)r.messages,
	       (unsigned long long)r.bytes);
	return 0;
}
