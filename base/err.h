/* err.h: an error is a value.
 *
 * A struct err lives on the caller's stack and is the last parameter of every
 * function that can fail for a reason of the world.  The first error wins; while
 * it unwinds it gains context: `source "shop": table "public.t": ...`.
 * Nothing here allocates or logs. */
#ifndef LEAT_BASE_ERR_H
#define LEAT_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum code {
#define CODE(name, exit, kind, text) CODE_##name,
#include "base/codes.def"
#undef CODE
	CODE_COUNT
};

enum code_kind { CODE_INFO, CODE_RETRY, CODE_STOP };

struct err {
	enum code code;	 /* CODE_none: no error */
	int sys;	 /* errno, 0 when none */
	size_t index;	 /* of the event in its batch, for a rejected event */
	uint64_t seq;	 /* its seq, where a sink finds it out later; or 0 */
	char msg[512];	 /* PostgreSQL's style: lower case, no full stop */
	char detail[512]; /* sentences, or "" */
	char hint[512];	 /* sentences; the command that mends it, or "" */
};

#define ERR_INIT ((struct err){.code = CODE_none})

/* Fills an empty err; leaves one that is set as it is.  Returns -1, so that
 * `return err_set(...)` reads well. */
int err_set(struct err *e, enum code code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* The same, with ": " and the text of errnum behind. */
int err_sys(struct err *e, enum code code, int errnum, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int err_no_memory(struct err *e);
/* Puts context and ": " before the message. */
void err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Set detail or hint if there is none yet. */
void err_detail(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline bool err_is_set(const struct err *e)
{
	return e->code != CODE_none;
}

const char *code_name(enum code c);
int code_exit(enum code c);
enum code_kind code_kind(enum code c);
const char *code_text(enum code c);
/* CODE_COUNT when there is none of that name. */
enum code code_find(const char *name);

#endif
