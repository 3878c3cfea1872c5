/* pgoutput.c: see pgoutput.h.
 *
 * PostgreSQL manual, "Logical Replication Message Formats".  Version 1 knows
 * whole transactions only:
 *
 *	Begin, [Origin], { [Type...] [Relation] change }..., Commit
 *
 * with change one of Insert, Update, Delete, Truncate, Message; and between
 * transactions non-transactional Messages, each a boundary of its own.
 *
 * Invariants: `place` is at any time what a cursor may say.  Inside a
 * transaction place.n == ordinal, unless the first changes are being skipped:
 * then place is still the one to resume at.  seq grows by one with each change
 * that is not skipped. */
#include "config.h"
#include "sources/pgoutput.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "sources/pg_relations.h"
#include "sources/pg_row.h"

/* microseconds from 1970-01-01 to PostgreSQL's 2000-01-01 */
#define PG_EPOCH_US 946684800000000

/* The wall clock is read once for so many changes. */
#define CLOCK_EVERY 64u

/* What the agent itself writes into the server's log. */
#define OWN_PREFIX "leat:"

struct pgoutput {
	const struct origin *origin;
	struct pg_relations rels;
	struct pgoutput_place place;
	uint64_t seq;
	bool is_resuming; /* place.commit and its n changes are still to come */
	uint64_t floor;	  /* E when the decoder began: older is done */

	/* the transaction */
	bool in_txn;
	bool is_done; /* it was committed before the floor */
	struct txn head; /* without its texts */
	struct buf replicated_from;
	struct buf text; /* of a transaction's names */
	uint64_t number; /* of the transaction on this connection */
	uint64_t ordinal, hash; /* of the last change */
	uint64_t at_taken; /* changes at place.taken_lsn so far */

	/* the message */
	struct wire w;
	struct slice msg;
	uint64_t lsn;
	struct batch *b;
	struct txn *txn; /* the transaction's copy in the batch */
	int64_t now_us;
	unsigned clock_age;
};

void pg_lsn_print(char out[PG_LSN_SIZE], uint64_t lsn)
{
	snprintf(out, PG_LSN_SIZE, "%" PRIX32 "/%" PRIX32,
		 (uint32_t)(lsn >> 32), (uint32_t)lsn);
}

bool pg_lsn_parse(struct slice s, uint64_t *lsn)
{
	struct slice low = s, high = slice_cut(&low, '/');
	uint64_t hi, lo;

	if (high.n > 8 || low.n > 8 || !slice_hex_to_u64(high, &hi) ||
	    !slice_hex_to_u64(low, &lo))
		return false;
	*lsn = hi << 32 | lo;
	return true;
}

struct pgoutput *pgoutput_new(const struct origin *origin, struct registry *reg,
			      const struct pgoutput_hooks *hooks,
			      const struct pgoutput_place *from, uint64_t seq)
{
	struct pgoutput *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->origin = origin;
	d->place = *from;
	d->floor = from->end;
	d->seq = seq;
	d->is_resuming = from->commit != 0;
	d->clock_age = CLOCK_EVERY;
	pg_relations_init(&d->rels, reg, hooks);
	return d;
}

void pgoutput_free(struct pgoutput *d)
{
	if (d == NULL)
		return;
	pg_relations_fini(&d->rels);
	buf_fini(&d->replicated_from);
	buf_fini(&d->text);
	free(d);
}

void pgoutput_rest(struct pgoutput *d)
{
	d->b = NULL;
	d->txn = NULL;
	d->clock_age = CLOCK_EVERY;
}

void pgoutput_idle(struct pgoutput *d, uint64_t lsn)
{
	if (!d->in_txn && !d->is_resuming && lsn > d->place.end)
		d->place.end = lsn;
}

bool pgoutput_in_transaction(const struct pgoutput *d)
{
	return d->in_txn;
}

struct pgoutput_place pgoutput_place(const struct pgoutput *d)
{
	return d->place;
}

uint64_t pgoutput_seq(const struct pgoutput *d)
{
	return d->seq;
}

static int malformed(struct err *e, const char *what)
{
	return err_set(e, CODE_source_protocol, "%s", what);
}

static int truncated(struct err *e)
{
	return malformed(e, "it is truncated");
}

static int not_utf8(struct err *e, const char *what)
{
	err_set(e, CODE_value_invalid, "%s is not valid UTF-8", what);
	err_detail(e, "A database with encoding SQL_ASCII sends text as it was "
		      "stored.");
	return -1;
}

static int diverged(const struct pgoutput *d, struct err *e, const char *what)
{
	char want[PG_LSN_SIZE], got[PG_LSN_SIZE];

	pg_lsn_print(want, d->place.commit);
	pg_lsn_print(got, d->head.commit_pos);
	err_set(e, CODE_diverged,
		"the server's log is not the one that was delivered from: %s",
		what);
	err_detail(e, "%" PRIu64 " changes of the transaction committed at %s "
		      "were delivered; the server sends the transaction "
		      "committed at %s.",
		   d->place.n, want, got);
	return -1;
}

static int64_t now(struct pgoutput *d)
{
	if (++d->clock_age > CLOCK_EVERY) {
		d->now_us = clock_wall_us();
		d->clock_age = 0;
	}
	return d->now_us;
}

/* --- transactions ------------------------------------------------------ */

static int on_begin(struct pgoutput *d, struct err *e)
{
	uint64_t commit = wire_be64(&d->w);
	uint64_t commit_ts = wire_be64(&d->w);
	uint32_t xid = wire_be32(&d->w);

	if (!wire_ok(&d->w))
		return truncated(e);
	if (d->in_txn)
		return malformed(e, "a transaction begins inside another");
	d->head = (struct txn){
		.origin = d->origin,
		.commit_us = (int64_t)(commit_ts + PG_EPOCH_US),
		.xid = xid,
		.commit_pos = commit,
		.prev_pos = d->place.end,
	};
	if (d->is_resuming && commit > d->place.commit)
		return diverged(d, e, "a transaction is missing");
	d->in_txn = true;
	d->is_done = commit < d->floor;
	if (!d->is_done && commit < d->place.end)
		return malformed(e, "transactions are out of order");
	d->ordinal = d->at_taken = 0;
	d->hash = 0;
	d->number++;
	d->txn = NULL;
	d->clock_age = CLOCK_EVERY;
	buf_reset(&d->replicated_from, 0);
	return 0;
}

/* One that had no changes proves nothing about the place to resume at, which
 * lies behind it. */
static int on_commit(struct pgoutput *d, struct err *e)
{
	uint8_t flags = wire_u8(&d->w);
	uint64_t commit = wire_be64(&d->w), end = wire_be64(&d->w);

	wire_be64(&d->w); /* the time is in Begin */
	if (!wire_ok(&d->w))
		return truncated(e);
	if (!d->in_txn)
		return malformed(e, "a transaction ends that did not begin");
	if (flags != 0)
		return malformed(e, "unknown flags");
	if (commit != d->head.commit_pos || end < commit)
		return malformed(e, "it ends a transaction with another LSN");
	d->in_txn = false;
	d->txn = NULL;
	if (d->is_done)
		return 0;
	if (d->is_resuming)
		return d->ordinal == 0 ? 0
				       : diverged(d, e, "it has fewer changes");
	if (end > d->place.end)
		d->place.end = end;
	d->place.commit = d->place.n = d->place.hash = 0;
	if (d->place.taken_xid == d->head.xid)
		d->place.taken_xid = 0;
	return 0;
}

static int on_origin(struct pgoutput *d, struct err *e)
{
	struct slice name;

	wire_be64(&d->w); /* LSN at the origin */
	name = wire_cstr(&d->w);
	if (!wire_ok(&d->w))
		return truncated(e);
	if (!d->in_txn || d->ordinal > 0)
		return malformed(e, "it is not at a transaction's beginning");
	if (!utf8_is_valid(name))
		return not_utf8(e, "the name of a replication origin");
	buf_reset(&d->replicated_from, 256);
	buf_slice(&d->replicated_from, name);
	return d->replicated_from.failed ? err_no_memory(e) : 0;
}

static struct slice keep_text(struct pgoutput *d)
{
	d->b->arena.failed |= d->text.failed;
	return slice_dup(&d->b->arena, buf_get(&d->text));
}

/* A place of the server's log as the coordinate in ids. */
static struct slice print_coord(struct pgoutput *d, uint64_t lsn)
{
	buf_reset(&d->text, SIZE_MAX);
	buf_hex(&d->text, lsn);
	return keep_text(d);
}

static struct slice print_id(struct pgoutput *d, const struct txn *t)
{
	buf_reset(&d->text, SIZE_MAX);
	buf_u64(&d->text, t->xid);
	buf_u8(&d->text, ':');
	buf_u64(&d->text, t->commit_pos);
	return keep_text(d);
}

/* The transaction as the batch's events see it, made with the first of them. */
static const struct txn *use_txn(struct pgoutput *d)
{
	struct arena *a = &d->b->arena;
	struct txn *t;

	if (likely(d->txn != NULL))
		return d->txn;
	t = arena_alloc(a, sizeof(*t));
	if (t == NULL)
		return NULL;
	*t = d->head;
	t->id = print_id(d, t);
	t->coord = print_coord(d, t->commit_pos);
	if (d->replicated_from.n > 0)
		t->replicated_from = slice_dup(a, buf_get(&d->replicated_from));
	d->txn = t;
	return t;
}

/* --- changes ----------------------------------------------------------- */

/* Has the agent before us delivered this change?  COPY writes several rows with one
 * record of the log, which then all have its LSN. */
static int look_taken(struct pgoutput *d, bool *skip, struct err *e)
{
	const struct pgoutput_place *p = &d->place;

	if (p->taken_xid != d->head.xid || d->lsn > p->taken_lsn)
		return 0;
	*skip = true;
	if (d->lsn < p->taken_lsn)
		return 0;
	d->at_taken++;
	if (p->taken_n > 0)
		*skip = d->at_taken <= p->taken_n;
	else if (d->at_taken > 1) {
		err_set(e, CODE_taken_doubt,
			"several changes have the LSN of the last one that was delivered by the agent before, and it is not known how many of them it delivered");
		err_detail(e, "A COPY wrote them at once.");
		err_hint(e, "Count the records of transaction %" PRIu32 " with lsn %" PRIu64 " in the topics, and set the position again with ,\"same\":COUNT in it.",
			 p->taken_xid, p->taken_lsn);
		return -1;
	}
	return 0;
}

/* Counts a change.  *before becomes the place directly before it; *skip says
 * that it was delivered in an earlier life. */
static int count(struct pgoutput *d, struct pgoutput_place *before, bool *skip,
		 struct err *e)
{
	*skip = false;
	if (!d->in_txn)
		return malformed(e, "a change outside a transaction");
	if (d->is_done) {
		*skip = true;
		return 0;
	}
	if (d->is_resuming && d->head.commit_pos != d->place.commit)
		return diverged(d, e, "another transaction comes first");
	d->ordinal++;
	d->hash = XXH3_64bits_withSeed(d->msg.p, d->msg.n, d->hash);
	if (d->is_resuming && d->ordinal <= d->place.n) {
		*skip = true;
		if (d->ordinal < d->place.n)
			return 0;
		if (d->hash != d->place.hash)
			return diverged(d, e, "its changes are others");
		d->is_resuming = false;
		return 0;
	}
	d->is_resuming = false;
	if (unlikely(d->place.taken_xid != 0) && look_taken(d, skip, e) != 0)
		return -1;
	if (*skip)
		return 0;
	*before = d->place;
	if (d->ordinal == 1)
		before->commit = before->n = before->hash = 0;
	if (d->place.taken_xid == d->head.xid)
		d->place.taken_xid = 0;
	d->place.commit = d->head.commit_pos;
	d->place.n = d->ordinal;
	d->place.hash = d->hash;
	d->seq++;
	return 0;
}

/* Each change is numbered within its table too, wanted or not, skipped or not. */
static void count_in_table(struct pgoutput *d, struct pg_relation *rel)
{
	if (rel->txn != d->number) {
		rel->txn = d->number;
		rel->changes = 0;
	}
	rel->changes++;
}

/* NULL on lack of memory. */
static struct event *add(struct pgoutput *d, enum op op, struct table *tab)
{
	const struct txn *txn = use_txn(d);
	struct event *ev = txn ? batch_add(d->b) : NULL;

	if (ev == NULL)
		return NULL;
	ev->op = op;
	ev->table = tab;
	ev->txn = txn;
	ev->seq = d->seq;
	ev->ordinal = d->ordinal;
	ev->pos = d->lsn;
	ev->read_us = now(d);
	return ev;
}

static int add_schema(struct pgoutput *d, struct table *tab, struct table *prev,
		      const struct pgoutput_place *before, struct err *e)
{
	struct arena *a = &d->b->arena;
	struct event *ev = add(d, OP_SCHEMA, tab);
	struct schema_change *change = arena_new(a, struct schema_change);

	if (ev == NULL || change == NULL)
		return err_no_memory(e);
	ev->ordinal = 0;
	ev->schema = change;
	change->prev = prev;
	change->cursor_source = d->rels.hooks.cursor_source(
		d->rels.hooks.arg, before, a);
	return a->failed ? err_no_memory(e) : 0;
}

/* The version of a table that a change is of, kept by the batch; announced when
 * it is a new one. */
static int use_table(struct pgoutput *d, struct pg_relation *rel,
		     const struct pgoutput_place *before, struct err *e)
{
	struct table *prev;
	bool is_new, is_kept;

	if (pg_relations_settle(&d->rels, rel, d->seq, &is_new, &prev, e) != 0)
		return -1;
	is_kept = batch_use_table(d->b, rel->tab) != NULL &&
		  (prev == NULL || batch_use_table(d->b, prev) != NULL);
	table_unref(prev);
	if (!is_kept)
		return err_no_memory(e);
	return is_new ? add_schema(d, rel->tab, prev, before, e) : 0;
}

static struct pg_relation *find_relation(struct pgoutput *d, struct err *e)
{
	uint32_t oid = wire_be32(&d->w);
	struct pg_relation *rel;

	if (!wire_ok(&d->w)) {
		truncated(e);
		return NULL;
	}
	rel = pg_relations_get(&d->rels, oid);
	if (rel == NULL)
		err_set(e, CODE_source_protocol,
			"a change of relation %u, which was not described", oid);
	return rel;
}

static int on_row(struct pgoutput *d, enum op op, struct err *e)
{
	struct pg_relation *rel = find_relation(d, e);
	struct pgoutput_place before;
	struct event *ev;
	bool skip;

	if (rel == NULL || count(d, &before, &skip, e) != 0)
		return -1;
	count_in_table(d, rel);
	if (skip || !rel->is_wanted) {
		d->w.p = d->w.end;
		return 0;
	}
	if (use_table(d, rel, &before, e) != 0)
		return -1;
	ev = add(d, op, rel->tab);
	if (ev == NULL)
		return err_no_memory(e);
	ev->table_ordinal = rel->changes;
	return pg_row_read(&d->w, d->b, ev, e);
}

/* Of the tables it names those that are wanted: *n of them in *tables. */
static int read_tables(struct pgoutput *d, uint32_t nrels, bool skip,
		       const struct pgoutput_place *before,
		       struct pg_relation **first, struct truncate *t,
		       struct err *e)
{
	*first = NULL;
	for (uint32_t i = 0; i < nrels; i++) {
		struct pg_relation *rel = find_relation(d, e);

		if (rel == NULL)
			return -1;
		count_in_table(d, rel);
		if (skip || !rel->is_wanted)
			continue;
		if (use_table(d, rel, before, e) != 0)
			return -1;
		if (*first == NULL)
			*first = rel;
		t->tables[t->ntables++] = rel->tab;
	}
	return 0;
}

static int on_truncate(struct pgoutput *d, struct err *e)
{
	uint32_t nrels = wire_be32(&d->w);
	uint8_t flags = wire_u8(&d->w);
	struct pgoutput_place before;
	struct pg_relation *first;
	struct truncate *t;
	struct event *ev;
	bool skip;

	if (!wire_ok(&d->w) || nrels > wire_left(&d->w) / 4)
		return truncated(e);
	if (nrels == 0 || flags > (TRUNCATE_CASCADE | TRUNCATE_RESTART_IDENTITY))
		return malformed(e, "no tables, or unknown flags");
	if (count(d, &before, &skip, e) != 0)
		return -1;
	t = arena_new(&d->b->arena, struct truncate);
	if (t == NULL ||
	    (t->tables = arena_calloc(&d->b->arena, nrels,
				      sizeof(struct table *))) == NULL)
		return err_no_memory(e);
	t->flags = flags;
	if (read_tables(d, nrels, skip, &before, &first, t, e) != 0)
		return -1;
	if (first == NULL)
		return 0;
	ev = add(d, OP_TRUNCATE, t->tables[0]);
	if (ev == NULL)
		return err_no_memory(e);
	ev->table_ordinal = first->changes;
	ev->truncate = t;
	return 0;
}

/* --- logical messages --------------------------------------------------- */

/* One outside a transaction is its own transaction with nothing in it: no
 * number, no time of commit, and E moves behind it. */
static int count_alone(struct pgoutput *d, uint64_t lsn, bool *skip,
		       struct err *e)
{
	if (d->in_txn)
		return malformed(e, "a non-transactional message inside a "
				    "transaction");
	*skip = lsn <= d->floor;
	if (*skip)
		return 0;
	if (lsn <= d->place.end)
		return malformed(e, "messages are out of order");
	d->head = (struct txn){.origin = d->origin, .commit_pos = lsn};
	if (d->is_resuming)
		return diverged(d, e, "a message comes first");
	d->head.prev_pos = d->place.end;
	d->place.end = lsn;
	d->seq++;
	return 0;
}

/* Its time is when it was read: it carries none. */
static struct txn *lone_txn(struct pgoutput *d)
{
	struct txn *t = arena_alloc(&d->b->arena, sizeof(*t));

	if (t == NULL)
		return NULL;
	*t = d->head;
	d->clock_age = CLOCK_EVERY;
	t->commit_us = now(d);
	t->coord = print_coord(d, t->commit_pos);
	return t;
}

static int add_message(struct pgoutput *d, bool is_transactional, uint64_t lsn,
		       struct slice prefix, struct slice content, struct err *e)
{
	struct arena *a = &d->b->arena;
	struct message *m = arena_new(a, struct message);
	struct event *ev;

	if (!is_transactional)
		d->txn = lone_txn(d);
	ev = m != NULL && (is_transactional || d->txn != NULL)
		     ? add(d, OP_MESSAGE, NULL)
		     : NULL;
	if (ev == NULL)
		return err_no_memory(e);
	m->is_transactional = is_transactional;
	m->prefix = slice_dup(a, prefix);
	m->content = slice_dup(a, content);
	ev->pos = lsn;
	ev->message = m;
	if (!is_transactional) {
		ev->ordinal = 0;
		d->txn = NULL;
	}
	return a->failed ? err_no_memory(e) : 0;
}

static int on_message(struct pgoutput *d, struct err *e)
{
	uint8_t flags = wire_u8(&d->w);
	uint64_t lsn = wire_be64(&d->w);
	struct slice prefix = wire_cstr(&d->w);
	struct slice content = wire_bytes(&d->w, wire_be32(&d->w));
	struct pgoutput_place before;
	bool skip;

	if (!wire_ok(&d->w))
		return truncated(e);
	if (flags > 1)
		return malformed(e, "unknown flags");
	if (flags == 1 ? count(d, &before, &skip, e) != 0
		       : count_alone(d, lsn, &skip, e) != 0)
		return -1;
	if (skip || slice_has_prefix(prefix, OWN_PREFIX))
		return 0;
	if (!utf8_is_valid(prefix))
		return not_utf8(e, "the prefix of a message");
	return add_message(d, flags == 1, lsn, prefix, content, e);
}

/* --- all ---------------------------------------------------------------- */

static int dispatch(struct pgoutput *d, uint8_t kind, struct err *e)
{
	switch (kind) {
	case 'B':
		return on_begin(d, e);
	case 'C':
		return on_commit(d, e);
	case 'O':
		return on_origin(d, e);
	case 'R':
		return pg_relations_read(&d->rels, &d->w, e);
	case 'Y':
		return pg_relations_read_type(&d->rels, &d->w, e);
	case 'I':
		return on_row(d, OP_INSERT, e);
	case 'U':
		return on_row(d, OP_UPDATE, e);
	case 'D':
		return on_row(d, OP_DELETE, e);
	case 'T':
		return on_truncate(d, e);
	case 'M':
		return on_message(d, e);
	default:
		return malformed(e, "unknown, or not part of protocol version 1");
	}
}

static void name_message(const struct pgoutput *d, uint8_t kind, struct err *e)
{
	char lsn[PG_LSN_SIZE];

	if (e->code != CODE_source_protocol && e->code != CODE_value_invalid)
		return;
	pg_lsn_print(lsn, d->lsn);
	if (kind > ' ' && kind < 0x7f)
		err_wrap(e, "message \"%c\" at %s", kind, lsn);
	else
		err_wrap(e, "message 0x%02x at %s", kind, lsn);
}

int pgoutput_message(struct pgoutput *d, struct slice msg, uint64_t lsn,
		     struct batch *b, struct err *e)
{
	struct pgoutput_place place = d->place;
	uint64_t seq = d->seq;
	size_t n = b->n;
	uint8_t kind;
	int r;

	assert(d->b == NULL || d->b == b);
	d->b = b;
	d->msg = msg;
	d->lsn = lsn;
	d->w = wire_of(msg);
	kind = wire_u8(&d->w);
	r = wire_ok(&d->w) ? dispatch(d, kind, e) : truncated(e);
	if (r == 0 && wire_left(&d->w) > 0)
		r = malformed(e, "it goes on behind its end");
	if (r == 0 && b->arena.failed)
		r = err_no_memory(e);
	if (r == 0)
		return 0;
	d->place = place;
	d->seq = seq;
	b->n = n;
	name_message(d, kind, e);
	return -1;
}
