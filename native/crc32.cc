// CRC-32 by carry-less multiplication: 64 bytes at a time are folded onto the next 64, after Gopal et al., "Fast CRC
// Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009). What is left, and every machine
// without that instruction, goes byte by byte.
#include "crc32.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace lockstep {
namespace {

// Goes on from `crc`, neither of the two inverted.
uint32_t bytewise(uint32_t crc, const uint8_t* data, int64_t length) {
  struct Table {
    uint32_t of[256];
    Table() {
      for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0);
        of[byte] = value;
      }
    }
  };
  static const Table table;
  for (int64_t i = 0; i < length; i++) crc = (crc >> 8) ^ table.of[(crc ^ data[i]) & 0xff];
  return crc;
}

#ifdef __x86_64__
#define FOLDING __attribute__((target("pclmul,sse4.1")))

FOLDING inline __m128i at(const uint8_t* data) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data));
}

// `sum` moved on by the distance that `factors` stand for, onto what stands there.
FOLDING inline __m128i fold(__m128i sum, __m128i factors, __m128i onto) {
  const __m128i low = _mm_clmulepi64_si128(sum, factors, 0x00);
  const __m128i high = _mm_clmulepi64_si128(sum, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

// Folds all whole blocks of 16 bytes into one, which the rest goes on from; length >= 64.
FOLDING uint32_t folded(uint32_t crc, const uint8_t* data, int64_t length) {
  // x^n modulo the polynomial, reflected, for n = 512 ± 32 and 128 ± 32: the table of that paper.
  const __m128i by64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  __m128i a = _mm_xor_si128(at(data), _mm_cvtsi32_si128(static_cast<int>(crc)));
  __m128i b = at(data + 16), c = at(data + 32), d = at(data + 48);
  for (data += 64, length -= 64; length >= 64; data += 64, length -= 64) {
    a = fold(a, by64, at(data));
    b = fold(b, by64, at(data + 16));
    c = fold(c, by64, at(data + 32));
    d = fold(d, by64, at(data + 48));
  }
  a = fold(fold(fold(a, by16, b), by16, c), by16, d);
  for (; length >= 16; data += 16, length -= 16) a = fold(a, by16, at(data));
  alignas(16) uint8_t rest[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(rest), a);
  return bytewise(bytewise(0, rest, 16), data, length);
}
#endif

}  // namespace

uint32_t crc32(const uint8_t* data, int64_t length) {
#ifdef __x86_64__
  static const bool canFold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (canFold && length >= 64) return ~folded(~0u, data, length);
#endif
  return ~bytewise(~0u, data, length);
}

}  // namespace lockstep
