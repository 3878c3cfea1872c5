/* power_cut TREE BASE JOURNAL SEED: t/power.h for the tests in Perl. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "t/power.h"

int main(int argc, char **argv)
{
	struct power_result r;

	if (argc != 5)
		return 2;
	r = power_cut(argv[1], argv[2], argv[3], strtoull(argv[4], NULL, 10));
	printf("%u %u %u\n", r.files, r.operations, r.lost);
	fflush(stdout);
	_exit(0);
}
