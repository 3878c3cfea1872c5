#include "config.h"
#include "sources/my_statement.h"

#include <strings.h>

#include "base/util.h"

enum token { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_OTHER };

struct lexer {
	const char *p, *end;
	enum token kind;
	struct slice text; /* of a word; of a name, without its quotes */
};

static bool is_word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '$' || c >= 0x80;
}

static const char *find(struct lexer *lx, const char *from, const char *what)
{
	size_t n = strlen(what);

	for (; from + n <= lx->end; from++)
		if (memcmp(from, what, n) == 0)
			return from + n;
	return lx->end;
}

/* Blanks and comments; what stands in a comment for some versions only is part
 * of the statement. */
static void skip_blanks(struct lexer *lx)
{
	while (lx->p < lx->end) {
		size_t left = (size_t)(lx->end - lx->p);

		if (strchr(" \t\r\n\f\v;", *lx->p) != NULL && *lx->p != '\0') {
			lx->p++;
		} else if (left >= 3 && (memcmp(lx->p, "/*!", 3) == 0 ||
					 (left >= 4 &&
					  memcmp(lx->p, "/*M!", 4) == 0))) {
			lx->p += lx->p[2] == '!' ? 3 : 4;
			while (lx->p < lx->end && *lx->p >= '0' && *lx->p <= '9')
				lx->p++;
		} else if (left >= 2 && memcmp(lx->p, "*/", 2) == 0) {
			lx->p += 2;
		} else if (left >= 2 && memcmp(lx->p, "/*", 2) == 0) {
			lx->p = find(lx, lx->p + 2, "*/");
		} else if (*lx->p == '#' || (left >= 3 && memcmp(lx->p, "--", 2) == 0 &&
					      strchr(" \t\n", lx->p[2]) != NULL)) {
			lx->p = find(lx, lx->p, "\n");
		} else {
			break;
		}
	}
}

static void next(struct lexer *lx)
{
	const char *from;

	skip_blanks(lx);
	from = lx->p;
	if (from == lx->end) {
		lx->kind = TOKEN_END;
		lx->text = (struct slice){0};
		return;
	}
	if (*from == '`') {
		const char *end = memchr(from + 1, '`',
					 (size_t)(lx->end - from - 1));

		lx->kind = end != NULL ? TOKEN_NAME : TOKEN_OTHER;
		lx->p = end != NULL ? end + 1 : lx->end;
		lx->text = (struct slice){from + 1, end != NULL ? (size_t)(end - from - 1) : 0};
		return;
	}
	while (lx->p < lx->end && is_word((unsigned char)*lx->p))
		lx->p++;
	lx->kind = lx->p > from ? TOKEN_WORD : TOKEN_OTHER;
	lx->p += lx->p == from;
	lx->text = (struct slice){from, (size_t)(lx->p - from)};
}

static bool is(const struct lexer *lx, const char *word)
{
	return lx->kind == TOKEN_WORD && lx->text.n == strlen(word) &&
	       strncasecmp(lx->text.p, word, lx->text.n) == 0;
}

/* MariaDB: SET STATEMENT a=1, b='x' FOR statement */
static void skip_settings(struct lexer *lx)
{
	struct lexer at = *lx;

	next(&at);
	if (!is(&at, "STATEMENT"))
		return;
	while (at.kind != TOKEN_END && !is(&at, "FOR"))
		next(&at);
	next(&at);
	*lx = at;
}

static enum my_statement read_xa(struct lexer *lx)
{
	next(lx);
	if (is(lx, "START") || is(lx, "BEGIN"))
		return MY_STATEMENT_XA_BEGIN;
	return is(lx, "END") ? MY_STATEMENT_XA_END : MY_STATEMENT_XA_FINISH;
}

static void read_name(struct lexer *lx, struct slice *db, struct slice *table)
{
	static const char *const before[] = {
		"TABLE",  "INTO",    "FROM",	 "LOW_PRIORITY", "DELAYED",
		"QUICK",  "IGNORE",  "DATA",	 "HIGH_PRIORITY",
		"INFILE", "REPLACE", "CONCURRENT", "LOCAL", "XML",
	};
	bool is_before = true;

	while (is_before && lx->kind == TOKEN_WORD) {
		is_before = false;
		for (size_t i = 0; i < countof(before); i++)
			is_before |= is(lx, before[i]);
		if (is_before)
			next(lx);
	}
	if (lx->kind != TOKEN_WORD && lx->kind != TOKEN_NAME)
		return;
	*table = lx->text;
	next(lx);
	if (lx->kind != TOKEN_OTHER || !slice_is(lx->text, "."))
		return;
	next(lx);
	if (lx->kind != TOKEN_WORD && lx->kind != TOKEN_NAME)
		return;
	*db = *table;
	*table = lx->text;
}

/* LOAD DATA ... INFILE 'file' ... INTO TABLE name */
static void find_into(struct lexer *lx)
{
	while (lx->kind != TOKEN_END && !is(lx, "INTO"))
		next(lx);
}

enum my_statement my_statement_read(struct slice sql, struct slice *db,
				    struct slice *table)
{
	struct lexer lx = {.p = sql.p, .end = sql.p + sql.n};

	*db = *table = (struct slice){0};
	if (sql.n == 0)
		return MY_STATEMENT_OTHER;
	next(&lx);
	if (is(&lx, "SET"))
		skip_settings(&lx);
	if (is(&lx, "BEGIN"))
		return MY_STATEMENT_BEGIN;
	if (is(&lx, "COMMIT"))
		return MY_STATEMENT_COMMIT;
	if (is(&lx, "SAVEPOINT") || is(&lx, "RELEASE"))
		return MY_STATEMENT_SAVEPOINT;
	if (is(&lx, "XA"))
		return read_xa(&lx);
	if (is(&lx, "ROLLBACK")) {
		next(&lx);
		return is(&lx, "TO") ? MY_STATEMENT_SAVEPOINT
				     : MY_STATEMENT_ROLLBACK;
	}
	if (is(&lx, "TRUNCATE")) {
		next(&lx);
		read_name(&lx, db, table);
		return MY_STATEMENT_TRUNCATE;
	}
	if (is(&lx, "LOAD"))
		find_into(&lx);
	else if (is(&lx, "INSERT") || is(&lx, "UPDATE") || is(&lx, "DELETE") ||
		 is(&lx, "REPLACE"))
		next(&lx);
	else
		return MY_STATEMENT_OTHER;
	read_name(&lx, db, table);
	return MY_STATEMENT_CHANGE;
}
