#include "config.h"
#include "agent/orphans.h"

#include <stdio.h>

#include "agent/state.h"
#include "log/readers.h"

struct search {
	const struct conf *conf;
	void (*fn)(void *arg, const char *where, const char *name,
		   const char *what, const char *hint);
	void *arg;
	const struct conf_section *log; /* whose readers are looked at */
};

static void see_state(void *arg, const char *name)
{
	const struct search *s = arg;
	char what[200];

	if (conf_find_pipeline(s->conf, name) != NULL)
		return;
	snprintf(what, sizeof(what),
		 "state of pipeline \"%.100s\" exists, but the conf has no such pipeline",
		 name);
	s->fn(s->arg, "state_dir", name, what,
	      "put it back into the conf, or run `leat drop` with it there");
}

static int see_reader(void *arg, const char *name, struct slice cursor)
{
	const struct search *s = arg;
	const char *dir = ((const struct log_conf *)s->log->values)->path;
	char where[80], what[256], hint[256];

	(void)cursor;
	if (conf_find_pipeline(s->conf, name) != NULL || reader_is_held(dir, name))
		return 0;
	snprintf(where, sizeof(where), "log \"%s\"", s->log->name);
	snprintf(what, sizeof(what),
		 "reader \"%.100s\" is no pipeline of this conf and does not run, and the log is kept for it",
		 name);
	snprintf(hint, sizeof(hint),
		 "if no other agent has it, remove readers/%.100s below the log's path",
		 name);
	s->fn(s->arg, where, name, what, hint);
	return 0;
}

static bool is_written(const struct conf *c, const struct conf_section *log)
{
	for (const struct conf_pipeline *p = c->pipelines; p; p = p->next)
		if (p->to == log)
			return true;
	return false;
}

void orphans_each(const struct conf *c,
		  void (*fn)(void *arg, const char *where, const char *name,
			     const char *what, const char *hint),
		  void *arg)
{
	struct search s = {.conf = c, .fn = fn, .arg = arg};

	state_each_pipeline(c->state_dir, see_state, &s);
	for (s.log = c->logs; s.log != NULL; s.log = s.log->next) {
		const struct log_conf *lc = s.log->values;
		struct err ignored = ERR_INIT;

		if (lc->retention_age > 0 && is_written(c, s.log))
			(void)!readers_each(lc->path, see_reader, &s, &ignored);
	}
}
