/* conf_scan.c: see conf_scan.h for the grammar. */
#include "config.h"
#include "agent/conf_scan.h"

#include <string.h>

#include "agent/conf_lex.h"

struct scanner {
	struct scan *s;
	struct lexer x;
	struct token t; /* the one that is looked at */
	struct scan_section **last_section;
	struct scan_include **last_include;
};

static int advance(struct scanner *sc)
{
	return lexer_next(&sc->x, &sc->t);
}

static bool is_mark(const struct scanner *sc, char mark)
{
	return sc->t.type == TOKEN_MARK && sc->t.mark == mark;
}

static bool is_value(const struct scanner *sc)
{
	return sc->t.type != TOKEN_MARK && sc->t.type != TOKEN_END;
}

static int no_memory(struct scanner *sc)
{
	*sc->x.where = (struct conf_place){0};
	return err_no_memory(sc->x.e);
}

/* Fails at the token that is looked at. */
static int unexpected(struct scanner *sc, const char *wanted)
{
	const char *mark = sc->t.mark == '+' ? "+=" : (char[]){sc->t.mark, '\0'};

	if (sc->t.type == TOKEN_END)
		return lexer_fail(&sc->x, &sc->t.place,
				  "unexpected end of file, %s is missing", wanted);
	if (sc->t.type == TOKEN_MARK) {
		lexer_fail(&sc->x, &sc->t.place,
			   "unexpected \"%s\" in place of %s", mark, wanted);
		if (sc->t.mark != '}')
			err_hint(sc->x.e, "A value that holds \"%s\" is written "
					  "in double quotes.", mark);
		return -1;
	}
	return lexer_fail(&sc->x, &sc->t.place, "unexpected text in place of %s",
			  wanted);
}

/* The token without its quotes; NULL on lack of memory. */
static const char *copy(struct scanner *sc, const struct token *t)
{
	size_t quotes = t->type == TOKEN_TEXT;
	struct slice s = {sc->s->text + t->begin + quotes,
			  t->end - t->begin - 2 * quotes};

	return slice_dup(sc->s->arena, s).p;
}

/* --- options ------------------------------------------------------------ */

/* At the brace. */
static int scan_list(struct scanner *sc, struct scan_option *o)
{
	struct conf_place begin = sc->t.place;

	o->is_list = true;
	if (advance(sc) != 0)
		return -1;
	while (!is_mark(sc, '}')) {
		if (sc->t.type == TOKEN_END)
			return lexer_fail(&sc->x, &begin,
					  "list without its \"}\"");
		if (!is_value(sc))
			return unexpected(sc, "a value");
		o->n++;
		o->is_unset |= sc->t.is_unset;
		if (advance(sc) != 0)
			return -1;
		if (is_mark(sc, ',')) {
			if (advance(sc) != 0)
				return -1;
		} else if (is_value(sc) || is_mark(sc, '=')) {
			return unexpected(sc, "\",\" or \"}\"");
		}
	}
	return 0;
}

/* At = or +=, behind the name. */
static int scan_option(struct scanner *sc, const struct token *name,
		       struct scan_option ***last)
{
	struct scan_option *o = arena_new(sc->s->arena, struct scan_option);

	if (o == NULL)
		return no_memory(sc);
	o->name = copy(sc, name);
	if (o->name == NULL)
		return no_memory(sc);
	o->place = name->place;
	o->begin = name->begin;
	o->is_append = is_mark(sc, '+');
	if (advance(sc) != 0)
		return -1;
	if (is_mark(sc, '{')) {
		if (scan_list(sc, o) != 0)
			return -1;
	} else if (is_value(sc)) {
		o->n = 1;
		o->is_unset = sc->t.is_unset;
	} else {
		return unexpected(sc, "a value");
	}
	o->end = sc->t.end;
	**last = o;
	*last = &o->next;
	return advance(sc);
}

/* --- sections ------------------------------------------------------------ */

static int unclosed(struct scanner *sc, const struct scan_section *section,
		    const struct conf_place *place)
{
	return lexer_fail(&sc->x, place,
			  "missing \"}\" of %.50s \"%.50s\", which begins at line %u",
			  section->kind, section->name, section->place.line);
}

/* Behind a word that is followed by no =: is it the head of the next section,
 * so that the brace of this one is missing? */
static int not_an_option(struct scanner *sc, const struct scan_section *section,
			 const struct token *word)
{
	if (is_mark(sc, '{')) {
		lexer_fail(&sc->x, &word->place,
			   "a section cannot stand inside a section");
		err_hint(sc->x.e, "A list is written NAME = { ... }.");
		return -1;
	}
	if (is_mark(sc, '('))
		return lexer_fail(&sc->x, &word->place,
				  "an include cannot stand inside a section");
	if (sc->t.type == TOKEN_WORD || sc->t.type == TOKEN_TEXT) {
		struct conf_place at = sc->t.place;

		if (advance(sc) != 0)
			return -1;
		if (is_mark(sc, '{'))
			return unclosed(sc, section, &word->place);
		return lexer_fail(&sc->x, &at,
				  "unexpected text in place of \"=\"");
	}
	return unexpected(sc, "\"=\"");
}

static int scan_body(struct scanner *sc, struct scan_section *section)
{
	struct scan_option **last = &section->options;

	while (!is_mark(sc, '}')) {
		struct token word = sc->t;

		if (word.type == TOKEN_END)
			return unclosed(sc, section, &section->place);
		if (word.type != TOKEN_WORD)
			return unexpected(sc, "the name of an option");
		if (advance(sc) != 0)
			return -1;
		if (!is_mark(sc, '=') && !is_mark(sc, '+'))
			return not_an_option(sc, section, &word);
		if (scan_option(sc, &word, &last) != 0)
			return -1;
	}
	section->end = sc->t.end;
	return advance(sc);
}

/* At the name, behind the kind. */
static int scan_section(struct scanner *sc, const struct token *kind)
{
	struct scan_section *section;

	if (!sc->t.is_plain)
		return lexer_fail(&sc->x, &sc->t.place,
				  "a name is written without escapes and variables");
	section = arena_new(sc->s->arena, struct scan_section);
	if (section == NULL)
		return no_memory(sc);
	section->kind = copy(sc, kind);
	section->name = copy(sc, &sc->t);
	if (section->kind == NULL || section->name == NULL)
		return no_memory(sc);
	section->place = kind->place;
	section->begin = kind->begin;
	if (advance(sc) != 0)
		return -1;
	if (!is_mark(sc, '{'))
		return unexpected(sc, "the \"{\" of a section");
	if (advance(sc) != 0 || scan_body(sc, section) != 0)
		return -1;
	*sc->last_section = section;
	sc->last_section = &section->next;
	return 0;
}

/* --- includes ------------------------------------------------------------ */

/* At the parenthesis, behind the word. */
static int scan_include(struct scanner *sc, const struct token *word)
{
	struct scan_include *inc = arena_new(sc->s->arena, struct scan_include);

	if (inc == NULL)
		return no_memory(sc);
	inc->place = word->place;
	if (advance(sc) != 0)
		return -1;
	if (!is_value(sc))
		return unexpected(sc, "a path");
	inc->is_unset = sc->t.is_unset;
	if (advance(sc) != 0)
		return -1;
	if (!is_mark(sc, ')'))
		return unexpected(sc, "\")\"");
	*sc->last_include = inc;
	sc->last_include = &inc->next;
	return advance(sc);
}

static int scan_file(struct scanner *sc)
{
	struct scan_option **last = &sc->s->top.options;
	struct token word;
	int rc = advance(sc);

	while (rc == 0 && sc->t.type != TOKEN_END) {
		word = sc->t;
		if (word.type != TOKEN_WORD)
			return unexpected(sc, "the name of an option or section");
		if (advance(sc) != 0)
			return -1;
		if (is_mark(sc, '=') || is_mark(sc, '+'))
			rc = scan_option(sc, &word, &last);
		else if (sc->t.type == TOKEN_WORD || sc->t.type == TOKEN_TEXT)
			rc = scan_section(sc, &word);
		else if (is_mark(sc, '(') && word.end - word.begin == 7 &&
			 memcmp(sc->s->text + word.begin, "include", 7) == 0)
			rc = scan_include(sc, &word);
		else
			rc = unexpected(sc, is_mark(sc, '{')
						    ? "the name of the section"
						    : "\"=\"");
	}
	return rc;
}

int conf_scan(struct scan *s, struct conf_place *where, struct err *e)
{
	struct scanner sc = {.s = s};

	sc.x = (struct lexer){
		.text = s->text,
		.n = s->n,
		.place = {.file = s->file, .line = 1, .col = 1, .nth = s->nth},
		.errors = s->errors,
		.where = where,
		.e = e,
	};
	s->top.kind = s->top.name = "";
	s->top.place = sc.x.place;
	sc.last_section = &s->sections;
	sc.last_include = &s->includes;
	return lexer_start(&sc.x) != 0 ? -1 : scan_file(&sc);
}

void scan_blank(struct scan *s, size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++)
		if (s->text[i] != '\n')
			s->text[i] = ' ';
}

const struct scan_option *scan_find(const struct scan_section *section,
				    const char *name)
{
	const struct scan_option *o = section->options;

	while (o != NULL && strcmp(o->name, name) != 0)
		o = o->next;
	return o;
}
