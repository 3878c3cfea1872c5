#include "config.h"

#include <stdio.h>

#include "agent/cli.h"
#include "sinks/registry.h"
#include "sources/registry.h"

static int run(struct cli *cli, int argc, char **argv)
{
	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "version takes no words");
	printf("leat %s\nsources:", PACKAGE_VERSION);
	for (size_t i = 0; source_registry[i] != NULL; i++)
		printf(" %s", source_registry[i]->type);
	printf("\nsinks:");
	for (size_t i = 0; sink_registry[i] != NULL; i++)
		printf(" %s", sink_registry[i]->type);
	printf("\n");
	return 0;
}

const struct command command_version = {
	.name = "version",
	.synopsis = "",
	.summary = "Prints the version and what was built in",
	.run = run,
};
