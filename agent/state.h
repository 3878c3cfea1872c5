/* state.h: what a pipeline remembers between runs, in SQLite.
 *
 * STATE_DIR/PIPELINE/state.db (WAL) holds the committed cursor, the versions of
 * tables with the seq at which each came into force, and the incarnation that a
 * change of offsets is about to begin.  STATE_DIR/PIPELINE/lock (flock) keeps a
 * second process away from it.
 *
 * For a sink that stores the cursor itself this file follows lazily and may be
 * lost; for the others it is the truth, and each cursor is synced. */
#ifndef LEAT_AGENT_STATE_H
#define LEAT_AGENT_STATE_H

#include "schema/cursor.h"
#include "schema/registry.h"

struct state;

enum state_mode {
	STATE_CREATE, /* make it if missing; lock it */
	STATE_LOCK,   /* must exist; lock it */
	STATE_LOOK,   /* must exist; read only, no lock */
};

/* is_durable: sync each change.  CODE_state_held when another process has the
 * lock, CODE_failed when it must exist and does not, CODE_state_corrupt when it
 * cannot be read as what it should be.  *Returns owned* or NULL. */
struct state *state_open(const char *state_dir, const char *pipeline,
			 enum state_mode mode, bool is_durable, struct err *e);
void state_close(struct state *st);
/* Makes a directory for states; CODE_state_failed. */
int state_make_dir(const char *dir, struct err *e) MUST_CHECK;
/* Makes the directory the agent's own as long as the descriptor that is returned
 * stays open; -1 with CODE_state_held when another agent has it. */
int state_own_dir(const char *dir, struct err *e) MUST_CHECK;

/* Text form; empty when none was stored. */
int state_cursor(struct state *st, struct buf *out, struct err *e) MUST_CHECK;
int state_set_cursor(struct state *st, const struct cursor *c, struct err *e)
	MUST_CHECK;
/* The incarnation that `leat offsets set` is about to put into the sink; 0. */
int state_pending(struct state *st, uint32_t *incarnation, struct err *e)
	MUST_CHECK;
int state_set_pending(struct state *st, uint32_t incarnation, struct err *e)
	MUST_CHECK;

int state_add_table(struct state *st, const struct table *tab, struct err *e)
	MUST_CHECK;
/* Forgets versions that began after seq. */
int state_forget_tables(struct state *st, uint64_t seq, struct err *e)
	MUST_CHECK;
/* Every version, by table name and version; *borrowed* for the call. */
int state_each_table(struct state *st,
		     int (*fn)(void *arg, struct table *tab, struct err *e),
		     void *arg, struct err *e) MUST_CHECK;

/* May the version of a table that begins at seq come into force?  That it was
 * asked is kept, for state_accept(). */
int state_ask(struct state *st, const struct table *tab, uint64_t seq,
	      struct slice changes, bool *is_accepted, struct err *e) MUST_CHECK;
/* Accepts what was asked, of one table or (NULL) of all, and appends a line for
 * each change to out. */
int state_accept(struct state *st, const char *table, struct buf *out,
		 struct err *e) MUST_CHECK;

/* Removes the pipeline's directory; the state must not be open elsewhere. */
int state_remove(struct state *st, struct err *e) MUST_CHECK;
/* Calls fn for each pipeline that has a directory below state_dir. */
int state_each_pipeline(const char *state_dir,
			void (*fn)(void *arg, const char *pipeline), void *arg);

#endif
