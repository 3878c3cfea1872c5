/* conf.h: the conf file, parsed, typed and checked.
 *
 * libConfuse reads it, behind a scan of the raw text (conf_scan.h) for what
 * libConfuse lets through silently.  Syntax: the first error; meaning: all
 * errors, each with file:line:col and the nearest known name.  A struct conf is
 * complete and immutable; reload builds a new one. */
#ifndef LEAT_AGENT_CONF_H
#define LEAT_AGENT_CONF_H

#include "agent/conf_print.h"
#include "base/opt.h"
#include "log/log.h"
#include "sinks/sink.h"
#include "sources/source.h"

struct conf_load;
struct scan_section;

struct conf_place {
	const char *file; /* as it is to be shown; owned by the conf */
	unsigned line, col; /* from 1, columns are characters; 0: no place */
	unsigned nth;	  /* private: of the files in the order of reading */
};

/* One error of syntax, or all errors of meaning in the order of the text. */
struct conf_error {
	struct conf_error *next;
	struct conf_place place; /* its file is owned by the error */
	struct err err;
	char file[];
};

/* A `source`, `sink` or `log` section. */
struct conf_section {
	struct conf_section *next;
	char *name;
	struct conf_place place;
	const struct source_ops *source; /* of a source or log section */
	const struct sink_ops *sink;	 /* of a sink or log section */
	const struct opt *opts;
	void *values; /* typed by opts; a log section: struct log_conf */
	const struct scan_section *given; /* private */
};

enum conf_initial { INITIAL_UNSET = -1, INITIAL_STREAM_ONLY };
enum conf_on_reject { ON_REJECT_BLOCK, ON_REJECT_DEAD_LETTER, ON_REJECT_SKIP };

/* typed by pipeline_opts */
struct conf_pipeline {
	struct conf_pipeline *next;
	char *name;
	struct conf_place place;
	const struct conf_section *from, *to;
	/* options */
	char *source, *sink;
	int initial;		/* enum conf_initial */
	char *start;		/* for a log as source */
	int on_reject;		/* enum conf_on_reject */
	int64_t dead_letter_max;
	int64_t dead_letter_size; /* bytes of all of them */
	struct opt_list on_schema_change; /* agent/evolve.h */
	int64_t queue_size;	/* bytes of the retained queue */
	int64_t commit_interval; /* ms; 0: as soon as the queue is empty */
	bool exit_on_stop;
	int64_t give_up_after;	/* ms of failed attempts; 0: never */
	const struct scan_section *given; /* private */
};

struct conf {
	char *path;
	/* options of the top level */
	char *state_dir;
	int log_level;	/* enum note_level */
	int log_format; /* 0 text, 1 json */
	char *control_socket; /* always set; default: STATE_DIR/leat.sock */

	struct conf_section *sources, *sinks, *logs;
	struct conf_pipeline *pipelines;
	const char **names; /* of the pipelines, NULL at the end */
	struct conf_load *load; /* private: the text, names and places */
};

extern const struct opt conf_top_opts[];
extern const struct opt pipeline_opts[];

/* Reads and checks.  NULL with *errors filled (at least one; *owned by the
 * caller*, see conf_errors_free) when anything is wrong.  A secret that stands
 * in the clear is noted as a warning.  For one thread at a time: libConfuse's
 * scanner is global. */
struct conf *conf_read(const char *path, struct conf_error **errors);
/* The same from memory; `name` stands for the file's. */
struct conf *conf_read_text(const char *name, struct slice text,
			    struct conf_error **errors);
void conf_free(struct conf *c);
void conf_errors_free(struct conf_error *errors);
/* `file:line:col: message`, `leat: message` for what has no place, and a line for
 * detail and hint each. */
void conf_errors_put(const struct conf_error *errors, struct buf *out);

/* Is it the first pipeline that reads from its source? */
bool conf_is_first(const struct conf *c, const struct conf_pipeline *p);
/* NULL when there is none of that name. */
const struct conf_pipeline *conf_find_pipeline(const struct conf *c,
					       const char *name);
const struct conf_section *conf_find_log(const struct conf *c, const char *name);

#endif
