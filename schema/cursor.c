#include "config.h"
#include "schema/cursor.h"

static const char magic[] = "leat1";

void cursor_print(const struct cursor *c, struct buf *out)
{
	buf_text(out, magic);
	buf_u8(out, ' ');
	buf_u64(out, c->incarnation);
	buf_u8(out, ' ');
	buf_u64(out, c->seq);
	if (c->letter != 0) {
		buf_u8(out, '+');
		buf_u64(out, c->letter);
	}
	buf_u8(out, ' ');
	buf_slice(out, c->source);
}

static bool parse_seq(struct slice text, struct cursor *c)
{
	if (!slice_to_u64(slice_cut(&text, '+'), &c->seq))
		return false;
	return text.p == NULL ||
	       (slice_to_u64(text, &c->letter) && c->letter != 0);
}

int cursor_parse(struct slice text, struct cursor *c, struct err *e)
{
	struct slice rest = text;
	uint64_t incarnation = 0;

	*c = (struct cursor){0};
	if (!slice_is(slice_cut(&rest, ' '), magic) ||
	    !slice_to_u64(slice_cut(&rest, ' '), &incarnation) ||
	    incarnation == 0 || incarnation > UINT32_MAX ||
	    !parse_seq(slice_cut(&rest, ' '), c) || rest.n == 0)
		return err_set(e, CODE_state_corrupt,
			       "\"%.*s\" is not a cursor", SLICE_ARG(text));
	c->incarnation = (uint32_t)incarnation;
	c->source = rest;
	return 0;
}

bool cursor_eq(const struct cursor *a, const struct cursor *b)
{
	return a->incarnation == b->incarnation && a->seq == b->seq &&
	       slice_eq(a->source, b->source);
}
