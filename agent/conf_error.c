/* conf_error.c: a list kept in the order of the text.
 *
 * An error owns the name of its file, because it outlives the conf that could
 * not be made. */
#include "config.h"
#include "agent/conf_error.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* With more than that, what is wrong is not the single line. */
enum { ERRORS_LIMIT = 1000 };

static struct conf_error no_memory = {
	.err = {.code = CODE_no_memory, .msg = "out of memory"},
};

static bool is_behind(const struct conf_place *a, const struct conf_place *b)
{
	if (a->nth != b->nth)
		return a->nth > b->nth;
	return a->line != b->line ? a->line > b->line : a->col > b->col;
}

static struct conf_error *error_new(const struct conf_place *place)
{
	const char *file = place->file ? place->file : "";
	size_t n = strlen(file) + 1;
	struct conf_error *x = calloc(1, sizeof(*x) + n);

	if (x == NULL)
		return NULL;
	memcpy(x->file, file, n);
	x->place = *place;
	x->place.file = x->file;
	return x;
}

struct err *conf_fail(struct conf_errors *all, const struct conf_place *place)
{
	struct conf_place last = {.nth = UINT_MAX};
	struct conf_error **at = &all->first, *x = NULL;

	all->spare = ERR_INIT;
	if (all->n > ERRORS_LIMIT)
		return &all->spare;
	if (++all->n > ERRORS_LIMIT)
		place = &last;
	x = error_new(place);
	if (x == NULL) {
		all->failed = true;
		return &all->spare;
	}
	while (*at != NULL && !is_behind(&(*at)->place, place))
		at = &(*at)->next;
	x->next = *at;
	*at = x;
	if (all->n <= ERRORS_LIMIT)
		return &x->err;
	err_set(&x->err, CODE_conf_value, "too many errors, the rest is not shown");
	return &all->spare;
}

void conf_errors_clear(struct conf_errors *all)
{
	conf_errors_free(all->first);
	*all = (struct conf_errors){.failed = all->failed};
}

struct conf_error *conf_errors_take(struct conf_errors *all)
{
	struct conf_error *first = all->first;

	if (first == NULL && all->failed)
		first = &no_memory;
	*all = (struct conf_errors){0};
	return first;
}

void conf_errors_free(struct conf_error *errors)
{
	while (errors != NULL && errors != &no_memory) {
		struct conf_error *next = errors->next;

		free(errors);
		errors = next;
	}
}

void conf_errors_put(const struct conf_error *errors, struct buf *out)
{
	for (; errors != NULL; errors = errors->next) {
		if (errors->place.line == 0)
			buf_text(out, "leat: ");
		else
			buf_printf(out, "%s:%u:%u: ", errors->place.file,
				   errors->place.line, errors->place.col);
		buf_printf(out, "%s\n", errors->err.msg);
		if (errors->err.detail[0] != '\0')
			buf_printf(out, "detail: %s\n", errors->err.detail);
		if (errors->err.hint[0] != '\0')
			buf_printf(out, "hint: %s\n", errors->err.hint);
	}
}
