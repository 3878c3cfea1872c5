/* my_binlog.c: see my_binlog.h.
 *
 * A transaction in the log is
 *
 *	GTID, QUERY "BEGIN", { TABLE_MAP..., rows... }..., XID | QUERY "COMMIT"
 *	GTID, QUERY with any other statement
 *	GTID, TRANSACTION_PAYLOAD, which holds the rest of the first form
 *
 * and MariaDB's GTID has the BEGIN in it, or says that one statement is all. */
#include "config.h"
#include "sources/my_binlog.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sources/my_event.h"
#include "sources/my_inflate.h"
#include "sources/my_progress.h"
#include "sources/my_relations.h"
#include "sources/my_rows.h"
#include "sources/my_statement.h"

/* The wall clock is read once for so many changes. */
#define CLOCK_EVERY 64u
#define FILE_SIZE 80u

struct my_binlog {
	const struct origin *origin;
	struct my_relations rels;
	struct my_progress at;

	/* the log */
	bool has_checksum;
	char file[FILE_SIZE];
	struct my_payload *payload;

	/* the transaction */
	bool is_open;	 /* it ends with XID or COMMIT, not with a statement */
	bool is_xa;
	struct txn head; /* without its texts */

	/* the event */
	struct my_header h;
	struct wire w;
	struct batch *b;
	struct txn *txn; /* the transaction's copy in the batch */
	int64_t now_us;
	unsigned clock_age;
};

/* --- life ------------------------------------------------------------------ */

struct my_binlog *my_binlog_new(const struct origin *origin,
				struct registry *reg,
				const struct my_charsets *charsets,
				const struct my_hooks *hooks,
				const struct my_place *from, uint64_t seq,
				bool has_checksum)
{
	struct my_binlog *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->origin = origin;
	d->has_checksum = has_checksum;
	d->clock_age = CLOCK_EVERY;
	my_relations_init(&d->rels, reg, charsets, hooks);
	if (my_progress_init(&d->at, from, seq) < 0) {
		my_binlog_free(d);
		return NULL;
	}
	return d;
}

void my_binlog_free(struct my_binlog *d)
{
	if (d == NULL)
		return;
	my_relations_fini(&d->rels);
	my_payload_close(d->payload);
	my_progress_fini(&d->at);
	free(d);
}

void my_binlog_rest(struct my_binlog *d)
{
	d->b = NULL;
	d->txn = NULL;
	d->clock_age = CLOCK_EVERY;
}

bool my_binlog_in_transaction(const struct my_binlog *d)
{
	return d->at.in_txn;
}

const struct my_place *my_binlog_place(const struct my_binlog *d)
{
	return &d->at.place;
}

uint64_t my_binlog_seq(const struct my_binlog *d)
{
	return d->at.seq;
}

void my_binlog_at(const struct my_binlog *d, char out[MY_AT_SIZE])
{
	snprintf(out, MY_AT_SIZE, "%s:%" PRIu32, d->file[0] ? d->file : "?",
		 d->h.end);
}

/* --- errors ---------------------------------------------------------------- */

static int malformed(struct err *e, const char *what)
{
	return err_set(e, CODE_source_protocol, "%s", what);
}

static int64_t now(struct my_binlog *d)
{
	if (++d->clock_age > CLOCK_EVERY) {
		d->now_us = clock_wall_us();
		d->clock_age = 0;
	}
	return d->now_us;
}

/* --- transactions ---------------------------------------------------------- */

static int on_begin(struct my_binlog *d, struct err *e)
{
	struct my_begin begin;

	if (my_event_begin(&d->h, &d->w, &begin, e) < 0 ||
	    my_progress_begin(&d->at, &begin.id, e) < 0)
		return -1;
	d->head = (struct txn){
		.origin = d->origin,
		.commit_us = begin.commit_us != 0
				     ? begin.commit_us
				     : (int64_t)d->h.time * 1000000,
	};
	d->is_open = d->at.place.done.flavour == MY_MARIADB &&
		     !begin.is_standalone;
	d->is_xa = begin.is_prepared_xa;
	d->txn = NULL;
	d->clock_age = CLOCK_EVERY;
	return 0;
}

static int on_end(struct my_binlog *d, struct err *e)
{
	d->txn = NULL;
	return my_progress_end(&d->at, e);
}

static int on_rollback(struct my_binlog *d, struct err *e)
{
	d->txn = NULL;
	return my_progress_rollback(&d->at, e);
}

static struct slice print_id(struct my_binlog *d)
{
	char text[MY_GTID_SIZE];

	return slice_dup(&d->b->arena,
			 (struct slice){text, my_gtid_print(text, d->at.place.done.flavour,
							    &d->at.id)});
}

/* The transaction as the batch's events see it, made with the first of them. */
static const struct txn *use_txn(struct my_binlog *d)
{
	struct txn *t;

	if (likely(d->txn != NULL))
		return d->txn;
	t = arena_alloc(&d->b->arena, sizeof(*t));
	if (t == NULL)
		return NULL;
	*t = d->head;
	t->coord = t->id = print_id(d);
	d->txn = t;
	return t;
}

/* --- changes ----------------------------------------------------------------- */

/* Each change is numbered within its table too, wanted or not, skipped or not. */
static void count_in_table(struct my_binlog *d, struct my_relation *rel)
{
	if (rel->txn != d->at.number) {
		rel->txn = d->at.number;
		rel->changes = 0;
	}
	rel->changes++;
}

/* NULL on lack of memory. */
static struct event *add(struct my_binlog *d, enum op op, struct table *tab)
{
	const struct txn *txn = use_txn(d);
	struct event *ev = txn ? batch_add(d->b) : NULL;

	if (ev == NULL)
		return NULL;
	ev->op = op;
	ev->table = tab;
	ev->txn = txn;
	ev->seq = d->at.seq;
	ev->ordinal = d->at.ordinal;
	ev->read_us = now(d);
	return ev;
}

static int add_schema(struct my_binlog *d, struct table *tab, struct table *prev,
		      const struct my_before *before, struct err *e)
{
	struct arena *a = &d->b->arena;
	struct event *ev = add(d, OP_SCHEMA, tab);
	struct schema_change *change = arena_new(a, struct schema_change);
	struct my_place place = {.done = d->at.place.done, /* borrowed */
				 .flight = before->flight,
				 .n = before->n,
				 .hash = before->hash};

	if (ev == NULL || change == NULL)
		return err_no_memory(e);
	ev->ordinal = 0;
	ev->schema = change;
	change->prev = prev;
	change->cursor_source = d->rels.hooks.cursor_source(d->rels.hooks.arg,
							    &place, a);
	return a->failed ? err_no_memory(e) : 0;
}

/* The version of a table that a change is of, kept by the batch; announced when
 * it is a new one. */
static int use_table(struct my_binlog *d, struct my_relation *rel,
		     const struct my_before *before, struct err *e)
{
	struct table *prev;
	bool is_new, is_kept;

	if (my_relations_settle(&d->rels, rel, d->at.seq, &is_new, &prev, e) < 0)
		return -1;
	is_kept = batch_use_table(d->b, rel->tab) != NULL &&
		  (prev == NULL || batch_use_table(d->b, prev) != NULL);
	table_unref(prev);
	if (!is_kept)
		return err_no_memory(e);
	return is_new ? add_schema(d, rel->tab, prev, before, e) : 0;
}

/* --- rows -------------------------------------------------------------------- */

static bool is_key_changed(const struct table *tab, const struct value *before,
			   const struct value *after)
{
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (tab->cols[i].key_position > 0 &&
		    !value_eq(&before[i], &after[i]))
			return true;
	return false;
}

static int add_row(struct my_binlog *d, struct my_relation *rel, enum op op,
		   struct value *old, struct value *new, struct slice bytes,
		   struct err *e)
{
	struct my_before before;
	struct event *ev;
	bool skip;

	if (my_progress_count(&d->at, bytes, &before, &skip, e) < 0)
		return -1;
	count_in_table(d, rel);
	if (skip)
		return 0;
	if (use_table(d, rel, &before, e) < 0)
		return -1;
	ev = add(d, op, rel->tab);
	if (ev == NULL)
		return err_no_memory(e);
	ev->table_ordinal = rel->changes;
	ev->before = old;
	ev->after = new;
	ev->before_kind = old != NULL ? BEFORE_FULL : BEFORE_NONE;
	ev->key_changed = op == OP_UPDATE && is_key_changed(rel->tab, old, new);
	return 0;
}

/* The bytes of the row that ends where reading has got to. */
static struct slice row_bytes(const struct my_rows *rows, const uint8_t *from)
{
	return (struct slice){(const char *)from, (size_t)(rows->rows.p - from)};
}

static int read_wanted(struct my_binlog *d, struct my_relation *rel,
		       struct my_rows *rows, struct err *e)
{
	struct slice kept;

	if (!rows->is_full) {
		err_set(e, CODE_source_config,
			"table \"%.*s\": a row has not all columns: binlog_row_image is not FULL",
			SLICE_ARG(rel->full_name));
		err_hint(e, "SET GLOBAL binlog_row_image = 'FULL'; sessions that are open keep what they have");
		return -1;
	}
	/* values point into the rows */
	kept = slice_dup(&d->b->arena,
			 (struct slice){(const char *)rows->rows.p,
					wire_left(&rows->rows)});
	if (kept.p == NULL)
		return err_no_memory(e);
	rows->rows = wire_of(kept);
	while (wire_left(&rows->rows) > 0) {
		const uint8_t *from = rows->rows.p;
		struct value *old, *new;

		if (my_rows_read(rows, &rel->map, d->b, &old, &new, e) < 0 ||
		    add_row(d, rel, rows->op, old, new, row_bytes(rows, from),
			    e) < 0)
			return -1;
	}
	return 0;
}

static int pass_over(struct my_binlog *d, struct my_relation *rel,
		     struct my_rows *rows, struct err *e)
{
	struct my_before before;
	bool skip;

	while (wire_left(&rows->rows) > 0) {
		const uint8_t *from = rows->rows.p;

		if (my_rows_skip(rows, &rel->map, e) < 0 ||
		    my_progress_count(&d->at, row_bytes(rows, from), &before,
				      &skip, e) < 0)
			return -1;
		if (rows->rows.p == from)
			return malformed(e, "a row of no bytes");
		count_in_table(d, rel);
	}
	return 0;
}

static int refuse_xa(const struct my_binlog *d, const struct my_relation *rel,
		     struct err *e)
{
	char text[MY_GTID_SIZE];

	my_gtid_print(text, d->at.place.done.flavour, &d->at.id);
	err_set(e, CODE_source_config,
		"table \"%.*s\" is changed by XA transaction %s, which this version of leat cannot read",
		SLICE_ARG(rel->full_name), text);
	return -1;
}

static int on_rows(struct my_binlog *d, struct err *e)
{
	struct my_relation *rel;
	struct my_rows rows;

	if (my_rows_open(&d->h, &d->w, &d->b->arena, &rows, e) < 0)
		return -1;
	if (rows.table_id == MY_NO_TABLE)
		return 0;
	if (!d->at.in_txn)
		return malformed(e, "rows outside a transaction");
	rel = my_relations_get(&d->rels, rows.table_id);
	if (rel == NULL)
		return err_set(e, CODE_source_protocol,
			       "rows of table number %" PRIu64
			       ", which was not described",
			       rows.table_id);
	if (d->at.is_done)
		return 0;
	if (d->is_xa)
		return rel->is_wanted ? refuse_xa(d, rel, e) : 0;
	return rel->is_wanted ? read_wanted(d, rel, &rows, e)
			      : pass_over(d, rel, &rows, e);
}

static int on_partial(struct err *e)
{
	err_set(e, CODE_source_config,
		"a row has only a part of a JSON value: binlog_row_value_options is PARTIAL_JSON");
	err_hint(e, "SET GLOBAL binlog_row_value_options = ''");
	return -1;
}

/* --- statements ---------------------------------------------------------------- */

static bool is_wanted(struct my_binlog *d, struct slice db, struct slice table)
{
	return table.n > 0 &&
	       d->rels.hooks.is_wanted(d->rels.hooks.arg, db, table);
}

/* A table of which nothing was delivered has nothing to be taken away. */
static int on_truncate(struct my_binlog *d, struct slice db, struct slice table,
		       struct slice sql, struct err *e)
{
	struct arena *a = &d->b->arena;
	struct slice full = table_full_name(a, db, table);
	struct table *tab = registry_get(d->rels.reg, full);
	struct truncate *t = arena_new(a, struct truncate);
	struct table **tables = arena_calloc(a, 1, sizeof(*tables));
	struct my_before before;
	struct event *ev;
	bool skip;

	if (a->failed)
		return err_no_memory(e);
	if (my_progress_count(&d->at, sql, &before, &skip, e) < 0)
		return -1;
	if (skip || tab == NULL)
		return 0;
	if (batch_use_table(d->b, tab) == NULL ||
	    (ev = add(d, OP_TRUNCATE, tab)) == NULL)
		return err_no_memory(e);
	*tables = tab;
	*t = (struct truncate){.ntables = 1, .tables = tables};
	ev->table_ordinal = 1;
	ev->truncate = t;
	return 0;
}

static int refuse_change(struct slice db, struct slice table, struct slice sql,
			 struct err *e)
{
	err_set(e, CODE_source_config,
		"a change of table \"%.*s.%.*s\" is in the server's log as a statement and not as rows: binlog_format is not ROW",
		SLICE_ARG(db), SLICE_ARG(table));
	err_detail(e, "It begins: %.*s", sql.n < 20 ? (int)sql.n : 20, sql.p);
	err_hint(e, "SET GLOBAL binlog_format = 'ROW'; sessions that are open keep what they have");
	return -1;
}

static int on_statement(struct my_binlog *d, const struct my_query *q,
			struct err *e)
{
	struct slice db, table;
	enum my_statement kind = my_statement_read(q->sql, &db, &table);

	if (db.n == 0)
		db = q->db;
	switch (kind) {
	case MY_STATEMENT_BEGIN:
		d->is_open = true;
		return d->at.in_txn ? 0
				 : malformed(e, "a BEGIN without a GTID");
	case MY_STATEMENT_COMMIT:
		return on_end(d, e);
	case MY_STATEMENT_ROLLBACK:
		return on_rollback(d, e);
	case MY_STATEMENT_XA_BEGIN:
		d->is_open = d->is_xa = true;
		return 0;
	case MY_STATEMENT_SAVEPOINT:
	case MY_STATEMENT_XA_END:
		return 0;
	case MY_STATEMENT_TRUNCATE:
		if (d->at.in_txn && is_wanted(d, db, table) &&
		    on_truncate(d, db, table, q->sql, e) < 0)
			return -1;
		break;
	case MY_STATEMENT_CHANGE:
		if (is_wanted(d, db, table))
			return refuse_change(db, table, q->sql, e);
		break;
	default:
		break;
	}
	return d->at.in_txn && !d->is_open ? on_end(d, e) : 0;
}

static int on_query(struct my_binlog *d, struct err *e)
{
	struct my_query q;

	if (d->h.type == MY_MARIA_QUERY_COMPRESSED) {
		if (my_event_query(&d->w, &q, e) < 0 ||
		    my_inflate_event(q.sql, &d->b->arena, &q.sql, e) < 0)
			return -1;
	} else if (my_event_query(&d->w, &q, e) < 0) {
		return -1;
	}
	return on_statement(d, &q, e);
}

/* u8: committed at once.  Else an XA COMMIT or XA ROLLBACK of its own follows. */
static int on_xa_prepare(struct my_binlog *d, struct err *e)
{
	return on_end(d, e);
}

/* --- files ---------------------------------------------------------------------- */

static int on_rotate(struct my_binlog *d, struct err *e)
{
	struct slice file;
	uint64_t pos;

	if (my_event_rotate(&d->w, &file, &pos, e) < 0)
		return -1;
	snprintf(d->file, sizeof(d->file), "%.*s", SLICE_ARG(file));
	return 0;
}

static int on_format(struct my_binlog *d, struct err *e)
{
	struct slice version;

	if (d->at.in_txn)
		return malformed(e, "a transaction has no end in its file");
	my_relations_forget(&d->rels);
	return my_event_format(&d->w, &d->has_checksum, &version, e);
}

static int on_payload(struct my_binlog *d, struct err *e)
{
	struct slice body = {(const char *)d->w.p, wire_left(&d->w)};

	if (d->payload != NULL)
		return malformed(e, "it lies inside another");
	d->payload = my_payload_open(body, e);
	return d->payload != NULL ? 0 : -1;
}

/* --- all -------------------------------------------------------------------------- */

static int on_unknown(const struct my_binlog *d, struct err *e)
{
	if (d->h.flags & MY_FLAG_IGNORABLE)
		return 0;
	return err_set(e, CODE_source_config,
		       "this version of leat does not know events of type %u",
		       d->h.type);
}

static int dispatch(struct my_binlog *d, struct err *e)
{
	if (my_rows_is_one(d->h.type))
		return on_rows(d, e);
	switch (d->h.type) {
	case MY_TABLE_MAP:
		return my_relations_read(&d->rels, &d->w, e);
	case MY_GTID:
	case MY_ANONYMOUS_GTID:
	case MY_GTID_TAGGED:
	case MY_MARIA_GTID:
		return on_begin(d, e);
	case MY_QUERY:
	case MY_MARIA_QUERY_COMPRESSED:
		return on_query(d, e);
	case MY_XID:
		return on_end(d, e);
	case MY_XA_PREPARE:
		return on_xa_prepare(d, e);
	case MY_PAYLOAD:
		return on_payload(d, e);
	case MY_PARTIAL_UPDATE:
		return on_partial(e);
	case MY_ROTATE:
		return on_rotate(d, e);
	case MY_FORMAT:
		return on_format(d, e);
	case MY_INCIDENT:
		return my_event_incident(&d->w, e);
	case MY_STOP:
	case MY_INTVAR:
	case MY_RAND:
	case MY_USER_VAR:
	case MY_HEARTBEAT:
	case MY_HEARTBEAT_V2:
	case MY_IGNORABLE:
	case MY_ROWS_QUERY:
	case MY_PREVIOUS_GTIDS:
	case MY_TRANSACTION_CONTEXT:
	case MY_VIEW_CHANGE:
	case MY_MARIA_ANNOTATE:
	case MY_MARIA_CHECKPOINT:
	case MY_MARIA_GTID_LIST:
	case MY_MARIA_ENCRYPTION:
		return 0;
	default:
		return on_unknown(d, e);
	}
}

static void name_event(const struct my_binlog *d, struct err *e)
{
	char at[MY_AT_SIZE];

	my_binlog_at(d, at);
	err_wrap(e, "event %s at %s", my_event_name(d->h.type), at);
}

/* Places are small but for their set, which only the end of a transaction
 * changes, as the last thing that can fail. */
static int take(struct my_binlog *d, struct slice event, bool has_checksum,
		struct batch *b, struct err *e)
{
	struct my_place place = d->at.place;
	uint64_t seq = d->at.seq;
	size_t n = b->n;
	int r;

	assert(d->b == NULL || d->b == b);
	d->b = b;
	r = my_event_open(event, has_checksum, &d->h, &d->w, e);
	if (r == 0)
		r = dispatch(d, e);
	if (r == 0 && b->arena.failed)
		r = err_no_memory(e);
	if (r == 0)
		return 0;
	d->at.place.flight = place.flight;
	d->at.place.n = place.n;
	d->at.place.hash = place.hash;
	d->at.seq = seq;
	b->n = n;
	name_event(d, e);
	return -1;
}

int my_binlog_event(struct my_binlog *d, struct slice event, struct batch *b,
		    struct err *e)
{
	assert(d->payload == NULL);
	return take(d, event, d->has_checksum, b, e);
}

bool my_binlog_has_more(const struct my_binlog *d)
{
	return d->payload != NULL;
}

int my_binlog_more(struct my_binlog *d, struct batch *b, struct err *e)
{
	struct slice event;
	int rc = my_payload_next(d->payload, &event, e);

	if (rc > 0)
		return take(d, event, false, b, e);
	if (rc < 0)
		name_event(d, e);
	my_payload_close(d->payload);
	d->payload = NULL;
	return rc;
}
