#include "config.h"
#include "base/crc32c.h"

#include "t/tap.h"

int main(void)
{
	unsigned char bytes[512];
	uint32_t whole, same = 1, split = 1;

	memset(bytes, 0, 32);
	is_int(crc32c(0, bytes, 32), 0x8a9136aa, "32 zeros (RFC 3720, B.4)");
	memset(bytes, 0xff, 32);
	is_int(crc32c(0, bytes, 32), 0x62a8ab43, "32 ones (RFC 3720, B.4)");
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	is_int(crc32c(0, bytes, 32), 0x46dd794e, "32 rising bytes (RFC 3720, B.4)");
	is_int(crc32c(0, "123456789", 9), 0xe3069283, "the check value");
	is_int(crc32c_by_table(0, "123456789", 9), 0xe3069283,
	       "the check value without the processor's help");
	is_int(crc32c(0, "", 0), 0, "nothing has the CRC 0");

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + (i >> 3));
	whole = crc32c(0, bytes, sizeof(bytes));
	for (size_t i = 0; i <= sizeof(bytes); i++) {
		uint32_t a = crc32c(0, bytes, i);

		same &= crc32c_by_table(0, bytes, i) == a;
		split &= crc32c(a, bytes + i, sizeof(bytes) - i) == whole;
	}
	ok(same, "processor and table agree at every length");
	ok(split, "a CRC goes on from any place, at any alignment");
	return tap_done();
}
