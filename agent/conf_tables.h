/* conf_tables.h: the kinds of sections and the option tables that go with them. */
#ifndef LEAT_AGENT_CONF_TABLES_H
#define LEAT_AGENT_CONF_TABLES_H

#include "agent/conf.h"

enum conf_kind {
	CONF_TOP, /* outside of sections; its name is "" */
	CONF_SOURCE,
	CONF_SINK,
	CONF_LOG,
	CONF_PIPELINE,
	CONF_KINDS,
};

extern const char *const conf_kind_names[]; /* ends in NULL */

/* CONF_KINDS when there is none of that name. */
enum conf_kind conf_kind_find(const char *name);
/* The i-th table that options of such a section may come from (for a source or
 * sink of any type: `type` itself is table 0), or NULL. */
const struct opt *conf_table(enum conf_kind kind, size_t i);
/* Does any of them have it? */
bool conf_is_known(enum conf_kind kind, const char *name);

/* The i-th of those that were built in, or NULL. */
const struct source_ops *conf_source_at(size_t i);
const struct sink_ops *conf_sink_at(size_t i);
/* NULL when that type was not built in. */
const struct source_ops *conf_source_type(const char *type);
const struct sink_ops *conf_sink_type(const char *type);

#endif
