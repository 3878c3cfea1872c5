/* note.h: the agent's own log lines, to stderr.
 *
 * One line: time, level, component, message, then key=value, `code=` always
 * among them (or one JSON object).  A thing is noted once, where it is decided;
 * lower layers only fill a struct err.  Row data never above debug, secrets
 * never.  (The word "log" is kept for the product's durable log.) */
#ifndef LEAT_BASE_NOTE_H
#define LEAT_BASE_NOTE_H

#include <stdbool.h>

#include "base/err.h"

enum note_level { NOTE_DEBUG, NOTE_INFO, NOTE_WARNING, NOTE_ERROR };

struct note_kv {
	const char *key, *value;
};

/* A list for note(): NOTE_KV({"slot", name}, {"lsn", text}) or NULL. */
#define NOTE_KV(...) ((const struct note_kv[]){__VA_ARGS__, {NULL, NULL}})

void note_setup(enum note_level least, bool json);
bool note_wants(enum note_level level);

/* component: "agent", or `pipeline "shop_to_log"` and the like. */
void note(enum note_level level, const char *component, enum code code,
	  const struct note_kv *kv, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The error's message, detail and hint in one line (keys detail=, hint=). */
void note_err(enum note_level level, const char *component,
	      const struct err *e, const struct note_kv *kv);

#endif
