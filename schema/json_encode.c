/* json_encode.c: see json_encode.h; the forms of values are those of
 * leat-envelope(7), section VALUES.
 *
 * A value's tag decides first, so that a value which does not fit its column's
 * type still makes correct JSON; the type only tells texts apart. */
#include "config.h"
#include "schema/json_encode.h"

const struct value *shown_key_value(const struct shown *s, uint32_t i)
{
	const struct event *ev = s->ev;

	if (s->after != NULL && s->after[i].tag != VALUE_UNCHANGED)
		return &s->after[i];
	if (ev->before == NULL || ev->before_kind == BEFORE_NONE ||
	    ev->before[i].tag == VALUE_UNCHANGED)
		return NULL;
	if (ev->before_kind == BEFORE_KEY && !ev->table->cols[i].is_identity)
		return NULL;
	return &ev->before[i];
}

const char *json_op(enum op op)
{
	static const char *const letters[] = {
		[OP_INSERT] = "c",   [OP_UPDATE] = "u",	     [OP_DELETE] = "d",
		[OP_READ] = "r",     [OP_TRUNCATE] = "t",    [OP_MESSAGE] = "m",
		[OP_GAP] = "gap",    [OP_SCHEMA] = "schema",
	};

	return letters[op];
}

static size_t digits(struct slice s, size_t at)
{
	size_t from = at;

	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at - from;
}

/* RFC 8259 section 6. */
static bool is_number(struct slice s)
{
	size_t at = s.n > 0 && s.p[0] == '-';
	size_t n = digits(s, at);

	if (n == 0 || (n > 1 && s.p[at] == '0'))
		return false;
	at += n;
	if (at < s.n && s.p[at] == '.') {
		n = digits(s, at + 1);
		if (n == 0)
			return false;
		at += 1 + n;
	}
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		at++;
		at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
		n = digits(s, at);
		if (n == 0)
			return false;
		at += n;
	}
	return at == s.n;
}

static void put_float(struct buf *b, struct slice s)
{
	if (is_number(s))
		buf_slice(b, s);
	else /* NaN, Infinity, -Infinity */
		json_quoted(b, s);
}

/* "2024-01-01 00:00:00.5" and, with a zone, "+00" behind it; not infinity, BC
 * or a year of five digits. */
static bool is_plain_time(struct slice s, bool has_zone)
{
	static const char zone[] = "+00";
	size_t n = s.n;

	if (has_zone) {
		if (n < 3 || memcmp(s.p + n - 3, zone, 3) != 0)
			return false;
		n -= 3;
	}
	return n >= 19 && s.p[4] == '-' && s.p[7] == '-' && s.p[10] == ' ' &&
	       s.p[13] == ':' && s.p[n - 1] >= '0' && s.p[n - 1] <= '9';
}

static void put_time(struct buf *b, struct slice s, bool has_zone)
{
	if (!is_plain_time(s, has_zone)) {
		json_quoted(b, s);
		return;
	}
	buf_u8(b, '"');
	json_escaped(b, (struct slice){s.p, 10});
	buf_u8(b, 'T');
	json_escaped(b, (struct slice){s.p + 11, s.n - 11 - (has_zone ? 3 : 0)});
	if (has_zone)
		buf_u8(b, 'Z');
	buf_u8(b, '"');
}

static void put_text(struct buf *b, enum type type, struct slice s)
{
	switch (type) {
	case TYPE_FLOAT32:
	case TYPE_FLOAT64:
		put_float(b, s);
		break;
	case TYPE_TIMESTAMP:
		put_time(b, s, false);
		break;
	case TYPE_TIMESTAMPTZ:
		put_time(b, s, true);
		break;
	default:
		json_quoted(b, s);
		break;
	}
}

void json_bool(struct buf *b, bool v)
{
	if (v)
		json_lit(b, "true");
	else
		json_lit(b, "false");
}

void json_value(struct buf *b, const struct column *col, const struct value *v)
{
	switch (v->tag) {
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		json_lit(b, "null");
		break;
	case VALUE_BOOL:
		json_bool(b, v->b);
		break;
	case VALUE_INT:
		buf_i64(b, v->i);
		break;
	case VALUE_UINT:
		buf_u64(b, v->u);
		break;
	case VALUE_TEXT:
		put_text(b, col->type, v->s);
		break;
	case VALUE_BYTES:
		buf_u8(b, '"');
		json_base64(b, v->s);
		buf_u8(b, '"');
		break;
	}
}

static bool is_reserved(struct slice name)
{
	static const char *const fields[] = {"__op",	  "__deleted",
					     "__id",	  "__version",
					     "__table",	  "__ts_ms",
					     "__unchanged"};

	if (likely(name.n < 4 || name.p[0] != '_' || name.p[1] != '_'))
		return false;
	for (size_t i = 0; i < countof(fields); i++)
		if (slice_is(name, fields[i]))
			return true;
	return false;
}

/* Is a column called like `name` with `more` underscores behind it? */
static bool is_taken(const struct table *tab, struct slice name, size_t more)
{
	for (uint32_t i = 0; i < tab->ncols; i++) {
		struct slice other = tab->cols[i].name;
		size_t n = name.n;

		if (other.n != name.n + more || memcmp(other.p, name.p, n) != 0)
			continue;
		while (n < other.n && other.p[n] == '_')
			n++;
		if (n == other.n)
			return true;
	}
	return false;
}

void json_column_name(struct buf *b, const struct table *tab, uint32_t i,
		      unsigned flags)
{
	struct slice name = tab->cols[i].name;

	buf_u8(b, '"');
	json_escaped(b, name);
	if ((flags & COLUMNS_FLAT) && unlikely(is_reserved(name))) {
		size_t more = 1;

		while (is_taken(tab, name, more))
			more++;
		for (size_t n = 0; n < more; n++)
			buf_u8(b, '_');
	}
	buf_u8(b, '"');
}

static void put_point(struct buf *b, struct slice text)
{
	struct slice y = text, x = slice_cut(&y, ',');
	uint8_t wkb[CONNECT_WKB_BYTES];

	connect_wkb(text, wkb);
	json_lit(b, "{\"x\":");
	put_float(b, x);
	json_lit(b, ",\"y\":");
	put_float(b, y);
	json_lit(b, ",\"wkb\":\"");
	json_base64(b, (struct slice){(const char *)wkb, sizeof(wkb)});
	json_lit(b, "\",\"srid\":null}");
}

/* As a value's type in the shape has it. */
static void put_connect(struct buf *b, const struct connect_type *t,
			const struct connect_value *v)
{
	if (v->is_null) {
		json_lit(b, "null");
		return;
	}
	switch (t->kind) {
	case CONNECT_BOOLEAN:
		json_bool(b, v->b);
		break;
	case CONNECT_INT16:
	case CONNECT_INT32:
	case CONNECT_INT64:
		buf_i64(b, v->i);
		break;
	case CONNECT_FLOAT32:
	case CONNECT_FLOAT64:
		put_float(b, v->s);
		break;
	case CONNECT_VARIABLE_DECIMAL:
		buf_printf(b, "{\"scale\":%d,\"value\":\"", v->scale);
		json_base64(b, v->s);
		json_lit(b, "\"}");
		break;
	case CONNECT_POINT:
		put_point(b, v->s);
		break;
	case CONNECT_BYTES:
		buf_u8(b, '"');
		json_base64(b, v->s);
		buf_u8(b, '"');
		break;
	default:
		json_quoted(b, v->s);
		break;
	}
}

static void put_list(struct buf *b, const struct shown *s, uint32_t i,
		     struct slice rest)
{
	struct shape *sh = s->shape;
	struct connect_value element;

	buf_u8(b, '[');
	while (connect_next(&sh->types[i], &sh->tab->cols[i], &rest, sh->scratch,
			    &element, s->err) == 1) {
		put_connect(b, sh->types[i].element, &element);
		buf_u8(b, ',');
	}
	json_close(b, ']');
}

void json_shown_value(struct buf *b, const struct shown *s, uint32_t i,
		      const struct value *v)
{
	struct shape *sh = s->shape;
	struct connect_value out;

	if (sh == NULL)
		json_value(b, &s->ev->table->cols[i], v);
	else if (connect_convert(&sh->types[i], &sh->tab->cols[i], v,
				 &sh->plan->modes, sh->scratch, &out,
				 s->err) != 0)
		return;
	else if (sh->types[i].kind == CONNECT_ARRAY && !out.is_null)
		put_list(b, s, i, out.s);
	else
		put_connect(b, &sh->types[i], &out);
}

void json_columns(struct buf *b, const struct shown *s, const struct value *v,
		  unsigned flags)
{
	static const struct value unsent = {.tag = VALUE_NULL};
	const struct table *tab = s->ev->table;
	bool is_whole = s->shape != NULL && s->shape->plan->whole;

	for (uint32_t i = 0; i < tab->ncols; i++) {
		bool is_none = (flags & COLUMNS_IDENTITY) &&
			       !tab->cols[i].is_identity;
		const struct value *shown = is_none ? &unsent : &v[i];

		if (!is_whole && (is_none || shown->tag == VALUE_UNCHANGED))
			continue;
		json_column_name(b, tab, i, flags);
		buf_u8(b, ':');
		json_shown_value(b, s, i, shown);
		buf_u8(b, ',');
	}
}

void json_image(struct buf *b, const struct shown *s, const struct value *v)
{
	bool key_only = v == s->before && s->ev->before_kind == BEFORE_KEY;

	if (v == NULL) {
		json_lit(b, "null");
		return;
	}
	buf_u8(b, '{');
	json_columns(b, s, v, key_only ? COLUMNS_IDENTITY : 0);
	json_close(b, '}');
}

bool json_has_unchanged(const struct table *tab, const struct value *v)
{
	for (uint32_t i = 0; v != NULL && i < tab->ncols; i++)
		if (v[i].tag == VALUE_UNCHANGED)
			return true;
	return false;
}

void json_unchanged(struct buf *b, const struct table *tab,
		    const struct value *v, unsigned flags)
{
	buf_u8(b, '[');
	for (uint32_t i = 0; v != NULL && i < tab->ncols; i++) {
		if (v[i].tag != VALUE_UNCHANGED)
			continue;
		json_column_name(b, tab, i, flags);
		buf_u8(b, ',');
	}
	json_close(b, ']');
}

void json_close(struct buf *b, char end)
{
	if (b->failed)
		return;
	if (b->n > 0 && b->p[b->n - 1] == ',')
		b->p[b->n - 1] = end;
	else
		buf_u8(b, (uint8_t)end);
}

void json_ms(struct buf *b, int64_t us)
{
	buf_i64(b, us / 1000 - (us % 1000 < 0));
}

void json_ns(struct buf *b, int64_t us)
{
	buf_i64(b, us);
	if (us != 0)
		json_lit(b, "000");
}

void json_id(struct buf *b, const struct shown *s)
{
	s->scratch->n = 0;
	event_id(s->ev, s->branch, s->scratch);
	b->failed |= s->scratch->failed;
	json_quoted(b, buf_get(s->scratch));
}

static void put_column(struct buf *b, const struct column *col,
		       unsigned key_position)
{
	json_lit(b, "{\"name\":");
	json_quoted(b, col->name);
	json_lit(b, ",\"type\":");
	json_quoted(b, slice_of(type_name(col->type)));
	json_lit(b, ",\"native\":");
	json_quoted(b, col->type_name);
	json_lit(b, ",\"nullable\":");
	json_bool(b, col->is_nullable);
	json_lit(b, ",\"key\":");
	buf_u64(b, key_position);
	json_lit(b, "},");
}

/* Columns of an identity index are numbered as they stand, as in record keys. */
static void put_columns(struct buf *b, const struct table *tab)
{
	unsigned in_index = 0;

	buf_u8(b, '[');
	for (uint32_t i = 0; i < tab->ncols; i++) {
		unsigned position = tab->cols[i].key_position;

		if (position == 0 && table_in_key(tab, i))
			position = ++in_index;
		put_column(b, &tab->cols[i], position);
	}
	json_close(b, ']');
}

/* The lines of table_diff() as an array. */
static void put_changes(struct buf *b, struct buf *scratch,
			const struct event *ev)
{
	struct slice rest, line;

	scratch->n = 0;
	table_diff(ev->schema->prev, ev->table, scratch);
	b->failed |= scratch->failed;
	rest = buf_get(scratch);
	buf_u8(b, '[');
	while (rest.n > 0) {
		line = slice_cut(&rest, '\n');
		json_quoted(b, line);
		buf_u8(b, ',');
	}
	json_close(b, ']');
}

void json_schema_change(struct buf *b, struct buf *scratch,
			const struct event *ev)
{
	const struct table *tab = ev->table;

	json_lit(b, "{\"table\":");
	json_quoted(b, tab->full_name);
	json_lit(b, ",\"version\":");
	buf_u64(b, tab->version);
	json_lit(b, ",\"previous\":");
	if (ev->schema->prev != NULL)
		buf_u64(b, ev->schema->prev->version);
	else
		json_lit(b, "null");
	json_lit(b, ",\"changes\":");
	put_changes(b, scratch, ev);
	json_lit(b, ",\"columns\":");
	put_columns(b, tab);
	buf_u8(b, '}');
}

void json_gap(struct buf *b, const struct gap *gap)
{
	json_lit(b, "{\"from\":");
	json_quoted(b, gap->from);
	json_lit(b, ",\"to\":");
	json_quoted(b, gap->to);
	json_lit(b, ",\"reason\":");
	json_quoted(b, gap->reason);
	buf_u8(b, '}');
}

void json_table_names(struct buf *b, const struct truncate *t)
{
	buf_u8(b, '[');
	for (uint32_t i = 0; i < t->ntables; i++) {
		json_quoted(b, t->tables[i]->full_name);
		buf_u8(b, ',');
	}
	json_close(b, ']');
}
