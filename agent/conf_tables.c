/* conf_tables.c: the agent's own options, and the way to those of the plug-ins;
 * leat.conf(5). */
#include "config.h"
#include "agent/conf_tables.h"

#include <string.h>

#include "base/note.h"
#include "sinks/registry.h"
#include "sources/registry.h"

const char *const conf_kind_names[] = {
	"", "source", "sink", "log", "pipeline", NULL,
};

static const char *const log_levels[] = {
	[NOTE_DEBUG] = "debug",
	[NOTE_INFO] = "info",
	[NOTE_WARNING] = "warning",
	[NOTE_ERROR] = "error",
	[NOTE_ERROR + 1] = NULL,
};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const initials[] = {
	[INITIAL_STREAM_ONLY] = "stream_only",
	[INITIAL_STREAM_ONLY + 1] = NULL,
};
static const char *const on_rejects[] = {
	[ON_REJECT_BLOCK] = "block",
	[ON_REJECT_DEAD_LETTER] = "dead_letter",
	[ON_REJECT_SKIP] = "skip",
	[ON_REJECT_SKIP + 1] = NULL,
};

#define TOP(field) .offset = offsetof(struct conf, field)

const struct opt conf_top_opts[] = {
	{.name = "state_dir", .type = OPT_TEXT, .flags = OPT_PATH, TOP(state_dir),
	 .dflt = LOCALSTATEDIR "/lib/leat",
	 .help = "Directory of the pipelines' state."},
	{.name = "log_level", .type = OPT_CHOICE, TOP(log_level),
	 .flags = OPT_RELOADABLE, .dflt = "info", .choices = log_levels,
	 .help = "Least level of the lines that the agent writes to stderr."},
	{.name = "log_format", .type = OPT_CHOICE, TOP(log_format),
	 .flags = OPT_RELOADABLE, .dflt = "text", .choices = log_formats,
	 .help = "Form of these lines."},
	{.name = "control_socket", .type = OPT_TEXT, TOP(control_socket),
	 .help = "Path of the control socket."},
	OPT_END,
};

#define PIPELINE(field) .offset = offsetof(struct conf_pipeline, field)

const struct opt pipeline_opts[] = {
	{.name = "source", .type = OPT_TEXT, PIPELINE(source),
	 .flags = OPT_REQUIRED,
	 .help = "Name of the source or log that is read."},
	{.name = "sink", .type = OPT_TEXT, PIPELINE(sink),
	 .flags = OPT_REQUIRED,
	 .help = "Name of the sink or log that is written."},
	{.name = "initial", .type = OPT_CHOICE, PIPELINE(initial),
	 .choices = initials,
	 .help = "What is done with the rows that are there at the first start."},
	{.name = "start", .type = OPT_TEXT, PIPELINE(start),
	 .help = "Where in a log the first start begins."},
	{.name = "on_reject", .type = OPT_CHOICE, PIPELINE(on_reject),
	 .dflt = "block", .choices = on_rejects,
	 .help = "What is done with an event that the sink can never take."},
	{.name = "dead_letter_max", .type = OPT_INT, PIPELINE(dead_letter_max),
	 .dflt = "10000", .min = 1, .max = 1000000,
	 .help = "How many dead letters are kept before the pipeline stops."},
	{.name = "dead_letter_size", .type = OPT_SIZE, PIPELINE(dead_letter_size),
	 .dflt = "1GiB", .min = 1024 * 1024, .max = -1,
	 .help = "How many bytes they may have before the pipeline stops."},
	{.name = "on_schema_change", .type = OPT_LIST,
	 PIPELINE(on_schema_change),
	 .help = "What is done when a table changes its shape, by kind of change."},
	{.name = "queue_size", .type = OPT_SIZE, PIPELINE(queue_size),
	 .dflt = "8MiB", .min = 1024 * 1024,
	 .help = "Limit of the batches in memory, and so of a commit."},
	{.name = "commit_interval", .type = OPT_TIME, PIPELINE(commit_interval),
	 .flags = OPT_RELOADABLE, .dflt = "0",
	 .help = "How long events may be gathered into one commit."},
	{.name = "exit_on_stop", .type = OPT_BOOL, PIPELINE(exit_on_stop),
	 .flags = OPT_RELOADABLE, .dflt = "no",
	 .help = "Whether the agent ends when the pipeline stops on an error."},
	{.name = "give_up_after", .type = OPT_TIME, PIPELINE(give_up_after),
	 .flags = OPT_RELOADABLE, .dflt = "0",
	 .help = "How long attempts may fail before the pipeline stops."},
	OPT_END,
};

static const struct opt type_opts[] = {
	{.name = "type", .type = OPT_TEXT, .flags = OPT_REQUIRED,
	 .help = "Kind of system; says which options follow."},
	OPT_END,
};

enum conf_kind conf_kind_find(const char *name)
{
	unsigned i = CONF_SOURCE;

	while (i < CONF_KINDS && strcmp(conf_kind_names[i], name) != 0)
		i++;
	return (enum conf_kind)i;
}

const struct opt *conf_table(enum conf_kind kind, size_t i)
{
	switch (kind) {
	case CONF_SOURCE:
		if (i == 0)
			return type_opts;
		return source_registry[i - 1] ? source_registry[i - 1]->opts
					      : NULL;
	case CONF_SINK:
		if (i == 0)
			return type_opts;
		return sink_registry[i - 1] ? sink_registry[i - 1]->opts : NULL;
	case CONF_LOG:
		return i == 0 ? log_opts : NULL;
	case CONF_PIPELINE:
		return i == 0 ? pipeline_opts : NULL;
	default:
		return i == 0 ? conf_top_opts : NULL;
	}
}

bool conf_is_known(enum conf_kind kind, const char *name)
{
	const struct opt *table;

	for (size_t i = 0; (table = conf_table(kind, i)) != NULL; i++)
		if (opt_find(table, name) != NULL)
			return true;
	return false;
}

const struct source_ops *conf_source_at(size_t i)
{
	return source_registry[i];
}

const struct sink_ops *conf_sink_at(size_t i)
{
	return sink_registry[i];
}

const struct source_ops *conf_source_type(const char *type)
{
	size_t i = 0;

	while (source_registry[i] != NULL &&
	       strcmp(source_registry[i]->type, type) != 0)
		i++;
	return source_registry[i];
}

const struct sink_ops *conf_sink_type(const char *type)
{
	size_t i = 0;

	while (sink_registry[i] != NULL &&
	       strcmp(sink_registry[i]->type, type) != 0)
		i++;
	return sink_registry[i];
}
