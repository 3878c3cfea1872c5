#include "config.h"
#include "sinks/kafka_topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "schema/connect_schema.h"
#include "sinks/kafka_admin.h"

#define TOPIC_MOST 249

/* --- names -------------------------------------------------------------- */

/* False for a word that means nothing here. */
static bool put_word(struct buf *out, struct slice word, const char *pipeline,
		     const struct origin *o, const struct table *tab)
{
	if (slice_is(word, "pipeline"))
		connect_topic_part(out, slice_of(pipeline));
	else if (o != NULL && slice_is(word, "source"))
		connect_topic_part(out, o->name);
	else if (o != NULL && slice_is(word, "db"))
		connect_topic_part(out, o->db);
	else if (tab != NULL && slice_is(word, "schema"))
		connect_topic_part(out, tab->schema);
	else if (tab != NULL && slice_is(word, "table"))
		connect_topic_part(out, tab->name);
	else
		return false;
	return true;
}

int kafka_topic_name(const char *template, const char *pipeline,
		     const struct origin *o, const struct table *tab,
		     struct buf *out, struct err *e)
{
	struct slice rest = slice_of(template);
	size_t start = out->n;

	while (rest.n > 0) {
		struct slice text = slice_cut(&rest, '{'), word;

		for (size_t i = 0; i < text.n; i++)
			if (!connect_in_topic(text.p[i]))
				return err_set(e, CODE_sink_config,
					       "topic \"%s\": no name of a topic may have \"%c\"",
					       template, text.p[i]);
		buf_slice(out, text);
		if (rest.p == NULL)
			break;
		word = slice_cut(&rest, '}');
		if (rest.p == NULL || !put_word(out, word, pipeline, o, tab))
			return err_set(e, CODE_sink_config,
				       "topic \"%s\": there is no {%.*s} here",
				       template, SLICE_ARG(word));
	}
	if (out->n == start || out->n - start > TOPIC_MOST)
		return err_set(e, CODE_sink_config,
			       "topic \"%s\" makes a name of %zu characters",
			       template, out->n - start);
	buf_u8(out, '\0');
	return out->failed ? err_no_memory(e) : 0;
}

/* --- what is known ------------------------------------------------------ */

void kafka_topics_init(struct kafka_topics *t, const struct kafka_conf *c,
		       const char *pipeline)
{
	*t = (struct kafka_topics){.conf = c, .pipeline = pipeline,
				   .may_ask = true};
}

bool kafka_topics_may_ask(struct kafka_topics *t)
{
	t->is_wanting |= !t->may_ask;
	return t->may_ask;
}

static void route_free(struct kafka_route *r)
{
	if (r == NULL)
		return;
	if (r->rkt != NULL)
		rd_kafka_topic_destroy(r->rkt);
	free(r);
}

void kafka_topics_fini(struct kafka_topics *t)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&t->by_table, &i)) != NULL;)
		route_free(ent->value);
	for (size_t i = 0; (ent = map_next(&t->by_topic, &i)) != NULL;)
		free(ent->value);
	for (size_t i = 0; i < SIDES; i++)
		route_free(t->side[i]);
	map_fini(&t->by_table);
	map_fini(&t->by_topic);
	kafka_topics_init(t, t->conf, t->pipeline);
}

static struct kafka_note *note_new(struct kafka_topics *t, struct slice topic,
				   struct slice table, struct err *e)
{
	struct kafka_note *note = malloc(sizeof(*note) + topic.n + table.n);
	char *p = (char *)(note + 1);

	if (note == NULL) {
		err_no_memory(e);
		return NULL;
	}
	memcpy(p, topic.p, topic.n);
	if (table.n > 0)
		memcpy(p + topic.n, table.p, table.n);
	*note = (struct kafka_note){.topic = {p, topic.n},
				    .table = {p + topic.n, table.n}};
	if (map_put(&t->by_topic, note->topic, note) == 0)
		return note;
	err_no_memory(e);
	free(note);
	return NULL;
}

int kafka_topics_remember(struct kafka_topics *t, struct slice topic,
			  struct slice table, int32_t partitions, struct err *e)
{
	struct kafka_note *note = map_remove(&t->by_topic, topic);

	free(note);
	note = note_new(t, topic, table, e);
	if (note == NULL)
		return -1;
	note->partitions = partitions;
	return 0;
}

/* --- routes ------------------------------------------------------------- */

static int missing(const char *topic, struct err *e)
{
	err_set(e, CODE_topic_missing, "topic \"%s\" does not exist", topic);
	err_hint(e, "Make it, or say create_topics = yes.");
	return -1;
}

/* Partitions of the topic, which is made where that is allowed. */
static int find_topic(struct kafka_topics *t, rd_kafka_topic_t *rkt,
		      bool is_known, bool is_for_rows, int partitions,
		      struct err *e)
{
	const char *name = rd_kafka_topic_name(rkt);
	const char *policy = kafka_cleanup_policy(t->conf);
	int n = 0;

	/* asking for one that does not exist could make it, with the broker's
	 * settings instead of ours */
	if (is_known || !t->conf->create_topics)
		n = kafka_admin_partitions(t->rk, rkt, e);
	if (n != 0)
		return n;
	if (!t->conf->create_topics)
		return missing(name, e);
	/* what has no key cannot be compacted */
	if (policy != NULL && !is_for_rows)
		policy = "delete";
	if (kafka_admin_create(t->rk, name, partitions,
			       (int)t->conf->replication, policy, e) != 0)
		return -1;
	fault(FAULT_kafka_topic);
	return kafka_admin_await(t->rk, rkt, e);
}

static int check_owner(const struct kafka_note *note, struct slice owner,
		       struct err *e)
{
	if (slice_eq(note->table, owner))
		return 0;
	if (note->table.n == 0 || owner.n == 0)
		return err_set(e, CODE_sink_config,
			       "topic \"%.*s\" is table \"%.*s\"'s, and would be used for others",
			       SLICE_ARG(note->topic),
			       SLICE_ARG(note->table.n ? note->table : owner));
	err_set(e, CODE_sink_config,
		"tables \"%.*s\" and \"%.*s\" would share topic \"%.*s\"",
		SLICE_ARG(note->table), SLICE_ARG(owner), SLICE_ARG(note->topic));
	err_hint(e, "Let the option topic of the sink tell them apart, or leave {table} out of it to have one topic for all.");
	return -1;
}

static int check_partitions(struct kafka_topics *t, struct kafka_note *note,
			    int partitions, struct err *e)
{
	if (note->partitions == partitions)
		return 0;
	if (note->partitions != 0 &&
	    t->conf->on_partition_change == PARTITION_CHANGE_STOP) {
		err_set(e, CODE_partitions_changed,
			"topic \"%.*s\" has %d partitions, and had %" PRId32,
			SLICE_ARG(note->topic), partitions, note->partitions);
		err_detail(e, "Keys would move to other partitions, where their changes no longer follow those before.");
		err_hint(e, "If its consumers can bear that, say on_partition_change = continue.");
		return -1;
	}
	note->partitions = partitions;
	t->nnew += !note->is_new;
	note->is_new = true;
	return 0;
}

/* owner: the table, or empty for a topic that is nobody's own. */
static struct kafka_route *route_new(struct kafka_topics *t, const char *name,
				     struct slice table, struct slice owner,
				     int partitions, struct err *e)
{
	struct kafka_route *r = calloc(1, sizeof(*r) + table.n);
	struct kafka_note *note = map_get(&t->by_topic, slice_of(name));
	int n;

	if (r == NULL) {
		err_no_memory(e);
		return NULL;
	}
	r->table = (struct slice){(char *)(r + 1), table.n};
	if (table.n > 0)
		memcpy(r + 1, table.p, table.n);
	r->rkt = rd_kafka_topic_new(t->rk, name, NULL);
	if (r->rkt == NULL) {
		err_set(e, CODE_sink_config, "topic \"%s\": %s", name,
			rd_kafka_err2str(rd_kafka_last_error()));
		goto fail;
	}
	if (note != NULL && check_owner(note, owner, e) != 0)
		goto fail;
	n = find_topic(t, r->rkt, note != NULL, table.n > 0, partitions, e);
	if (n < 0)
		goto fail;
	if (note == NULL && (note = note_new(t, slice_of(name), owner, e)) == NULL)
		goto fail;
	if (check_partitions(t, note, n, e) != 0)
		goto fail;
	r->note = note;
	return r;
fail:
	route_free(r);
	return NULL;
}

static struct kafka_route *table_route(struct kafka_topics *t,
				       const struct event *ev, struct err *e)
{
	bool is_own = strstr(t->conf->topic, "{table}") != NULL;
	struct slice full = ev->table->full_name;
	struct kafka_route *r = NULL;
	struct buf name = BUF_INIT;

	if (kafka_topic_name(t->conf->topic, t->pipeline, ev->txn->origin,
			     ev->table, &name, e) == 0)
		r = route_new(t, name.p, full, is_own ? full : (struct slice){0},
			      (int)t->conf->partitions, e);
	buf_fini(&name);
	return r;
}

const char *kafka_side_template(const struct kafka_conf *c, enum kafka_side side)
{
	switch (side) {
	case SIDE_TRANSACTION:
		return c->transaction_topic;
	case SIDE_SCHEMA:
		return c->schema_topic;
	case SIDE_HEARTBEAT:
		return c->heartbeat_interval > 0 ? c->heartbeat_topic : NULL;
	case SIDE_OTHER:
	case SIDES:
		break;
	}
	return c->other_topic;
}

struct kafka_route *kafka_topics_side_called(struct kafka_topics *t,
					     enum kafka_side side,
					     const char *topic, struct err *e)
{
	if (t->side[side] == NULL && kafka_topics_may_ask(t))
		t->side[side] = route_new(t, topic, (struct slice){0},
					  (struct slice){0}, 1, e);
	return t->side[side];
}

struct kafka_route *kafka_topics_side(struct kafka_topics *t,
				      enum kafka_side side,
				      const struct origin *o, struct err *e)
{
	struct buf name = BUF_INIT;

	if (t->side[side] == NULL &&
	    kafka_topic_name(kafka_side_template(t->conf, side), t->pipeline, o,
			     NULL, &name, e) == 0)
		kafka_topics_side_called(t, side, name.p, e);
	buf_fini(&name);
	return t->side[side];
}

/* --- compacted topics ---------------------------------------------------- */

static bool is_compacted(struct kafka_topics *t, const struct kafka_route *r)
{
	struct kafka_note *note = r->note;
	const char *policy = kafka_cleanup_policy(t->conf);
	char text[64];

	if (note->is_asked)
		return note->is_compacted;
	if (kafka_admin_setting(t->rk, RD_KAFKA_RESOURCE_TOPIC,
				rd_kafka_topic_name(r->rkt), "cleanup.policy",
				text, sizeof(text)) != NULL)
		policy = text;
	note->is_asked = true;
	note->is_compacted = policy != NULL && strstr(policy, "compact") != NULL;
	return note->is_compacted;
}

static void put_identifier(struct buf *b, struct slice s)
{
	buf_u8(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_u8(b, '"');
		buf_u8(b, (uint8_t)s.p[i]);
	}
	buf_u8(b, '"');
}

static int refuse_partial(const struct kafka_route *r, const struct table *tab,
			  struct err *e)
{
	struct buf name = BUF_INIT;

	put_identifier(&name, tab->schema);
	buf_u8(&name, '.');
	put_identifier(&name, tab->name);
	err_set(e, CODE_table_partial,
		"updates of table \"%.*s\" may leave out values, and topic \"%.*s\" is compacted",
		SLICE_ARG(tab->full_name), SLICE_ARG(r->note->topic));
	err_detail(e, "Large values that did not change are not sent, and a compacted topic keeps the last record of a key only.");
	err_hint(e, "ALTER TABLE %.*s REPLICA IDENTITY FULL; and, for changes made before that, partial_rows = yes.",
		 (int)name.n, name.p ? name.p : "");
	buf_fini(&name);
	return -1;
}

/* K4: where a row replaces a row, all of it must be there. */
static int check_table(struct kafka_topics *t, struct kafka_route *r,
		       const struct table *tab, struct err *e)
{
	bool has_key = table_has_key(tab);
	bool is_partial = !t->conf->partial_rows && table_may_omit(tab);

	if ((!has_key || is_partial) && !r->note->is_asked &&
	    !kafka_topics_may_ask(t))
		return -1;
	if ((!has_key || is_partial) && is_compacted(t, r)) {
		if (is_partial)
			return refuse_partial(r, tab, e);
		err_set(e, CODE_sink_config,
			"table \"%.*s\" has no key, and topic \"%.*s\" is compacted",
			SLICE_ARG(tab->full_name), SLICE_ARG(r->note->topic));
		err_hint(e, "Give the table a primary key, or the topic cleanup.policy=delete.");
		return -1;
	}
	r->checked = tab->version;
	return 0;
}

static bool is_row(const struct event *ev)
{
	return ev->op == OP_INSERT || ev->op == OP_UPDATE ||
	       ev->op == OP_DELETE || ev->op == OP_READ;
}

static struct kafka_route *add_table(struct kafka_topics *t,
				     const struct event *ev, struct err *e)
{
	struct kafka_route *r = kafka_topics_may_ask(t) ? table_route(t, ev, e)
							: NULL;

	if (r == NULL || map_put(&t->by_table, r->table, r) == 0)
		return r;
	err_no_memory(e);
	route_free(r);
	return NULL;
}

struct kafka_route *kafka_topics_rows(struct kafka_topics *t,
				      const struct event *ev, struct err *e)
{
	struct kafka_route *r = map_get(&t->by_table, ev->table->full_name);

	if (r == NULL)
		r = add_table(t, ev, e);
	if (r == NULL || (r->checked != ev->table->version &&
			  check_table(t, r, ev->table, e) != 0))
		return NULL;
	return r;
}

struct kafka_route *kafka_topics_route(struct kafka_topics *t,
				       const struct event *ev, struct err *e)
{
	if (ev->op == OP_SCHEMA && t->conf->schema_topic != NULL)
		return kafka_topics_side(t, SIDE_SCHEMA, ev->txn->origin, e);
	return is_row(ev) ? kafka_topics_rows(t, ev, e)
			  : kafka_topics_side(t, SIDE_OTHER, ev->txn->origin, e);
}

/* --- partitions --------------------------------------------------------- */

/* As org.apache.kafka.common.utils.Utils has it: 32 bits, seed 0x9747b28c. */
uint32_t kafka_murmur2(struct slice key)
{
	const unsigned char *p = (const unsigned char *)key.p;
	const uint32_t m = 0x5bd1e995;
	uint32_t h = 0x9747b28c ^ (uint32_t)key.n;
	size_t n = key.n;

	for (; n >= 4; n -= 4, p += 4) {
		uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 |
			     (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

		k *= m;
		k ^= k >> 24;
		k *= m;
		h *= m;
		h ^= k;
	}
	if (n > 2)
		h ^= (uint32_t)p[2] << 16;
	if (n > 1)
		h ^= (uint32_t)p[1] << 8;
	if (n > 0) {
		h ^= p[0];
		h *= m;
	}
	h ^= h >> 13;
	h *= m;
	h ^= h >> 15;
	return h;
}

int32_t kafka_partition(const struct kafka_route *r, struct slice key)
{
	uint32_t hash = kafka_murmur2(key.n > 0 ? key : r->table);

	return (int32_t)((hash & 0x7fffffff) % (uint32_t)r->note->partitions);
}
