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
#include "schema/encode.h"
#include "sinks/kafka_admin.h"
#include "sinks/kafka_check.h"
#include "sinks/kafka_progress.h"
#include "sinks/kafka_topics.h"
#include "sinks/kafka_txn.h"

#define KEEP_BYTES (1u << 20)

#define OLD_KEY "__debezium.oldkey"
#define NEW_KEY "__debezium.newkey"

/* One record of the call at hand; its bytes are in kafka_sink.bytes. */
struct out {
	const struct kafka_route *route;
	size_t key_at, key_n, value_at, value_n;
	size_t with_at, with_n; /* the header's value, n = 0: none */
	const char *header;
	bool is_tombstone;
	uint64_t seq;
};

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

	/* of the transaction */
	struct table **tables; /* new versions, one reference each */
	size_t ntables, tables_cap;
	struct buf last_txn; /* id of the source's last one */

	/* of the call */
	struct encoder *encoder;
	struct schema_registry *registry; /* NULL: none is used */
	struct slice subject_topic; /* of the event that is being encoded */
	struct encoded enc;
	struct buf bytes;
	struct out *out;
	size_t nout, out_cap;
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

/* Whoever was open before knows what must be there: its own last commit, or the
 * one behind it, whose answer it did not get. */
static int check_own(const struct kafka_sink *ks, struct err *e)
{
	const struct kafka_progress *p = &ks->progress;

	if (!ks->has_opened || (!p->has && ks->commit == 0))
		return 0;
	if (p->has && strcmp(p->writer, ks->writer) != 0)
		return fenced(ks, e);
	if (p->has && p->commit >= ks->commit)
		return 0;
	err_set(e, CODE_sink_behind,
		"progress topic \"%s\" came back at commit %" PRIu64 ", but %" PRIu64 " had been acknowledged",
		ks->topic.p, p->has ? p->commit : 0, ks->commit);
	err_detail(e, "Data that the brokers had taken are gone from them.");
	err_hint(e, "Restore the topic, or stop the agent and go on behind the gap with `leat offsets set %s slot --accept-gap`.",
		 ks->base.pipeline);
	return -1;
}

/* Before a new producer is made: it would fence the other one. */
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
	if (rc == 0 && ks->progress.has)
		rc = check_own(ks, e);
	return rc;
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

static int open_all(struct kafka_sink *ks, struct registry *reg, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;

	ks->txn = kafka_txn_open(c, ks->id.p, ks->component, e);
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
	return announce(ks, e);
}

/* The subject is the topic's, as most readers expect it. */
static int register_schema(void *arg, const struct table *tab, bool is_key,
			   struct slice schema, uint32_t *id, struct err *e)
{
	struct kafka_sink *ks = arg;
	struct buf subject = BUF_INIT;
	int rc = -1;

	(void)tab;
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
	kafka_progress_init(&ks->progress);
	if (make_encoder(ks, e) != 0 || name_things(ks, e) != 0 ||
	    look_first(ks, e) != 0 || open_all(ks, held->tables, e) != 0) {
		snk->ops->close(snk);
		return -1;
	}
	ks->has_opened = true;
	snk->commit_within_ms = c->transaction_timeout / 3;
	snk->commit_after_ms = 0;
	held->is_known = true;
	held->has_cursor = ks->progress.has;
	held->in_txn = ks->progress.open_txn.n > 0;
	buf_slice(&held->cursor, ks->progress.cursor);
	return held->cursor.failed ? err_no_memory(e) : 0;
}

/* --- write -------------------------------------------------------------- */

static struct out *add_out(struct kafka_sink *ks, struct err *e)
{
	if (ks->nout == ks->out_cap) {
		size_t cap = ks->out_cap ? ks->out_cap * 2 : 1024;
		struct out *grown = realloc(ks->out, cap * sizeof(*grown));

		if (grown == NULL) {
			err_no_memory(e);
			return NULL;
		}
		ks->out = grown;
		ks->out_cap = cap;
	}
	ks->out[ks->nout] = (struct out){0};
	return &ks->out[ks->nout++];
}

static int add_tombstone(struct kafka_sink *ks, const struct out *of,
			 struct err *e)
{
	struct out same = *of, *out = add_out(ks, e);

	if (out == NULL)
		return -1;
	*out = same;
	out->is_tombstone = true;
	out->with_n = 0;
	return 0;
}

static bool is_delete(const struct event *ev, const struct record *rec)
{
	return ev->op == OP_DELETE || rec->branch == 'd';
}

/* Debezium's: each half of a change of key names the other's key. */
static void add_header(struct out *out, size_t at, const struct encoded *enc,
		       size_t i)
{
	const struct record *other = &enc->rec[1 - i];

	out->header = enc->rec[i].branch == 'd' ? NEW_KEY : OLD_KEY;
	out->with_at = at + other->key_at;
	out->with_n = other->key_n;
}

static int add_record(struct kafka_sink *ks, const struct kafka_route *route,
		      const struct event *ev, size_t at, size_t i, struct err *e)
{
	const struct kafka_conf *c = ks->base.conf;
	const struct record *rec = &ks->enc.rec[i];
	struct out *out = add_out(ks, e);

	if (out == NULL)
		return -1;
	*out = (struct out){
		.route = route,
		.key_at = at + rec->key_at,
		.key_n = rec->key_n,
		.value_at = at + rec->value_at,
		.value_n = rec->value_n,
		.seq = ev->seq,
	};
	if (ks->enc.n == 2)
		add_header(out, at, &ks->enc, i);
	if (c->tombstones && rec->key_n > 0 && is_delete(ev, rec))
		return add_tombstone(ks, out, e);
	return 0;
}

static int check_size(const struct kafka_sink *ks, const struct kafka_route *r,
		      struct err *e)
{
	for (size_t i = 0; i < ks->enc.n; i++) {
		size_t n = ks->enc.rec[i].key_n + ks->enc.rec[i].value_n;

		if (n <= ks->message_max)
			continue;
		err_set(e, CODE_event_rejected,
			"a record of %zu bytes for topic \"%.*s\" is larger than message.max.bytes (%zu)",
			n, SLICE_ARG(r->note->topic), ks->message_max);
		err_hint(e, "Raise it in properties, and max.message.bytes of the topic.");
		return -1;
	}
	return 0;
}

static int add_event(struct kafka_sink *ks, const struct event *ev, struct err *e)
{
	const struct kafka_route *r = kafka_topics_route(&ks->topics, ev, e);
	size_t at = ks->bytes.n;

	if (r == NULL)
		return -1;
	ks->subject_topic = r->note->topic;
	if (encode_event(ks->encoder, ev, &ks->enc, e) != 0 ||
	    check_size(ks, r, e) != 0)
		return -1;
	buf_slice(&ks->bytes, buf_get(&ks->enc.bytes));
	if (ks->bytes.failed)
		return err_no_memory(e);
	for (size_t i = 0; i < ks->enc.n; i++)
		if (add_record(ks, r, ev, at, i, e) != 0)
			return -1;
	return 0;
}

static void forget_call(struct kafka_sink *ks)
{
	ks->bytes.failed = false;
	buf_reset(&ks->bytes, KEEP_BYTES);
	ks->nout = 0;
}

static enum verdict send_one(struct kafka_sink *ks, const struct out *out,
			     struct err *e)
{
	const char *p = ks->bytes.p;
	struct kafka_record r = {
		.rkt = out->route->rkt,
		.header = out->with_n > 0 ? out->header : NULL,
		.header_value = {p + out->with_at, out->with_n},
		.seq = out->seq,
	};

	if (out->key_n > 0)
		r.key = (struct slice){p + out->key_at, out->key_n};
	if (!out->is_tombstone)
		r.value = (struct slice){p + out->value_at, out->value_n};
	r.partition = kafka_partition(out->route, r.key);
	return kafka_txn_produce(ks->txn, &r, e);
}

static enum verdict send_all(struct kafka_sink *ks, struct err *e)
{
	enum verdict v = VERDICT_OK;

	if (ks->nout > 0)
		v = begin(ks, e);
	for (size_t i = 0; i < ks->nout && v == VERDICT_OK; i++)
		v = send_one(ks, &ks->out[i], e);
	if (ks->nout > 0)
		fault(FAULT_kafka_begun);
	return v;
}

/* Nothing of the call was taken. */
static enum verdict refused(const struct err *e)
{
	if (e->code == CODE_event_rejected)
		return VERDICT_REJECT;
	return code_kind(e->code) == CODE_STOP ? VERDICT_FATAL : VERDICT_RETRY;
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

	forget_call(ks);
	for (size_t i = first; i < first + count; i++) {
		if (b->ev[i].op == OP_SCHEMA) /* comes by apply_schema() */
			continue;
		if (add_event(ks, &b->ev[i], e) != 0) {
			e->index = i;
			return refused(e);
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

static enum verdict kafka_apply_schema(struct sink *snk, const struct event *ev,
				       struct err *e)
{
	struct kafka_sink *ks = (struct kafka_sink *)snk;

	forget_call(ks);
	if (add_event(ks, ev, e) != 0 || keep_table(ks, ev->table, e) != 0)
		return refused(e);
	return send_all(ks, e);
}

/* --- commit ------------------------------------------------------------- */

static void drop_tables(struct kafka_sink *ks)
{
	while (ks->ntables > 0)
		table_unref(ks->tables[--ks->ntables]);
}

static enum verdict prepare(struct kafka_sink *ks, const struct cursor *c,
			    struct err *e)
{
	const struct kafka_conf *conf = ks->base.conf;
	struct buf text = BUF_INIT;
	enum verdict v = begin(ks, e);

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
	kafka_txn_close(ks->txn);
	ks->txn = NULL;
	free(ks->tables);
	ks->tables = NULL;
	ks->tables_cap = 0;
	free(ks->out);
	ks->out = NULL;
	ks->nout = ks->out_cap = 0;
	buf_fini(&ks->bytes);
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
