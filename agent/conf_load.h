/* conf_load.h: a conf file and what it includes, read into sections and texts.
 *
 * Nothing is typed yet: conf.c does that with the option tables. */
#ifndef LEAT_AGENT_CONF_LOAD_H
#define LEAT_AGENT_CONF_LOAD_H

#include "agent/conf_scan.h"
#include "base/map.h"

struct conf_load {
	struct arena arena; /* of all that is found */
	struct conf_errors errors; /* of meaning, so far */
	struct scan_section top;   /* the options outside of sections */
	struct scan_section *sections;
	/* private */
	struct scan_option **last_option;
	struct scan_section **last_section;
	struct map names;   /* "kind name" -> struct scan_section */
	struct map options; /* of the top: name -> struct scan_option */
	unsigned files, count;
};

void conf_load_init(struct conf_load *l);
void conf_load_fini(struct conf_load *l);
/* -1: what is there is no conf; err tells the first reason, and where it is
 * (line 0: no place in a file).  Values of an option that was reported are
 * not filled in (texts is NULL). */
int conf_load_file(struct conf_load *l, const char *path,
		   struct conf_place *where, struct err *e) MUST_CHECK;
/* *Borrows* the text only for the call. */
int conf_load_text(struct conf_load *l, const char *name, struct slice text,
		   struct conf_place *where, struct err *e) MUST_CHECK;

#endif
