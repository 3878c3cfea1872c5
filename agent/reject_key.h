/* reject_key.h: which events are of one key, as bytes that can be compared.
 *
 * A dead letter may be delivered as long as no later event of its key was (A3).
 * Its keys, and those that a later event is looked for by, are made such that one
 * is among the other exactly if order between the two means something:
 *
 *	rows of a table with a key	the value of the key; of a change of key
 *					both values
 *	rows of a table without one	the table
 *	a key that is not known		the table
 *	TRUNCATE			the tables
 *	a logical message		its prefix
 *
 * A gap has no key.  When a table's key gets other columns or types, values before
 * and after cannot be compared, and the table counts as changed as a whole. */
#ifndef LEAT_AGENT_REJECT_KEY_H
#define LEAT_AGENT_REJECT_KEY_H

#include "schema/event.h"

/* Each appends keys to out, every one with its length before (buf_lenslice).
 * Of a letter: */
void reject_keys_letter(const struct event *ev, struct buf *out);
/* By which letters are looked for that the event comes after. */
void reject_keys_event(const struct event *ev, struct buf *out);
/* The one that every letter of the table has. */
void reject_key_table(const struct table *tab, struct buf *out);
/* Is the key made of other columns now? */
bool reject_key_differs(const struct table *a, const struct table *b);
/* {"id":7} for people; nothing where there is none. */
void reject_key_text(const struct event *ev, struct buf *out);

#endif
