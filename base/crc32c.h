/* crc32c.h: CRC-32C (Castagnoli), by the processor where it can (SSE4.2, ARMv8
 * CRC), else by tables.  RFC 3720, appendix B.4. */
#ifndef LEAT_BASE_CRC32C_H
#define LEAT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at the start: the CRC of a and b together is
 * crc32c(crc32c(0, a), b). */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without help from the processor. */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n);

#endif
