/* What a Postgres server or a person hands to the source: frames of the
 * replication stream, cursors, timeline histories, synchronous_standby_names.
 * The first byte chooses the reader. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sources/pg_check.h"
#include "sources/pg_cursor.h"
#include "sources/pg_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_frame(struct slice s)
{
	struct pg_frame f;

	if (!pg_frame_parse(s, &f))
		return;
	if (f.type == 'w' ? f.payload.n + 25 != s.n : s.n < 18)
		abort();
}

static void read_cursor(struct slice s)
{
	struct pg_cursor c, again;
	char text[PG_CURSOR_SIZE], text2[PG_CURSOR_SIZE];
	size_t n;

	if (!pg_cursor_parse(s, &c))
		return;
	n = pg_cursor_print(text, &c);
	if (n >= sizeof(text) ||
	    !pg_cursor_parse((struct slice){text, n}, &again) ||
	    pg_cursor_print(text2, &again) != n ||
	    memcmp(text, text2, n) != 0)
		abort();
}

static void read_history(struct slice s)
{
	struct pg_cursor c = {.tli = 2, .place = {.end = 0x5000}};
	struct err e = ERR_INIT;

	/* a server that has left no timeline, or another one, is not ours */
	if (pg_cursor_on_history(&c, 3, s, &e) == 0 &&
	    memchr(s.p, '2', s.n) == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice s = {(const char *)p + 1, n - 1};

	if (n == 0)
		return 0;
	switch (p[0]) {
	case 'f':
		read_frame(s);
		break;
	case 'c':
		read_cursor(s);
		break;
	case 'h':
		read_history(s);
		break;
	case 's':
		pg_check_is_synchronous(s, "leat/shop");
		break;
	default:
		break;
	}
	return 0;
}
