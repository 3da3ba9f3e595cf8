// What attention and its gradient share: which keys a tile of queries sees, and scratch in parts.
#pragma once

#include "isa/elementary.h"
#include "isa/operands.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Query i sees keys [0, visible(i)).
static inline int64_t visible(const AttentionHead& head, int64_t query) {
  int64_t limit = head.causal ? query + 1 + head.keys - head.queries : head.keys;
  if (limit > head.length) limit = head.length;
  return limit < 0 ? 0 : limit;
}

// Where the tile of queries that starts at `at` ends.
static inline int64_t tileEnd(const AttentionHead& head, int64_t at) {
  return head.queries - at < kQueryTile ? head.queries : at + kQueryTile;
}

// The tile of queries [first, first + rows), and the keys that any of them sees.
struct QueryTile {
  int64_t first, rows, keys;

  QueryTile(const AttentionHead& head, int64_t at) : first(at) {
    rows = tileEnd(head, at) - at;
    keys = visible(head, at + rows - 1);  // later queries see at least what earlier ones do
  }
};

// A product by itself.
template <typename Unit>
LANES_INLINE void stripProduct(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                               int64_t depth, int64_t n, bool accumulate) {
  Mode<Unit> mode;
  stripProduct<Unit>(mode, a, b, bStride, c, cStride, m, depth, n, accumulate);
}

// Hands out scratch, part after part.
struct Parts {
  float* next;

  float* floats(int64_t count) {
    next += count;
    return next - count;
  }
  template <typename Unit>
  Unit* units(int64_t count) {
    return reinterpret_cast<Unit*>(floats(count));
  }
  // Where as many numbers as there are scores are kept for a product: in their place, if they are no smaller.
  template <typename Layout>
  typename Layout::Kept* kept(float* scores, int64_t count) {
    if constexpr (sizeof(typename Layout::Kept) == sizeof(float)) {
      return scores;
    } else {
      return reinterpret_cast<typename Layout::Kept*>(floats(count / 2));
    }
  }
};

// Zeros from element j of a row, the first of a vector, to `end`.
template <typename T>
LANES_INLINE void zeroLanes(T* row, int64_t j, int64_t end) {
  for (; j < end; j += kLanes) storeSome(row + j, Floats{}, kLanes);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
