#include "config.h"
#include "sinks/kafka_meta.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/wire.h"

/* One malloc with its name. */
struct kafka_count {
	struct slice table;
	uint64_t n;
};

#define COMMON "io.debezium.connector.common."

#define FIELD(type, optional, name) \
	"{\"type\":\"" type "\",\"optional\":" optional ",\"field\":\"" name "\"}"
#define SCHEMA(name, fields)                                             \
	"{\"schema\":{\"type\":\"struct\",\"fields\":[" fields "],"      \
	"\"optional\":false,\"name\":\"" COMMON name "\",\"version\":1}," \
	"\"payload\":"

static const char transaction_key_schema[] =
	SCHEMA("TransactionMetadataKey", FIELD("string", "false", "id"));
static const char transaction_value_schema[] = SCHEMA(
	"TransactionMetadataValue",
	FIELD("string", "false", "status") "," FIELD("string", "false", "id") ","
	FIELD("int64", "true", "event_count") ","
	"{\"type\":\"array\",\"items\":{\"type\":\"struct\",\"fields\":["
	FIELD("string", "false", "data_collection") ","
	FIELD("int64", "false", "event_count") "],\"optional\":false,"
	"\"name\":\"event.collection\",\"version\":1},"
	"\"optional\":true,\"field\":\"data_collections\"},"
	FIELD("int64", "false", "ts_ms"));
static const char heartbeat_key_schema[] =
	SCHEMA("ServerNameKey", FIELD("string", "false", "serverName"));
static const char heartbeat_value_schema[] =
	SCHEMA("Heartbeat", FIELD("int64", "false", "ts_ms"));

/* --- life --------------------------------------------------------------- */

void kafka_meta_init(struct kafka_meta *m, bool with_schemas)
{
	*m = (struct kafka_meta){.with_schemas = with_schemas};
}

static void forget(struct kafka_meta *m)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&m->counts, &i)) != NULL;)
		free(ent->value);
	map_fini(&m->counts);
	m->counts = MAP_INIT;
	m->is_open = m->is_untold = false;
	m->events = 0;
	buf_fini(&m->id);
	buf_fini(&m->topic);
	m->id = m->topic = BUF_INIT;
}

void kafka_meta_fini(struct kafka_meta *m)
{
	forget(m);
}

void kafka_meta_record_fini(struct kafka_meta_record *r)
{
	buf_fini(&r->key);
	buf_fini(&r->value);
}

/* --- what is counted ---------------------------------------------------- */

bool kafka_meta_has(const struct event *ev)
{
	return ev->ordinal > 0 && ev->op != OP_READ && ev->op != OP_SCHEMA;
}

bool kafka_meta_is_in(const struct kafka_meta *m, const struct event *ev)
{
	return (m->is_open || m->is_untold) &&
	       slice_eq(buf_get(&m->id), ev->txn->id);
}

static struct kafka_count *find(struct kafka_meta *m, struct slice table,
				struct err *e)
{
	struct kafka_count *c = map_get(&m->counts, table);

	if (c != NULL)
		return c;
	c = malloc(sizeof(*c) + table.n);
	if (c == NULL) {
		err_no_memory(e);
		return NULL;
	}
	*c = (struct kafka_count){{(char *)(c + 1), table.n}, 0};
	if (table.n > 0)
		memcpy(c + 1, table.p, table.n);
	if (map_put(&m->counts, c->table, c) == 0)
		return c;
	err_no_memory(e);
	free(c);
	return NULL;
}

int kafka_meta_count(struct kafka_meta *m, const struct event *ev, struct err *e)
{
	struct kafka_count *c;

	if (!m->is_open)
		return 0;
	c = find(m, ev->table->full_name, e);
	if (c == NULL)
		return -1;
	c->n++;
	m->events++;
	return 0;
}

/* --- records ------------------------------------------------------------ */

static void put_schema(struct kafka_meta_record *r, bool with_schemas,
		       const char *key, const char *value)
{
	if (!with_schemas)
		return;
	buf_text(&r->key, key);
	buf_text(&r->value, value);
}

static int finish(struct kafka_meta_record *r, bool with_schemas, struct err *e)
{
	buf_text(&r->key, with_schemas ? "}}" : "}");
	buf_text(&r->value, with_schemas ? "}}" : "}");
	return r->key.failed || r->value.failed ? err_no_memory(e) : 0;
}

static void put_head(const struct kafka_meta *m, const char *status,
		     struct kafka_meta_record *r)
{
	put_schema(r, m->with_schemas, transaction_key_schema,
		   transaction_value_schema);
	buf_text(&r->key, "{\"id\":");
	json_quoted(&r->key, buf_get(&m->id));
	buf_printf(&r->value, "{\"status\":\"%s\",\"id\":", status);
	json_quoted(&r->value, buf_get(&m->id));
}

static void put_time(struct kafka_meta_record *r, int64_t us)
{
	buf_text(&r->value, ",\"ts_ms\":");
	buf_i64(&r->value, us / 1000);
}

int kafka_meta_begin(struct kafka_meta *m, const struct event *ev,
		     struct slice topic, struct kafka_meta_record *r,
		     struct err *e)
{
	forget(m);
	buf_slice(&m->id, ev->txn->id);
	buf_slice(&m->topic, topic);
	buf_u8(&m->topic, '\0');
	if (m->id.failed || m->topic.failed)
		return err_no_memory(e);
	m->is_open = true;
	m->commit_us = ev->txn->commit_us;
	put_head(m, "BEGIN", r);
	buf_text(&r->value, ",\"event_count\":null,\"data_collections\":null");
	put_time(r, m->commit_us);
	return finish(r, m->with_schemas, e);
}

static void put_counts(const struct kafka_meta *m, struct buf *b)
{
	const struct map_entry *ent;
	bool is_first = true;

	buf_text(b, ",\"event_count\":");
	buf_u64(b, m->events);
	buf_text(b, ",\"data_collections\":[");
	for (size_t i = 0; (ent = map_next(&m->counts, &i)) != NULL;) {
		const struct kafka_count *c = ent->value;

		buf_text(b, is_first ? "{\"data_collection\":"
				     : ",{\"data_collection\":");
		json_quoted(b, c->table);
		buf_text(b, ",\"event_count\":");
		buf_u64(b, c->n);
		buf_u8(b, '}');
		is_first = false;
	}
	buf_u8(b, ']');
}

int kafka_meta_end(struct kafka_meta *m, struct kafka_meta_record *r,
		   struct err *e)
{
	put_head(m, "END", r);
	put_counts(m, &r->value);
	put_time(r, m->commit_us);
	forget(m);
	return finish(r, m->with_schemas, e);
}

int kafka_heartbeat(bool with_schemas, const char *source, int64_t now_us,
		    struct kafka_meta_record *r, struct err *e)
{
	put_schema(r, with_schemas, heartbeat_key_schema, heartbeat_value_schema);
	buf_text(&r->key, "{\"serverName\":");
	json_quoted(&r->key, slice_of(source));
	buf_text(&r->value, "{\"ts_ms\":");
	buf_i64(&r->value, now_us / 1000);
	return finish(r, with_schemas, e);
}

/* --- over a restart ------------------------------------------------------ */

/* lenslice id, lenslice topic, varint time, varint tables, each lenslice name, varint count */
void kafka_meta_save(const struct kafka_meta *m, struct buf *out)
{
	const struct map_entry *ent;

	buf_lenslice(out, buf_get(&m->id));
	buf_lenslice(out, (struct slice){m->topic.p, m->topic.n - 1});
	buf_zigzag(out, m->commit_us);
	buf_varint(out, m->counts.n);
	for (size_t i = 0; (ent = map_next(&m->counts, &i)) != NULL;) {
		const struct kafka_count *c = ent->value;

		buf_lenslice(out, c->table);
		buf_varint(out, c->n);
	}
}

static int load_counts(struct kafka_meta *m, struct wire *w, struct err *e)
{
	buf_slice(&m->topic, wire_lenslice(w));
	buf_u8(&m->topic, '\0');
	m->commit_us = wire_zigzag(w);
	for (uint64_t n = wire_varint(w); n > 0 && wire_ok(w); n--) {
		struct slice table = wire_lenslice(w);
		struct kafka_count *c = find(m, table, e);

		if (c == NULL)
			return -1;
		c->n = wire_varint(w);
		m->events += c->n;
	}
	m->is_open = true;
	if (m->topic.failed)
		return err_no_memory(e);
	if (!wire_ok(w))
		return err_set(e, CODE_sink_config,
			       "the progress topic has a record \"transaction\" that cannot be read");
	return 0;
}

int kafka_meta_load(struct kafka_meta *m, struct slice stored, struct slice id,
		    struct err *e)
{
	struct wire w = wire_of(stored);
	struct slice of = wire_lenslice(&w);

	forget(m);
	if (id.n == 0)
		return 0;
	buf_slice(&m->id, id);
	if (m->id.failed)
		return err_no_memory(e);
	if (wire_ok(&w) && slice_eq(of, id))
		return load_counts(m, &w, e);
	m->is_untold = true;
	return 0;
}
