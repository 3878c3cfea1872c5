/* Short texts from outside: cursors, table patterns, positions, what a conf file
 * gives as a value.  The first byte chooses the reader. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "base/pattern.h"
#include "log/log.h"
#include "log/readers.h"
#include "schema/cursor.h"
#include "sources/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const choices[] = {"one", "two", NULL};

struct values {
	int64_t size, time, number;
	char *text;
	struct opt_list list;
	bool flag;
	int choice;
};

static const struct opt opts[] = {
	{.name = "size", .type = OPT_SIZE, .offset = offsetof(struct values, size)},
	{.name = "time", .type = OPT_TIME, .offset = offsetof(struct values, time)},
	{.name = "number", .type = OPT_INT, .offset = offsetof(struct values, number)},
	{.name = "text", .type = OPT_TEXT, .flags = OPT_CONNINFO,
	 .offset = offsetof(struct values, text)},
	{.name = "list", .type = OPT_LIST, .offset = offsetof(struct values, list)},
	{.name = "flag", .type = OPT_BOOL, .offset = offsetof(struct values, flag)},
	{.name = "choice", .type = OPT_CHOICE, .choices = choices,
	 .offset = offsetof(struct values, choice)},
	OPT_END,
};

static void read_cursor(struct slice s)
{
	struct cursor c, again;
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;

	if (cursor_parse(s, &c, &e) != 0)
		return;
	cursor_print(&c, &out);
	if (cursor_parse((struct slice){out.p, out.n}, &again, &e) != 0 ||
	    !cursor_eq(&c, &again))
		abort();
	buf_fini(&out);
}

static void read_pattern(struct slice s)
{
	struct err e = ERR_INIT;
	bool is_good = pattern_check(s, &e) == 0;
	bool matches = pattern_match(s, SLICE("public"), SLICE("a.b"));

	if (matches && !is_good)
		abort();
	(void)pattern_is_plain(s);
}

static void read_option(struct slice s)
{
	struct values v = {0};
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	char *text = malloc(s.n + 1);
	const char *texts[1];

	if (text == NULL)
		return;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	texts[0] = text;
	for (const struct opt *o = opts; o->name != NULL; o++) {
		(void)!opt_set(o, &v, texts, 1, &e);
		e = ERR_INIT;
	}
	opt_print(opts, &v, 1, &out);
	opt_free(opts, &v);
	buf_fini(&out);
	free(text);
}

/* What `leat offsets set` and `leat log --from` take. */
static void read_position(struct slice s)
{
	struct log_start start;
	struct log_place place, again;
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	char text[PG_LSN_SIZE];
	uint64_t lsn, lsn2;

	if (log_start_parse(s, &start, &e) != 0 && e.code != CODE_usage)
		abort();
	if (log_place_parse(s, &place)) {
		log_place_print(&place, &out);
		if (!log_place_parse(buf_get(&out), &again) ||
		    again.seq != place.seq || again.crc != place.crc)
			abort();
	}
	if (pg_lsn_parse(s, &lsn)) {
		pg_lsn_print(text, lsn);
		if (!pg_lsn_parse(slice_of(text), &lsn2) || lsn != lsn2)
			abort();
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static void (*const readers[])(struct slice) = {
		read_cursor, read_pattern, read_option, read_position,
	};

	if (n > 0)
		readers[p[0] % countof(readers)](
			(struct slice){(const char *)p + 1, n - 1});
	return 0;
}
