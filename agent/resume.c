#include "config.h"
#include "agent/resume.h"


void resume_init(struct resume *r)
{
	*r = (struct resume){.text = BUF_INIT, .held_text = BUF_INIT};
	registry_init(&r->tables);
}

void resume_fini(struct resume *r)
{
	registry_fini(&r->tables);
	buf_fini(&r->text);
	buf_fini(&r->held_text);
}

struct load {
	struct registry *tables;
	uint64_t seq;
};

static int load_table(void *arg, struct table *tab, struct err *e)
{
	struct load *l = arg;

	if (tab->from_seq > l->seq)
		return 0;
	return registry_load(l->tables, table_ref(tab), e);
}

/* A version that came into force behind the cursor is made again by replay. */
static int load_tables(struct resume *r, struct registry *held,
		       struct state *st, struct err *e)
{
	struct load l = {&r->tables, r->tables_seq};
	struct map_entry *ent;

	if (state_forget_tables(st, r->tables_seq, e) != 0 ||
	    state_each_table(st, load_table, &l, e) != 0)
		return -1;
	for (size_t i = 0; (ent = map_next(&held->by_name, &i)) != NULL;) {
		struct table *tab = ent->value;
		struct table *known = registry_get(&r->tables, tab->full_name);
		bool is_news = tab->from_seq <= r->tables_seq &&
			       (known == NULL || known->version < tab->version);

		if (load_table(&l, tab, e) != 0)
			return -1;
		/* the state file was lost, or followed too lazily */
		if (is_news && state_add_table(st, tab, e) != 0)
			return -1;
	}
	return 0;
}

static int refuse_incarnation(const struct sink *snk, const struct cursor *held,
			      const struct cursor *stored, struct err *e)
{
	err_set(e, CODE_incarnation,
		"sink \"%s\" is at incarnation %u, the state file at %u",
		snk->name, held->incarnation, stored->incarnation);
	err_detail(e, "One of them was restored from a backup or belongs to "
		      "another agent.");
	err_hint(e, "If the sink is right, remove state.db* in the pipeline's "
		    "directory below state_dir.");
	return -1;
}

static int refuse_behind(const struct sink *snk, const struct cursor *held,
			 const struct cursor *stored, struct err *e)
{
	err_set(e, CODE_sink_behind,
		"sink \"%s\" ends at seq %llu, but had acknowledged %llu",
		snk->name, (unsigned long long)held->seq,
		(unsigned long long)stored->seq);
	err_detail(e, "Data that were durable are gone from it; the source has "
		      "been told that it may forget them.");
	err_hint(e, "Restore the sink, or go on behind the gap with "
		    "`leat offsets set %s slot --accept-gap`.",
		 snk->pipeline);
	return -1;
}

/* By order nothing is refused; no seq and no incarnation is used again. */
static void force(struct resume *r, const struct cursor *held,
		  const struct cursor *stored)
{
	r->is_behind = held->incarnation == 0 || held->seq < stored->seq;
	r->cursor = r->is_behind ? *stored : *held;
	r->cursor.incarnation = held->incarnation > stored->incarnation
					? held->incarnation
					: stored->incarnation;
}

/* The sink's cursor is the truth, unless it holds less than it once said.  An
 * incarnation that was announced is in force once the sink has it, even if the
 * state has not heard of that. */
static int compare(struct resume *r, const struct sink *snk,
		   const struct cursor *held, const struct cursor *stored,
		   uint32_t pending, struct err *e)
{
	bool has_begun = pending > stored->incarnation &&
			 held->incarnation == pending;

	if (stored->incarnation == 0 || has_begun) {
		r->cursor = *held;
		return 0;
	}
	if (held->incarnation == 0 && stored->seq == 0) {
		r->cursor = *stored;
		return 0;
	}
	if (r->is_forced) {
		force(r, held, stored);
		return 0;
	}
	if (held->incarnation != 0 && held->incarnation != stored->incarnation)
		return refuse_incarnation(snk, held, stored, e);
	if (held->seq < stored->seq)
		return refuse_behind(snk, held, stored, e);
	r->cursor = *held;
	return 0;
}

/* The cursors move out of the buffers that they were read into. */
static void move(struct cursor *c, struct buf *to)
{
	struct slice source = c->source;

	buf_reset(to, SIZE_MAX);
	buf_slice(to, source);
	c->source = buf_get(to);
}

static int keep(struct resume *r, const struct cursor *held, struct err *e)
{
	r->held = *held;
	r->tables_seq = r->is_behind ? held->seq : r->cursor.seq;
	move(&r->cursor, &r->text);
	move(&r->held, &r->held_text);
	return r->text.failed || r->held_text.failed ? err_no_memory(e) : 0;
}

/* The buffers of both cursors outlive the comparison; the chosen one moves. */
static int choose(struct resume *r, const struct sink *snk,
		  struct sink_held *held, struct state *st, struct err *e)
{
	struct cursor in_sink = {0}, in_state = {0};
	struct buf stored = BUF_INIT;
	uint32_t pending = 0;
	int rc = -1;

	if (state_cursor(st, &stored, e) != 0 ||
	    state_pending(st, &pending, e) != 0)
		goto out;
	if (stored.n > 0 && cursor_parse(buf_get(&stored), &in_state, e) != 0)
		goto out;
	if (held->has_cursor &&
	    cursor_parse(buf_get(&held->cursor), &in_sink, e) != 0)
		goto out;
	in_sink.in_txn = held->in_txn;
	if (held->is_known)
		rc = compare(r, snk, &in_sink, &in_state, pending, e);
	else {
		r->cursor = in_state;
		rc = 0;
	}
	if (rc == 0)
		rc = keep(r, &in_sink, e);
out:
	buf_fini(&stored);
	return rc;
}

int resume_decide(struct resume *r, struct sink *snk, struct state *st,
		  struct err *e)
{
	struct registry tables;
	struct sink_held held = {.cursor = BUF_INIT, .tables = &tables};
	int rc = -1;

	registry_init(&tables);
	if (snk->ops->open(snk, &held, e) == 0 &&
	    choose(r, snk, &held, st, e) == 0 &&
	    load_tables(r, &tables, st, e) == 0)
		rc = 0;
	buf_fini(&held.cursor);
	registry_fini(&tables);
	return rc;
}
