#include "config.h"
#include "base/utf8.h"

static bool is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the sequence at p, which is not ASCII; 0: none that is valid. */
static size_t sequence(const uint8_t *p, size_t left)
{
	uint8_t least = 0x80, most = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		least = 0xa0;
	else if (p[0] == 0xed)
		most = 0x9f;
	else if (p[0] == 0xf0)
		least = 0x90;
	else if (p[0] == 0xf4)
		most = 0x8f;
	if (p[1] < least || p[1] > most)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (!is_continuation(p[i]))
			return 0;
	return n;
}

bool utf8_is_valid(struct slice s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t i = 0, n;
	uint64_t word;

	while (i < s.n) {
		if (s.n - i >= sizeof(word)) {
			memcpy(&word, p + i, sizeof(word));
			if ((word & 0x8080808080808080u) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		if (p[i] < 0x80) {
			i++;
			continue;
		}
		if ((n = sequence(p + i, s.n - i)) == 0)
			return false;
		i += n;
	}
	return true;
}

void utf8_mend(char *p, size_t n)
{
	size_t i = 0, step;

	if (utf8_is_valid((struct slice){p, n}))
		return;
	for (; i < n; i += step) {
		step = (uint8_t)p[i] < 0x80 ? 1 : sequence((uint8_t *)p + i, n - i);
		if (step == 0) {
			p[i] = '?';
			step = 1;
		}
	}
}
