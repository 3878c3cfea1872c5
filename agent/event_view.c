#include "config.h"
#include "agent/event_view.h"

#include <stdio.h>

#include "base/json.h"

static const struct opt encoding_opts[] = {
	ENCODING_OPTS(0),
	OPT_END,
};

/* --- formats ----------------------------------------------------------- */

void event_view_forget(struct encoding *how)
{
	opt_free(encoding_opts, how);
	*how = (struct encoding){0};
}

static int set_option(struct encoding *how, struct slice name,
		      struct slice value, struct err *e)
{
	char words[2][128];
	const char *given = words[1];
	const struct opt *o;

	snprintf(words[0], sizeof(words[0]), "%.*s", SLICE_ARG(name));
	snprintf(words[1], sizeof(words[1]), "%.*s", SLICE_ARG(value));
	o = opt_find(encoding_opts, words[0]);
	if (o == NULL)
		return err_set(e, CODE_usage, "--format has no option \"%s\"",
			       words[0]);
	return opt_set(o, how, &given, 1, e);
}

int event_view_parse(const char *text, struct encoding *how, struct err *e)
{
	struct slice rest = slice_of(text);
	int rc = 0;

	event_view_forget(how);
	for (bool is_first = true; rc == 0 && rest.n > 0; is_first = false) {
		struct slice value = slice_cut(&rest, ',');
		struct slice name = SLICE("format");

		if (!is_first)
			name = slice_cut(&value, '=');
		rc = set_option(how, name, value, e);
	}
	if (rc == 0)
		rc = encoding_check(how, true, e);
	if (rc != 0)
		e->code = CODE_usage;
	return rc;
}

/* --- events ------------------------------------------------------------ */

/* Avro's schemas come as lines of their own, in front of the first record that
 * needs them, with the numbers that the records bear. */
static int show_schema(void *arg, const struct table *tab, bool is_key,
		       struct slice schema, uint32_t *id, struct err *e)
{
	struct event_view *v = arg;

	*id = ++v->schemas;
	buf_printf(&v->out, "{\"id\":%u,\"subject\":", *id);
	if (tab != NULL)
		json_quoted(&v->out, tab->full_name);
	else
		buf_text(&v->out, "\"message\"");
	buf_printf(&v->out, ",\"is_key\":%s,\"schema\":",
		   is_key ? "true" : "false");
	buf_slice(&v->out, schema);
	buf_text(&v->out, "}\n");
	return v->out.failed ? err_no_memory(e) : 0;
}

static void put_avro(struct event_view *v, const struct record *r)
{
	const char *p = v->enc.bytes.p;

	buf_text(&v->out, "{\"key\":");
	if (r->key_n > 0) {
		buf_u8(&v->out, '"');
		json_base64(&v->out, (struct slice){p + r->key_at, r->key_n});
		buf_u8(&v->out, '"');
	} else {
		buf_text(&v->out, "null");
	}
	buf_text(&v->out, ",\"value\":\"");
	json_base64(&v->out, (struct slice){p + r->value_at, r->value_n});
	buf_text(&v->out, "\"}");
}

int event_view_init(struct event_view *v, const struct encoding *how,
		    struct err *e)
{
	struct encoder_registry registry = {v, show_schema};

	*v = (struct event_view){.format = (enum format)how->format};
	v->encoder = encoder_new(how, &registry);
	return v->encoder != NULL ? 0 : err_no_memory(e);
}

void event_view_fini(struct event_view *v)
{
	encoder_free(v->encoder);
	encoded_fini(&v->enc);
	buf_fini(&v->out);
}

int event_view_put(struct event_view *v, const struct event *ev, struct err *e)
{
	if (encode_event(v->encoder, ev, &v->enc, e) != 0)
		return -1;
	for (size_t i = 0; i < v->enc.n; i++) {
		const struct record *r = &v->enc.rec[i];

		if (r->value_n == 0)
			continue;
		if (v->format == FORMAT_AVRO)
			put_avro(v, r);
		else
			buf_put(&v->out, v->enc.bytes.p + r->value_at,
				r->value_n);
		buf_u8(&v->out, '\n');
	}
	return v->out.failed ? err_no_memory(e) : 0;
}
