#include "config.h"
#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void report_init(struct report *r)
{
	*r = (struct report){.last = &r->first};
}

static void free_one(struct finding *f)
{
	if (f == NULL)
		return;
	free(f->where);
	free(f->text);
	free(f->sql);
	free(f);
}

void report_fini(struct report *r)
{
	struct finding *next;

	for (struct finding *f = r->first; f != NULL; f = next) {
		next = f->next;
		free_one(f);
	}
	report_init(r);
}

static void add(struct report *r, enum finding_level level, enum code code,
		const char *where, const char *sql, const char *text)
{
	struct finding *f = calloc(1, sizeof(*f));

	r->errors += level == FINDING_ERROR;
	r->warnings += level == FINDING_WARNING;
	if (f != NULL)
		*f = (struct finding){
			.level = level,
			.code = code,
			.where = strdup(where),
			.text = strdup(text),
			.sql = sql ? strdup(sql) : NULL,
		};
	if (f == NULL || f->where == NULL || f->text == NULL ||
	    (sql != NULL && f->sql == NULL)) {
		r->is_short = true;
		free_one(f);
		return;
	}
	*r->last = f;
	r->last = &f->next;
}

void report_add(struct report *r, enum finding_level level, enum code code,
		const char *where, const char *sql, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(r, level, code, where, sql, text);
}

void report_err(struct report *r, const char *where, const struct err *e)
{
	char text[sizeof(e->msg) + sizeof(e->detail) + sizeof(e->hint) + 32];

	snprintf(text, sizeof(text), "%s%s%s%s%s", e->msg,
		 e->detail[0] ? "\ndetail: " : "", e->detail,
		 e->hint[0] ? "\nhint: " : "", e->hint);
	add(r, FINDING_ERROR, e->code, where, NULL, text);
}
