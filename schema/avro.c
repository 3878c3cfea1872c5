/* avro.c: see avro.h.  What is written here is read by the schemas of
 * connect_schema.c: fields in their order, a branch number in front of what is
 * optional. */
#include "config.h"
#include "schema/avro.h"

/* --- Avro's types ------------------------------------------------------ */

/* In unions of null and something. */
enum { BRANCH_NULL, BRANCH_VALUE };

static void put_long(struct buf *b, int64_t v)
{
	buf_zigzag(b, v);
}

static void put_bytes(struct buf *b, struct slice s)
{
	put_long(b, (int64_t)s.n);
	buf_slice(b, s);
}

static void put_bool(struct buf *b, bool v)
{
	buf_u8(b, v);
}

static void put_null(struct buf *b)
{
	put_long(b, BRANCH_NULL);
}

static void put_optional_long(struct buf *b, int64_t v, bool is_there)
{
	put_long(b, is_there ? BRANCH_VALUE : BRANCH_NULL);
	if (is_there)
		put_long(b, v);
}

static void put_head(struct buf *b, uint32_t schema_id)
{
	const uint8_t head[5] = {0, (uint8_t)(schema_id >> 24),
				 (uint8_t)(schema_id >> 16),
				 (uint8_t)(schema_id >> 8), (uint8_t)schema_id};

	buf_put(b, head, sizeof(head));
}

static void put_float(struct buf *b, struct slice s)
{
	float f = (float)connect_double(s);
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	buf_le32(b, bits);
}

static void put_double(struct buf *b, struct slice s)
{
	double d = connect_double(s);
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	buf_le64(b, bits);
}

/* --- columns ------------------------------------------------------------ */

static void put_point(struct buf *b, struct slice text)
{
	struct slice y = text, x = slice_cut(&y, ',');
	uint8_t wkb[CONNECT_WKB_BYTES];

	connect_wkb(text, wkb);
	put_double(b, x);
	put_double(b, y);
	put_long(b, BRANCH_VALUE);
	put_bytes(b, (struct slice){(const char *)wkb, sizeof(wkb)});
	put_null(b); /* srid */
}

static void put_connect(struct buf *b, const struct connect_type *t,
			const struct connect_value *v)
{
	switch (t->kind) {
	case CONNECT_BOOLEAN:
		put_bool(b, v->b);
		break;
	case CONNECT_INT16:
	case CONNECT_INT32:
	case CONNECT_INT64:
		put_long(b, v->i);
		break;
	case CONNECT_FLOAT32:
		put_float(b, v->s);
		break;
	case CONNECT_FLOAT64:
		put_double(b, v->s);
		break;
	case CONNECT_VARIABLE_DECIMAL:
		put_long(b, v->scale);
		put_bytes(b, v->s);
		break;
	case CONNECT_POINT:
		put_point(b, v->s);
		break;
	default:
		put_bytes(b, v->s);
		break;
	}
}

/* Blocks of one element each: their number is not known before. */
static void put_list(struct buf *b, const struct shown *s, uint32_t i,
		     struct slice rest)
{
	struct shape *sh = s->shape;
	struct connect_value v;

	while (connect_next(&sh->types[i], &sh->tab->cols[i], &rest, sh->scratch,
			    &v, s->err) == 1) {
		put_long(b, 1);
		put_long(b, v.is_null ? BRANCH_NULL : BRANCH_VALUE);
		if (!v.is_null)
			put_connect(b, sh->types[i].element, &v);
	}
	put_long(b, 0);
}

static void put_column(struct buf *b, const struct shown *s, uint32_t i,
		       const struct value *v, bool is_optional)
{
	struct shape *sh = s->shape;
	struct connect_value out;

	if (connect_convert(&sh->types[i], &sh->tab->cols[i], v,
			    &sh->plan->modes, sh->scratch, &out,
			    s->err) != 0)
		return;
	if (out.is_null && !is_optional) {
		err_set(s->err, CODE_event_rejected,
			"column \"%.*s\" of the key is not known",
			SLICE_ARG(sh->tab->cols[i].name));
		return;
	}
	if (is_optional)
		put_long(b, out.is_null ? BRANCH_NULL : BRANCH_VALUE);
	if (out.is_null)
		return;
	if (sh->types[i].kind == CONNECT_ARRAY)
		put_list(b, s, i, out.s);
	else
		put_connect(b, &sh->types[i], &out);
}

static void put_image(struct buf *b, const struct shown *s,
		      const struct value *v)
{
	static const struct value unsent = {.tag = VALUE_NULL};
	const struct table *tab = s->ev->table;
	bool key_only = v == s->before && s->ev->before_kind == BEFORE_KEY;

	if (v == NULL) {
		put_null(b);
		return;
	}
	put_long(b, BRANCH_VALUE);
	for (uint32_t i = 0; i < tab->ncols; i++)
		put_column(b, s, i,
			   key_only && !tab->cols[i].is_identity ? &unsent
								  : &v[i],
			   shape_is_optional(s->shape, i));
}

/* --- what every record has ---------------------------------------------- */

/* JSON text: ["123","456"], null for what is 0. */
static void put_sequence(struct buf *b, const struct shown *s)
{
	struct buf *text = s->scratch;

	text->n = 0;
	if (s->ev->txn->prev_pos > 0)
		buf_printf(text, "[\"%llu\",",
			   (unsigned long long)s->ev->txn->prev_pos);
	else
		buf_text(text, "[null,");
	if (s->ev->pos > 0)
		buf_printf(text, "\"%llu\"]", (unsigned long long)s->ev->pos);
	else
		buf_text(text, "null]");
	b->failed |= text->failed;
	put_long(b, BRANCH_VALUE);
	put_bytes(b, buf_get(text));
}

static int64_t ms_of(int64_t us)
{
	return us / 1000 - (us % 1000 < 0);
}

/* Null for a time that 64 bits of nanoseconds do not reach. */
static void put_ns(struct buf *b, int64_t us)
{
	int64_t ns;
	bool reaches = !__builtin_mul_overflow(us, 1000, &ns);

	put_optional_long(b, ns, reaches);
}

static void put_source(struct buf *b, const struct shown *s)
{
	const struct txn *txn = s->ev->txn;
	const struct origin *o = txn->origin;
	const struct table *tab = s->ev->table;

	put_bytes(b, o->version);
	put_bytes(b, o->connector);
	put_bytes(b, o->name);
	put_long(b, ms_of(txn->commit_us));
	put_long(b, 0); /* snapshot: its default's branch comes first */
	put_bytes(b, s->op == OP_READ ? SLICE("incremental") : SLICE("false"));
	put_bytes(b, o->db);
	put_sequence(b, s);
	put_optional_long(b, txn->commit_us, true);
	put_ns(b, txn->commit_us);
	put_bytes(b, tab ? tab->schema : SLICE(""));
	put_bytes(b, tab ? tab->name : SLICE(""));
	put_optional_long(b, (int64_t)txn->xid, txn->xid != 0);
	put_optional_long(b, (int64_t)s->ev->pos, s->ev->pos != 0);
	put_null(b); /* xmin */
	put_long(b, txn->replicated_from.n > 0 ? BRANCH_VALUE : BRANCH_NULL);
	if (txn->replicated_from.n > 0)
		put_bytes(b, txn->replicated_from);
	put_null(b); /* origin_lsn */
}

static void put_transaction(struct buf *b, const struct shown *s)
{
	const struct event *ev = s->ev;

	if (ev->ordinal == 0 || s->op == OP_READ) {
		put_null(b);
		return;
	}
	put_long(b, BRANCH_VALUE);
	put_bytes(b, ev->txn->id);
	put_long(b, (int64_t)ev->ordinal);
	put_long(b, (int64_t)ev->table_ordinal);
}

static void put_unchanged(struct buf *b, const struct shown *s)
{
	const struct table *tab = s->ev->table;
	int64_t n = 0;

	for (uint32_t i = 0; s->after != NULL && i < tab->ncols; i++)
		n += s->after[i].tag == VALUE_UNCHANGED;
	if (n == 0) {
		put_null(b);
		return;
	}
	put_long(b, BRANCH_VALUE);
	put_long(b, n);
	for (uint32_t i = 0; i < tab->ncols; i++)
		if (s->after[i].tag == VALUE_UNCHANGED)
			put_bytes(b, tab->cols[i].name);
	put_long(b, 0);
}

static void put_truncate(struct buf *b, const struct shown *s)
{
	const struct truncate *t = s->ev->truncate;

	if (s->op != OP_TRUNCATE) {
		put_null(b);
		return;
	}
	put_long(b, BRANCH_VALUE);
	if (t->ntables > 0)
		put_long(b, t->ntables);
	for (uint32_t i = 0; i < t->ntables; i++)
		put_bytes(b, t->tables[i]->full_name);
	put_long(b, 0);
	put_bool(b, t->flags & TRUNCATE_CASCADE);
	put_bool(b, t->flags & TRUNCATE_RESTART_IDENTITY);
}

static void put_leat(struct buf *b, const struct shown *s)
{
	const struct table *tab = s->ev->table;

	s->scratch->n = 0;
	event_id(s->ev, s->branch, s->scratch);
	b->failed |= s->scratch->failed;
	put_long(b, BRANCH_VALUE);
	put_bytes(b, buf_get(s->scratch));
	put_long(b, (int64_t)s->ev->seq);
	put_long(b, tab ? BRANCH_VALUE : BRANCH_NULL);
	if (tab != NULL) {
		put_bytes(b, tab->full_name);
		put_long(b, tab->version);
	}
	put_unchanged(b, s);
	put_truncate(b, s);
}

/* --- records -------------------------------------------------------------- */

void avro_value(struct buf *b, const struct shown *s, uint32_t schema_id)
{
	put_head(b, schema_id);
	put_image(b, s, s->before);
	put_image(b, s, s->after);
	put_source(b, s);
	put_transaction(b, s);
	put_bytes(b, slice_of(json_op(s->op)));
	put_optional_long(b, ms_of(s->ev->read_us), true);
	put_optional_long(b, s->ev->read_us, true);
	put_ns(b, s->ev->read_us);
	put_leat(b, s);
}

static void put_content(struct buf *b, const struct shown *s)
{
	enum binary_mode mode = s->plan->modes.binary;
	struct slice content = s->ev->message->content;

	if (mode != BINARY_BYTES) {
		s->scratch->n = 0;
		connect_put_bytes(s->scratch, mode, content);
		b->failed |= s->scratch->failed;
		content = buf_get(s->scratch);
	}
	put_bytes(b, content);
}

void avro_message(struct buf *b, const struct shown *s, uint32_t schema_id)
{
	put_head(b, schema_id);
	put_bytes(b, slice_of(json_op(s->op)));
	put_optional_long(b, ms_of(s->ev->read_us), true);
	put_source(b, s);
	put_transaction(b, s);
	put_long(b, BRANCH_VALUE);
	put_bytes(b, s->ev->message->prefix);
	put_long(b, BRANCH_VALUE);
	put_content(b, s);
	put_leat(b, s);
}

void avro_key(struct buf *b, const struct shown *s, uint32_t schema_id)
{
	size_t start = b->n;

	if (s->shape->nkey == 0 || (s->before == NULL && s->after == NULL))
		return;
	put_head(b, schema_id);
	for (uint32_t k = 0; k < s->shape->nkey; k++) {
		uint32_t i = s->shape->key[k];
		const struct value *v = shown_key_value(s, i);

		if (v == NULL) {
			b->n = start;
			return;
		}
		put_column(b, s, i, v, false);
	}
}

void avro_message_key(struct buf *b, const struct shown *s, uint32_t schema_id)
{
	put_head(b, schema_id);
	put_long(b, BRANCH_VALUE);
	put_bytes(b, s->ev->message->prefix);
}
