#include "config.h"
#include "base/note.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

static enum note_level least_level = NOTE_INFO;
static bool as_json;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void note_setup(enum note_level least, bool json)
{
	least_level = least;
	as_json = json;
}

bool note_wants(enum note_level level)
{
	return level >= least_level;
}

/* What would end the line, or tell a terminal to do something. */
static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_word(const char *v)
{
	const char *p = v;

	while (*p != '\0' && !is_control(*p) && strchr(" \"\\=", *p) == NULL)
		p++;
	return p > v && *p == '\0';
}

/* Values with blanks, quotes or line ends are quoted, so that a line stays a
 * line and splits at blanks. */
static void put_value(struct buf *b, const char *v)
{
	if (is_word(v))
		buf_text(b, v);
	else
		json_quoted(b, slice_of(v));
}

static void put_text(struct buf *b, enum note_level level, const char *component,
		     const char *msg, enum code code, const struct note_kv *kv)
{
	char time[CLOCK_ISO_SIZE];

	clock_iso(time, clock_wall_us());
	buf_printf(b, "%s %s %s: ", time, level_names[level], component);
	for (const char *p = msg; *p != '\0'; p++)
		buf_u8(b, (uint8_t)(is_control(*p) ? ' ' : *p));
	buf_printf(b, " code=%s", code_name(code));
	for (; kv != NULL && kv->key != NULL; kv++) {
		buf_printf(b, " %s=", kv->key);
		put_value(b, kv->value);
	}
}

static void put_json(struct buf *b, enum note_level level, const char *component,
		     const char *msg, enum code code, const struct note_kv *kv)
{
	char time[CLOCK_ISO_SIZE];

	clock_iso(time, clock_wall_us());
	buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":", time,
		   level_names[level]);
	json_quoted(b, slice_of(component));
	buf_text(b, ",\"message\":");
	json_quoted(b, slice_of(msg));
	buf_printf(b, ",\"code\":\"%s\"", code_name(code));
	for (; kv != NULL && kv->key != NULL; kv++) {
		buf_u8(b, ',');
		json_quoted(b, slice_of(kv->key));
		buf_u8(b, ':');
		json_quoted(b, slice_of(kv->value));
	}
	buf_u8(b, '}');
}

static void emit(enum note_level level, const char *component, const char *msg,
		 enum code code, const struct note_kv *kv)
{
	struct buf b = BUF_INIT;

	if (as_json)
		put_json(&b, level, component, msg, code, kv);
	else
		put_text(&b, level, component, msg, code, kv);
	buf_u8(&b, '\n');
	/* one write, so that lines of several threads do not mix; when it fails
	 * there is nowhere to say so */
	if (!b.failed) {
		utf8_mend(b.p, b.n);
		(void)!write(STDERR_FILENO, b.p, b.n);
	}
	buf_fini(&b);
}

void note(enum note_level level, const char *component, enum code code,
	  const struct note_kv *kv, const char *fmt, ...)
{
	char msg[1024];
	va_list ap;

	if (!note_wants(level))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	emit(level, component, msg, code, kv);
}

void note_err(enum note_level level, const char *component, const struct err *e,
	      const struct note_kv *kv)
{
	struct note_kv all[16];
	size_t n = 0;

	if (!note_wants(level))
		return;
	for (; kv != NULL && kv->key != NULL && n < countof(all) - 3; kv++)
		all[n++] = *kv;
	if (e->detail[0] != '\0')
		all[n++] = (struct note_kv){"detail", e->detail};
	if (e->hint[0] != '\0')
		all[n++] = (struct note_kv){"hint", e->hint};
	all[n] = (struct note_kv){NULL, NULL};
	emit(level, component, e->msg, e->code, all);
}
