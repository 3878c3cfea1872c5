/* conf.c: from sections and texts to a typed conf.
 *
 * conf_load.c has read the files; here names are looked up in the option tables,
 * values are typed and what is missing is missed.  conf_check.c then looks at
 * how the sections go together.  Errors are gathered, not returned: one wrong
 * option must not hide the next. */
#include "config.h"
#include "agent/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf_check.h"
#include "agent/conf_load.h"
#include "agent/conf_tables.h"
#include "base/nearest.h"
#include "base/note.h"

/* --- options ------------------------------------------------------------ */

/* ` in log "x"`, or nothing at the top level. */
static void name_section(char *out, size_t n, const char *before,
			 const struct scan_section *given)
{
	out[0] = '\0';
	if (given->kind[0] != '\0')
		snprintf(out, n, "%s%s \"%.64s\"", before, given->kind,
			 given->name);
}

static bool is_type(enum conf_kind kind, const char *name)
{
	return (kind == CONF_SOURCE || kind == CONF_SINK) &&
	       strcmp(name, "type") == 0;
}

static void fail_unknown(struct conf_errors *errors, enum conf_kind kind,
			 const struct opt *opts, const struct scan_option *o,
			 const struct scan_section *given)
{
	struct err *x = conf_fail(errors, &o->place);
	struct nearest near = NEAREST_INIT(o->name);
	char where[200];

	name_section(where, sizeof(where), " in ", given);
	for (; opts->name != NULL; opts++)
		nearest_try(&near, opts->name);
	if (kind == CONF_SOURCE || kind == CONF_SINK)
		nearest_try(&near, "type");
	if (near.name != NULL)
		err_set(x, CODE_conf_value,
			"unknown option \"%.64s\"%s; did you mean \"%s\"?",
			o->name, where, near.name);
	else
		err_set(x, CODE_conf_value, "unknown option \"%.64s\"%s",
			o->name, where);
	if (kind == CONF_TOP && conf_kind_find(o->name) != CONF_KINDS)
		err_hint(x, "A %s is a section: %s NAME { ... }.", o->name,
			 o->name);
}

static void set_option(struct conf_errors *errors, const struct opt *opt,
		       void *values, const struct scan_option *o,
		       const struct scan_section *given)
{
	struct err e = ERR_INIT;
	char where[200];
	int rc;

	if (o->is_append)
		rc = opt_append(opt, values, o->texts, o->n, &e);
	else if (o->is_list && opt->type != OPT_LIST)
		rc = err_set(&e, CODE_conf_value,
			     "\"%s\" takes one value, not a list", opt->name);
	else
		rc = opt_set(opt, values, o->texts, o->n, &e);
	if (rc == 0)
		return;
	name_section(where, sizeof(where), "", given);
	if (where[0] != '\0')
		err_wrap(&e, "%s", where);
	*conf_fail(errors, &o->place) = e;
}

/* Types what was given for a section; values begin with their defaults. */
static void fill(struct conf_errors *errors, enum conf_kind kind,
		 const struct opt *opts, void *values,
		 const struct scan_section *given)
{
	struct err e = ERR_INIT;

	if (opt_defaults(opts, values, &e) != 0) {
		*conf_fail(errors, &given->place) = e;
		return;
	}
	for (const struct scan_option *o = given->options; o != NULL;
	     o = o->next) {
		const struct opt *opt = opt_find(opts, o->name);

		if (is_type(kind, o->name))
			continue;
		if (opt == NULL)
			fail_unknown(errors, kind, opts, o, given);
		else if (o->texts != NULL)
			set_option(errors, opt, values, o, given);
	}
	for (; opts->name != NULL; opts++)
		if ((opts->flags & OPT_REQUIRED) &&
		    scan_find(given, opts->name) == NULL)
			err_set(conf_fail(errors, &given->place),
				CODE_conf_value,
				"%s \"%.64s\": option \"%s\" is missing",
				given->kind, given->name, opts->name);
}

/* --- sections ------------------------------------------------------------ */

enum { NAME_LIMIT = 50 }; /* "leat_" and it make the name of a slot */

static void check_name(struct conf_errors *errors,
		       const struct scan_section *given)
{
	size_t n = strlen(given->name);
	struct err *x;

	if (n > 0 && n <= NAME_LIMIT &&
	    strspn(given->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n)
		return;
	x = conf_fail(errors, &given->place);
	err_set(x, CODE_conf_value, "invalid name of a %s: \"%.64s\"",
		given->kind, given->name);
	err_hint(x, "A name is 1 to %d of a-z, 0-9 and _.", NAME_LIMIT);
}

/* The text of a section's `type`; NULL when that was reported. */
static const char *type_of(struct conf_errors *errors,
			   const struct scan_section *given)
{
	const struct scan_option *o = scan_find(given, "type");
	struct err *x;

	if (o == NULL) {
		x = conf_fail(errors, &given->place);
		err_set(x, CODE_conf_value,
			"%s \"%.64s\": option \"type\" is missing", given->kind,
			given->name);
		return NULL;
	}
	if (o->texts == NULL)
		return NULL;
	if (o->n == 1 && !o->is_list && !o->is_append)
		return o->texts[0];
	err_set(conf_fail(errors, &o->place), CODE_conf_value,
		"%s \"%.64s\": \"type\" takes one value", given->kind,
		given->name);
	return NULL;
}

/* types: the names, ending in NULL, with holes for `log`. */
static void fail_type(struct conf_errors *errors,
		      const struct scan_section *given, const char *type,
		      const char *(*type_at)(size_t i))
{
	struct err *x = conf_fail(errors, &scan_find(given, "type")->place);
	struct nearest near = NEAREST_INIT(type);
	struct buf all = BUF_INIT;
	const char *known;

	if (strcmp(type, "log") == 0) {
		err_set(x, CODE_conf_value,
			"%s \"%.64s\": a log is a section of its own",
			given->kind, given->name);
		err_hint(x, "Write log %.64s { path = ... }; it is source and sink.",
			 given->name);
		return;
	}
	for (size_t i = 0; (known = type_at(i)) != NULL; i++) {
		if (strcmp(known, "log") == 0)
			continue;
		nearest_try(&near, known);
		buf_printf(&all, "%s%s", all.n ? ", " : "", known);
	}
	if (near.name != NULL)
		err_set(x, CODE_conf_value,
			"%s \"%.64s\": unknown type \"%.64s\"; did you mean \"%s\"?",
			given->kind, given->name, type, near.name);
	else
		err_set(x, CODE_conf_value,
			"%s \"%.64s\": unknown type \"%.64s\"", given->kind,
			given->name, type);
	if (!all.failed && all.n > 0)
		err_hint(x, "Built in are: %.*s.", SLICE_ARG(all));
	buf_fini(&all);
}

static const char *source_type_at(size_t i)
{
	return conf_source_at(i) ? conf_source_at(i)->type : NULL;
}

static const char *sink_type_at(size_t i)
{
	return conf_sink_at(i) ? conf_sink_at(i)->type : NULL;
}

/* What sort of source, sink or log it is; true when its options are known. */
static bool find_type(struct conf_errors *errors, enum conf_kind kind,
		      struct conf_section *section, size_t *size)
{
	const char *type = "log";

	if (kind == CONF_LOG) {
		section->source = conf_source_type(type);
		section->sink = conf_sink_type(type);
		section->opts = log_opts;
		*size = sizeof(struct log_conf);
		return true;
	}
	type = type_of(errors, section->given);
	if (type == NULL)
		return false;
	if (kind == CONF_SOURCE && strcmp(type, "log") != 0)
		section->source = conf_source_type(type);
	if (kind == CONF_SINK && strcmp(type, "log") != 0)
		section->sink = conf_sink_type(type);
	if (section->source != NULL) {
		section->opts = section->source->opts;
		*size = section->source->conf_size;
	} else if (section->sink != NULL) {
		section->opts = section->sink->opts;
		*size = section->sink->conf_size;
	} else {
		fail_type(errors, section->given, type,
			  kind == CONF_SOURCE ? source_type_at : sink_type_at);
	}
	return section->opts != NULL;
}

static int add_section(struct conf *c, enum conf_kind kind,
		       const struct scan_section *given)
{
	struct conf_section **at = kind == CONF_SOURCE ? &c->sources
				 : kind == CONF_SINK   ? &c->sinks
						       : &c->logs;
	struct conf_section *section =
		arena_new(&c->load->arena, struct conf_section);
	size_t size = 0;

	if (section == NULL)
		return -1;
	section->name = (char *)given->name;
	section->place = given->place;
	section->given = given;
	while (*at != NULL)
		at = &(*at)->next;
	*at = section;
	check_name(&c->load->errors, given);
	if (!find_type(&c->load->errors, kind, section, &size))
		return 0;
	section->values = arena_calloc(&c->load->arena, 1, size + 1);
	if (section->values == NULL)
		return -1;
	fill(&c->load->errors, kind, section->opts, section->values, given);
	return 0;
}

static int add_pipeline(struct conf *c, const struct scan_section *given)
{
	struct conf_pipeline **at = &c->pipelines;
	struct conf_pipeline *p =
		arena_new(&c->load->arena, struct conf_pipeline);

	if (p == NULL)
		return -1;
	p->name = (char *)given->name;
	p->place = given->place;
	p->given = given;
	while (*at != NULL)
		at = &(*at)->next;
	*at = p;
	check_name(&c->load->errors, given);
	fill(&c->load->errors, CONF_PIPELINE, pipeline_opts, p, given);
	return 0;
}

static void fail_kind(struct conf_errors *errors,
		      const struct scan_section *given)
{
	struct err *x = conf_fail(errors, &given->place);
	struct nearest near = NEAREST_INIT(given->kind);

	for (unsigned k = CONF_SOURCE; k < CONF_KINDS; k++)
		nearest_try(&near, conf_kind_names[k]);
	if (near.name != NULL)
		err_set(x, CODE_conf_value,
			"unknown section \"%.64s\"; did you mean \"%s\"?",
			given->kind, near.name);
	else
		err_set(x, CODE_conf_value, "unknown section \"%.64s\"",
			given->kind);
	err_hint(x, "Sections are source, sink, log and pipeline.");
}

/* -1 on lack of memory. */
static int add_all(struct conf *c)
{
	const struct scan_section *given = c->load->sections;
	int rc = 0;

	fill(&c->load->errors, CONF_TOP, conf_top_opts, c, &c->load->top);
	for (; given != NULL && rc == 0; given = given->next) {
		enum conf_kind kind = conf_kind_find(given->kind);

		if (given->is_duplicate)
			continue;
		if (kind == CONF_KINDS)
			fail_kind(&c->load->errors, given);
		else if (kind == CONF_PIPELINE)
			rc = add_pipeline(c, given);
		else
			rc = add_section(c, kind, given);
	}
	return rc;
}

static int list_names(struct conf *c)
{
	const struct conf_pipeline *p;
	size_t n = 0;

	for (p = c->pipelines; p != NULL; p = p->next)
		n++;
	c->names = arena_calloc(&c->load->arena, n + 1, sizeof(*c->names));
	n = 0;
	for (p = c->pipelines; c->names != NULL && p != NULL; p = p->next)
		c->names[n++] = p->name;
	return c->names ? 0 : -1;
}

/* --- the whole ------------------------------------------------------------ */

/* Secrets that stand in the conf itself work, but are pointed at. */
static void note_secret(const char *component, const struct opt *o,
			const char *text)
{
	struct buf ignored = BUF_INIT;
	bool is_clear;
	const char *hint;

	if (o->type == OPT_SECRET) {
		is_clear = secret_is_clear(text);
		hint = "Write file:PATH, env:NAME or credential:NAME instead.";
	} else {
		is_clear = secret_redact_conninfo(text, &ignored);
		hint = "Write it as an option of its own: password = \"file:PATH\".";
	}
	buf_fini(&ignored);
	if (is_clear)
		note(NOTE_WARNING, component, CODE_secret_in_clear,
		     NOTE_KV({"hint", hint}),
		     "option \"%s\" holds a secret in the clear", o->name);
}

static void note_secrets(const char *kind, const struct conf_section *section)
{
	char component[100];

	snprintf(component, sizeof(component), "%s \"%s\"", kind, section->name);
	for (const struct opt *o = section->opts; o->name != NULL; o++) {
		const char *const *text = (const void *)(
			(const char *)section->values + o->offset);

		if ((o->type == OPT_SECRET || (o->flags & OPT_CONNINFO)) &&
		    *text != NULL)
			note_secret(component, o, *text);
	}
}

static void note_all_secrets(const struct conf *c)
{
	const struct conf_section *section;

	for (section = c->sources; section != NULL; section = section->next)
		note_secrets("source", section);
	for (section = c->sinks; section != NULL; section = section->next)
		note_secrets("sink", section);
}

static struct conf *conf_new(const char *path)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->load = malloc(sizeof(*c->load));
	if (c->load == NULL) {
		free(c);
		return NULL;
	}
	conf_load_init(c->load);
	c->path = (char *)slice_dup(&c->load->arena, slice_of(path)).p;
	return c;
}

/* Goes on from what loading said; *takes* c. */
static struct conf *finish(struct conf *c, int loaded,
			   const struct conf_place *where, const struct err *e,
			   struct conf_error **errors)
{
	struct conf_errors *all = &c->load->errors;

	if (loaded != 0) {
		conf_errors_clear(all);
		*conf_fail(all, where) = *e;
	} else if (add_all(c) != 0 || list_names(c) != 0) {
		all->failed = true;
	} else {
		conf_check(c, all);
	}
	if (all->first == NULL && !all->failed && !c->load->arena.failed) {
		note_all_secrets(c);
		return c;
	}
	all->failed = true;
	*errors = conf_errors_take(all);
	conf_free(c);
	return NULL;
}

static struct conf *no_memory(struct conf_error **errors)
{
	struct conf_errors none = {.failed = true};

	*errors = conf_errors_take(&none);
	return NULL;
}

struct conf *conf_read(const char *path, struct conf_error **errors)
{
	struct conf *c = conf_new(path);
	struct conf_place where = {0};
	struct err e = ERR_INIT;

	*errors = NULL;
	if (c == NULL)
		return no_memory(errors);
	return finish(c, conf_load_file(c->load, path, &where, &e), &where, &e,
		      errors);
}

struct conf *conf_read_text(const char *name, struct slice text,
			    struct conf_error **errors)
{
	struct conf *c = conf_new(name);
	struct conf_place where = {0};
	struct err e = ERR_INIT;

	*errors = NULL;
	if (c == NULL)
		return no_memory(errors);
	return finish(c, conf_load_text(c->load, name, text, &where, &e),
		      &where, &e, errors);
}

static void free_sections(struct conf_section *section)
{
	for (; section != NULL; section = section->next)
		if (section->values != NULL)
			opt_free(section->opts, section->values);
}

void conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	free_sections(c->sources);
	free_sections(c->sinks);
	free_sections(c->logs);
	for (struct conf_pipeline *p = c->pipelines; p != NULL; p = p->next)
		opt_free(pipeline_opts, p);
	opt_free(conf_top_opts, c);
	conf_load_fini(c->load);
	free(c->load);
	free(c);
}

bool conf_is_first(const struct conf *c, const struct conf_pipeline *p)
{
	const struct conf_pipeline *first = c->pipelines;

	while (first != NULL && first->from != p->from)
		first = first->next;
	return first == p;
}

const struct conf_pipeline *conf_find_pipeline(const struct conf *c,
					       const char *name)
{
	const struct conf_pipeline *p = c->pipelines;

	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

const struct conf_section *conf_find_log(const struct conf *c, const char *name)
{
	const struct conf_section *section = c->logs;

	while (section != NULL && strcmp(section->name, name) != 0)
		section = section->next;
	return section;
}
