/* conf_values.c: see conf_values.h.
 *
 * libConfuse is given tables made from the option tables, where every option is
 * a list of texts: how many values it may have, and of what type they are, is
 * judged later, with a place.  It sees only names that it knows, each once, so
 * that it has nothing to ignore and nothing to merge (of two sections with one
 * title it would keep the second only, of `a = 1  a = 2` the last).
 *
 * Scan and libConfuse must find the same: where they do not, that is our bug,
 * and the conf is refused rather than half of it taken. */
#include "config.h"
#include "agent/conf_values.h"

#include <confuse.h>

#include "agent/conf_tables.h"
#include "base/utf8.h"

/* libConfuse's callbacks get no pointer of ours, and its scanner is global
 * anyway. */
static struct {
	struct scan *scan;
	struct scan_include *next; /* the include that is called next */
	unsigned line;		   /* of its first error; 0: none */
} parsing;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)fmt;
	(void)ap;
	if (parsing.line == 0)
		parsing.line = cfg->line > 0 ? (unsigned)cfg->line : 1;
}

static int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	(void)cfg;
	(void)opt;
	if (argc != 1 || parsing.next == NULL)
		return -1;
	parsing.next->pattern =
		slice_dup(parsing.scan->arena, slice_of(argv[0])).p;
	parsing.next = parsing.next->next;
	return 0;
}

static int disagree(struct scan *s, unsigned line, struct conf_place *where,
		    struct err *e)
{
	*where = (struct conf_place){
		.file = s->file, .line = line, .col = 1, .nth = s->nth};
	return err_set(e, CODE_internal,
		       "libConfuse reads the text differently than the scan");
}

/* --- tables ------------------------------------------------------------ */

static bool has_option(const cfg_opt_t *opts, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(opts[i].name, name) == 0)
			return true;
	return false;
}

/* All names of all tables of the kind, with room for `more`; NULL on lack of
 * memory. */
static cfg_opt_t *make_table(struct arena *a, enum conf_kind kind, size_t more,
			     size_t *n)
{
	const struct opt *table;
	size_t all = more + 1;
	cfg_opt_t *opts;

	for (size_t i = 0; (table = conf_table(kind, i)) != NULL; i++)
		for (; table->name != NULL; table++)
			all++;
	opts = arena_calloc(a, all, sizeof(*opts));
	if (opts == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; (table = conf_table(kind, i)) != NULL; i++)
		for (; table->name != NULL; table++)
			if (!has_option(opts, *n, table->name))
				opts[(*n)++] = (cfg_opt_t)CFG_STR_LIST(
					table->name, NULL, CFGF_NODEFAULT);
	opts[*n] = (cfg_opt_t)CFG_END();
	return opts;
}

static cfg_opt_t *make_top(struct arena *a)
{
	size_t n, ignored;
	cfg_opt_t *top = make_table(a, CONF_TOP, CONF_KINDS, &n);

	if (top == NULL)
		return NULL;
	for (unsigned k = CONF_SOURCE; k < CONF_KINDS; k++) {
		cfg_opt_t *sub = make_table(a, (enum conf_kind)k, 0, &ignored);

		if (sub == NULL)
			return NULL;
		top[n++] = (cfg_opt_t)CFG_SEC(conf_kind_names[k], sub,
					      CFGF_MULTI | CFGF_TITLE);
	}
	top[n++] = (cfg_opt_t)CFG_FUNC("include", on_include);
	top[n] = (cfg_opt_t)CFG_END();
	return top;
}

static void blank_unknown(struct scan *s)
{
	struct scan_section *section = s->sections;

	for (struct scan_option *o = s->top.options; o != NULL; o = o->next)
		if (!conf_is_known(CONF_TOP, o->name))
			scan_blank(s, o->begin, o->end);
	for (; section != NULL; section = section->next) {
		enum conf_kind kind = conf_kind_find(section->kind);

		if (kind == CONF_KINDS) {
			scan_blank(s, section->begin, section->end);
			continue;
		}
		for (struct scan_option *o = section->options; o != NULL;
		     o = o->next)
			if (!conf_is_known(kind, o->name))
				scan_blank(s, o->begin, o->end);
	}
}

/* --- values ------------------------------------------------------------ */

/* Copies the o->n values behind the first *taken. */
static int take_values(struct scan *s, struct scan_option *o, cfg_opt_t *opt,
		       size_t *taken, struct conf_place *where, struct err *e)
{
	const char **texts;
	bool good = true;

	if (opt == NULL || cfg_opt_size(opt) - *taken < o->n)
		return disagree(s, o->place.line, where, e);
	texts = arena_calloc(s->arena, o->n + 1, sizeof(*texts));
	if (texts == NULL)
		return err_no_memory(e);
	for (size_t i = 0; i < o->n; i++) {
		struct slice text = slice_of(
			cfg_opt_getnstr(opt, (unsigned)(*taken + i)));

		good &= utf8_is_valid(text);
		texts[i] = slice_dup(s->arena, text).p;
		if (texts[i] == NULL)
			return err_no_memory(e);
	}
	*taken += o->n;
	if (!good)
		err_set(conf_fail(s->errors, &o->place), CODE_conf_value,
			"\"%s\" is not valid UTF-8", o->name);
	else if (!o->is_unset)
		o->texts = texts;
	return 0;
}

static int take_section(struct scan *s, enum conf_kind kind,
			struct scan_section *section, cfg_t *cfg,
			struct conf_place *where, struct err *e)
{
	size_t *taken;

	if (cfg == NULL)
		return disagree(s, section->place.line, where, e);
	taken = arena_calloc(s->arena, cfg_num(cfg) + 1, sizeof(*taken));
	if (taken == NULL)
		return err_no_memory(e);
	for (struct scan_option *o = section->options; o != NULL; o = o->next) {
		cfg_opt_t *opt;

		if (!conf_is_known(kind, o->name))
			continue;
		opt = cfg_getopt(cfg, o->name);
		if (take_values(s, o, opt, &taken[opt ? opt - cfg->opts : 0],
				where, e) != 0)
			return -1;
	}
	for (unsigned i = 0; i < cfg_num(cfg); i++)
		if (cfg->opts[i].type == CFGT_STR &&
		    cfg_opt_size(&cfg->opts[i]) != taken[i])
			return disagree(s, section->place.line, where, e);
	return 0;
}

static int take_all(struct scan *s, cfg_t *cfg, struct conf_place *where,
		    struct err *e)
{
	struct scan_section *section = s->sections;

	if (take_section(s, CONF_TOP, &s->top, cfg, where, e) != 0)
		return -1;
	for (; section != NULL; section = section->next) {
		enum conf_kind kind = conf_kind_find(section->kind);

		if (kind == CONF_KINDS || section->is_duplicate)
			continue;
		if (take_section(s, kind, section,
				 cfg_gettsec(cfg, section->kind, section->name),
				 where, e) != 0)
			return -1;
	}
	for (struct scan_include *inc = s->includes; inc != NULL; inc = inc->next)
		if (inc->pattern == NULL)
			return disagree(s, inc->place.line, where, e);
	return 0;
}

int conf_values(struct scan *s, struct conf_place *where, struct err *e)
{
	cfg_opt_t *top = make_top(s->arena);
	cfg_t *cfg;
	int rc;

	*where = (struct conf_place){0};
	blank_unknown(s);
	cfg = top ? cfg_init(top, CFGF_NONE) : NULL;
	if (cfg == NULL)
		return err_no_memory(e);
	cfg_set_error_function(cfg, on_error);
	parsing.scan = s;
	parsing.next = s->includes;
	parsing.line = 0;
	if (s->n > 0 && cfg_parse_buf(cfg, s->text) != CFG_SUCCESS)
		rc = disagree(s, parsing.line ? parsing.line : 1, where, e);
	else
		rc = take_all(s, cfg, where, e);
	cfg_free(cfg);
	if (s->arena->failed && rc == 0)
		rc = err_no_memory(e);
	return rc;
}
