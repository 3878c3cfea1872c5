#include "config.h"
#include "base/crc32c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/util.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

typedef uint32_t crc_fn(uint32_t crc, const void *p, size_t n);

/* table[k][c]: what byte c does to the CRC when k more bytes follow it */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
	for (uint32_t c = 0; c < 256; c++) {
		uint32_t crc = c;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][c] = crc;
	}
	for (int k = 1; k < 8; k++)
		for (uint32_t c = 0; c < 256; c++)
			table[k][c] = table[k - 1][c] >> 8 ^
				      table[0][table[k - 1][c] & 0xff];
}

uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;

	pthread_once(&table_once, table_fill);
	crc = ~crc;
	for (; n >= 8; n -= 8, at += 8) {
		uint32_t lo = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 |
				     (uint32_t)at[2] << 16 |
				     (uint32_t)at[3] << 24);

		crc = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^
		      table[5][lo >> 16 & 0xff] ^ table[4][lo >> 24] ^
		      table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
		      table[0][at[7]];
	}
	for (; n > 0; n--, at++)
		crc = crc >> 8 ^ table[0][(crc ^ *at) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
by_processor(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t c = ~crc;

	for (; n >= 8; n -= 8, at += 8) {
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		c = _mm_crc32_u64(c, v);
	}
	for (; n > 0; n--, at++)
		c = _mm_crc32_u8((uint32_t)c, *at);
	return ~(uint32_t)c;
}

static crc_fn *choose(void)
{
	return __builtin_cpu_supports("sse4.2") ? by_processor
						: crc32c_by_table;
}
#elif defined(__aarch64__) && defined(__linux__)
__attribute__((target("+crc"))) static uint32_t
by_processor(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;

	crc = ~crc;
	for (; n >= 8; n -= 8, at += 8) {
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		crc = __crc32cd(crc, v);
	}
	for (; n > 0; n--, at++)
		crc = __crc32cb(crc, *at);
	return ~crc;
}

static crc_fn *choose(void)
{
	return getauxval(AT_HWCAP) & HWCAP_CRC32 ? by_processor
						 : crc32c_by_table;
}
#else
static crc_fn *choose(void)
{
	return crc32c_by_table;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	static _Atomic(crc_fn *) chosen;
	crc_fn *fn = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (unlikely(fn == NULL)) {
		fn = choose();
		atomic_store_explicit(&chosen, fn, memory_order_relaxed);
	}
	return fn(crc, p, n);
}
