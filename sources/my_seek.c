/* seek(): positions are "now", "slot" (what was delivered, and what the server
 * has purged), a set of GTIDs, and cursors typed in full. */
#include "config.h"
#include "sources/my_seek.h"

static bool is_none(const struct cursor *current)
{
	return current->incarnation == 0 ||
	       slice_is(current->source, "intent");
}

static int put(struct my *my, const struct my_place *to,
	       const struct cursor *current, struct seek *out, struct err *e)
{
	struct my_place from;

	buf_reset(&out->source, SIZE_MAX);
	my_cursor_print(to, slice_of(my->server.value[MY_SERVER_UUID]),
			&out->source);
	if (out->source.failed)
		return err_no_memory(e);
	if (is_none(current))
		return 0;
	if (my_cursor_parse(current->source, my->flavour, &from) &&
	    my_gtid_set_is_subset(&from.done, &my->server.executed)) {
		my_cursor_compare(&from, to, &out->skips, &out->repeats);
	} else {
		/* of another history, or another kind of source: something is
		 * missing for certain, and whatever the server has behind `to`
		 * may have been delivered before */
		out->skips = true;
		out->repeats = !my_gtid_set_is_subset(&my->server.executed,
						      &to->done);
	}
	my_gtid_set_fini(&from.done);
	return 0;
}

static int seek_now(struct my *my, const struct cursor *current,
		    struct seek *out, struct err *e)
{
	const struct my_place to = {.done = my->server.executed};

	return put(my, &to, current, out, e);
}

static int seek_nearest(struct my *my, const struct cursor *current,
			struct seek *out, struct err *e)
{
	struct my_place to;
	int rc;

	if (!my_cursor_parse(current->source, my->flavour, &to) ||
	    !my_gtid_set_is_subset(&to.done, &my->server.executed)) {
		my_gtid_set_fini(&to.done);
		to = (struct my_place){0};
		my_gtid_set_init(&to.done, my->flavour);
	}
	if (my_gtid_set_merge(&to.done, &my->server.purged) < 0)
		rc = err_no_memory(e);
	else {
		if (my_gtid_set_has(&to.done, &to.flight)) {
			to.flight = (struct my_gtid){0};
			to.n = to.hash = 0;
		}
		rc = put(my, &to, current, out, e);
	}
	my_gtid_set_fini(&to.done);
	return rc;
}

static int seek_place(struct my *my, struct slice position,
		      const struct cursor *current, struct seek *out,
		      struct err *e)
{
	struct my_place to;
	int rc;

	if (!my_cursor_parse(position, my->flavour, &to)) {
		my_gtid_set_fini(&to.done);
		to = (struct my_place){0};
		my_gtid_set_init(&to.done, my->flavour);
		if (!my_gtid_set_parse(&to.done, position)) {
			my_gtid_set_fini(&to.done);
			err_set(e, CODE_usage,
				"\"%.*s\" is no position of a %s source",
				position.n < 200 ? (int)position.n : 200,
				position.p, my->base.ops->type);
			err_hint(e, "Positions are now, slot, a set of GTIDs, and what `leat offsets show` prints.");
			return -1;
		}
	}
	rc = my_can_resume(my, &to, e);
	if (rc == 0)
		rc = put(my, &to, current, out, e);
	my_gtid_set_fini(&to.done);
	return rc;
}

int my_seek(struct source *src, struct slice position,
	    const struct cursor *current, struct seek *out, struct err *e)
{
	struct my *my = (struct my *)src;

	out->skips = out->repeats = false;
	out->note[0] = '\0';
	my_server_fini(&my->server);
	if (my_server_read(&my->side, &my->server, e) < 0 ||
	    my_server_refuse(&my->side, &my->server, e) < 0)
		return -1;
	if (slice_is(position, "now"))
		return seek_now(my, current, out, e);
	if (slice_is(position, "slot"))
		return seek_nearest(my, current, out, e);
	return seek_place(my, position, current, out, e);
}
