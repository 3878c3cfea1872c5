/* kafka.c: see kafka.h.
 *
 * write() turns all its events into records first, which is when topics are found
 * or made and sizes looked at; only then it begins a transaction.  So what fails
 * there fails with nothing taken, and no transaction waits for an answer about a
 * topic.  Whatever fails behind that spoils the producer: REWIND, and open() reads
 * back what is true. */
#include "config.h"
#include "sinks/kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/clock.h"
#include "schema/debezium_table.h"
#include "sinks/kafka_admin.h"
#include "sinks/kafka_records.h"
#include "sinks/kafka_check.h"
#include "sinks/kafka_meta.h"
#include "sinks/kafka_progress.h"

struct kafka_sink {
	struct sink base;
	char component[256];
	struct buf topic, id; /* of the progress, and transactional.id */

	struct kafka_txn *txn;
	struct kafka_topics topics;
	struct kafka_progress progress;
	size_t message_max;

	char writer[KAFKA_WRITER_SIZE]; /* "" before the first open() */
	uint64_t commit;		/* of the last one that was acknowledged */
	bool has_opened;
	bool is_careful; /* see kafka_txn_open() */

	/* of the transaction */
	struct table **tables; /* new versions, one reference each */
	size_t ntables, tables_cap;
	struct buf last_txn; /* id of the source's last one */

	/* of the call */
	struct encoder *encoder;
	struct schema_registry *registry; /* NULL: none is used */
	struct slice subject_topic; /* of the event that is being encoded */
	struct encoded enc;
	struct kafka_records records;

	struct kafka_meta meta;
};

/* --- open --------------------------------------------------------------- */

static int name_things(struct kafka_sink *ks, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;

	snprintf(ks->component, sizeof(ks->component), "pipeline \"%s\"",
		 ks->base.pipeline);
	buf_reset(&ks->topic, SIZE_MAX);
	buf_reset(&ks->id, SIZE_MAX);
	if (kafka_topic_name(c->progress_topic, ks->base.pipeline, NULL, NULL,
			     &ks->topic, e) != 0 ||
	    kafka_topic_name(c->transactional_id, ks->base.pipeline, NULL, NULL,
			     &ks->id, e) != 0)
		return -1;
	return ks->writer[0] == '\0' ? kafka_writer_name(ks->writer, e) : 0;
}

static int read_back(struct kafka_sink *ks, bool to_end, struct registry *reg,
		     struct err *e)
{
	return kafka_progress_read(&ks->progress, ks->base.conf, ks->topic.p,
				   ks->component, to_end, reg, &ks->topics, e);
}

static int fenced(const struct kafka_sink *ks, struct err *e)
{
	err_set(e, CODE_fenced,
		"another agent (on host \"%.*s\") has taken over the progress topic \"%s\"",
		SLICE_ARG(ks->progress.agent), ks->topic.p);
	err_hint(e, "Run one agent only with a pipeline \"%s\" on these brokers, or give the other another name.",
		 ks->base.pipeline);
	return -1;
}

static bool is_own(const struct kafka_sink *ks)
{
	return ks->progress.has && strcmp(ks->progress.writer, ks->writer) == 0;
}

/* Somebody else has written behind this one's last commit, not before it. */
static bool is_taken_over(const struct kafka_sink *ks)
{
	return ks->progress.has && !is_own(ks) &&
	       ks->progress.commit > ks->commit;
}

/* Whoever was open before knows what must be there: its own last commit, or the
 * one behind it, whose answer it did not get. */
static int check_own(const struct kafka_sink *ks, struct err *e)
{
	const struct kafka_progress *p = &ks->progress;

	if (!ks->has_opened || (!p->has && ks->commit == 0) ||
	    (is_own(ks) && p->commit >= ks->commit))
		return 0;
	if (is_taken_over(ks))
		return fenced(ks, e);
	err_set(e, CODE_sink_behind,
		"progress topic \"%s\" came back at commit %" PRIu64 ", but %" PRIu64 " had been acknowledged",
		ks->topic.p, p->has ? p->commit : 0, ks->commit);
	err_detail(e, "Data that the brokers had taken are gone from them.");
	err_hint(e, "Restore the topic, or stop the agent and go on behind the gap with `leat offsets set %s slot --accept-gap`.",
		 ks->base.pipeline);
	return -1;
}

/* Before a new producer is made: it would fence the other one.  What is not there
 * yet may come: the brokers acknowledge a commit before they show it, and stand
 * still in between when one of them is lost. */
static int look_first(struct kafka_sink *ks, struct err *e)
{
	struct registry reg;
	int rc;

	if (!ks->has_opened)
		return 0;
	registry_init(&reg);
	rc = read_back(ks, false, &reg, e);
	registry_fini(&reg);
	kafka_topics_fini(&ks->topics);
	return rc == 0 && is_taken_over(ks) ? fenced(ks, e) : rc;
}

static enum verdict begin(struct kafka_sink *ks, struct err *e)
{
	enum verdict v;

	if (kafka_txn_is_open(ks->txn))
		return VERDICT_OK;
	v = kafka_txn_begin(ks->txn, e);
	return v == VERDICT_OK ? kafka_progress_put_begin(&ks->progress, ks->txn,
							  e)
			       : v;
}

/* is_inside: the cursor stands inside the source's last transaction. */
static enum verdict put_progress(struct kafka_sink *ks, struct slice cursor,
				 bool is_inside, struct err *e)
{
	struct slice open_txn = {0};
	enum verdict v = VERDICT_OK;

	if (is_inside)
		open_txn = buf_get(&ks->last_txn);

	for (size_t i = 0; i < ks->ntables && v == VERDICT_OK; i++)
		v = kafka_progress_put_table(&ks->progress, ks->txn,
					     ks->tables[i], e);
	if (v == VERDICT_OK)
		v = kafka_progress_put_topics(&ks->progress, ks->txn,
					      &ks->topics, e);
	fault(FAULT_kafka_progress);
	if (v == VERDICT_OK)
		v = kafka_progress_put_cursor(&ks->progress, ks->txn, cursor,
					      open_txn, ks->commit + 1, ks->writer, e);
	return v;
}

/* Says at once who writes from now on, so that whoever wrote before finds that
 * out although nothing else is written. */
static int announce(struct kafka_sink *ks, struct err *e)
{
	if (ks->has_opened || !ks->progress.has)
		return 0;
	if (begin(ks, e) == VERDICT_OK &&
	    put_progress(ks, ks->progress.cursor, ks->last_txn.n > 0, e) ==
		    VERDICT_OK &&
	    kafka_txn_commit(ks->txn, e) == VERDICT_OK) {
		ks->commit++;
		fault(FAULT_kafka_announced);
		return 0;
	}
	return err_set(e, CODE_sink_doubt, "the first commit failed");
}

/* A transaction that an earlier run began to tell, and the heartbeat. */
static int open_side(struct kafka_sink *ks, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	const struct origin o = {.name = slice_of(ks->base.source)};

	if (c->transaction_topic != NULL &&
	    kafka_meta_load(&ks->meta, buf_get(&ks->progress.transaction),
			    ks->progress.open_txn, e) != 0)
		return -1;
	if (ks->meta.is_open &&
	    kafka_topics_side_called(&ks->topics, SIDE_TRANSACTION,
				     ks->meta.topic.p, e) == NULL)
		return -1;
	return c->heartbeat_interval == 0 ||
	       kafka_topics_side(&ks->topics, SIDE_HEARTBEAT, &o, e) != NULL
		       ? 0
		       : -1;
}

static void plan_heartbeat(struct kafka_sink *ks)
{
	const struct kafka_conf *c = ks->base.conf;

	if (c->heartbeat_interval > 0)
		ks->base.commit_idle_ms = clock_mono_ms() + c->heartbeat_interval;
}

static int open_all(struct kafka_sink *ks, struct registry *reg, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;

	ks->txn = kafka_txn_open(c, ks->id.p, ks->component, ks->is_careful, e);
	if (ks->txn == NULL)
		return -1;
	ks->topics.rk = kafka_txn_handle(ks->txn);
	ks->message_max = (size_t)kafka_conf_number(ks->topics.rk,
						    "message.max.bytes");
	if (kafka_progress_claim(&ks->progress, c, ks->topics.rk, ks->topic.p,
				 e) != 0)
		return -1;
	fault(FAULT_kafka_claim);
	if (read_back(ks, true, reg, e) != 0 || check_own(ks, e) != 0)
		return -1;
	fault(FAULT_kafka_read);
	buf_slice(&ks->last_txn, ks->progress.open_txn);
	if (ks->last_txn.failed)
		return err_no_memory(e);
	if (ks->progress.has)
		ks->commit = ks->progress.commit;
	return open_side(ks, e) == 0 ? announce(ks, e) : -1;
}

/* The subject is the topic's, as most readers expect it. */
static int register_schema(void *arg, const struct table *tab, bool is_key,
			   struct slice schema, uint32_t *id, struct err *e)
{
	struct kafka_sink *ks = arg;
	struct buf subject = BUF_INIT;
	int rc = -1;

	(void)tab;
	if (!kafka_topics_may_ask(&ks->topics))
		return -1;
	buf_slice(&subject, ks->subject_topic);
	buf_text(&subject, is_key ? "-key" : "-value");
	buf_u8(&subject, '\0');
	if (subject.failed)
		err_no_memory(e);
	else
		rc = schema_registry_id(ks->registry, subject.p, schema, id, e);
	buf_fini(&subject);
	return rc;
}

static int make_encoder(struct kafka_sink *ks, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	struct encoder_registry registry = {ks, register_schema};

	if (encoding_check(&c->encoding, c->registry.urls.n > 0, e) != 0)
		return -1;
	if (c->encoding.format == FORMAT_AVRO) {
		ks->registry = schema_registry_new(&c->registry);
		if (ks->registry == NULL)
			return err_no_memory(e);
	}
	ks->encoder = encoder_new(&c->encoding, &registry);
	return ks->encoder ? 0 : err_no_memory(e);
}

static int kafka_open(struct sink *snk, struct sink_held *held, struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;
	const struct kafka_conf *c = snk->conf;

	kafka_topics_init(&ks->topics, c, snk->pipeline);
	kafka_meta_init(&ks->meta, c->encoding.schemas);
	kafka_progress_init(&ks->progress);
	if (make_encoder(ks, e) != 0 || name_things(ks, e) != 0 ||
	    look_first(ks, e) != 0 || open_all(ks, held->tables, e) != 0) {
		snk->ops->close(snk);
		return -1;
	}
	ks->has_opened = true;
	snk->commit_within_ms = c->transaction_timeout / 3;
	snk->commit_after_ms = 0;
	plan_heartbeat(ks);
	held->is_known = true;
	held->has_cursor = ks->progress.has;
	held->in_txn = ks->progress.open_txn.n > 0;
	buf_slice(&held->cursor, ks->progress.cursor);
	return held->cursor.failed ? err_no_memory(e) : 0;
}

/* --- write -------------------------------------------------------------- */

/* What goes beside the event must have its place before anything is sent, too. */
static int find_places(struct kafka_sink *ks, const struct event *ev,
		       const struct kafka_route **r, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;

	*r = kafka_topics_route(&ks->topics, ev, e);
	if (*r == NULL)
		return -1;
	if (c->transaction_topic == NULL || !kafka_meta_has(ev))
		return 0;
	return kafka_topics_side(&ks->topics, SIDE_TRANSACTION,
				 ev->txn->origin, e) != NULL ? 0 : -1;
}

static int add_event(struct kafka_sink *ks, const struct event *ev, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	const struct kafka_route *r;

	if (find_places(ks, ev, &r, e) != 0)
		return -1;
	ks->subject_topic = r->note->topic;
	if (ev->op == OP_SCHEMA && c->schema_topic != NULL
		    ? debezium_table_change(ev, c->encoding.schemas, &ks->enc, e)
		    : encode_event(ks->encoder, ev, &ks->enc, e))
		return -1;
	return kafka_records_add(&ks->records, c, ks->message_max, r, ev, &ks->enc, e);
}

/* --- where transactions begin and end ----------------------------------- */

/* *Takes* rec. */
static enum verdict put_side(struct kafka_sink *ks, const struct kafka_route *to,
			     struct kafka_meta_record *rec, int rc, struct err *e)
{
	struct kafka_record r = {.rkt = to->rkt,
				 .key = buf_get(&rec->key),
				 .value = buf_get(&rec->value)};
	enum verdict v = VERDICT_REWIND; /* what was counted is half true */

	if (rc == 0)
		v = kafka_txn_produce(ks->txn, &r, e);
	kafka_meta_record_fini(rec);
	return v;
}

static enum verdict end_transaction(struct kafka_sink *ks, struct err *e)
{
	struct kafka_meta_record rec = {0};
	int rc;

	ks->meta.is_untold = false;
	if (!ks->meta.is_open)
		return VERDICT_OK;
	rc = kafka_meta_end(&ks->meta, &rec, e);
	return put_side(ks, ks->topics.side[SIDE_TRANSACTION], &rec, rc, e);
}

static enum verdict begin_transaction(struct kafka_sink *ks,
				      const struct event *ev, struct err *e)
{
	const struct kafka_route *to = ks->topics.side[SIDE_TRANSACTION];
	struct kafka_meta_record rec = {0};
	enum verdict v = end_transaction(ks, e);
	int rc;

	if (v != VERDICT_OK)
		return v;
	rc = kafka_meta_begin(&ks->meta, ev, to->note->topic, &rec, e);
	return put_side(ks, to, &rec, rc, e);
}

/* Before the record is sent. */
static enum verdict tell_transaction(struct kafka_sink *ks,
				     const struct kafka_out *out, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	enum verdict v = VERDICT_OK;

	if (c->transaction_topic == NULL || !kafka_meta_has(out->ev))
		return VERDICT_OK;
	if (!kafka_meta_is_in(&ks->meta, out->ev))
		v = begin_transaction(ks, out->ev, e);
	if (v == VERDICT_OK && out->route->table.n > 0 && !out->is_tombstone &&
	    kafka_meta_count(&ks->meta, out->ev, e) != 0)
		v = VERDICT_REWIND;
	return v;
}

/* Before the progress record: what is whole ends, of what is not the counts go
 * along. */
static enum verdict tell_end(struct kafka_sink *ks, bool is_inside, struct err *e)
{
	struct buf stored = BUF_INIT;
	enum verdict v = VERDICT_OK;

	if (!is_inside)
		return end_transaction(ks, e);
	if (!ks->meta.is_open)
		return VERDICT_OK;
	kafka_meta_save(&ks->meta, &stored);
	if (stored.failed) {
		err_no_memory(e);
		v = VERDICT_REWIND;
	} else
		v = kafka_progress_put_transaction(&ks->progress, ks->txn,
						   buf_get(&stored), e);
	buf_fini(&stored);
	return v;
}

static enum verdict send_all(struct kafka_sink *ks, struct err *e)
{
	enum verdict v = VERDICT_OK;

	if (ks->records.n > 0)
		v = begin(ks, e);
	for (size_t i = 0; i < ks->records.n && v == VERDICT_OK; i++) {
		v = tell_transaction(ks, &ks->records.out[i], e);
		if (v == VERDICT_OK)
			v = kafka_records_send(&ks->records, &ks->records.out[i], ks->txn,
					    e);
	}
	if (ks->records.n > 0)
		fault(FAULT_kafka_begun);
	return v;
}

/* Nothing of the call was taken.  Where a transaction is open that holds the
 * beginning of the source's, nobody should wait for it: it ends with this
 * producer, and comes again from its beginning. */
static enum verdict refused(struct kafka_sink *ks, const struct err *e)
{
	if (ks->topics.is_wanting)
		return VERDICT_COMMIT;
	if (e->code == CODE_event_rejected)
		return VERDICT_REJECT;
	if (code_kind(e->code) == CODE_STOP)
		return VERDICT_FATAL;
	return kafka_txn_is_open(ks->txn) ? VERDICT_REWIND : VERDICT_RETRY;
}

/* Answers about topics and schemas are waited for before a transaction begins,
 * or behind one that can end here. */
static void begin_call(struct kafka_sink *ks)
{
	kafka_records_reset(&ks->records);
	ks->topics.may_ask = !ks->base.can_commit || !kafka_txn_is_open(ks->txn);
	ks->topics.is_wanting = false;
}

static int keep_last_txn(struct kafka_sink *ks, const struct event *ev,
			 struct err *e)
{
	ks->last_txn.failed = false;
	buf_reset(&ks->last_txn, SIZE_MAX);
	buf_slice(&ks->last_txn, ev->txn->id);
	return ks->last_txn.failed ? err_no_memory(e) : 0;
}

static enum verdict kafka_write(struct sink *snk, const struct batch *b,
				size_t first, size_t count, struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;

	begin_call(ks);
	for (size_t i = first; i < first + count; i++) {
		if (b->ev[i].op == OP_SCHEMA) /* comes by apply_schema() */
			continue;
		if (add_event(ks, &b->ev[i], e) != 0) {
			e->index = i;
			return refused(ks, e);
		}
	}
	if (count > 0 && keep_last_txn(ks, &b->ev[first + count - 1], e) != 0)
		return VERDICT_RETRY;
	return send_all(ks, e);
}

static int keep_table(struct kafka_sink *ks, struct table *tab, struct err *e)
{
	if (ks->ntables == ks->tables_cap) {
		size_t cap = ks->tables_cap ? ks->tables_cap * 2 : 16;
		struct table **grown = realloc(ks->tables, cap * sizeof(*grown));

		if (grown == NULL)
			return err_no_memory(e);
		ks->tables = grown;
		ks->tables_cap = cap;
	}
	ks->tables[ks->ntables++] = table_ref(tab);
	return 0;
}

/* What rows of the version will need. */
static int find_rows(struct kafka_sink *ks, const struct event *ev, struct err *e)
{
	const struct kafka_route *r = kafka_topics_rows(&ks->topics, ev, e);

	if (r == NULL)
		return -1;
	ks->subject_topic = r->note->topic;
	return encoder_prepare(ks->encoder, ev, e);
}

static enum verdict kafka_apply_schema(struct sink *snk, const struct event *ev,
				       struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;

	begin_call(ks);
	if (find_rows(ks, ev, e) != 0 || add_event(ks, ev, e) != 0 ||
	    keep_table(ks, ev->table, e) != 0)
		return refused(ks, e);
	return send_all(ks, e);
}

/* --- commit ------------------------------------------------------------- */

static void drop_tables(struct kafka_sink *ks)
{
	while (ks->ntables > 0)
		table_unref(ks->tables[--ks->ntables]);
}

static enum verdict put_heartbeat(struct kafka_sink *ks, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	const struct kafka_route *to = ks->topics.side[SIDE_HEARTBEAT];
	struct kafka_meta_record rec = {0};
	int rc;

	if (to == NULL || clock_mono_ms() < ks->base.commit_idle_ms)
		return VERDICT_OK;
	rc = kafka_heartbeat(c->encoding.schemas, ks->base.source,
			     clock_wall_us(), &rec, e);
	return put_side(ks, to, &rec, rc, e);
}

static enum verdict prepare(struct kafka_sink *ks, const struct cursor *c,
			    struct err *e)
{
	const struct kafka_conf *conf = ks->base.conf;
	struct buf text = BUF_INIT;
	bool is_idle = !kafka_txn_is_open(ks->txn);
	enum verdict v = begin(ks, e);

	if (v == VERDICT_OK)
		v = tell_end(ks, c->in_txn, e);
	if (v == VERDICT_OK && is_idle)
		v = put_heartbeat(ks, e);
	/* without a transaction the cursor must not overtake the data */
	if (v == VERDICT_OK && conf->delivery == DELIVERY_AT_LEAST_ONCE)
		v = kafka_txn_flush(ks->txn, e);
	if (v != VERDICT_OK)
		return v;
	cursor_print(c, &text);
	if (text.failed) {
		err_no_memory(e);
		v = VERDICT_RETRY;
	} else
		v = put_progress(ks, buf_get(&text), c->in_txn, e);
	buf_fini(&text);
	return v;
}

static enum verdict kafka_commit(struct sink *snk, const struct cursor *c,
				 struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;
	enum verdict v = VERDICT_OK;

	if (!kafka_txn_is_ending(ks->txn))
		v = prepare(ks, c, e);
	if (v == VERDICT_OK)
		v = kafka_txn_commit(ks->txn, e);
	if (v != VERDICT_OK)
		return v;
	ks->commit++;
	drop_tables(ks);
	snk->commit_after_ms = kafka_txn_rested(ks->txn);
	plan_heartbeat(ks);
	return VERDICT_OK;
}

/* --- the rest ----------------------------------------------------------- */

static int check(struct sink *snk, struct report *r, struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;
	const struct kafka_conf *c = snk->conf;
	char where[256];

	snprintf(where, sizeof(where), "sink \"%s\"", snk->name);
	if (make_encoder(ks, e) != 0 || name_things(ks, e) != 0 ||
	    (ks->registry != NULL &&
	     schema_registry_check(ks->registry, e) != 0)) {
		report_err(r, where, e);
		return 0;
	}
	return kafka_check(c, snk->pipeline, ks->topic.p, where, r, e);
}

static int drop(struct sink *snk, struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;

	if (name_things(ks, e) != 0)
		return -1;
	return kafka_admin_delete(snk->conf, ks->topic.p, ks->component, e);
}

/* What was acknowledged is remembered, for the next open(). */
static void kafka_close(struct sink *snk)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;

	drop_tables(ks);
	kafka_topics_fini(&ks->topics);
	kafka_progress_fini(&ks->progress);
	if (ks->txn != NULL)
		ks->is_careful = kafka_txn_wants_care(ks->txn);
	kafka_txn_close(ks->txn);
	ks->txn = NULL;
	free(ks->tables);
	ks->tables = NULL;
	ks->tables_cap = 0;
	kafka_records_fini(&ks->records);
	kafka_meta_fini(&ks->meta);
	buf_fini(&ks->last_txn);
	buf_fini(&ks->topic);
	buf_fini(&ks->id);
	encoder_free(ks->encoder);
	ks->encoder = NULL;
	schema_registry_free(ks->registry);
	ks->registry = NULL;
	encoded_fini(&ks->enc);
}

const struct sink_ops kafka_sink = {
	.type = "kafka",
	.class = SINK_TRANSACTIONAL,
	.caps = SINK_WHOLE_TRANSACTIONS,
	.opts = kafka_opts,
	.conf_size = sizeof(struct kafka_conf),
	.size = sizeof(struct kafka_sink),
	.check = check,
	.open = kafka_open,
	.write = kafka_write,
	.commit = kafka_commit,
	.apply_schema = kafka_apply_schema,
	.drop = drop,
	.close = kafka_close,
};
