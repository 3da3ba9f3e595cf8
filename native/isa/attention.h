// What attention and its gradient share: the packing of a head's rows, and which keys a tile of queries sees.
#pragma once

#include "isa/elementary.h"
#include "isa/shuffle.h"
#include "isa/tile.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// out[width][wholeLanes(rows)] = transpose of a's rows × width; columns beyond `rows` are zero.
static inline void packTransposed(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
  const int64_t outStride = wholeLanes(rows);
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int64_t d = 0; d < width; d += kLanes) {
      const int64_t wide = width - d < kLanes ? width - d : kLanes;
      Floats square[16];
      for (int i = 0; i < 16; i++) {
        square[i] = r + i < rows ? loadSome(a + (r + i) * stride + d, wide) : Floats{};
      }
      transpose(square);
      for (int64_t i = 0; i < wide; i++) store(out + (d + i) * outStride + r, square[i]);
    }
  }
}

// out[rows][wholeLanes(width)], zero beyond `width`.
static inline void packPadded(const float* a, int64_t stride, int64_t rows, int64_t width, float* out) {
  const int64_t outStride = wholeLanes(width);
  for (int64_t r = 0; r < rows; r++) {
    forLanes(width, [=](int64_t d, int64_t count) {
      store(out + r * outStride + d, loadSome(a + r * stride + d, count));
    });
  }
}

// Query i sees keys [0, visible(i)).
static inline int64_t visible(const AttentionHead& head, int64_t query) {
  int64_t limit = head.causal ? query + 1 + head.keys - head.queries : head.keys;
  if (limit > head.length) limit = head.length;
  return limit < 0 ? 0 : limit;
}

// The tile of queries [first, first + rows), and the keys that any of them sees.
struct QueryTile {
  int64_t first, rows, keys;

  QueryTile(const AttentionHead& head, int64_t at) : first(at) {
    rows = head.queries - at < kQueryTile ? head.queries - at : kQueryTile;
    keys = visible(head, at + rows - 1);  // later queries see at least what earlier ones do
  }
};

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
