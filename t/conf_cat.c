/* conf_cat.c: the effective conf of a file to stdout (exit 0), or its errors to
 * stderr (3).  What is printed must read and print as the same (4).  Files are
 * read one after the other in one process, as reloads do. */
#include "config.h"

#include <stdio.h>

#include "agent/conf.h"

static int cat(const char *name, const struct slice *text, struct buf *out)
{
	struct conf_error *errors = NULL;
	struct conf *c = text ? conf_read_text(name, *text, &errors)
			      : conf_read(name, &errors);

	if (c == NULL) {
		conf_errors_put(errors, out);
		conf_errors_free(errors);
		return 3;
	}
	conf_print(c, out);
	conf_free(c);
	return 0;
}

static int show(const char *path, struct buf *out)
{
	struct buf again = BUF_INIT;
	struct slice printed;
	int rc = cat(path, NULL, out);

	if (rc == 0) {
		printed = buf_get(out);
		if (cat("printed", &printed, &again) != 0 ||
		    !slice_eq(printed, buf_get(&again))) {
			fprintf(stderr, "%.*s", SLICE_ARG(again));
			rc = 4;
		}
	}
	buf_fini(&again);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = 2;

	for (int i = 1; i < argc; i++) {
		struct buf out = BUF_INIT;

		rc = show(argv[i], &out);
		fprintf(rc == 3 ? stderr : stdout, "%.*s", SLICE_ARG(out));
		buf_fini(&out);
	}
	return rc;
}
