// Dropout's factors, 64 at a time: 0 or 1 / (1 - rate) for each element of a random field (../philox.h is its plain
// form).
#pragma once

#include "isa/shuffle.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Product of the lower halves of 64-bit lanes, which compilers do not recognise in generic form.
LANES_INLINE Longs multiplyLow(Longs a, Longs b) {
#if defined(__AVX512F__)
  LANES_EACH(a.part[i] = (Longs::Part)_mm512_maskz_mul_epu32(0xff, (__m512i)a.part[i], (__m512i)b.part[i]));
#elif defined(__AVX2__)
  LANES_EACH(a.part[i] = (Longs::Part)_mm256_mul_epu32((__m256i)a.part[i], (__m256i)b.part[i]));
#elif defined(__SSE2__)
  LANES_EACH(a.part[i] = (Longs::Part)_mm_mul_epu32((__m128i)a.part[i], (__m128i)b.part[i]));
#else
  a = (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
  return a;
}

// Eight Philox blocks, one in each 64-bit lane: a word is a lane's lower half, the upper half is left to hold
// whatever products put there.
struct Blocks {
  Longs c0, c1, c2, c3;
};

LANES_INLINE void philoxRound(Blocks& b, Longs key0, Longs key1) {
  const Longs product0 = multiplyLow(b.c0, allOf<uint64_t>(0xD2511F53u));
  const Longs product1 = multiplyLow(b.c2, allOf<uint64_t>(0xCD9E8D57u));
  b.c0 = (product1 >> 32) ^ b.c1 ^ key0;
  b.c1 = product1;
  b.c2 = (product0 >> 32) ^ b.c3 ^ key1;
  b.c3 = product0;
}

// The 32 words of eight blocks in the order of elements: word j of block i is element 4 * i + j.
LANES_INLINE void inOrder(const Blocks& b, Words out[2]) {
  const Longs low = (b.c0 & 0xffffffffu) | (b.c1 << 32);   // words 0 and 1 of each block
  const Longs high = (b.c2 & 0xffffffffu) | (b.c3 << 32);  // words 2 and 3
  Longs first, second;
  interleave(low, high, &first, &second);
  out[0] = as<Words>(first);
  out[1] = as<Words>(second);
}

// The words of sixteen consecutive blocks, 64 elements; two sets of eight keep the multipliers busy.
LANES_INLINE void philoxBlocks(const DropoutField& field, uint32_t firstBlock, Words out[4]) {
  static const uint64_t kNumbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  Longs number;
  __builtin_memcpy(&number, kNumbers, sizeof number);
  number = number + firstBlock;
  Blocks a = {number, allOf<uint64_t>(field.site), allOf<uint64_t>(field.microBatch),
              allOf<uint64_t>(field.step)};
  Blocks b = a;
  b.c0 = number + 8;
  uint32_t key0 = field.key0, key1 = field.key1;
  for (int round = 0; round < 10; round++) {
    philoxRound(a, allOf<uint64_t>(key0), allOf<uint64_t>(key1));
    philoxRound(b, allOf<uint64_t>(key0), allOf<uint64_t>(key1));
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  inOrder(a, out);
  inOrder(b, out + 2);
}

// The factors of elements [first, first + count). They lie somewhere inside `scratch`, which has room for
// dropoutScratch(count) floats.
LANES_INLINE const float* dropoutFactors(const DropoutField& field, int64_t first, int64_t count,
                                         float* scratch) {
  const int64_t start = first / 4 * 4;
  for (int64_t at = start; at < first + count; at += 64) {
    Words words[4];
    philoxBlocks(field, static_cast<uint32_t>(at / 4), words);
    for (int i = 0; i < 4; i++) {
      const Floats factors = select(words[i] > field.lastDropped, all(field.scale), Floats{});
      store(scratch + (at - start) + i * kLanes, factors);
    }
  }
  return scratch + (first - start);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
