/* conf_check.c: pipelines and what they name; leat.conf(5), "Pipelines". */
#include "config.h"
#include "agent/conf_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "agent/conf_load.h"
#include "agent/evolve.h"
#include "base/nearest.h"

static const struct conf_section *find(const struct conf_section *list,
				       const char *name)
{
	while (list != NULL && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

static bool is_log(const struct conf *c, const struct conf_section *section)
{
	const struct conf_section *log = c->logs;

	while (log != NULL && log != section)
		log = log->next;
	return log != NULL;
}

/* --- names ---------------------------------------------------------------- */

/* A pipeline could not tell them apart. */
static void check_log_names(const struct conf *c, struct conf_errors *errors)
{
	const struct conf_section *other;

	for (const struct conf_section *log = c->logs; log; log = log->next) {
		const char *kind = "source";
		struct err *x;

		other = find(c->sources, log->name);
		if (other == NULL) {
			kind = "sink";
			other = find(c->sinks, log->name);
		}
		if (other == NULL)
			continue;
		x = conf_fail(errors, &log->place);
		err_set(x, CODE_conf_value,
			"log \"%.64s\" has the name of a %s", log->name, kind);
		err_detail(x, "The %s is at %.300s:%u:%u.", kind,
			   other->place.file, other->place.line,
			   other->place.col);
	}
}

/* Behind slashes and single dots that lead nowhere else. */
static const char *skip_empty(const char *p)
{
	for (; p[0] == '/'; p += p[1] == '.' ? 2 : 1)
		if (p[1] != '/' && p[1] != '\0' &&
		    (p[1] != '.' || (p[2] != '/' && p[2] != '\0')))
			break;
	return p;
}

static bool is_same_path(const char *a, const char *b)
{
	for (;; a++, b++) {
		a = skip_empty(a);
		b = skip_empty(b);
		if (*a != *b || *a == '\0')
			return *a == *b;
	}
}

static void check_log_paths(const struct conf *c, struct conf_errors *errors)
{
	for (const struct conf_section *a = c->logs; a != NULL; a = a->next) {
		const struct log_conf *one = a->values;
		const struct conf_section *b = c->logs;

		for (; b != a; b = b->next) {
			const struct log_conf *two = b->values;

			if (one->path == NULL || two->path == NULL ||
			    !is_same_path(one->path, two->path))
				continue;
			err_set(conf_fail(errors, &a->place), CODE_conf_value,
				"log \"%.64s\" has the path of log \"%.64s\"",
				a->name, b->name);
		}
	}
}

/* --- one pipeline ------------------------------------------------------------ */

static const struct conf_place *place_of(const struct conf_pipeline *p,
					 const char *option)
{
	const struct scan_option *o = scan_find(p->given, option);

	return o ? &o->place : &p->place;
}

static void try_all(struct nearest *near, const struct conf_section *list)
{
	for (; list != NULL; list = list->next)
		nearest_try(near, list->name);
}

/* role is "source" or "sink"; others has those of the other role. */
static const struct conf_section *
resolve(const struct conf *c, struct conf_errors *errors,
	const struct conf_pipeline *p, const char *role, const char *name,
	const struct conf_section *list, const struct conf_section *others)
{
	const struct conf_section *found;
	struct nearest near;
	struct err *x;

	if (name == NULL)
		return NULL;
	found = find(list, name);
	if (found == NULL)
		found = find(c->logs, name);
	if (found != NULL)
		return found;
	x = conf_fail(errors, place_of(p, role));
	near = NEAREST_INIT(name);
	try_all(&near, list);
	try_all(&near, c->logs);
	if (find(others, name) != NULL)
		err_set(x, CODE_conf_value,
			"pipeline \"%.64s\": \"%.64s\" is no %s", p->name, name,
			role);
	else if (near.name != NULL)
		err_set(x, CODE_conf_value,
			"pipeline \"%.64s\": unknown %s \"%.64s\"; did you mean \"%.64s\"?",
			p->name, role, name, near.name);
	else
		err_set(x, CODE_conf_value,
			"pipeline \"%.64s\": unknown %s \"%.64s\"", p->name,
			role, name);
	return NULL;
}

static void check_initial(const struct conf_pipeline *p,
			  struct conf_errors *errors)
{
	struct err *x;

	if (p->from->source == NULL ||
	    !(p->from->source->caps & SOURCE_NEEDS_INITIAL) ||
	    scan_find(p->given, "initial") != NULL)
		return;
	x = conf_fail(errors, &p->place);
	err_set(x, CODE_conf_value,
		"pipeline \"%.64s\": option \"initial\" is missing", p->name);
	err_detail(x, "It says what is done with the rows that are there at the first start.");
	err_hint(x, "Write initial = stream_only: only changes from then on.");
}

static void check_start(const struct conf *c, const struct conf_pipeline *p,
			struct conf_errors *errors)
{
	struct err e = ERR_INIT;
	struct log_start start;

	if (p->start == NULL)
		return;
	if (!is_log(c, p->from))
		err_set(&e, CODE_conf_value,
			"option \"start\" is only for a log as source");
	else if (log_start_parse(slice_of(p->start), &start, &e) == 0)
		return;
	else
		err_wrap(&e, "option \"start\"");
	e.code = CODE_conf_value;
	err_wrap(&e, "pipeline \"%.64s\"", p->name);
	*conf_fail(errors, place_of(p, "start")) = e;
}

/* --- pipelines among each other ------------------------------------------------ */

/* The pipeline that writes the log; the first when there are more. */
static const struct conf_pipeline *writer_of(const struct conf *c,
					     const struct conf_section *log)
{
	const struct conf_pipeline *p = c->pipelines;

	while (p != NULL && p->to != log)
		p = p->next;
	return p;
}

static void check_writers(const struct conf *c, const struct conf_pipeline *p,
			  struct conf_errors *errors)
{
	const struct conf_pipeline *first;
	struct err *x;

	if (p->to == NULL || !is_log(c, p->to))
		return;
	first = writer_of(c, p->to);
	if (first == p)
		return;
	x = conf_fail(errors, place_of(p, "sink"));
	err_set(x, CODE_conf_value,
		"pipeline \"%.64s\": log \"%.64s\" is written by pipeline \"%.64s\" already",
		p->name, p->to->name, first->name);
	err_hint(x, "A log has one writer; give each pipeline a log of its own.");
}

/* Follows the logs upstream: does what p writes come back to it? */
static void check_circle(const struct conf *c, const struct conf_pipeline *p,
			 struct conf_errors *errors)
{
	const struct conf_pipeline *up = p, *limit = c->pipelines;

	if (p->to == NULL || !is_log(c, p->to))
		return;
	/* a circle that p is not part of ends with the list */
	for (; up != NULL && limit != NULL; limit = limit->next) {
		if (up->from == p->to)
			break;
		up = up->from ? writer_of(c, up->from) : NULL;
	}
	if (up == p)
		err_set(conf_fail(errors, place_of(p, "sink")), CODE_conf_value,
			"pipeline \"%.64s\" reads the log that it writes",
			p->name);
	else if (up != NULL && limit != NULL)
		err_set(conf_fail(errors, place_of(p, "sink")), CODE_conf_value,
			"pipeline \"%.64s\" writes log \"%.64s\", which comes back to it through pipeline \"%.64s\"",
			p->name, p->to->name, up->name);
}

/* --- the top level --------------------------------------------------------------- */

static void set_socket(struct conf *c, struct conf_errors *errors)
{
	const struct scan_option *o =
		scan_find(&c->load->top, "control_socket");
	struct conf_place nowhere = {0};
	struct buf path = BUF_INIT;
	size_t limit = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	struct err *x;

	if (c->control_socket == NULL || c->control_socket[0] == '\0') {
		buf_printf(&path, "%s/leat.sock", c->state_dir);
		free(c->control_socket);
		c->control_socket =
			path.failed ? NULL : strndup(path.p, path.n);
		buf_fini(&path);
		o = scan_find(&c->load->top, "state_dir");
	}
	if (c->control_socket == NULL) {
		errors->failed = true;
		return;
	}
	if (strlen(c->control_socket) <= limit)
		return;
	x = conf_fail(errors, o ? &o->place : &nowhere);
	err_set(x, CODE_conf_value,
		"path of the control socket is longer than %zu bytes: \"%.300s\"",
		limit, c->control_socket);
	err_hint(x, "Set control_socket to a shorter path.");
}

static void check_evolve(const struct conf_pipeline *p,
			 struct conf_errors *errors)
{
	struct err why = ERR_INIT;

	if (evolve_check(&p->on_schema_change, &why) == 0)
		return;
	err_wrap(&why, "pipeline \"%.64s\"", p->name);
	*conf_fail(errors, place_of(p, "on_schema_change")) = why;
}

void conf_check(struct conf *c, struct conf_errors *errors)
{
	if (c->state_dir != NULL)
		set_socket(c, errors);
	check_log_names(c, errors);
	check_log_paths(c, errors);
	for (struct conf_pipeline *p = c->pipelines; p != NULL; p = p->next) {
		p->from = resolve(c, errors, p, "source", p->source, c->sources,
				  c->sinks);
		p->to = resolve(c, errors, p, "sink", p->sink, c->sinks,
				c->sources);
		check_evolve(p, errors);
		if (p->from == NULL)
			continue;
		check_initial(p, errors);
		check_start(c, p, errors);
	}
	for (struct conf_pipeline *p = c->pipelines; p != NULL; p = p->next) {
		check_writers(c, p, errors);
		check_circle(c, p, errors);
	}
}
