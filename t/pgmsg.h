/* pgmsg.h: pgoutput messages put together by hand, and a decoder around them,
 * for the unit tests of sources/pgoutput.c.
 *
 * Rows are written as "7|text|~|?": ~ is NULL, ? is unchanged TOAST. */
#ifndef LEAT_T_PGMSG_H
#define LEAT_T_PGMSG_H

#include <inttypes.h>

#include "sources/pgoutput.h"
#include "t/tap.h"

/* one message after the other */
struct msgs {
	struct buf bytes;
	size_t at[64], n;
	uint64_t lsn[64];
};

static inline void be16(struct buf *b, unsigned v)
{
	buf_u8(b, (uint8_t)(v >> 8));
	buf_u8(b, (uint8_t)v);
}

static inline void be32(struct buf *b, uint32_t v)
{
	be16(b, v >> 16);
	be16(b, v & 0xffff);
}

static inline void cstr(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

static inline struct buf *msg(struct msgs *m, char kind, uint64_t lsn)
{
	m->at[m->n] = m->bytes.n;
	m->lsn[m->n++] = lsn;
	buf_u8(&m->bytes, (uint8_t)kind);
	return &m->bytes;
}

static inline struct slice msg_get(const struct msgs *m, size_t i)
{
	size_t end = i + 1 < m->n ? m->at[i + 1] : m->bytes.n;

	return (struct slice){m->bytes.p + m->at[i], end - m->at[i]};
}

static inline void msgs_reset(struct msgs *m)
{
	m->n = m->bytes.n = 0;
}

static inline void m_begin(struct msgs *m, uint64_t commit, uint32_t xid)
{
	struct buf *b = msg(m, 'B', commit - 16);

	buf_be64(b, commit);
	buf_be64(b, 1000000); /* 2000-01-01 00:00:01 */
	be32(b, xid);
}

static inline void m_commit(struct msgs *m, uint64_t commit)
{
	struct buf *b = msg(m, 'C', commit + 8);

	buf_u8(b, 0);
	buf_be64(b, commit);
	buf_be64(b, commit + 8);
	buf_be64(b, 1000000);
}

struct col {
	const char *name;
	uint32_t oid;
	int32_t modifier;
	bool key;
};

static inline void m_relation(struct msgs *m, uint32_t oid, const char *schema,
			      const char *name, char identity, unsigned n,
			      const struct col *cols)
{
	struct buf *b = msg(m, 'R', 0);

	be32(b, oid);
	cstr(b, schema);
	cstr(b, name);
	buf_u8(b, (uint8_t)identity);
	be16(b, n);
	for (unsigned i = 0; i < n; i++) {
		buf_u8(b, cols[i].key);
		cstr(b, cols[i].name);
		be32(b, cols[i].oid);
		be32(b, (uint32_t)cols[i].modifier);
	}
}

static inline void put_row(struct buf *b, const char *spec)
{
	unsigned n = 1;

	for (const char *p = spec; *p != '\0'; p++)
		n += *p == '|';
	be16(b, n);
	for (const char *p = spec; n > 0; n--) {
		size_t len = strcspn(p, "|");

		if (len == 1 && *p == '~') {
			buf_u8(b, 'n');
		} else if (len == 1 && *p == '?') {
			buf_u8(b, 'u');
		} else {
			buf_u8(b, 't');
			be32(b, (uint32_t)len);
			buf_put(b, p, len);
		}
		p += len + 1;
	}
}

static inline void m_insert(struct msgs *m, uint64_t lsn, uint32_t oid,
			    const char *row)
{
	struct buf *b = msg(m, 'I', lsn);

	be32(b, oid);
	buf_u8(b, 'N');
	put_row(b, row);
}

/* kind 0: no old row */
static inline void m_update(struct msgs *m, uint64_t lsn, uint32_t oid,
			    char kind, const char *old, const char *row)
{
	struct buf *b = msg(m, 'U', lsn);

	be32(b, oid);
	if (kind != 0) {
		buf_u8(b, (uint8_t)kind);
		put_row(b, old);
	}
	buf_u8(b, 'N');
	put_row(b, row);
}

static inline void m_delete(struct msgs *m, uint64_t lsn, uint32_t oid,
			    char kind, const char *old)
{
	struct buf *b = msg(m, 'D', lsn);

	be32(b, oid);
	buf_u8(b, (uint8_t)kind);
	put_row(b, old);
}

static inline void m_truncate(struct msgs *m, uint64_t lsn, uint8_t flags,
			      unsigned n, const uint32_t *oids)
{
	struct buf *b = msg(m, 'T', lsn);

	be32(b, n);
	buf_u8(b, flags);
	for (unsigned i = 0; i < n; i++)
		be32(b, oids[i]);
}

static inline void m_message(struct msgs *m, uint64_t lsn, bool transactional,
			     const char *prefix, struct slice content)
{
	struct buf *b = msg(m, 'M', lsn);

	buf_u8(b, transactional);
	buf_be64(b, lsn);
	cstr(b, prefix);
	be32(b, (uint32_t)content.n);
	buf_slice(b, content);
}

static inline void m_type(struct msgs *m, uint32_t oid, const char *schema,
			  const char *name)
{
	struct buf *b = msg(m, 'Y', 0);

	be32(b, oid);
	cstr(b, schema);
	cstr(b, name);
}

static inline void m_origin(struct msgs *m, const char *name)
{
	struct buf *b = msg(m, 'O', 0);

	buf_be64(b, 77);
	cstr(b, name);
}

/* --- a decoder --- */

struct world {
	struct origin origin;
	struct registry reg;
	struct pgoutput *d;
	struct batch *b;
	struct err e;
	unsigned describes;
	bool is_away;	    /* the server, for describe() */
	uint32_t pk[4];	    /* what describe() says: columns from 1, 0 ends */
	uint32_t not_null;  /* column from 1 */
	const char *enum_type; /* describe() names it as an enum of user types */
};

/* Tables whose names begin with "x" are not wanted. */
static inline bool w_is_wanted(void *arg, struct slice schema, struct slice name)
{
	(void)arg, (void)schema;
	return !slice_has_prefix(name, "x");
}

static inline int w_describe(void *arg, struct table *proto, struct arena *a,
			     struct err *e)
{
	struct world *w = arg;

	w->describes++;
	if (w->is_away)
		return err_set(e, CODE_source_unreachable, "it is away");
	for (uint32_t i = 0; i < 4 && w->pk[i] > 0; i++)
		if (w->pk[i] <= proto->ncols)
			proto->cols[w->pk[i] - 1].key_position = (uint16_t)(i + 1);
	if (w->not_null > 0 && w->not_null <= proto->ncols)
		proto->cols[w->not_null - 1].is_nullable = false;
	for (uint32_t i = 0; w->enum_type != NULL && i < proto->ncols; i++) {
		struct column *c = &proto->cols[i];

		c->type_name = slice_dup(a, slice_of(w->enum_type));
		if (c->type == TYPE_OTHER)
			c->type = TYPE_ENUM;
	}
	return 0;
}

static inline struct slice w_cursor_source(void *arg,
					   const struct pgoutput_place *p,
					   struct arena *a)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%" PRIX64 " %" PRIX64 " %" PRIu64,
			 p->end, p->commit, p->n);

	(void)arg;
	return slice_dup(a, (struct slice){text, (size_t)n});
}

static inline void w_connect(struct world *w, const struct pgoutput_place *from,
			     uint64_t seq)
{
	struct pgoutput_hooks hooks = {
		.arg = w,
		.is_wanted = w_is_wanted,
		.describe = w_describe,
		.cursor_source = w_cursor_source,
	};

	pgoutput_free(w->d);
	w->d = pgoutput_new(&w->origin, &w->reg, &hooks, from, seq);
}

static inline void w_init(struct world *w)
{
	struct pgoutput_place from = {.end = 0x1000};

	*w = (struct world){
		.origin = {.name = SLICE("shop"), .incarnation = 1},
		.e = ERR_INIT,
	};
	registry_init(&w->reg);
	w->b = batch_new();
	w_connect(w, &from, 0);
}

static inline void w_fini(struct world *w)
{
	pgoutput_free(w->d);
	batch_free(w->b);
	registry_fini(&w->reg);
}

/* Hands the batch over and begins the next. */
static inline void w_rest(struct world *w)
{
	pgoutput_rest(w->d);
	batch_reset(w->b);
}

/* Feeds all of them to the same batch; stops at the first error. */
static inline int w_feed(struct world *w, const struct msgs *m)
{
	w->e = ERR_INIT;
	for (size_t i = 0; i < m->n; i++)
		if (pgoutput_message(w->d, msg_get(m, i), m->lsn[i], w->b,
				     &w->e) != 0)
			return -1;
	return 0;
}

#endif
