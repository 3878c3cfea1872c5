/* report.h: what `leat check` finds.
 *
 * Modules add findings; the command prints them as text, as JSON, or, with
 * --sql, only the statements that mend them. */
#ifndef LEAT_BASE_REPORT_H
#define LEAT_BASE_REPORT_H

#include <stdbool.h>

#include "base/err.h"

enum finding_level { FINDING_OK, FINDING_COST, FINDING_WARNING, FINDING_ERROR };

struct finding {
	struct finding *next;
	enum finding_level level;
	enum code code;
	char *where; /* `source "shop"`, `log "x"`; owned */
	char *text;  /* owned */
	char *sql;   /* owned; the statement that mends it, or NULL */
};

struct report {
	struct finding *first, **last;
	size_t errors, warnings;
	bool is_short; /* there was no memory for a finding */
};

void report_init(struct report *r);
void report_fini(struct report *r);
/* sql may be NULL.  */
void report_add(struct report *r, enum finding_level level, enum code code,
		const char *where, const char *sql, const char *fmt, ...)
	PRINTF_LIKE(6, 7);
void report_err(struct report *r, const char *where, const struct err *e);

#endif
