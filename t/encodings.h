/* encodings.h: every way to write an event, for tests that try them all. */
#ifndef LEAT_T_ENCODINGS_H
#define LEAT_T_ENCODINGS_H

#include "schema/encode.h"

static const struct {
	const char *name;
	struct encoding how;
} encodings[] = {
	{"debezium", {.format = FORMAT_DEBEZIUM}},
	{"row", {.format = FORMAT_ROW}},
	{"cloudevents", {.format = FORMAT_CLOUDEVENTS}},
	{"schemas", {.format = FORMAT_DEBEZIUM, .schemas = true}},
	{"compat", {.format = FORMAT_DEBEZIUM, .compat = 1}},
	{"avro", {.format = FORMAT_AVRO}},
};

static inline int encoding_schema_id(void *arg, const struct table *tab,
				     bool is_key, struct slice schema,
				     uint32_t *id, struct err *e)
{
	(void)arg, (void)tab, (void)schema, (void)e;
	*id = is_key ? 1 : 2;
	return 0;
}

static inline struct encoder *encoding_get(size_t i)
{
	static const struct encoder_registry registry = {NULL, encoding_schema_id};
	static struct encoder *made[countof(encodings)];

	if (made[i] == NULL)
		made[i] = encoder_new(&encodings[i].how, &registry);
	return made[i];
}

/* Is the event written, or refused with a reason, by all of them? */
static inline bool encodes_all(const struct event *ev, struct encoded *out)
{
	for (size_t i = 0; i < countof(encodings); i++) {
		struct err e = ERR_INIT;

		if (encode_event(encoding_get(i), ev, out, &e) != 0 &&
		    e.code != CODE_event_rejected)
			return false;
	}
	return true;
}

#endif
