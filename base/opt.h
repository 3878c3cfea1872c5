/* opt.h: option tables.
 *
 * A module describes what it can be told in one table; the table types the
 * text of the conf, gives defaults, checks ranges, prints the effective conf,
 * hides secrets, and is compared with the manual by a test.  Values land in a
 * struct of the module's own (its "conf struct") at `offset`.
 *
 *	OPT_TEXT    char *            owned; NULL when not given and no default
 *	OPT_LIST    struct opt_list   owned texts
 *	OPT_BOOL    bool              yes no true false on off
 *	OPT_INT     int64_t
 *	OPT_SIZE    int64_t           bytes: 64KiB 1MiB 2GiB 10MB 512
 *	OPT_TIME    int64_t           milliseconds: 250ms 10s 5m 2h 7d; never more
 *	                              than 100 years, so that sums of times are safe
 *	OPT_CHOICE  int               index into `choices`, which ends in NULL
 *	OPT_SECRET  char *            the reference (file:, env:, credential:) or,
 *	                              with a warning, the secret itself; resolved
 *	                              at each connect by secret_read()
 */
#ifndef LEAT_BASE_OPT_H
#define LEAT_BASE_OPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

enum opt_type {
	OPT_TEXT,
	OPT_LIST,
	OPT_BOOL,
	OPT_INT,
	OPT_SIZE,
	OPT_TIME,
	OPT_CHOICE,
	OPT_SECRET,
};

enum {
	OPT_REQUIRED = 1,
	OPT_RELOADABLE = 2,
	OPT_CONNINFO = 4, /* OPT_TEXT: a libpq string, printed with password=***;
			     refused where libpq would take a part of a
			     password for something else, and say it */
	OPT_PATTERN = 8,  /* OPT_LIST: names of tables (base/pattern.h) */
	OPT_PATH = 16,	  /* OPT_TEXT: not empty */
};

struct opt {
	const char *name;
	enum opt_type type;
	unsigned flags;
	const char *dflt; /* as it would stand in the conf; NULL: none.  An
			     OPT_CHOICE without one begins as -1, an OPT_LIST's
			     may be one bare text or { "a", "b" } */
	int64_t min, max; /* OPT_INT, OPT_SIZE, OPT_TIME; both 0: any >= 0;
			     a max below min: no limit */
	const char *const *choices;
	size_t offset;
	const char *help; /* one sentence */
};

struct opt_list {
	char **v;
	size_t n;
};

#define OPT_END {.name = NULL}

/* NULL when the table (ends with OPT_END) has none of that name. */
const struct opt *opt_find(const struct opt *opts, const char *name);
/* Of all names in the tables the one most like `name`, or NULL. */
const char *opt_nearest(const struct opt *const *tables, const char *name);

/* Sets one option of the conf struct from text (for OPT_LIST: from n texts).
 * The error names the option, what was given (never of a secret) and what would
 * be right; the struct is then as before. */
int opt_set(const struct opt *o, void *conf, const char *const *texts, size_t n,
	    struct err *e) MUST_CHECK;
/* Adds n texts to an OPT_LIST. */
int opt_append(const struct opt *o, void *conf, const char *const *texts,
	       size_t n, struct err *e) MUST_CHECK;
/* Defaults of all options into a cleared struct; those without one stay empty.
 * It fails on lack of memory, or on a table with a wrong default. */
int opt_defaults(const struct opt *opts, void *conf, struct err *e) MUST_CHECK;
/* Frees what the struct owns. */
void opt_free(const struct opt *opts, void *conf);
/* `name = value` lines in conf syntax, every option that has a value; secrets
 * given in the clear as "***". */
void opt_print(const struct opt *opts, const void *conf, int indent,
	       struct buf *out);

/* Sizes and times for people, in the syntax that is read. */
void opt_put_size(struct buf *b, int64_t bytes);
void opt_put_time(struct buf *b, int64_t ms);

#endif
