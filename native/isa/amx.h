// The inner loop for pairs of bfloat16 on Intel's AMX: tiles of 16 rows × 16 columns, of which one instruction adds 16 steps
// in depth. Its arithmetic is its own (Intel's instruction set reference, TDPBF16PS): the products of the upper halves are
// one chain of multiply-adds that starts at zero, those of the lower halves another, and the sum of both is added to the
// element. So these bits are not those of tile.h; they depend on no cut either, as long as it falls on a multiple of 16 steps.
#pragma once

#include "isa/tile.h"

#ifdef __AMX_BF16__
namespace lockstep {
namespace LOCKSTEP_ISA {

static constexpr int64_t kTileSize = 16;  // rows and columns of a tile, and steps of an instruction

// What LDTILECFG reads. Tiles 0 to 3 hold elements, 4 and 5 rows of a, 6 and 7 columns of b.
struct TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};

  void shape(int tile, int64_t height, int64_t width) {
    rows[tile] = static_cast<uint8_t>(height);
    rowBytes[tile] = static_cast<uint16_t>(width * 4);
  }
};

// The compiler does not know that these instructions read and write memory.
LANES_INLINE void compilerBarrier() { __asm__ volatile("" ::: "memory"); }

// The thread's tiles.
template <int PARTS>
struct Mode<Pair<PARTS>> {
  int64_t upper = 0, lower = 0, steps = 0;

  ~Mode() { _tile_release(); }

  // For `upper` and `lower` rows, and so many steps in depth.
  void configure(int64_t upperRows, int64_t lowerRows, int64_t stepsInDepth) {
    if (upperRows == upper && lowerRows == lower && stepsInDepth == steps) return;
    upper = upperRows, lower = lowerRows, steps = stepsInDepth;
    alignas(64) TileConfig config;
    for (int column = 0; column < 2; column++) {
      config.shape(column, upper, kTileSize);
      if (lower > 0) config.shape(2 + column, lower, kTileSize);
      config.shape(6 + column, steps, kTileSize);
    }
    config.shape(4, upper, steps);
    if (lower > 0) config.shape(5, lower, steps);
    compilerBarrier();
    _tile_loadconfig(&config);
  }
};

// c (+)= a · b for one or two tiles of rows by one or two of columns, `steps` of each part in depth at a time. With every
// product of all of them, some 64 cycles for which a core has a dozen instructions, meanwhile.step() is called.
template <int ROWS, int COLUMNS, typename Unit, typename Meanwhile>
LANES_INLINE void tileProduct(Meanwhile& meanwhile, Matrix<Unit> a, const Unit* b, int64_t bStride, float* c,
                              int64_t cStride, int64_t depth, int64_t steps, bool accumulate) {
  typedef Terms<Unit> Of;
  const int64_t aBytes = a.rowStride * 4, bBytes = bStride * 4, cBytes = cStride * 4;
  float* const lower = c + kTileSize * cStride;
  if (accumulate) {
    _tile_loadd(0, c, cBytes);
    if constexpr (COLUMNS == 2) _tile_loadd(1, c + kTileSize, cBytes);
    if constexpr (ROWS == 2) _tile_loadd(2, lower, cBytes);
    if constexpr (ROWS == 2 && COLUMNS == 2) _tile_loadd(3, lower + kTileSize, cBytes);
  } else {
    _tile_zero(0);
    if constexpr (COLUMNS == 2) _tile_zero(1);
    if constexpr (ROWS == 2) _tile_zero(2);
    if constexpr (ROWS == 2 && COLUMNS == 2) _tile_zero(3);
  }
  Meanwhile during = meanwhile;  // in registers
  for (int64_t p = 0; p < depth; p += Of::kParts * steps) {
#pragma GCC unroll 6
    for (int t = 0; t < Of::kCount; t++) {
      const bool hasOtherRows = t == 0 || Of::kLeft[t] != Of::kLeft[t - 1];
      const bool hasOtherColumns = t == 0 || Of::kRight[t] != Of::kRight[t - 1];
      const Unit* const rows = a.data + p + Of::kLeft[t] * steps;
      const Unit* const columns = b + (p + Of::kRight[t] * steps) * bStride;
      if (hasOtherRows) _tile_loadd(4, rows, aBytes);
      if (hasOtherColumns) _tile_loadd(6, columns, bBytes);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (COLUMNS == 2) {
        if (hasOtherColumns) _tile_loadd(7, columns + kTileSize, bBytes);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (ROWS == 2) {
        if (hasOtherRows) _tile_loadd(5, rows + kTileSize * a.rowStride, aBytes);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (COLUMNS == 2) _tile_dpbf16ps(3, 5, 7);
      }
      during.step();
    }
  }
  meanwhile = during;
  _tile_stored(0, c, cBytes);
  if constexpr (COLUMNS == 2) _tile_stored(1, c + kTileSize, cBytes);
  if constexpr (ROWS == 2) _tile_stored(2, lower, cBytes);
  if constexpr (ROWS == 2 && COLUMNS == 2) _tile_stored(3, lower + kTileSize, cBytes);
}

// All columns of rows [from, to), as many rows at a time as the tiles hold: ROWS tiles of them.
template <int ROWS, typename Unit, typename Meanwhile>
LANES_INLINE void bands(Meanwhile& meanwhile, Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride,
                        int64_t from, int64_t to, int64_t depth, int64_t steps, int64_t n, bool accumulate) {
  for (int64_t j = 0; j < n; j += 2 * kTileSize) {
    for (int64_t i = from; i < to; i += 2 * kTileSize) {
      const Matrix<Unit> rows = {a.data + i * a.rowStride, a.rowStride, 1};
      Nothing nothing;
      if (n - j > kTileSize) {
        tileProduct<ROWS, 2>(meanwhile, rows, b + j, bStride, c + i * cStride + j, cStride, depth, steps, accumulate);
      } else {
        tileProduct<ROWS, 1>(nothing, rows, b + j, bStride, c + i * cStride + j, cStride, depth, steps, accumulate);
      }
    }
  }
}

// The same for a depth that is a multiple of `steps` of each part, at most 16. What is left of rows, as of columns and of depth, is
// little, and nothing is done beside it.
template <typename Unit, typename Meanwhile>
LANES_INLINE void steppedProduct(Mode<Unit>& tiles, Meanwhile& meanwhile, Matrix<Unit> a, const Unit* b, int64_t bStride,
                                 float* c, int64_t cStride, int64_t m, int64_t depth, int64_t steps, int64_t n, bool accumulate) {
  const int64_t whole = m / (2 * kTileSize) * (2 * kTileSize), rest = m - whole;
  Nothing nothing;
  if (whole > 0) {
    tiles.configure(kTileSize, kTileSize, steps);
    bands<2>(meanwhile, a, b, bStride, c, cStride, 0, whole, depth, steps, n, accumulate);
  }
  if (rest > kTileSize) {
    tiles.configure(kTileSize, rest - kTileSize, steps);
    bands<2>(nothing, a, b, bStride, c, cStride, whole, m, depth, steps, n, accumulate);
  } else if (rest > 0) {
    tiles.configure(rest, 0, steps);
    bands<1>(nothing, a, b, bStride, c, cStride, whole, m, depth, steps, n, accumulate);
  }
}

// As stripProduct (strip.h); `a` is read by rows.
template <typename Unit, typename Meanwhile>
LANES_INLINE void pairsProduct(Mode<Unit>& tiles, Meanwhile& meanwhile, Matrix<Unit> a, const Unit* b, int64_t bStride,
                               float* c, int64_t cStride, int64_t m, int64_t depth, int64_t n, bool accumulate) {
  constexpr int64_t kParts = Terms<Unit>::kParts, kStep = kParts * kTileSize;
  const int64_t whole = depth / kStep * kStep, rest = depth - whole;
  if (depth == 0 && !accumulate) {
    for (int64_t i = 0; i < m; i++) zeroFloats(c + i * cStride, n);
  }
  compilerBarrier();
  if (whole > 0) steppedProduct(tiles, meanwhile, a, b, bStride, c, cStride, m, whole, kTileSize, n, accumulate);
  if (rest > 0) {
    const Matrix<Unit> last = {a.data + whole, a.rowStride, 1};
    Nothing nothing;
    steppedProduct(tiles, nothing, last, b + whole * bStride, bStride, c, cStride, m, rest, rest / kParts, n,
                   accumulate || whole > 0);
  }
  compilerBarrier();
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
#endif
