/* event_view.h: events as lines for a person, in any format. */
#ifndef LEAT_AGENT_EVENT_VIEW_H
#define LEAT_AGENT_EVENT_VIEW_H

#include "schema/encode.h"

/* "debezium,schemas=yes": a format and, with commas, options of a sink's encoding,
 * which replace what *how held (all zeros at first).  CODE_usage. */
int event_view_parse(const char *text, struct encoding *how, struct err *e)
	MUST_CHECK;
void event_view_forget(struct encoding *how);

struct event_view {
	struct buf out; /* lines; the user empties it */
	/* private */
	enum format format;
	struct encoder *encoder;
	struct encoded enc;
	uint32_t schemas; /* that were shown */
};

/* *Borrows* how; the struct must not move. */
int event_view_init(struct event_view *v, const struct encoding *how,
		    struct err *e) MUST_CHECK;
void event_view_fini(struct event_view *v);
/* One JSON document a line; of avro the schemas, too, before the first record that
 * needs them. */
int event_view_put(struct event_view *v, const struct event *ev, struct err *e)
	MUST_CHECK;

#endif
