/* Conf files.  What the scan takes, libConfuse must read in the same way; a conf
 * that is printed must read and print as the same. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>

#include "agent/conf.h"
#include "base/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* False when the text is no conf. */
static bool print(struct slice text, struct buf *out)
{
	struct conf_error *errors = NULL;
	struct conf *c = conf_read_text("fuzz.conf", text, &errors);

	if (c != NULL) {
		conf_print(c, out);
		conf_free(c);
		return true;
	}
	if (errors == NULL)
		abort();
	for (const struct conf_error *x = errors; x != NULL; x = x->next)
		if (x->err.code == CODE_internal || x->err.msg[0] == '\0')
			abort();
	conf_errors_put(errors, out);
	conf_errors_free(errors);
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;

	note_setup(NOTE_ERROR, false);
	if (print((struct slice){(const char *)p, n}, &once) &&
	    (!print(buf_get(&once), &twice) ||
	     !slice_eq(buf_get(&once), buf_get(&twice))))
		abort();
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
