// The inner loop of our own matrix products: a tile of C stays in registers while the depth runs. Every element is summed
// in ascending depth, so the tile's size (which suits the number of registers) changes no bit.
#pragma once

#include "isa/lanes.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

#if defined(__AVX512F__)
static constexpr int kTileRows = 8, kTileVectors = 2;
#elif defined(__AVX2__)
static constexpr int kTileRows = 4, kTileVectors = 1;
#else
static constexpr int kTileRows = 2, kTileVectors = 1;
#endif

#ifdef __AVX512BF16__
// What a step in depth multiplies: a number, or a pair of bfloat16 in a word (the first one in the lower half), whose two
// products are added to the sum.
LANES_INLINE Words loadUnits(const uint32_t* p) {
  Words v;
  LANES_EACH(v.part[i] = *reinterpret_cast<const Words::LoosePart*>(p + i * kPartLanes));
  return v;
}
LANES_INLINE Floats multiplyAdd(Words a, Words b, Floats c) {
  c.part[0] = (Floats::Part)_mm512_dpbf16_ps((__m512)c.part[0], (__m512bh)a.part[0], (__m512bh)b.part[0]);
  return c;
}
LANES_INLINE Words allUnits(uint32_t x) { return allOf<uint32_t>(x); }
#endif
LANES_INLINE Floats loadUnits(const float* p) { return load(p); }
LANES_INLINE Floats allUnits(float x) { return all(x); }

// c (+)= a · b for ROWS × 16 VECTORS elements. `a` may be strided both ways, b's rows are vectors bStride apart.
template <int ROWS, int VECTORS, typename Unit>
LANES_INLINE void tile(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t depth,
                       bool accumulate) {
  Floats sums[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++) sums[i][j] = accumulate ? load(c + i * cStride + j * kLanes) : Floats{};
  }
  for (int64_t p = 0; p < depth; p++) {
    decltype(loadUnits(b)) row[VECTORS];
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++) row[j] = loadUnits(b + p * bStride + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      const auto factor = allUnits(a.data[i * a.rowStride + p * a.columnStride]);
#pragma GCC unroll 8
      for (int j = 0; j < VECTORS; j++) sums[i][j] = multiplyAdd(factor, row[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++) store(c + i * cStride + j * kLanes, sums[i][j]);
  }
}

// A strip of 16 VECTORS columns, all rows.
template <int VECTORS, typename Unit>
LANES_INLINE void strip(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                        int64_t depth, bool accumulate) {
  int64_t i = 0;
  for (; i + kTileRows <= m; i += kTileRows) {
    tile<kTileRows, VECTORS>(a, b, bStride, c + i * cStride, cStride, depth, accumulate);
    a.data += kTileRows * a.rowStride;
  }
  for (; i < m; i++) {
    tile<1, VECTORS>(a, b, bStride, c + i * cStride, cStride, depth, accumulate);
    a.data += a.rowStride;
  }
}

// c[m, n] (+)= a[m, depth] · b[depth, n] where n is a multiple of 16. Not inlined: one copy a file is enough.
template <typename Unit>
__attribute__((noinline)) static void stripProduct(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c,
                                                   int64_t cStride, int64_t m, int64_t depth, int64_t n,
                                                   bool accumulate) {
  int64_t j = 0;
  for (; j + kTileVectors * kLanes <= n; j += kTileVectors * kLanes) {
    strip<kTileVectors>(a, b + j, bStride, c + j, cStride, m, depth, accumulate);
  }
  for (; j < n; j += kLanes) strip<1>(a, b + j, bStride, c + j, cStride, m, depth, accumulate);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
