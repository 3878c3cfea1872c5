/* conf_modules.c: sources, sinks and a log that have options and nothing else,
 * linked instead of the real registries: so that tests of the conf do not change
 * with every option of a plug-in. */
#include "config.h"

#include "log/log.h"
#include "sinks/registry.h"
#include "sources/registry.h"

struct database {
	char *conninfo, *password;
	struct opt_list tables, exclude;
	int catchup;
	int64_t port, ratio;
};

static const char *const catchups[] = {"auto", "off", NULL};

#define DATABASE(field) .offset = offsetof(struct database, field)

static const struct opt database_opts[] = {
	{.name = "conninfo", .type = OPT_TEXT, DATABASE(conninfo),
	 .flags = OPT_REQUIRED | OPT_CONNINFO},
	{.name = "password", .type = OPT_SECRET, DATABASE(password)},
	{.name = "tables", .type = OPT_LIST, DATABASE(tables),
	 .flags = OPT_PATTERN, .dflt = "{ \"public.*\" }"},
	{.name = "exclude_tables", .type = OPT_LIST, DATABASE(exclude)},
	{.name = "catchup", .type = OPT_CHOICE, DATABASE(catchup),
	 .dflt = "auto", .choices = catchups},
	{.name = "port", .type = OPT_INT, DATABASE(port), .dflt = "5432",
	 .min = 1, .max = 65535},
	{.name = "ratio", .type = OPT_INT, DATABASE(ratio), .dflt = "0",
	 .min = -10, .max = 10},
	OPT_END,
};

struct file {
	char *path;
	int64_t size, wait;
	bool sync;
};

#define FILE_AT(field) .offset = offsetof(struct file, field)

static const struct opt file_opts[] = {
	{.name = "path", .type = OPT_TEXT, FILE_AT(path),
	 .flags = OPT_REQUIRED},
	{.name = "size", .type = OPT_SIZE, FILE_AT(size), .dflt = "64KiB",
	 .min = 4096, .max = INT64_C(1) << 40},
	{.name = "wait", .type = OPT_TIME, FILE_AT(wait), .dflt = "10s"},
	{.name = "sync", .type = OPT_BOOL, FILE_AT(sync), .dflt = "yes"},
	OPT_END,
};

#define LOG(field) .offset = offsetof(struct log_conf, field)

const struct opt log_opts[] = {
	{.name = "path", .type = OPT_TEXT, LOG(path),
	 .flags = OPT_REQUIRED | OPT_PATH},
	{.name = "retention_age", .type = OPT_TIME, LOG(retention_age),
	 .dflt = "0"},
	{.name = "retention_size", .type = OPT_SIZE, LOG(retention_size),
	 .dflt = "0"},
	OPT_END,
};

static const struct source_ops database_source = {
	.type = "database",
	.caps = SOURCE_NEEDS_INITIAL,
	.opts = database_opts,
	.conf_size = sizeof(struct database),
};

static const struct source_ops log_source = {
	.type = "log",
	.opts = log_opts,
	.conf_size = sizeof(struct log_conf),
};

static const struct opt no_opts[] = {OPT_END};

static const struct sink_ops file_sink = {
	.type = "file",
	.opts = file_opts,
	.conf_size = sizeof(struct file),
};

static const struct sink_ops hole_sink = {.type = "hole", .opts = no_opts};

static const struct sink_ops log_sink = {
	.type = "log",
	.opts = log_opts,
	.conf_size = sizeof(struct log_conf),
};

const struct source_ops *const source_registry[] = {
	&database_source,
	&log_source,
	NULL,
};

const struct sink_ops *const sink_registry[] = {
	&file_sink,
	&hole_sink,
	&log_sink,
	NULL,
};
