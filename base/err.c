#include "config.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int exit;
	enum code_kind kind;
	const char *text;
} codes[] = {
#define CODE(name, exit, kind, text) {#name, exit, CODE_##kind, text},
#include "base/codes.def"
#undef CODE
};

const char *code_name(enum code c)
{
	return codes[c].name;
}

int code_exit(enum code c)
{
	return codes[c].exit;
}

enum code_kind code_kind(enum code c)
{
	return codes[c].kind;
}

const char *code_text(enum code c)
{
	return codes[c].text;
}

enum code code_find(const char *name)
{
	size_t i = 0;

	while (i < countof(codes) && strcmp(codes[i].name, name) != 0)
		i++;
	return (enum code)i;
}

int err_set(struct err *e, enum code code, const char *fmt, ...)
{
	va_list ap;

	if (err_is_set(e))
		return -1;
	*e = (struct err){.code = code};
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *e, enum code code, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (err_is_set(e))
		return -1;
	*e = (struct err){.code = code, .sys = errnum};
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror(errnum));
	return -1;
}

int err_no_memory(struct err *e)
{
	return err_set(e, CODE_no_memory, "out of memory");
}

void err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;
	size_t n;

	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", old);
}

void err_detail(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e->detail[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
	va_end(ap);
}

void err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e->hint[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
}
