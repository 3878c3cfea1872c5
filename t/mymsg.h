/* mymsg.h: binlog events for unit tests, from hexadecimal. */
#ifndef LEAT_T_MYMSG_H
#define LEAT_T_MYMSG_H

#include "sources/my_event.h"
#include "t/tap.h"

/* Digits with blanks between them; in memory that stays. */
static inline struct slice unhex(const char *text)
{
	char *p = malloc(strlen(text) / 2 + 1);
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
static inline struct slice event_of(uint8_t type, struct slice body)
{
	struct buf b = BUF_INIT;

	buf_le32(&b, 1700000000);
	buf_u8(&b, type);
	buf_le32(&b, 1);
	buf_le32(&b, (uint32_t)(MY_HEADER_SIZE + body.n));
	buf_le32(&b, 4711);
	buf_le16(&b, 0);
	buf_slice(&b, body);
	return buf_get(&b);
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

#endif
