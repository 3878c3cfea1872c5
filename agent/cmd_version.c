#include "config.h"

#include "agent/cli.h"
#include "sinks/registry.h"
#include "sources/registry.h"

static const char *source_at(size_t i)
{
	return source_registry[i] ? source_registry[i]->type : NULL;
}

static const char *sink_at(size_t i)
{
	return sink_registry[i] ? sink_registry[i]->type : NULL;
}

static void put_text(struct buf *out, const char *what,
		     const char *(*type_at)(size_t i))
{
	buf_printf(out, "%s:", what);
	for (size_t i = 0; type_at(i) != NULL; i++)
		buf_printf(out, " %s", type_at(i));
	buf_u8(out, '\n');
}

static void put_json(struct buf *out, const char *what,
		     const char *(*type_at)(size_t i))
{
	buf_printf(out, ",\"%s\":[", what);
	for (size_t i = 0; type_at(i) != NULL; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", type_at(i));
	buf_u8(out, ']');
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct buf out = BUF_INIT;
	int rc;

	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "version takes no words");
	if (cli->flags & CLI_JSON) {
		buf_printf(&out, "{\"version\":\"%s\"", PACKAGE_VERSION);
		put_json(&out, "sources", source_at);
		put_json(&out, "sinks", sink_at);
		buf_text(&out, "}\n");
	} else {
		buf_printf(&out, "leat %s\n", PACKAGE_VERSION);
		put_text(&out, "sources", source_at);
		put_text(&out, "sinks", sink_at);
	}
	rc = cli_put(&out);
	buf_fini(&out);
	return rc;
}

const struct command command_version = {
	.name = "version",
	.options = CLI_JSON,
	.synopsis = "[--json]",
	.summary = "Prints the version and what was built in",
	.run = run,
};
