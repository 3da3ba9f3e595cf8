// Dropout on the device: the same Philox words as everywhere (../philox.h), so the same elements are dropped.
#pragma once

#include "../operations.h"
#include "element.h"
#include "runtime.h"

namespace lockstep::cuda {

// A Dropout with what each element needs worked out once.
struct DropoutField {
  uint32_t key0, key1, site, microBatch, step;
  uint32_t threshold;
  float scale;
  bool active;
};

inline DropoutField fieldOf(const Dropout& dropout) {
  const uint64_t threshold = dropout.threshold();
  return {static_cast<uint32_t>(dropout.key.seed),
          static_cast<uint32_t>(dropout.key.seed >> 32),
          dropout.site,
          dropout.key.microBatch,
          dropout.key.step,
          static_cast<uint32_t>(threshold > 0xffffffffu ? 0xffffffffu : threshold),
          dropout.scale(),
          dropout.rate > 0};
}

// The four words of block `block`.
__device__ inline void philoxWords(const DropoutField& field, uint32_t block, uint32_t words[4]) {
  uint32_t c0 = block, c1 = field.site, c2 = field.microBatch, c3 = field.step;
  uint32_t key0 = field.key0, key1 = field.key1;
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

// Multiplies elements [first, first + V) of a field by what dropout makes of them: 0, or 1 / (1 - rate).
template <int V>
__device__ inline void drop(const DropoutField& field, int64_t first, Lanes<V>& lanes) {
  if (!field.active) return;
  uint32_t words[4];
  philoxWords(field, static_cast<uint32_t>(first / 4), words);
  for (int i = 0; i < V; i++) {
    const uint32_t word = words[V == 4 ? i : first % 4];
    lanes.at[i] = word >= field.threshold ? lanes.at[i] * field.scale : 0;
  }
}

}  // namespace lockstep::cuda
