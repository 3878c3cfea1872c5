/* conf_scan.h: what stands where in the text of one conf file.
 *
 * libConfuse knows the values but not their places, and lets much through in
 * silence.  The scan goes over the raw text first: it refuses what is no conf,
 * and what libConfuse would read differently from how it looks; it lists
 * sections, options and includes with their places; and it blanks the comments,
 * so that what remains is for libConfuse.
 *
 *	file    = { option | section | include }
 *	section = word name "{" { option } "}"
 *	option  = word ( "=" | "+=" ) ( value | "{" [ value { "," value } [","] ] "}" )
 *	include = "include" "(" value ")"
 *	value   = word | "text" | 'text' | ${VARIABLE}
 *	name    = word | "text" | 'text'
 *
 * Refused here, though libConfuse takes it: an escape it does not know in
 * double quotes, a zero byte by escape, a ; outside quotes, a # that touches a
 * value, * + and $ outside quotes (it skips them), a comment that does not end. */
#ifndef LEAT_AGENT_CONF_SCAN_H
#define LEAT_AGENT_CONF_SCAN_H

#include "agent/conf_error.h"
#include "base/arena.h"

struct scan_option {
	struct scan_option *next;
	const char *name;
	struct conf_place place;
	size_t begin, end; /* bytes of the text, from the name to the value */
	bool is_list;	   /* written in braces */
	bool is_append;	   /* += */
	bool is_unset;	   /* names a variable that is not set: reported */
	size_t n;	   /* values */
	const char **texts; /* of them; filled in by conf_values.c */
};

struct scan_section {
	struct scan_section *next;
	const char *kind, *name; /* of the top level: "" */
	struct conf_place place;
	size_t begin, end; /* from the kind to the closing brace */
	bool is_duplicate; /* of another section: reported */
	struct scan_option *options;
};

struct scan_include {
	struct scan_include *next;
	struct conf_place place;
	bool is_unset;
	const char *pattern; /* filled in by conf_values.c */
};

struct scan {
	/* given */
	struct arena *arena;	    /* for all that is listed */
	struct conf_errors *errors; /* of meaning: variables that are not set */
	const char *file;
	unsigned nth;
	char *text; /* is changed: comments become blanks */
	size_t n;
	/* found */
	struct scan_section top; /* options outside of sections */
	struct scan_section *sections;
	struct scan_include *includes;
};

/* -1: err and where tell the first error of syntax. */
int conf_scan(struct scan *s, struct conf_place *where, struct err *e)
	MUST_CHECK;

/* Takes bytes [begin, end) out of the text; line ends stay. */
void scan_blank(struct scan *s, size_t begin, size_t end);
/* The option of that name, the first if there are several, or NULL. */
const struct scan_option *scan_find(const struct scan_section *section,
				    const char *name);

#endif
