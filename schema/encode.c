/* encode.c: see encode.h.
 *
 * Splits an event into records, makes their keys, and hands the values to the
 * formats.  A record's key holds the columns of the table's key in their order;
 * it is empty when one of them is not known (a delete that carries the columns
 * of another index only). */
#include "config.h"
#include "schema/encode.h"

#include <stdlib.h>

#include "base/map.h"
#include "schema/avro.h"
#include "schema/cloudevents.h"
#include "schema/connect_schema.h"
#include "schema/debezium.h"
#include "schema/row.h"

/* What one huge row needed is not kept. */
#define KEEP_BYTES (1u << 20)
/* More table versions than are written to at one time. */
#define KEEP_SHAPES 1024

const char *const format_names[] = {"debezium", "row", "cloudevents", "avro",
				    NULL};
const char *const encoding_compats[] = {"none", "debezium", NULL};
const char *const encoding_decimals[] = {"auto", "string", "precise", "double",
					 NULL};
const char *const encoding_times[] = {
	"auto",	   "iso",	"adaptive",	"adaptive_time_microseconds",
	"connect", "isostring", "microseconds", "nanoseconds",
	NULL,
};
const char *const encoding_binaries[] = {"auto", "bytes", "base64",
					 "base64-url-safe", "hex", NULL};
const char *const encoding_intervals[] = {"auto", "text", "numeric", "string",
					  NULL};

struct encoder {
	enum format format;
	struct shape_plan plan;
	bool has_shapes; /* the plan is not what VALUES says anyway */
	struct map shapes; /* by the table's address */
	struct shape *last; /* that was looked up */
	struct buf scratch, item; /* item: of the plan's */
	struct encoder_registry registry;
	uint32_t message_id, message_key_id; /* 0: not registered yet */
};

/* --- the choice of modes ----------------------------------------------- */

int encoding_check(const struct encoding *how, bool has_registry, struct err *e)
{
	if (how->format == FORMAT_AVRO && !has_registry) {
		err_set(e, CODE_conf_value,
			"option format: avro needs a sink that registers schemas");
		err_hint(e, "Choose another format.");
		return -1;
	}
	if (!how->schemas || how->format == FORMAT_DEBEZIUM)
		return 0;
	err_set(e, CODE_conf_value,
		"option schemas: format %s has no place for a schema",
		format_names[how->format]);
	err_hint(e, "Leave schemas out, or choose format = debezium.");
	return -1;
}

/* What was chosen, or what the others imply. */
static int mode(int chosen, int implied)
{
	return chosen > 0 ? chosen - 1 : implied;
}

static void make_plan(struct encoder *enc, const struct encoding *how)
{
	bool is_compat = how->compat != 0;
	bool is_avro = how->format == FORMAT_AVRO;
	bool as_debezium = how->schemas || is_compat || is_avro;
	struct connect_modes *m = &enc->plan.modes;

	m->decimal = (enum decimal_mode)mode(
		how->decimal, as_debezium ? DECIMAL_PRECISE : DECIMAL_STRING);
	m->time = (enum time_mode)mode(how->time, as_debezium ? TIME_ADAPTIVE
							      : TIME_ISO);
	m->binary = (enum binary_mode)mode(how->binary, BINARY_BYTES);
	m->interval = (enum interval_mode)mode(
		how->interval, as_debezium ? INTERVAL_NUMERIC : INTERVAL_TEXT);
	m->unfold = as_debezium;
	if (how->unavailable != NULL)
		m->unavailable = slice_of(how->unavailable);
	else if (is_compat)
		m->unavailable = SLICE("__debezium_unavailable_value");
	if (m->unavailable.p != NULL) {
		json_quoted(&enc->item, m->unavailable);
		m->unavailable_item = buf_get(&enc->item);
	}
	enc->plan.whole = as_debezium || m->unavailable.p != NULL;
	enc->plan.schemas = how->schemas || is_avro;
	enc->plan.avro = is_avro;
	enc->has_shapes = enc->plan.whole || m->decimal != DECIMAL_STRING ||
			  m->time != TIME_ISO || m->binary != BINARY_BYTES ||
			  m->interval != INTERVAL_TEXT;
}

struct encoder *encoder_new(const struct encoding *how,
			    const struct encoder_registry *reg)
{
	struct encoder *enc = calloc(1, sizeof(*enc));

	if (enc == NULL)
		return NULL;
	enc->format = (enum format)how->format;
	make_plan(enc, how);
	if (enc->item.failed) {
		encoder_free(enc);
		return NULL;
	}
	if (reg != NULL)
		enc->registry = *reg;
	return enc;
}

/* --- shapes -------------------------------------------------------------- */

static void forget_shapes(struct encoder *enc)
{
	struct map_entry *ent;

	for (size_t i = 0; (ent = map_next(&enc->shapes, &i)) != NULL;)
		shape_free(ent->value);
	map_fini(&enc->shapes);
	enc->shapes = MAP_INIT;
	enc->last = NULL;
}

void encoder_free(struct encoder *enc)
{
	if (enc == NULL)
		return;
	forget_shapes(enc);
	buf_fini(&enc->scratch);
	buf_fini(&enc->item);
	free(enc);
}

static int register_schema(struct encoder *enc, const struct table *tab,
			   bool is_key, struct slice schema, uint32_t *id,
			   struct err *e)
{
	const struct encoder_registry *r = &enc->registry;

	return schema.n == 0 ? 0
			     : r->schema_id(r->arg, tab, is_key, schema, id, e);
}

static int register_shape(struct encoder *enc, struct shape *sh, struct err *e)
{
	if (register_schema(enc, sh->tab, true, sh->key_head, &sh->key_id, e) != 0)
		return -1;
	return register_schema(enc, sh->tab, false, sh->value_head,
			       &sh->value_id, e);
}

static struct shape *make_shape(struct encoder *enc, const struct event *ev,
				struct err *e)
{
	struct shape *sh = shape_new(ev->table, ev->txn->origin->name, &enc->plan);
	struct slice key = {(const char *)(sh ? &sh->tab : NULL),
			    sizeof(sh->tab)};

	if (sh == NULL) {
		err_no_memory(e);
		return NULL;
	}
	if (!enc->plan.avro || register_shape(enc, sh, e) == 0) {
		if (map_put(&enc->shapes, key, sh) == 0)
			return sh;
		err_no_memory(e);
	}
	shape_free(sh);
	return NULL;
}

/* The shape keeps its table alive, so no other table takes its address. */
static struct shape *shape_of(struct encoder *enc, const struct event *ev,
			      struct err *e)
{
	struct slice name = ev->txn->origin->name;
	struct slice key = {(const char *)&ev->table, sizeof(ev->table)};
	struct shape *sh = enc->last;

	if (sh != NULL && sh->tab == ev->table && slice_eq(sh->source, name))
		return sh;
	sh = map_get(&enc->shapes, key);
	if (sh == NULL || !slice_eq(sh->source, name)) {
		if (sh != NULL || enc->shapes.n >= KEEP_SHAPES)
			forget_shapes(enc);
		sh = make_shape(enc, ev, e);
	}
	if (sh != NULL)
		enc->last = sh;
	return sh;
}

/* --- keys ---------------------------------------------------------------- */

static bool put_key_column(struct buf *b, const struct shown *s, uint32_t i,
			   unsigned flags)
{
	const struct value *v = shown_key_value(s, i);

	if (v == NULL)
		return false;
	json_column_name(b, s->ev->table, i, flags);
	buf_u8(b, ':');
	json_shown_value(b, s, i, v);
	buf_u8(b, ',');
	return true;
}

/* Without a primary key: the columns of the identity index, in their order. */
static bool put_index_columns(struct buf *b, const struct shown *s,
			      unsigned flags)
{
	const struct table *tab = s->ev->table;

	if (tab->identity == IDENTITY_FULL)
		return false;
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (tab->cols[i].is_identity && table_in_key(tab, i) &&
		    !put_key_column(b, s, i, flags))
			return false;
	return true;
}

static bool put_key_columns(struct buf *b, const struct shown *s,
			    unsigned flags)
{
	const struct table *tab = s->ev->table;
	uint32_t n = 0, last = 0;

	for (uint32_t i = 0; i < tab->ncols; i++) {
		if (tab->cols[i].key_position > 0) {
			n++;
			last = i;
		}
	}
	if (n == 0)
		return put_index_columns(b, s, flags);
	if (n == 1)
		return put_key_column(b, s, last, flags);
	for (uint32_t pos = 1; pos <= n; pos++)
		for (uint32_t i = 0; i < tab->ncols; i++)
			if (tab->cols[i].key_position == pos &&
			    !put_key_column(b, s, i, flags))
				return false;
	return true;
}

static void put_plain_key(struct buf *b, const struct shown *s, unsigned flags)
{
	size_t start = b->n;

	if (s->op == OP_MESSAGE) {
		json_lit(b, "{\"prefix\":");
		json_quoted(b, s->ev->message->prefix);
		buf_u8(b, '}');
		return;
	}
	if (s->before == NULL && s->after == NULL)
		return;
	buf_u8(b, '{');
	if (put_key_columns(b, s, flags) && b->n > start + 1)
		json_close(b, '}');
	else
		b->n = start;
}

static void put_schema(struct buf *b, const struct connect_schema *schema)
{
	json_lit(b, "{\"schema\":");
	connect_schema_json(b, schema, NULL);
	json_lit(b, ",\"payload\":");
}

static void put_key(struct buf *b, const struct shown *s,
		    const struct encoder *enc, struct record *rec)
{
	size_t start = b->n, payload;

	if (enc->plan.schemas && s->op == OP_MESSAGE)
		put_schema(b, &connect_message_key);
	else if (enc->plan.schemas && s->shape != NULL)
		buf_slice(b, s->shape->key_head);
	payload = b->n;
	put_plain_key(b, s, enc->format == FORMAT_ROW ? COLUMNS_FLAT : 0);
	if (b->n == payload)
		b->n = start;
	rec->name_at = payload;
	rec->name_n = b->n > payload ? b->n - payload : 0;
	if (b->n > start && payload > start)
		buf_u8(b, '}');
}

/* --- values -------------------------------------------------------------- */

static int register_message(struct encoder *enc, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc;

	if (enc->message_id != 0)
		return 0;
	connect_schema_avro(&b, &connect_message_key);
	rc = register_schema(enc, NULL, true, buf_get(&b), &enc->message_key_id, e);
	b.n = 0;
	connect_schema_avro(&b, connect_message(enc->plan.modes.binary));
	if (rc == 0)
		rc = register_schema(enc, NULL, false, buf_get(&b),
				     &enc->message_id, e);
	if (b.failed)
		rc = err_no_memory(e);
	buf_fini(&b);
	return rc;
}

static void put_value(struct buf *b, const struct shown *s,
		      const struct encoder *enc)
{
	bool is_own = s->op == OP_SCHEMA || s->op == OP_GAP;

	if (enc->format == FORMAT_ROW) {
		row_value(b, s);
		return;
	}
	if (enc->format == FORMAT_CLOUDEVENTS) {
		cloudevents_value(b, s);
		return;
	}
	if (enc->plan.schemas && s->op == OP_MESSAGE)
		put_schema(b, connect_message(enc->plan.modes.binary));
	else if (enc->plan.schemas && is_own)
		json_lit(b, "{\"schema\":null,\"payload\":");
	else if (enc->plan.schemas)
		buf_slice(b, s->shape->value_head);
	debezium_value(b, s);
	if (enc->plan.schemas)
		buf_u8(b, '}');
}

static void put_avro(const struct encoder *enc, const struct shown *s,
		     struct encoded *out)
{
	struct record *rec = &out->rec[out->n++];
	struct buf *b = &out->bytes;
	bool is_message = s->op == OP_MESSAGE;

	rec->branch = s->branch;
	rec->key_at = b->n;
	if (is_message)
		avro_message_key(b, s, enc->message_key_id);
	else
		avro_key(b, s, s->shape->key_id);
	rec->key_n = b->n - rec->key_at;
	rec->value_at = b->n;
	if (is_message)
		avro_message(b, s, enc->message_id);
	else
		avro_value(b, s, s->shape->value_id);
	rec->value_n = b->n - rec->value_at;
	rec->name_at = b->n;
	if (s->branch != 0)
		put_plain_key(b, s, 0);
	rec->name_n = b->n - rec->name_at;
}

static void put_record(const struct encoder *enc, const struct shown *s,
		       struct encoded *out)
{
	struct record *rec;
	struct buf *b = &out->bytes;

	if (enc->plan.avro) {
		put_avro(enc, s, out);
		return;
	}
	rec = &out->rec[out->n++];
	rec->branch = s->branch;
	rec->key_at = b->n;
	put_key(b, s, enc, rec);
	rec->key_n = b->n - rec->key_at;
	rec->value_at = b->n;
	put_value(b, s, enc);
	rec->value_n = b->n - rec->value_at;
}

int encoder_prepare(struct encoder *enc, const struct event *ev, struct err *e)
{
	return !enc->plan.avro || shape_of(enc, ev, e) != NULL ? 0 : -1;
}

int encode_event(struct encoder *enc, const struct event *ev,
		 struct encoded *out, struct err *e)
{
	struct shown s = {
		.ev = ev,
		.op = ev->op,
		.before = ev->before_kind == BEFORE_NONE ? NULL : ev->before,
		.after = ev->after,
		.plan = &enc->plan,
		.scratch = &enc->scratch,
		.err = e,
	};

	buf_reset(&out->bytes, KEEP_BYTES);
	buf_reset(&enc->scratch, KEEP_BYTES);
	out->n = 0;
	if (enc->plan.avro && (ev->op == OP_SCHEMA || ev->op == OP_GAP))
		return 0;
	if (enc->plan.avro && ev->op == OP_MESSAGE &&
	    register_message(enc, e) != 0)
		return -1;
	if (enc->has_shapes && ev->table != NULL) {
		s.shape = shape_of(enc, ev, e);
		if (s.shape == NULL)
			return -1;
	}
	if (ev->op == OP_UPDATE && ev->key_changed && s.before != NULL) {
		struct shown gone = s, come = s;

		gone.branch = 'd';
		gone.op = OP_DELETE;
		gone.after = NULL;
		put_record(enc, &gone, out);
		come.branch = 'i';
		come.op = OP_INSERT;
		come.before = NULL;
		put_record(enc, &come, out);
	} else {
		put_record(enc, &s, out);
	}
	if (out->bytes.failed)
		return err_no_memory(e);
	if (!err_is_set(e))
		return 0;
	err_wrap(e, "table \"%.*s\"", SLICE_ARG(ev->table->full_name));
	return -1;
}

void encoded_fini(struct encoded *out)
{
	buf_fini(&out->bytes);
}
