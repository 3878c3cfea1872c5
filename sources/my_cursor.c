#include "config.h"
#include "sources/my_cursor.h"

static const char *word_of(enum my_flavour flavour)
{
	return flavour == MY_MYSQL ? "mysql" : "mariadb";
}

void my_cursor_print(const struct my_place *place, struct slice server,
		     struct buf *out)
{
	enum my_flavour flavour = place->done.flavour;
	char flight[MY_GTID_SIZE] = "-";

	if (place->flight.number != 0)
		my_gtid_print(flight, flavour, &place->flight);
	buf_text(out, word_of(flavour));
	buf_text(out, " server=");
	buf_slice(out, server.n > 0 ? server : SLICE("-"));
	buf_text(out, " gtids=");
	my_gtid_set_print(&place->done, out);
	buf_printf(out, " flight=%s n=", flight);
	buf_u64(out, place->n);
	buf_text(out, " hash=");
	buf_hex(out, place->hash);
}

/* The value of the next word, which must be `name`=value. */
static struct slice take(struct slice *rest, const char *name, bool *good)
{
	struct slice word = slice_cut(rest, ' ');
	struct slice key = slice_cut(&word, '=');

	if (!slice_is(key, name) || word.p == NULL)
		*good = false;
	return word;
}

bool my_cursor_parse(struct slice text, enum my_flavour flavour,
		     struct my_place *place)
{
	struct slice rest = text, flight;
	bool good;

	*place = (struct my_place){0};
	my_gtid_set_init(&place->done, flavour);
	good = slice_is(slice_cut(&rest, ' '), word_of(flavour));
	take(&rest, "server", &good);
	good = good && my_gtid_set_parse(&place->done,
					 take(&rest, "gtids", &good));
	flight = take(&rest, "flight", &good);
	good = good && (slice_is(flight, "-") ||
			my_gtid_parse(&place->flight, flavour, flight));
	good &= slice_to_u64(take(&rest, "n", &good), &place->n);
	good &= slice_hex_to_u64(take(&rest, "hash", &good), &place->hash);
	return good && rest.p == NULL &&
	       (place->flight.number != 0) == (place->n > 0);
}

/* Is it complete, or has some of it been done? */
static bool has_begun(const struct my_place *place, const struct my_gtid *id)
{
	return my_gtid_set_has(&place->done, id) ||
	       (place->flight.number != 0 && my_gtid_eq(&place->flight, id));
}

void my_cursor_compare(const struct my_place *from, const struct my_place *to,
		       bool *skips, bool *repeats)
{
	bool same = my_gtid_eq(&from->flight, &to->flight);

	*skips = !my_gtid_set_is_subset(&to->done, &from->done);
	*repeats = !my_gtid_set_is_subset(&from->done, &to->done);
	/* the rest of a transaction that the other has not, or has in part */
	if (from->flight.number != 0 && !same)
		*repeats |= !has_begun(to, &from->flight);
	if (to->flight.number != 0 && !same)
		*skips |= !my_gtid_set_has(&from->done, &to->flight);
	if (same) {
		*skips |= to->n > from->n;
		*repeats |= to->n < from->n;
	}
}
