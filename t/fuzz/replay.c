/* replay.c: a fuzzer as a test, for compilers without libFuzzer.
 *
 * Feeds every file of the corpus (t/fuzz/corpus/NAME) to the fuzzer, whole and
 * cut short at every length up to 128 and a few above, then with each of the
 * first 256 bytes changed.  Passing means that nothing crashed; the sanitizers'
 * builds make that say more. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* An exact copy, so that AddressSanitizer sees a read past the end. */
static void feed(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void feed_variants(uint8_t *p, size_t n)
{
	static const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff};

	feed(p, n);
	for (size_t i = 0; i < n && i < 128; i++)
		feed(p, i);
	for (size_t i = n; i > 128; i /= 2)
		feed(p, i - 1);
	for (size_t i = 0; i < n && i < 256; i++) {
		uint8_t was = p[i];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			p[i] = bytes[k];
			feed(p, n);
		}
		p[i] = was;
	}
}

static void replay(const char *path, const char *name)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(1 << 20);
	size_t n;

	if (f == NULL || p == NULL)
		abort();
	n = fread(p, 1, 1 << 20, f);
	fclose(f);
	feed_variants(p, n);
	free(p);
	ok(true, "%s and its variants are survived", name);
}

int main(int argc, char **argv)
{
	const char *top = getenv("LEAT_SRCDIR");
	const char *name = strrchr(argv[0], '/');
	char dir[4096], path[8192];
	struct dirent *d;
	DIR *corpus;
	int len;

	name = name != NULL ? name + 1 : argv[0];
	len = (int)strcspn(name, ".");
	snprintf(dir, sizeof(dir), "%s/t/fuzz/corpus/%.*s",
		 top != NULL ? top : ".", len, name);
	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	corpus = opendir(dir);
	if (!ok(corpus != NULL, "the corpus %s is there", dir))
		return tap_done();
	while ((d = readdir(corpus)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		replay(path, d->d_name);
	}
	closedir(corpus);
	ok(tap_run > 1, "the corpus has something in it");
	return tap_done();
}
