#include "config.h"
#include "base/pattern.h"

/* One step of a pattern: a literal byte, or a wildcard. */
enum kind { KIND_END, KIND_DOT, KIND_BYTE, KIND_ANY, KIND_ONE, KIND_BAD };

struct step {
	enum kind kind;
	char byte;
};

struct scan {
	const char *p, *end;
	bool quoted;
};

static struct step scan_next(struct scan *s)
{
	while (s->p < s->end) {
		char c = *s->p++;

		if (c == '"') {
			if (s->quoted && s->p < s->end && *s->p == '"') {
				s->p++;
				return (struct step){KIND_BYTE, '"'};
			}
			s->quoted = !s->quoted;
			continue;
		}
		if (s->quoted)
			return (struct step){KIND_BYTE, c};
		if (c == '.')
			return (struct step){KIND_DOT, c};
		if (c == '*')
			return (struct step){KIND_ANY, c};
		if (c == '?')
			return (struct step){KIND_ONE, c};
		return (struct step){KIND_BYTE, c};
	}
	return (struct step){s->quoted ? KIND_BAD : KIND_END, 0};
}

static struct scan scan_of(struct slice pattern)
{
	const char *p = pattern.p ? pattern.p : "";

	return (struct scan){p, p + pattern.n, false};
}

/* Takes one character of UTF-8 (a stray byte counts as one). */
static size_t char_size(const char *p, const char *end)
{
	size_t n = 1;

	while (p + n < end && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Matches one part, up to the dot or the end, and leaves *s behind it.  Going
 * back to the last star is enough: an earlier one can never help. */
static bool match_part(struct scan *s, struct slice name)
{
	const char *p = name.p ? name.p : "", *end = p + name.n;
	struct scan star = {0};
	const char *star_p = NULL;

	for (;;) {
		struct scan before = *s;
		struct step t = scan_next(s);

		if (t.kind == KIND_ANY) {
			star = *s;
			star_p = p;
			continue;
		}
		if (t.kind == KIND_BAD)
			return false;
		if (t.kind == KIND_END || t.kind == KIND_DOT) {
			if (p == end) {
				*s = before;
				return true;
			}
		} else if (p < end && (t.kind == KIND_ONE || t.byte == *p)) {
			p += t.kind == KIND_ONE ? char_size(p, end) : 1;
			continue;
		}
		if (star_p == NULL || star_p == end)
			return false;
		p = ++star_p;
		*s = star;
	}
}

bool pattern_match(struct slice pattern, struct slice schema, struct slice name)
{
	struct scan s = scan_of(pattern);

	return match_part(&s, schema) && scan_next(&s).kind == KIND_DOT &&
	       match_part(&s, name) && scan_next(&s).kind == KIND_END;
}

int pattern_check(struct slice pattern, struct err *e)
{
	struct scan s = scan_of(pattern);
	size_t dots = 0, steps = 0;

	for (;;) {
		struct step t = scan_next(&s);

		if (t.kind == KIND_BAD)
			return err_set(e, CODE_conf_value,
				       "table pattern \"%.*s\" lacks a closing quote",
				       SLICE_ARG(pattern));
		if (t.kind == KIND_DOT || t.kind == KIND_END) {
			if (steps == 0)
				break;
			if (t.kind == KIND_END)
				break;
			dots++;
			steps = 0;
			continue;
		}
		steps++;
	}
	if (dots == 1 && steps > 0)
		return 0;
	err_set(e, CODE_conf_value,
		"table pattern \"%.*s\" is not of the form SCHEMA.TABLE",
		SLICE_ARG(pattern));
	if (dots == 0 && steps > 0)
		err_hint(e, "Write \"*.%.*s\" for the table in every schema.",
			 SLICE_ARG(pattern));
	else
		err_hint(e, "A pattern has one dot, as public.* has; a name that holds one goes into double quotes: app.\"2024.orders\".");
	return -1;
}

bool pattern_is_plain(struct slice pattern)
{
	struct scan s = scan_of(pattern);

	for (;;) {
		struct step t = scan_next(&s);

		if (t.kind == KIND_ANY || t.kind == KIND_ONE)
			return false;
		if (t.kind == KIND_END || t.kind == KIND_BAD)
			return true;
	}
}
