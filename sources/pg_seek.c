/* seek(): nothing that is on the server is changed by it, so that a position can
 * still be turned down; a slot that is adopted is copied last of all.  "now" is the place where the server's log stands; only where
 * there is no slot that could go on from it is it the word "intent", by which
 * open() makes the slot anew. */
#include "config.h"
#include "sources/pg_seek.h"

#include <stdio.h>
#include <string.h>

#include "base/note.h"
#include "sources/pg_adopt.h"
#include "sources/pg_query.h"
#include "sources/pg_slot.h"

static const char drop_publication[] = "DROP PUBLICATION IF EXISTS ";

static void put_cursor(struct seek *out, const struct pg_cursor *c)
{
	char text[PG_CURSOR_SIZE];

	buf_reset(&out->source, SIZE_MAX);
	buf_put(&out->source, text, pg_cursor_print(text, c));
}

/* What going to `to` leaves out or delivers again.  Places of another history,
 * or of another kind of source, cannot be compared with the server's: something is missing for certain, and
 * whatever the server has behind `to` may have been delivered before. */
static int compare(struct pg *pg, const struct pg_slot *slot,
		   const struct cursor *current, const struct pg_cursor *to,
		   struct seek *out, struct err *e)
{
	struct pg_cursor from;
	struct err why = ERR_INIT;

	if (current->incarnation == 0 || slice_is(current->source, "intent"))
		return 0;
	if (pg_cursor_parse(current->source, &from) &&
	    pg_slot_same_server(pg, slot, &from, &why) == 0) {
		pg_cursor_compare(&from, to, &out->skips, &out->repeats);
		return 0;
	}
	if (err_is_set(&why) && why.code != CODE_wrong_server &&
	    why.code != CODE_diverged) {
		*e = why;
		return -1;
	}
	out->skips = true;
	out->repeats = to->place.end < slot->server;
	return 0;
}

static int seek_place(struct pg *pg, const struct pg_slot *slot,
		      const struct pgoutput_place *place,
		      const struct cursor *current, struct seek *out,
		      struct err *e)
{
	struct pg_cursor to = {.sysid = pg->sysid, .tli = pg->tli,
			       .place = *place, .opt = pg->opt};
	uint64_t lsn = place->end;
	char text[PG_LSN_SIZE];

	if (pg_slot_refuse_lost(pg, slot, e) < 0)
		return -1;
	if (lsn < slot->confirmed) {
		pg_lsn_print(text, slot->confirmed);
		err_set(e, CODE_failed,
			"the server has forgotten what came before %s", text);
		err_hint(e, "The nearest place is: leat offsets set %s slot",
			 pg->base.pipeline);
		return -1;
	}
	if (lsn > slot->server) {
		pg_lsn_print(text, slot->server);
		err_set(e, CODE_failed, "the server's log ends at %s", text);
		err_hint(e, "To go on from there: leat offsets set %s now",
			 pg->base.pipeline);
		return -1;
	}
	if (compare(pg, slot, current, &to, out, e) < 0)
		return -1;
	put_cursor(out, &to);
	return 0;
}

static int seek_lsn(struct pg *pg, const struct pg_slot *slot, uint64_t lsn,
		    const struct cursor *current, struct seek *out,
		    struct err *e)
{
	struct pgoutput_place place = {.end = lsn};

	return seek_place(pg, slot, &place, current, out, e);
}

/* Of Debezium. */
static int seek_offset(struct pg *pg, const struct pg_slot *slot,
		       struct slice offset, const struct cursor *current,
		       struct seek *out, struct err *e)
{
	struct pgoutput_place place;

	return pg_adopt_place(offset, slot->confirmed, &place, e) < 0
		       ? -1
		       : seek_place(pg, slot, &place, current, out, e);
}

static int seek_now(struct pg *pg, const struct pg_slot *slot,
		    const struct cursor *current, struct seek *out,
		    struct err *e)
{
	if (slot->exists && slot->is_ours && !slot->is_lost &&
	    slot->confirmed != 0)
		return seek_lsn(pg, slot, slot->server, current, out, e);
	out->skips = true;
	buf_reset(&out->source, SIZE_MAX);
	buf_text(&out->source, "intent");
	snprintf(out->note, sizeof(out->note),
		 "replication slot \"%s\" will be made anew at the next start; changes before that are not delivered",
		 pg->slot);
	return 0;
}

static int seek_slot(struct pg *pg, const struct pg_slot *slot,
		     const struct cursor *current, struct seek *out,
		     struct err *e)
{
	char text[PG_LSN_SIZE];

	if (seek_lsn(pg, slot, slot->confirmed, current, out, e) < 0)
		return -1;
	pg_lsn_print(text, slot->confirmed);
	snprintf(out->note, sizeof(out->note),
		 "replication slot \"%s\" stands at %s; changes before that are not covered",
		 pg->slot, text);
	return 0;
}

/* A cursor of ours, typed in full. */
static int seek_cursor(struct pg *pg, const struct pg_slot *slot,
		       const struct pg_cursor *to, const struct cursor *current,
		       struct seek *out, struct err *e)
{
	if (pg_slot_same_server(pg, slot, to, e) < 0 ||
	    seek_lsn(pg, slot, to->place.end, &(struct cursor){0}, out, e) < 0 ||
	    compare(pg, slot, current, to, out, e) < 0)
		return -1;
	put_cursor(out, to);
	return 0;
}

int pg_seek(struct source *src, struct slice position,
	    const struct cursor *current, struct seek *out, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	struct pg_cursor to;
	struct pg_slot slot;
	uint64_t lsn;
	int rc;

	out->skips = out->repeats = false;
	out->note[0] = '\0';
	if (pg_adopt_look(pg, out->adopt, &slot, e) < 0)
		return -1;
	if (slice_is(position, "now"))
		rc = seek_now(pg, &slot, current, out, e);
	else if (slice_is(position, "slot"))
		rc = seek_slot(pg, &slot, current, out, e);
	else if (pg_lsn_parse(position, &lsn))
		rc = seek_lsn(pg, &slot, lsn, current, out, e);
	else if (pg_adopt_is_offset(position))
		rc = seek_offset(pg, &slot, position, current, out, e);
	else if (pg_cursor_parse(position, &to))
		rc = seek_cursor(pg, &slot, &to, current, out, e);
	else {
		err_set(e, CODE_usage,
			"\"%.*s\" is no position of a Postgres source",
			SLICE_ARG(position));
		err_hint(e, "Positions are now, slot, an LSN such as 0/16E9BB8, and what `leat offsets show` prints.");
		return -1;
	}
	if (rc == 0 && out->source.failed)
		rc = err_no_memory(e);
	if (rc == 0 && out->adopt != NULL)
		rc = pg_slot_copy(pg, out->adopt, e);
	return rc;
}

/* --- drop */

static int drop_own_publication(struct pg *pg, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc = -1;

	buf_text(&sql, drop_publication);
	pg_quote_name(&sql, slice_of(pg->publication));
	buf_u8(&sql, '\0');
	if (sql.failed)
		err_no_memory(e);
	else
		rc = pg_query_change(&pg->side, sql.p, e);
	buf_fini(&sql);
	if (rc < 0)
		err_wrap(e, "publication \"%s\"", pg->publication);
	return rc;
}

int pg_drop(struct source *src, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	struct pg_slot slot;

	if (pg_slot_read(pg, &slot, e) < 0)
		return -1;
	if (slot.exists && !slot.is_ours)
		return err_set(e, CODE_failed,
			       "replication slot \"%s\" is not the pipeline's: it %s",
			       pg->slot, slot.what);
	if (pg_slot_drop(pg, &slot, e) < 0)
		return -1;
	/* one that the conf names was somebody's before it was ours */
	if (pg->conf->publication != NULL || !pg->conf->create_publication)
		return 0;
	return drop_own_publication(pg, e);
}
