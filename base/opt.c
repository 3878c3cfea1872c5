/* opt.c: text to typed values and back.
 *
 * What opt_put_size(), opt_put_time() and opt_print() write is read back to the
 * same value.  Defaults take the way that text from the conf takes. */
#include "config.h"
#include "base/opt.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/pattern.h"

struct unit {
	const char *name;
	int64_t factor;
};

#define KIB INT64_C(1024)
#define KB INT64_C(1000)

static const struct unit size_units[] = {
	{"B", 1},
	{"KiB", KIB},
	{"MiB", KIB * KIB},
	{"GiB", KIB * KIB * KIB},
	{"TiB", KIB * KIB * KIB * KIB},
	{"kB", KB},
	{"MB", KB * KB},
	{"GB", KB * KB * KB},
	{"TB", KB * KB * KB * KB},
	{"KB", KB},
	{NULL, 0},
};

static const struct unit time_units[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{"h", 60 * 60 * 1000},
	{"d", 24 * 60 * 60 * 1000},
	{NULL, 0},
};

#define TIME_MOST (INT64_C(36500) * 24 * 60 * 60 * 1000)

static void *at(const struct opt *o, void *conf)
{
	return (char *)conf + o->offset;
}

static const void *at_const(const struct opt *o, const void *conf)
{
	return (const char *)conf + o->offset;
}

const struct opt *opt_find(const struct opt *opts, const char *name)
{
	for (; opts->name != NULL; opts++)
		if (strcmp(opts->name, name) == 0)
			return opts;
	return NULL;
}

const char *opt_nearest(const struct opt *const *tables, const char *name)
{
	struct nearest near = NEAREST_INIT(name);

	for (; *tables != NULL; tables++)
		for (const struct opt *o = *tables; o->name != NULL; o++)
			nearest_try(&near, o->name);
	return near.name;
}

/* --- numbers ---------------------------------------------------------- */

/* Digits and then the name of a unit; false for anything else and where 64 bits
 * are too few.  Without a unit: as `bare` says, 0 meaning that only 0 may
 * stand alone. */
static bool parse_units(const char *text, const struct unit *units,
			int64_t bare, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	int64_t number;

	if (!slice_to_i64((struct slice){text, digits}, &number))
		return false;
	if (text[digits] == '\0') {
		*out = number * bare;
		return bare != 0 || number == 0;
	}
	while (units->name != NULL && strcmp(units->name, text + digits) != 0)
		units++;
	return units->name != NULL &&
	       !__builtin_mul_overflow(number, units->factor, out);
}

static void put_number(struct buf *b, enum opt_type type, int64_t v)
{
	if (type == OPT_SIZE)
		opt_put_size(b, v);
	else if (type == OPT_TIME)
		opt_put_time(b, v);
	else
		buf_i64(b, v);
}

/* INT64_MAX: no limit. */
static int64_t most(const struct opt *o)
{
	if (o->max > o->min)
		return o->max;
	return o->type == OPT_TIME ? TIME_MOST : INT64_MAX;
}

static bool in_range(const struct opt *o, int64_t v)
{
	return v >= o->min && v <= most(o);
}

static int out_of_range(const struct opt *o, const char *text, struct err *e)
{
	struct buf range = BUF_INIT;

	err_set(e, CODE_conf_value, "\"%s\" is out of range: %.64s", o->name,
		text);
	put_number(&range, o->type, o->min);
	if (most(o) < INT64_MAX) {
		buf_text(&range, " to ");
		put_number(&range, o->type, most(o));
	} else {
		buf_text(&range, " or more");
	}
	if (!range.failed)
		err_hint(e, "It may be %.*s.", SLICE_ARG(range));
	buf_fini(&range);
	return -1;
}

static int invalid(const struct opt *o, const char *text, struct err *e)
{
	return err_set(e, CODE_conf_value, "invalid value for \"%s\": \"%.64s\"",
		       o->name, text);
}

static int set_number(const struct opt *o, int64_t *to, const char *text,
		      struct err *e)
{
	const char *hint;
	int64_t v;
	bool good;

	switch (o->type) {
	case OPT_SIZE:
		good = parse_units(text, size_units, 1, &v);
		hint = "Write a size such as 512, 64KiB, 10MB or 2GiB.";
		break;
	case OPT_TIME:
		good = parse_units(text, time_units, 0, &v);
		hint = "Write a time with its unit, such as 250ms, 10s, 5m, 2h or 7d.";
		break;
	default:
		good = slice_to_i64(slice_of(text), &v);
		hint = "Write a whole number.";
	}
	if (!good) {
		invalid(o, text, e);
		err_hint(e, "%s", hint);
		return -1;
	}
	if (!in_range(o, v))
		return out_of_range(o, text, e);
	*to = v;
	return 0;
}

/* The shortest text; where a binary and a decimal unit do alike, the binary. */
void opt_put_size(struct buf *b, int64_t bytes)
{
	const struct unit *best = &size_units[0];

	for (const struct unit *u = size_units; u->name != NULL; u++)
		if (bytes % u->factor == 0 && bytes / u->factor < bytes / best->factor)
			best = u;
	buf_i64(b, bytes / best->factor);
	if (best->factor > 1)
		buf_text(b, best->name);
}

void opt_put_time(struct buf *b, int64_t ms)
{
	const struct unit *best = &time_units[0];

	for (const struct unit *u = time_units; u->name != NULL; u++)
		if (ms % u->factor == 0)
			best = u;
	buf_i64(b, ms / best->factor);
	if (ms != 0)
		buf_text(b, best->name);
}

/* --- setting ---------------------------------------------------------- */

static int set_bool(const struct opt *o, bool *to, const char *text,
		    struct err *e)
{
	static const char *const words[] = {"no",   "yes", "false",
					    "true", "off", "on"};

	for (size_t i = 0; i < countof(words); i++) {
		if (strcmp(words[i], text) == 0) {
			*to = i % 2;
			return 0;
		}
	}
	invalid(o, text, e);
	err_hint(e, "Write yes or no.");
	return -1;
}

static int set_choice(const struct opt *o, int *to, const char *text,
		      struct err *e)
{
	struct nearest near = NEAREST_INIT(text);
	struct buf all = BUF_INIT;

	for (int i = 0; o->choices[i] != NULL; i++) {
		if (strcmp(o->choices[i], text) == 0) {
			*to = i;
			buf_fini(&all);
			return 0;
		}
		nearest_try(&near, o->choices[i]);
		buf_printf(&all, "%s%s", i ? ", " : "", o->choices[i]);
	}
	if (near.name != NULL)
		err_set(e, CODE_conf_value,
			"invalid value for \"%s\": \"%.64s\"; did you mean \"%s\"?",
			o->name, text, near.name);
	else
		invalid(o, text, e);
	if (!all.failed)
		err_hint(e, "It may be: %.*s.", SLICE_ARG(all));
	buf_fini(&all);
	return -1;
}

/* What libpq makes of it is not known here, but where a password may be taken
 * for a host or a port its messages would show it. */
static int check_text(const struct opt *o, const char *text, struct err *e)
{
	if ((o->flags & OPT_PATH) && text[0] == '\0')
		return err_set(e, CODE_conf_value, "\"%s\" is empty", o->name);
	if (!(o->flags & OPT_CONNINFO) || secret_is_conninfo(text))
		return 0;
	err_set(e, CODE_conf_value,
		"\"%s\" is no connection string as libpq reads it", o->name);
	err_hint(e, "Give a password as an option of its own, or in single quotes if it has blanks; in a URI write %%40 for @, %%2F for /, %%3A for : in names and passwords.");
	return -1;
}

static int set_text(const struct opt *o, char **to, const char *text,
		    struct err *e)
{
	char *copy;

	if (check_text(o, text, e) != 0)
		return -1;
	copy = strdup(text);
	if (copy == NULL)
		return err_no_memory(e);
	free(*to);
	*to = copy;
	return 0;
}

static void list_free(struct opt_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct opt_list){0};
}

static int list_add(struct opt_list *l, const char *const *texts, size_t n,
		    struct err *e)
{
	size_t was = l->n;
	char **v = realloc(l->v, (was + n + 1) * sizeof(*v));

	if (v == NULL)
		return err_no_memory(e);
	l->v = v;
	for (size_t i = 0; i < n; i++) {
		v[was + i] = strdup(texts[i]);
		if (v[was + i] != NULL) {
			l->n++;
			continue;
		}
		while (l->n > was)
			free(v[--l->n]);
		return err_no_memory(e);
	}
	v[l->n] = NULL;
	return 0;
}

static int check_items(const struct opt *o, const char *const *texts, size_t n,
		       struct err *e)
{
	for (size_t i = 0; (o->flags & OPT_PATTERN) && i < n; i++) {
		if (pattern_check(slice_of(texts[i]), e) != 0) {
			err_wrap(e, "\"%s\"", o->name);
			return -1;
		}
	}
	return 0;
}

int opt_append(const struct opt *o, void *conf, const char *const *texts,
	       size_t n, struct err *e)
{
	if (o->type != OPT_LIST)
		return err_set(e, CODE_conf_value,
			       "\"%s\" takes one value and nothing can be added to it",
			       o->name);
	if (check_items(o, texts, n, e) != 0)
		return -1;
	return list_add(at(o, conf), texts, n, e);
}

int opt_set(const struct opt *o, void *conf, const char *const *texts, size_t n,
	    struct err *e)
{
	struct opt_list list = {0};

	if (o->type == OPT_LIST) {
		if (check_items(o, texts, n, e) != 0)
			return -1;
		if (list_add(&list, texts, n, e) != 0) {
			list_free(&list);
			return -1;
		}
		list_free(at(o, conf));
		*(struct opt_list *)at(o, conf) = list;
		return 0;
	}
	if (n != 1)
		return err_set(e, CODE_conf_value,
			       "\"%s\" takes one value, not a list", o->name);
	switch (o->type) {
	case OPT_BOOL:
		return set_bool(o, at(o, conf), texts[0], e);
	case OPT_INT:
	case OPT_SIZE:
	case OPT_TIME:
		return set_number(o, at(o, conf), texts[0], e);
	case OPT_CHOICE:
		return set_choice(o, at(o, conf), texts[0], e);
	default:
		return set_text(o, at(o, conf), texts[0], e);
	}
}

/* --- defaults --------------------------------------------------------- */

/* `text`, or the quoted texts of `{ "a", "b" }`, without escapes. */
static int default_list(const struct opt *o, void *conf, struct err *e)
{
	struct slice rest = slice_of(o->dflt);

	if (o->dflt[0] != '{')
		return opt_append(o, conf, &o->dflt, 1, e);
	slice_cut(&rest, '"');
	while (rest.p != NULL) {
		struct slice item = slice_cut(&rest, '"');
		char *copy = strndup(item.p, item.n);
		const char *text = copy;
		int rc;

		if (copy == NULL)
			return err_no_memory(e);
		rc = opt_append(o, conf, &text, 1, e);
		free(copy);
		if (rc != 0)
			return rc;
		slice_cut(&rest, '"');
	}
	/* that an empty list was meant shows in v */
	return opt_append(o, conf, NULL, 0, e);
}

int opt_defaults(const struct opt *opts, void *conf, struct err *e)
{
	for (const struct opt *o = opts; o->name != NULL; o++) {
		int rc = 0;

		if (o->dflt == NULL) {
			if (o->type == OPT_CHOICE)
				*(int *)at(o, conf) = -1;
		} else if (o->type == OPT_LIST) {
			rc = default_list(o, conf, e);
		} else {
			rc = opt_set(o, conf, &o->dflt, 1, e);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

void opt_free(const struct opt *opts, void *conf)
{
	for (const struct opt *o = opts; o->name != NULL; o++) {
		if (o->type == OPT_LIST) {
			list_free(at(o, conf));
		} else if (o->type == OPT_TEXT || o->type == OPT_SECRET) {
			free(*(char **)at(o, conf));
			*(char **)at(o, conf) = NULL;
		}
	}
}

/* --- printing --------------------------------------------------------- */

/* In double quotes, with the escapes that the conf knows. */
static void put_quoted(struct buf *out, struct slice s)
{
	buf_u8(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\' ||
		    (c == '$' && i + 1 < s.n && s.p[i + 1] == '{'))
			buf_printf(out, "\\%c", c);
		else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_u8(out, c);
	}
	buf_u8(out, '"');
}

static void put_list(struct buf *out, const struct opt_list *l)
{
	buf_text(out, l->n ? "{ " : "{");
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			buf_text(out, ", ");
		put_quoted(out, slice_of(l->v[i]));
	}
	buf_text(out, l->n ? " }" : "}");
}

static void put_text(struct buf *out, const struct opt *o, const char *text)
{
	struct buf shown = BUF_INIT;

	if (o->type == OPT_SECRET && secret_is_clear(text))
		buf_text(&shown, "***");
	else if (o->flags & OPT_CONNINFO)
		secret_redact_conninfo(text, &shown);
	else
		buf_text(&shown, text);
	put_quoted(out, buf_get(&shown));
	out->failed |= shown.failed;
	buf_fini(&shown);
}

static bool has_value(const struct opt *o, const void *value)
{
	switch (o->type) {
	case OPT_TEXT:
	case OPT_SECRET:
		return *(char *const *)value != NULL;
	case OPT_LIST:
		return ((const struct opt_list *)value)->v != NULL;
	case OPT_CHOICE:
		return *(const int *)value >= 0;
	case OPT_BOOL:
		return true;
	default:
		return o->dflt != NULL || in_range(o, *(const int64_t *)value);
	}
}

void opt_print(const struct opt *opts, const void *conf, int indent,
	       struct buf *out)
{
	for (const struct opt *o = opts; o->name != NULL; o++) {
		const void *value = at_const(o, conf);

		if (!has_value(o, value))
			continue;
		for (int i = 0; i < indent; i++)
			buf_u8(out, '\t');
		buf_printf(out, "%s = ", o->name);
		if (o->type == OPT_TEXT || o->type == OPT_SECRET)
			put_text(out, o, *(char *const *)value);
		else if (o->type == OPT_LIST)
			put_list(out, value);
		else if (o->type == OPT_CHOICE)
			buf_text(out, o->choices[*(const int *)value]);
		else if (o->type == OPT_BOOL)
			buf_text(out, *(const bool *)value ? "yes" : "no");
		else
			put_number(out, o->type, *(const int64_t *)value);
		buf_u8(out, '\n');
	}
}
