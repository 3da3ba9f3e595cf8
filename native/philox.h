// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), word for word the
// generator of src/util/philox.ts: element i of a field is word i % 4 of the block with counter
// (i / 4, site, microBatch, step) under the key (low word of the seed, high word of the seed).
#pragma once

#include <cstdint>

namespace lockstep {

// The plain form; isa/dropout.h computes the same words sixteen blocks at a time.
inline void philox(uint32_t counter[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t product0 = 0xD2511F53ull * counter[0];
    const uint64_t product1 = 0xCD9E8D57ull * counter[2];
    const uint32_t next0 = static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0;
    const uint32_t next2 = static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1;
    counter[0] = next0;
    counter[1] = static_cast<uint32_t>(product1);
    counter[2] = next2;
    counter[3] = static_cast<uint32_t>(product0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// Word `index` of a field; index < 2^34.
inline uint32_t philoxWord(uint64_t index, uint64_t seed, uint32_t site, uint32_t microBatch,
                                  uint32_t step) {
  uint32_t counter[4] = {static_cast<uint32_t>(index / 4), site, microBatch, step};
  philox(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return counter[index % 4];
}

}  // namespace lockstep
