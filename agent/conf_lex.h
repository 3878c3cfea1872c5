/* conf_lex.h: the tokens of a conf file, with their places.
 *
 * Cuts the text as libConfuse does, and refuses it where that would surprise;
 * see conf_scan.h. */
#ifndef LEAT_AGENT_CONF_LEX_H
#define LEAT_AGENT_CONF_LEX_H

#include "agent/conf_error.h"

enum token_type {
	TOKEN_END,
	TOKEN_WORD,	/* without quotes */
	TOKEN_TEXT,	/* in quotes of either kind */
	TOKEN_VARIABLE, /* ${NAME} without quotes */
	TOKEN_MARK,
};

struct token {
	enum token_type type;
	char mark; /* { } ( ) = , and + for += */
	struct conf_place place;
	size_t begin, end; /* bytes of the text, with the quotes */
	bool is_plain;	   /* no escape and no variable in it */
	bool is_unset;	   /* names a variable that is not set: reported */
};

struct lexer {
	char *text; /* comments become blanks */
	size_t n, at;
	struct conf_place place; /* of `at` */
	struct conf_errors *errors;
	struct conf_place *where; /* of the error in e */
	struct err *e;
};

/* Looks for bytes that no conf file holds; passes over a byte order mark. */
int lexer_start(struct lexer *x) MUST_CHECK;
/* -1 on an error of syntax. */
int lexer_next(struct lexer *x, struct token *t) MUST_CHECK;
/* Fails at that place; -1. */
int lexer_fail(struct lexer *x, const struct conf_place *place, const char *fmt,
	       ...) PRINTF_LIKE(3, 4);

#endif
