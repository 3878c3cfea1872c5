#include "config.h"
#include "sinks/kafka_records.h"

#include <stdlib.h>

#define KEEP_BYTES (1u << 20)

#define OLD_KEY "__debezium.oldkey"
#define NEW_KEY "__debezium.newkey"

void kafka_records_fini(struct kafka_records *c)
{
	buf_fini(&c->bytes);
	free(c->out);
	*c = (struct kafka_records){.bytes = BUF_INIT};
}

void kafka_records_reset(struct kafka_records *c)
{
	c->bytes.failed = false;
	buf_reset(&c->bytes, KEEP_BYTES);
	c->n = 0;
}

static struct kafka_out *add_out(struct kafka_records *c, struct err *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 1024;
		struct kafka_out *grown = realloc(c->out, cap * sizeof(*grown));

		if (grown == NULL) {
			err_no_memory(e);
			return NULL;
		}
		c->out = grown;
		c->cap = cap;
	}
	c->out[c->n] = (struct kafka_out){0};
	return &c->out[c->n++];
}

static int add_tombstone(struct kafka_records *c, const struct kafka_out *of,
			 struct err *e)
{
	struct kafka_out same = *of, *out = add_out(c, e);

	if (out == NULL)
		return -1;
	*out = same;
	out->is_tombstone = true;
	return 0;
}

static bool is_delete(const struct event *ev, const struct record *rec)
{
	return ev->op == OP_DELETE || rec->branch == 'd';
}

/* Debezium's: each half of a change of key names the other's key. */
static void add_header(struct kafka_out *out, size_t at,
		       const struct encoded *enc, size_t i)
{
	const struct record *other = &enc->rec[1 - i];

	out->header = enc->rec[i].branch == 'd' ? NEW_KEY : OLD_KEY;
	out->with_at = at + other->name_at;
	out->with_n = other->name_n;
}

static int check_size(size_t most, const struct kafka_route *r,
		      const struct encoded *enc, struct err *e)
{
	for (size_t i = 0; i < enc->n; i++) {
		size_t n = enc->rec[i].key_n + enc->rec[i].value_n;

		if (n <= most)
			continue;
		err_set(e, CODE_event_rejected,
			"a record of %zu bytes for topic \"%.*s\" is larger than message.max.bytes (%zu)",
			n, SLICE_ARG(r->note->topic), most);
		err_hint(e, "Raise it in properties, and max.message.bytes of the topic.");
		return -1;
	}
	return 0;
}

int kafka_records_add(struct kafka_records *c, const struct kafka_conf *conf,
		   size_t most, const struct kafka_route *route,
		   const struct event *ev, const struct encoded *enc,
		   struct err *e)
{
	size_t at = c->bytes.n;

	if (check_size(most, route, enc, e) != 0)
		return -1;
	buf_slice(&c->bytes, buf_get(&enc->bytes));
	if (c->bytes.failed)
		return err_no_memory(e);
	for (size_t i = 0; i < enc->n; i++) {
		const struct record *rec = &enc->rec[i];
		struct kafka_out *out = add_out(c, e);

		if (out == NULL)
			return -1;
		*out = (struct kafka_out){
			.route = route,
			.ev = ev,
			.key_at = at + rec->key_at,
			.key_n = rec->key_n,
			.value_at = at + rec->value_at,
			.value_n = rec->value_n,
		};
		if (enc->n == 2)
			add_header(out, at, enc, i);
		if (conf->tombstones && rec->key_n > 0 && is_delete(ev, rec) &&
		    add_tombstone(c, out, e) != 0)
			return -1;
	}
	return 0;
}

enum verdict kafka_records_send(const struct kafka_records *c,
			     const struct kafka_out *out, struct kafka_txn *txn,
			     struct err *e)
{
	const char *p = c->bytes.p;
	struct kafka_record r = {
		.rkt = out->route->rkt,
		.header = out->with_n > 0 ? out->header : NULL,
		.header_value = {p + out->with_at, out->with_n},
		/* else it would be taken for the row behind it */
		.seq = out->ev->op == OP_SCHEMA ? 0 : out->ev->seq,
	};

	if (out->key_n > 0)
		r.key = (struct slice){p + out->key_at, out->key_n};
	if (!out->is_tombstone)
		r.value = (struct slice){p + out->value_at, out->value_n};
	r.partition = kafka_partition(out->route, r.key);
	return kafka_txn_produce(txn, &r, e);
}
