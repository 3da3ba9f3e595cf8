// Dropout's factors, 64 at a time: 0 or 1 / (1 - rate) for each element of a random field (philox.h).
#pragma once

#include "isa/lanes.h"
#include "philox.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Sixteen consecutive Philox blocks, four words each: word j of block i ends up in out[4 * i + j].
LANES_INLINE void philoxBlocks(const DropoutField& field, uint32_t firstBlock, uint32_t out[64]) {
  alignas(64) uint32_t c0[16], c1[16], c2[16], c3[16];
  for (int i = 0; i < 16; i++) {
    c0[i] = firstBlock + static_cast<uint32_t>(i);
    c1[i] = field.site;
    c2[i] = field.microBatch;
    c3[i] = field.step;
  }
  uint32_t key0 = field.key0, key1 = field.key1;
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 16; i++) {
      const uint64_t product0 = 0xD2511F53ull * c0[i];
      const uint64_t product1 = 0xCD9E8D57ull * c2[i];
      c0[i] = static_cast<uint32_t>(product1 >> 32) ^ c1[i] ^ key0;
      c1[i] = static_cast<uint32_t>(product1);
      c2[i] = static_cast<uint32_t>(product0 >> 32) ^ c3[i] ^ key1;
      c3[i] = static_cast<uint32_t>(product0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 16; i++) {
    out[4 * i] = c0[i];
    out[4 * i + 1] = c1[i];
    out[4 * i + 2] = c2[i];
    out[4 * i + 3] = c3[i];
  }
}

// The factors of elements [first, first + count). They lie somewhere inside `scratch`, which has room for
// dropoutScratch(count) floats.
LANES_INLINE const float* dropoutFactors(const DropoutField& field, int64_t first, int64_t count,
                                         float* scratch) {
  const int64_t start = first / 4 * 4;
  alignas(64) uint32_t words[64];
  for (int64_t at = start; at < first + count; at += 64) {
    philoxBlocks(field, static_cast<uint32_t>(at / 4), words);
    float* out = scratch + (at - start);
    for (int i = 0; i < 64; i++) out[i] = words[i] > field.lastDropped ? field.scale : 0.0f;
  }
  return scratch + (first - start);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
