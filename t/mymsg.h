/* mymsg.h: binlog events for unit tests, from hexadecimal. */
#ifndef LEAT_T_MYMSG_H
#define LEAT_T_MYMSG_H

#include "sources/my_binlog.h"
#include "sources/my_cursor.h"
#include "sources/my_event.h"
#include "t/tap.h"

/* Memory that stays. */
static inline char *stay(size_t n)
{
	static struct kept {
		struct kept *next;
		char bytes[];
	} *all;
	struct kept *k = malloc(sizeof(*k) + n);

	if (k == NULL)
		abort();
	k->next = all;
	all = k;
	return k->bytes;
}

/* What is in the buffer, moved there. */
static inline struct slice stays(struct buf *b)
{
	struct slice s = {stay(b->n), b->n};

	memcpy((char *)s.p, b->p, b->n);
	buf_fini(b);
	return s;
}

/* Digits with blanks between them; in memory that stays. */
static inline struct slice unhex(const char *text)
{
	char *p = stay(strlen(text) / 2 + 1);
	size_t n = 0;
	int high = -1;

	for (; *text != '\0'; text++) {
		const char *at = strchr("0123456789abcdef", *text);
		int v = at != NULL ? (int)(at - "0123456789abcdef") : -1;

		if (v < 0)
			continue;
		if (high < 0) {
			high = v;
		} else {
			p[n++] = (char)(high << 4 | v);
			high = -1;
		}
	}
	return (struct slice){p, n};
}

/* A cursor over a body that was recorded with so many bytes of checksum. */
static inline struct wire body_of(const char *text, size_t checksum)
{
	struct slice s = unhex(text);

	s.n -= checksum;
	return wire_of(s);
}

/* A whole event: header, body, no checksum. */
static inline void put_event(struct buf *b, uint8_t type, struct slice body)
{
	buf_le32(b, 1700000000);
	buf_u8(b, type);
	buf_le32(b, 1);
	buf_le32(b, (uint32_t)(MY_HEADER_SIZE + body.n));
	buf_le32(b, 4711);
	buf_le16(b, 0);
	buf_slice(b, body);
}

static inline struct slice event_of(uint8_t type, struct slice body)
{
	struct buf b = BUF_INIT;

	put_event(&b, type, body);
	return stays(&b);
}

/* Recorded from MySQL 9.7: 27 columns of every kind, and a row of them. */
static const char my_recorded_map[] =
	"7100000000000100017400027479001b08fefe0f0ffefefe10f6f613131212110d0af5ff"
	"f2fcfc0405010920cefcfe0ab0040a00fe0af701f80102010a02411e0300060003040404"
	"01040408feffff07010191030efcff0008fcff003f3f3f3ffcff000701000d0102045102"
	"696404633235350363313002766302766203623130016501730262740264310264320274"
	"330274300364743603647430037473330179026461016a01670176027462026c62016602"
	"6464027469026d690a03fcff0005070301780179017a060502016101620801000c04ffff"
	"ffe0993a9751";
static const char my_recorded_row[] =
	"710000000000110002001bffffffff00000000ffffffffffffffff0200c3a901e9030076"
	"c3a90300ff00020102020502aa7ffffb2dc77fffff84e4c5f3ebeb655bcaf204c72de232"
	"9affffffffffffffffffffff7f3747e12e4b910599b2bb7efb01e2408000000000000000"
	"011388010000004e0000000003004d00190001001a0001001b000200050100001d000221"
	"00616462620000040006002c000401000400000b16000c1e000720000a24000000000000"
	"00f83f017890eefeffffffffffffffffff19000000e61000000101000000000000000000"
	"0040000000000000f03f080000000000803f00000040027462020000006c620000c03f00"
	"000000000004c0ffffffff562a7751";

/* --- a decoder and what it needs ----------------------------------------- */

struct my_world {
	struct origin origin;
	struct registry reg;
	struct my_charsets *charsets;
	struct my_hooks hooks;
	struct my_binlog *d;
	struct batch *b;
	struct err e;
};

/* Tables whose names begin with h are hidden. */
static inline bool mw_is_wanted(void *arg, struct slice db, struct slice name)
{
	(void)arg, (void)db;
	return name.n == 0 || name.p[0] != 'h';
}

static inline struct slice mw_cursor(void *arg, const struct my_place *place,
				     struct arena *a)
{
	struct buf text = BUF_INIT;
	struct slice kept;

	(void)arg;
	my_cursor_print(place, SLICE(""), &text);
	kept = slice_dup(a, buf_get(&text));
	buf_fini(&text);
	return kept;
}

/* From the place that a cursor's source part tells. */
static inline void mw_connect(struct my_world *w, enum my_flavour flavour,
			      struct slice from, uint64_t seq)
{
	struct my_place place;

	my_binlog_free(w->d);
	if (!my_cursor_parse(from, flavour, &place))
		abort();
	w->d = my_binlog_new(&w->origin, &w->reg, w->charsets, &w->hooks, &place,
			     seq, false);
	my_gtid_set_fini(&place.done);
	if (w->d == NULL)
		abort();
	w->e = ERR_INIT;
}

static inline void mw_init(struct my_world *w)
{
	*w = (struct my_world){
		.origin = {.connector = SLICE("mysql"), .name = SLICE("shop"),
			   .incarnation = 1},
		.charsets = my_charsets_new(),
		.b = batch_new(),
		.hooks = {.is_wanted = mw_is_wanted, .cursor_source = mw_cursor},
	};
	registry_init(&w->reg);
}

static inline void mw_fini(struct my_world *w)
{
	my_binlog_free(w->d);
	batch_free(w->b);
	registry_fini(&w->reg);
	my_charsets_free(w->charsets);
}

/* One event, and those in it. */
static inline int mw_event(struct my_world *w, uint8_t type, struct slice body)
{
	struct buf event = BUF_INIT;
	int rc;

	put_event(&event, type, body);
	rc = my_binlog_event(w->d, buf_get(&event), w->b, &w->e);
	while (rc == 0 && my_binlog_has_more(w->d))
		rc = my_binlog_more(w->d, w->b, &w->e);
	buf_fini(&event);
	return rc;
}

/* Where it stands, as a cursor; lives until the next call. */
static inline struct slice mw_place(const struct my_world *w)
{
	static struct buf text;

	buf_reset(&text, SIZE_MAX);
	my_cursor_print(my_binlog_place(w->d), SLICE(""), &text);
	return buf_get(&text);
}

static inline void mw_rest(struct my_world *w)
{
	my_binlog_rest(w->d);
	batch_reset(w->b);
}

#endif
