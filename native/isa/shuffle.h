// Moving lanes about: transposing squares of 16 × 16, interleaving.
#pragma once

#include "isa/lanes.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Interleaves the lanes of a and b: a's and b's first, second, … The two results are the first and the second half
// of that sequence, each a whole vector; a half of it comes from the same half of a and of b.
template <typename T, typename Index>
LANES_INLINE void interleave(Lanes<T> a, Lanes<T> b, Index low, Index high, Lanes<T>* first, Lanes<T>* second) {
  typename Lanes<T>::Part parts[2 * kParts];
  LANES_EACH(parts[2 * i] = __builtin_shuffle(a.part[i], b.part[i], low);
             parts[2 * i + 1] = __builtin_shuffle(a.part[i], b.part[i], high));
  LANES_EACH(first->part[i] = parts[i]; second->part[i] = parts[kParts + i]);
}

LANES_INLINE void interleave(Floats a, Floats b, Floats* first, Floats* second) {
#if LANES_PART_BYTES == 64
  const Ints::Part low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
#elif LANES_PART_BYTES == 32
  const Ints::Part low = {0, 8, 1, 9, 2, 10, 3, 11};
#else
  const Ints::Part low = {0, 4, 1, 5};
#endif
  interleave(a, b, low, low + kPartLanes / 2, first, second);
}

LANES_INLINE void interleave(Longs a, Longs b, Longs* first, Longs* second) {
#if LANES_PART_BYTES == 64
  const Longs::Part low = {0, 8, 1, 9, 2, 10, 3, 11};
#elif LANES_PART_BYTES == 32
  const Longs::Part low = {0, 4, 1, 5};
#else
  const Longs::Part low = {0, 2};
#endif
  interleave(a, b, low, low + kPartLanes / 4, first, second);
}

// Rows of 16 become columns: rows[i][j] = old rows[j][i]. Four rounds of interleaving row i with row i + 8.
LANES_INLINE void transpose(Floats rows[16]) {
  Floats next[16];
#pragma GCC unroll 4
  for (int round = 0; round < 4; round++) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) interleave(rows[i], rows[i + 8], &next[2 * i], &next[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) rows[i] = next[i];
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
