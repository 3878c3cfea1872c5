/* conf_lex.c: see conf_lex.h.  Messages name no text of the file but names of
 * variables: it may be a secret that was not quoted well. */
#include "config.h"
#include "agent/conf_lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lexer_fail(struct lexer *x, const struct conf_place *place, const char *fmt,
	       ...)
{
	char msg[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	*x->where = *place;
	return err_set(x->e, CODE_conf_syntax, "%s", msg);
}

/* The byte that many behind `at`; 0 at the end, and nowhere else. */
static char peek(const struct lexer *x, size_t ahead)
{
	return x->at + ahead < x->n ? x->text[x->at + ahead] : '\0';
}

static void step(struct lexer *x)
{
	unsigned char c = (unsigned char)x->text[x->at++];

	if (c == '\n') {
		x->place.line++;
		x->place.col = 1;
	} else if ((c & 0xC0) != 0x80) {
		x->place.col++;
	}
}

static void steps(struct lexer *x, size_t n)
{
	while (n-- > 0)
		step(x);
}

int lexer_start(struct lexer *x)
{
	const struct lexer start = *x;

	while (x->at < x->n) {
		unsigned char c = (unsigned char)x->text[x->at];

		if ((c < 0x20 && strchr("\t\n\r", c) == NULL) || c == '\0' ||
		    c == 0x7F)
			return lexer_fail(x, &x->place,
					  "invalid byte 0x%02X in a conf file",
					  c);
		step(x);
	}
	*x = start;
	if (x->n >= 3 && memcmp(x->text, "\xEF\xBB\xBF", 3) == 0) {
		memset(x->text, ' ', 3);
		x->at = 3;
	}
	return 0;
}

/* --- blanks and comments ---------------------------------------------- */

static void wipe(struct lexer *x)
{
	if (x->text[x->at] != '\n')
		x->text[x->at] = ' ';
	step(x);
}

static int skip_comment(struct lexer *x)
{
	struct conf_place begin = x->place;

	if (peek(x, 0) == '#' || peek(x, 1) == '/') {
		while (x->at < x->n && peek(x, 0) != '\n')
			wipe(x);
		return 0;
	}
	wipe(x);
	wipe(x);
	while (x->at < x->n && !(peek(x, 0) == '*' && peek(x, 1) == '/'))
		wipe(x);
	if (x->at == x->n)
		return lexer_fail(x, &begin, "comment without its end");
	wipe(x);
	wipe(x);
	return 0;
}

static int skip_blank(struct lexer *x)
{
	for (;;) {
		char c = peek(x, 0);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			step(x);
		else if (c == '#' || (c == '/' && (peek(x, 1) == '/' ||
						   peek(x, 1) == '*'))) {
			if (skip_comment(x) != 0)
				return -1;
		} else {
			return 0;
		}
	}
}

/* --- values ------------------------------------------------------------ */

static bool is_name(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* Behind "${NAME": what follows may be `:-` and a default. */
static int finish_variable(struct lexer *x, bool *has_default)
{
	*has_default = peek(x, 0) == ':' && peek(x, 1) == '-';
	if (*has_default)
		while (x->at < x->n && strchr("}\"\n", peek(x, 0)) == NULL)
			step(x);
	if (peek(x, 0) == '}') {
		step(x);
		return 0;
	}
	return -1;
}

static int lex_variable(struct lexer *x, struct token *t)
{
	struct conf_place begin = x->place;
	bool has_default;
	char name[128];
	size_t n = 0;

	steps(x, 2);
	while (is_name(peek(x, 0), n == 0) && n < sizeof(name) - 1) {
		name[n++] = peek(x, 0);
		step(x);
	}
	name[n] = '\0';
	t->is_plain = false;
	if (n == 0 || finish_variable(x, &has_default) != 0) {
		lexer_fail(x, &begin, "malformed variable");
		err_hint(x->e, "Write ${NAME} or ${NAME:-default}; for the "
			       "characters themselves write \\${ in double "
			       "quotes.");
		return -1;
	}
	if (!has_default && getenv(name) == NULL) {
		struct err *e = conf_fail(x->errors, &begin);

		err_set(e, CODE_conf_value,
			"environment variable \"%s\" is not set", name);
		err_hint(e, "Set it, or write ${%s:-default}.", name);
		t->is_unset = true;
	}
	return 0;
}

static size_t count_digits(const struct lexer *x, const char *digits)
{
	size_t n = 0;

	while (peek(x, n) != '\0' && strchr(digits, peek(x, n)) != NULL)
		n++;
	return n;
}

/* Behind the backslash of \1, \12, \123: all digits count, as they do for
 * libConfuse. */
static bool lex_octal(struct lexer *x)
{
	size_t n = count_digits(x, "0123456789");
	unsigned value = 0;

	if (n > 3 || count_digits(x, "01234567") != n)
		return false;
	for (size_t i = 0; i < n; i++)
		value = value * 8 + (unsigned)(peek(x, i) - '0');
	steps(x, n);
	return value > 0 && value <= 0xFF;
}

/* Behind the backslash of \xH, \xHH. */
static bool lex_hex(struct lexer *x)
{
	size_t n;
	bool is_zero = true;

	step(x);
	n = count_digits(x, "0123456789abcdefABCDEF");
	if (n > 2)
		n = 2;
	for (size_t i = 0; i < n; i++)
		is_zero &= peek(x, i) == '0';
	steps(x, n);
	return n > 0 && !is_zero;
}

static int lex_escape(struct lexer *x, struct token *t)
{
	struct conf_place begin = x->place;
	bool good;

	t->is_plain = false;
	step(x);
	if (peek(x, 0) >= '0' && peek(x, 0) <= '9') {
		good = lex_octal(x);
	} else if (peek(x, 0) == 'x') {
		good = lex_hex(x);
	} else {
		good = peek(x, 0) != '\0' &&
		       strchr("nrtbfaev\\\"'$\n", peek(x, 0)) != NULL;
		if (good)
			step(x);
	}
	if (good || x->at == x->n)
		return 0;
	lexer_fail(x, &begin, "unknown escape in double quotes");
	err_hint(x->e, "Known are \\n \\r \\t \\b \\f \\a \\e \\v \\\\ \\\" \\' \\$ "
		       "\\xHH \\OOO; in single quotes a backslash stands for "
		       "itself.");
	return -1;
}

/* A value ends where something else begins that does not look like its
 * continuation. */
static int check_end(struct lexer *x, const struct token *t)
{
	char c = peek(x, 0);

	if (c == '#' && t->type == TOKEN_WORD) {
		lexer_fail(x, &x->place, "\"#\" in a value begins a comment");
		err_hint(x->e, "Write the value in double quotes, or a blank "
			       "before the comment.");
		return -1;
	}
	if (c == '\0' || strchr(" \t\r\n,{}()=+#*;", c) != NULL)
		return 0;
	lexer_fail(x, &x->place, "a value goes on behind its end");
	err_hint(x->e, "Write the whole value in one pair of double quotes.");
	return -1;
}

static int lex_text(struct lexer *x, struct token *t)
{
	char quote = peek(x, 0);

	t->type = TOKEN_TEXT;
	step(x);
	while (x->at < x->n && peek(x, 0) != quote) {
		int rc = 0;

		if (quote == '"' && peek(x, 0) == '\\') {
			rc = lex_escape(x, t);
		} else if (quote == '"' && peek(x, 0) == '$' &&
			   peek(x, 1) == '{') {
			rc = lex_variable(x, t);
		} else if (peek(x, 0) == '\\' && peek(x, 1) != '\0') {
			t->is_plain = false;
			steps(x, 2);
		} else {
			step(x);
		}
		if (rc != 0)
			return rc;
	}
	if (x->at == x->n)
		return lexer_fail(x, &t->place, "text without its closing quote");
	step(x);
	return check_end(x, t);
}

static int lex_word(struct lexer *x, struct token *t)
{
	t->type = TOKEN_WORD;
	while (x->at < x->n && strchr(" \t\r\n\"'#={}()+,*;", peek(x, 0)) == NULL) {
		if (peek(x, 0) == '$' && peek(x, 1) == '{') {
			lexer_fail(x, &x->place, "variable inside a word");
			err_hint(x->e, "Write the whole value in double quotes.");
			return -1;
		}
		step(x);
	}
	return check_end(x, t);
}

/* A mark, or a character that nothing may begin with. */
static int lex_mark(struct lexer *x, struct token *t)
{
	char c = peek(x, 0);

	if (c == ';') {
		lexer_fail(x, &x->place, "stray \";\"");
		err_hint(x->e, "Nothing ends in \";\" here; a value that holds "
			       "one is written in double quotes.");
		return -1;
	}
	if (c == '*' || (c == '+' && peek(x, 1) != '=')) {
		lexer_fail(x, &x->place, "\"%c\" outside quotes", c);
		err_hint(x->e, "Write the value in double quotes.");
		return -1;
	}
	t->type = TOKEN_MARK;
	t->mark = c;
	steps(x, c == '+' ? 2 : 1);
	return 0;
}

int lexer_next(struct lexer *x, struct token *t)
{
	int rc;
	char c;

	if (skip_blank(x) != 0)
		return -1;
	*t = (struct token){
		.place = x->place, .begin = x->at, .is_plain = true};
	c = peek(x, 0);
	if (c == '\0') {
		t->type = TOKEN_END;
		rc = 0;
	} else if (c == '"' || c == '\'') {
		rc = lex_text(x, t);
	} else if (c == '$' && peek(x, 1) == '{') {
		t->type = TOKEN_VARIABLE;
		rc = lex_variable(x, t);
		if (rc == 0)
			rc = check_end(x, t);
	} else if (strchr("{}()=+,*;", c) != NULL) {
		rc = lex_mark(x, t);
	} else {
		rc = lex_word(x, t);
	}
	t->end = x->at;
	return rc;
}
