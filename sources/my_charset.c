/* my_charset.c: see my_charset.h.
 *
 * What the server calls latin1 is Windows-1252, with the five bytes that it
 * leaves out standing for themselves (MySQL manual, "West European Character
 * Sets").  The rarer character sets are iconv's to convert. */
#include "config.h"
#include "sources/my_charset.h"

#include <iconv.h>
#include <stdlib.h>

#include "base/utf8.h"

enum kind { BINARY, UTF8, ASCII, LATIN1, ICONV };

struct my_charset {
	const char *name;
	enum kind kind;
	uint8_t max;
	const char *iconv; /* its name for it */
};

static const struct my_charset known[] = {
	{"binary", BINARY, 1, NULL},
	{"utf8mb4", UTF8, 4, NULL},
	{"utf8mb3", UTF8, 3, NULL},
	{"utf8", UTF8, 3, NULL},
	{"ascii", ASCII, 1, NULL},
	{"latin1", LATIN1, 1, NULL},
	{"latin2", ICONV, 1, "ISO-8859-2"},
	{"latin5", ICONV, 1, "ISO-8859-9"},
	{"latin7", ICONV, 1, "ISO-8859-13"},
	{"greek", ICONV, 1, "ISO-8859-7"},
	{"hebrew", ICONV, 1, "ISO-8859-8"},
	{"cp1250", ICONV, 1, "CP1250"},
	{"cp1251", ICONV, 1, "CP1251"},
	{"cp1256", ICONV, 1, "CP1256"},
	{"cp1257", ICONV, 1, "CP1257"},
	{"cp850", ICONV, 1, "CP850"},
	{"cp852", ICONV, 1, "CP852"},
	{"cp866", ICONV, 1, "CP866"},
	{"koi8r", ICONV, 1, "KOI8-R"},
	{"koi8u", ICONV, 1, "KOI8-U"},
	{"tis620", ICONV, 1, "TIS-620"},
	{"macce", ICONV, 1, "MAC-CENTRALEUROPE"},
	{"macroman", ICONV, 1, "MACINTOSH"},
	{"ucs2", ICONV, 2, "UCS-2BE"},
	{"utf16", ICONV, 4, "UTF-16BE"},
	{"utf16le", ICONV, 4, "UTF-16LE"},
	{"utf32", ICONV, 4, "UTF-32BE"},
	{"big5", ICONV, 2, "BIG5"},
	{"gb2312", ICONV, 2, "GB2312"},
	{"gbk", ICONV, 2, "GBK"},
	{"gb18030", ICONV, 4, "GB18030"},
	{"sjis", ICONV, 2, "SHIFT_JIS"},
	{"cp932", ICONV, 2, "CP932"},
	{"ujis", ICONV, 3, "EUC-JP"},
	{"eucjpms", ICONV, 3, "EUC-JP-MS"},
	{"euckr", ICONV, 2, "EUC-KR"},
};

/* first, last, index into known */
static const struct {
	uint32_t first, last;
	const char *name;
} common[] = {
	{5, 5, "latin1"},      {8, 8, "latin1"},     {11, 11, "ascii"},
	{15, 15, "latin1"},    {31, 31, "latin1"},   {33, 33, "utf8mb3"},
	{45, 46, "utf8mb4"},   {47, 49, "latin1"},   {63, 63, "binary"},
	{65, 65, "ascii"},     {83, 83, "utf8mb3"},  {94, 94, "latin1"},
	{192, 215, "utf8mb3"}, {224, 247, "utf8mb4"}, {255, 323, "utf8mb4"},
};

/* MariaDB numbers its collations up to here. */
#define MAX_COLLATION 65535u

struct my_charsets {
	uint8_t *of;	/* by collation: 1 + index into known; 0: not known */
	uint32_t n;
};

static const struct my_charset *find(struct slice name)
{
	for (size_t i = 0; i < countof(known); i++)
		if (slice_is(name, known[i].name))
			return &known[i];
	return NULL;
}

static bool grow(struct my_charsets *all, uint32_t id)
{
	uint32_t n = all->n ? all->n : 1024;
	uint8_t *of;

	while (n <= id)
		n *= 2;
	of = realloc(all->of, n);
	if (of == NULL)
		return false;
	memset(of + all->n, 0, n - all->n);
	all->of = of;
	all->n = n;
	return true;
}

int my_charsets_set(struct my_charsets *all, uint32_t id, struct slice name,
		    struct err *e)
{
	const struct my_charset *cs = find(name);

	if (id > MAX_COLLATION || cs == NULL)
		return 0; /* a column that has it will say so */
	if (id >= all->n && !grow(all, id))
		return err_no_memory(e);
	all->of[id] = (uint8_t)(cs - known + 1);
	return 0;
}

struct my_charsets *my_charsets_new(void)
{
	struct my_charsets *all = calloc(1, sizeof(*all));
	struct err e = ERR_INIT;

	if (all == NULL)
		return NULL;
	for (size_t i = 0; i < countof(common); i++)
		for (uint32_t id = common[i].first; id <= common[i].last; id++)
			if (my_charsets_set(all, id, slice_of(common[i].name),
					    &e) < 0) {
				my_charsets_free(all);
				return NULL;
			}
	return all;
}

void my_charsets_free(struct my_charsets *all)
{
	if (all == NULL)
		return;
	free(all->of);
	free(all);
}

const struct my_charset *my_charsets_get(const struct my_charsets *all,
					 uint32_t id)
{
	return id < all->n && all->of[id] != 0 ? &known[all->of[id] - 1] : NULL;
}

bool my_charset_is_binary(const struct my_charset *cs)
{
	return cs->kind == BINARY;
}

uint32_t my_charset_max(const struct my_charset *cs)
{
	return cs->max;
}

const char *my_charset_name(const struct my_charset *cs)
{
	return cs->name;
}

/* --- conversion ------------------------------------------------------------ */

static bool is_ascii(struct slice s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all < 0x80;
}

/* 0x80 to 0x9f of Windows-1252 */
static const uint16_t windows[32] = {
	0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d, 0x017d, 0x008f,
	0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

static char *put_utf8(char *at, uint32_t c)
{
	if (c < 0x80) {
		*at++ = (char)c;
	} else if (c < 0x800) {
		*at++ = (char)(0xc0 | c >> 6);
		*at++ = (char)(0x80 | (c & 0x3f));
	} else {
		*at++ = (char)(0xe0 | c >> 12);
		*at++ = (char)(0x80 | (c >> 6 & 0x3f));
		*at++ = (char)(0x80 | (c & 0x3f));
	}
	return at;
}

static bool from_latin1(struct slice in, struct arena *a, struct slice *out)
{
	char *p, *at;

	if (is_ascii(in)) {
		*out = in;
		return true;
	}
	p = at = arena_alloc(a, in.n * 3);
	if (p == NULL)
		return false;
	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = (uint8_t)in.p[i];

		at = put_utf8(at, c >= 0x80 && c < 0xa0 ? windows[c - 0x80] : c);
	}
	*out = (struct slice){p, (size_t)(at - p)};
	arena_trim(a, p, in.n * 3, out->n);
	return true;
}

/* A converter is opened for each text: such columns are few, and state would
 * have to belong to a thread. */
static bool by_iconv(const char *name, struct slice in, struct arena *a,
		     struct slice *out)
{
	iconv_t cd = iconv_open("UTF-8", name);
	size_t size = in.n * 4, left_in = in.n, left_out = size;
	char *from = (char *)in.p, *p, *at;
	bool good;

	if (cd == (iconv_t)-1)
		return false;
	p = at = arena_alloc(a, size ? size : 1);
	good = p != NULL && iconv(cd, &from, &left_in, &at, &left_out) == 0 &&
	       left_in == 0;
	iconv_close(cd);
	if (!good)
		return false;
	*out = (struct slice){p, size - left_out};
	arena_trim(a, p, size, out->n);
	return utf8_is_valid(*out);
}

bool my_charset_utf8(const struct my_charset *cs, struct slice in,
		     struct arena *a, struct slice *out)
{
	switch (cs->kind) {
	case UTF8:
		*out = in;
		return utf8_is_valid(in);
	case ASCII:
		*out = in;
		return is_ascii(in);
	case LATIN1:
		return from_latin1(in, a, out);
	case ICONV:
		return in.n == 0 ? (*out = in, true)
				 : by_iconv(cs->iconv, in, a, out);
	default:
		*out = in;
		return false;
	}
}
