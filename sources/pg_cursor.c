#include "config.h"
#include "sources/pg_cursor.h"

#include <inttypes.h>
#include <stdio.h>

size_t pg_cursor_print(char out[PG_CURSOR_SIZE], const struct pg_cursor *c)
{
	char end[PG_LSN_SIZE], commit[PG_LSN_SIZE], taken[PG_LSN_SIZE];
	int n;

	pg_lsn_print(end, c->place.end);
	pg_lsn_print(commit, c->place.commit);
	n = snprintf(out, PG_CURSOR_SIZE,
		     "pg sysid=%" PRIu64 " tli=%" PRIu32
		     " end=%s commit=%s n=%" PRIu64 " hash=%" PRIX64
		     " opt=%08" PRIX32,
		     c->sysid, c->tli, end, commit, c->place.n, c->place.hash,
		     c->opt);
	if (c->place.taken_xid != 0) {
		pg_lsn_print(taken, c->place.taken_lsn);
		n += snprintf(out + n, PG_CURSOR_SIZE - (size_t)n,
			      " taken=%" PRIu32 ",%s,%" PRIu64,
			      c->place.taken_xid, taken, c->place.taken_n);
	}
	return (size_t)n;
}

/* The value of the next word, which must be `name`=value. */
static struct slice take(struct slice *rest, const char *name, bool *good)
{
	struct slice word = slice_cut(rest, ' ');
	struct slice key = slice_cut(&word, '=');

	if (!slice_is(key, name))
		*good = false;
	return word;
}

static bool parse_taken(struct slice text, struct pgoutput_place *p)
{
	uint64_t xid;
	bool good = slice_to_u64(slice_cut(&text, ','), &xid) && xid > 0 &&
		    xid <= UINT32_MAX;

	good = good && pg_lsn_parse(slice_cut(&text, ','), &p->taken_lsn) &&
	       slice_to_u64(text, &p->taken_n);
	p->taken_xid = good ? (uint32_t)xid : 0;
	return good;
}

bool pg_cursor_parse(struct slice text, struct pg_cursor *c)
{
	struct slice rest = text;
	uint64_t tli = 0, opt = 0;
	bool good = slice_is(slice_cut(&rest, ' '), "pg");

	*c = (struct pg_cursor){0};
	good &= slice_to_u64(take(&rest, "sysid", &good), &c->sysid);
	good &= slice_to_u64(take(&rest, "tli", &good), &tli);
	good &= pg_lsn_parse(take(&rest, "end", &good), &c->place.end);
	good &= pg_lsn_parse(take(&rest, "commit", &good), &c->place.commit);
	good &= slice_to_u64(take(&rest, "n", &good), &c->place.n);
	good &= slice_hex_to_u64(take(&rest, "hash", &good), &c->place.hash);
	good &= slice_hex_to_u64(take(&rest, "opt", &good), &opt);
	c->tli = (uint32_t)tli;
	c->opt = (uint32_t)opt;
	if (rest.p != NULL)
		good &= parse_taken(take(&rest, "taken", &good), &c->place);
	return good && rest.p == NULL && tli > 0 && tli <= UINT32_MAX &&
	       opt <= UINT32_MAX && c->place.end > 0;
}

/* One line of a history file is: timeline, tab, LSN at which it was left, tab,
 * reason.  False when the timeline is not in it. */
static bool find_switch(struct slice history, uint32_t tli, uint64_t *lsn)
{
	while (history.n > 0) {
		struct slice line = slice_cut(&history, '\n');
		struct slice number = slice_cut(&line, '\t');
		uint64_t v;

		if (slice_to_u64(number, &v) && v == tli)
			return pg_lsn_parse(slice_cut(&line, '\t'), lsn);
	}
	return false;
}

int pg_cursor_on_history(const struct pg_cursor *c, uint32_t tli,
			 struct slice history, struct err *e)
{
	char have[PG_LSN_SIZE], left[PG_LSN_SIZE];
	uint64_t lsn;

	if (tli == c->tli)
		return 0;
	if (tli < c->tli)
		return err_set(e, CODE_wrong_server,
			       "the server is on timeline %" PRIu32
			       ", but changes of timeline %" PRIu32
			       " have been delivered",
			       tli, c->tli);
	if (!find_switch(history, c->tli, &lsn))
		return err_set(e, CODE_diverged,
			       "timeline %" PRIu32
			       " of the server does not descend from timeline "
			       "%" PRIu32 ", from which was delivered",
			       tli, c->tli);
	/* a commit record that starts at the switch point was never part of the
	 * new timeline */
	if (c->place.end <= lsn && c->place.commit < lsn)
		return 0;
	pg_lsn_print(have, c->place.commit > c->place.end ? c->place.commit
							  : c->place.end);
	pg_lsn_print(left, lsn);
	return err_set(e, CODE_diverged,
		       "changes up to %s have been delivered, but the server "
		       "left timeline %" PRIu32 " at %s",
		       have, c->tli, left);
}

void pg_cursor_compare(const struct pg_cursor *from, const struct pg_cursor *to,
		       bool *skips, bool *repeats)
{
	const struct pgoutput_place *a = &from->place, *b = &to->place;
	/* going on in the transaction that `from` is in, or at its start */
	bool same = a->commit != 0 &&
		    (a->commit == b->commit ||
		     (b->commit == 0 && b->end >= a->end && b->end <= a->commit));

	if (same) {
		*skips = a->commit == b->commit && b->n > a->n;
		*repeats = b->commit == 0 ? a->n > 0 : b->n < a->n;
		return;
	}
	*skips = b->end > a->end || (b->end == a->end && b->n > 0);
	*repeats = b->end < a->end;
}
