#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/cli.h"

/* A file that is opened later must not become standard output or error: what is
 * printed would go into it.  Of these, writing fails. */
static void fill_gaps(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			abort();
}

int main(int argc, char **argv)
{
	fill_gaps();
	return cli_main(argc, argv);
}
