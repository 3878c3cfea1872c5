/* nearest.c: the distance is the number of letters added, dropped, changed or
 * swapped with their neighbour (optimal string alignment), upper and lower case
 * being the same.  Names of more than LONGEST letters are like nothing. */
#include "config.h"
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"

enum { LONGEST = 63 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned rows[3][LONGEST + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		spare = before;
		before = above;
		above = row;
		row = spare;
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = above[j - 1] + !same(a[i - 1], b[j - 1]);
			row[j] = least(row[j], above[j] + 1);
			row[j] = least(row[j], row[j - 1] + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
			    same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return row[m];
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t have = strlen(n->wanted), with = strlen(candidate);
	unsigned d;

	if (have == 0 || have > LONGEST || with > LONGEST)
		return;
	d = distance(n->wanted, have, candidate, with);
	/* at most a third of the letters may differ, in a short name one */
	if (d > (with < 6 ? 1 : with / 3) || d >= with)
		return;
	if (n->name == NULL || d < n->distance) {
		n->name = candidate;
		n->distance = d;
	}
}
