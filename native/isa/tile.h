// The inner loop of all matrix products: a tile of C stays in registers while the depth runs. Every element is one chain of
// multiply-adds in ascending depth, so neither the tile's size (which suits the number of registers) nor how a product is
// cut into calls changes a bit.
#pragma once

#include "isa/lanes.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

#if defined(__AVX512F__)
static constexpr int kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
static constexpr int kTileRows = 6, kTileVectors = 1;
#else
static constexpr int kTileRows = 2, kTileVectors = 1;
#endif

// Columns of a packed panel, in whole tiles.
#ifdef __AMX_BF16__
static constexpr int64_t kPanelColumns = 32;
#else
static constexpr int64_t kPanelColumns = 48;
#endif

// Two bfloat16 that follow each other in depth, the first one in the lower half. They are two numbers, or of two numbers one of
// PARTS parts each: 16 pairs of first parts are followed by 16 of each other one; at the end of a depth they may be fewer.
template <int PARTS>
struct Pair {
  uint32_t word;
};

// Which parts of a and of b are multiplied with each other, in this order.
template <typename Unit>
struct Terms {
  static constexpr int kParts = 1, kCount = 1;
  static constexpr int kLeft[] = {0}, kRight[] = {0};
};
template <>
struct Terms<Pair<2>> {
  static constexpr int kParts = 2, kCount = 3;
  static constexpr int kLeft[] = {1, 0, 0}, kRight[] = {0, 1, 0};
};
template <>
struct Terms<Pair<3>> {
  static constexpr int kParts = 3, kCount = 6;
  // The largest last. Each has a part of the one before, which is not loaded again; those of a, which lie farther away, are
  // loaded once.
  static constexpr int kLeft[] = {2, 1, 1, 0, 0, 0}, kRight[] = {0, 0, 1, 1, 2, 0};
};

// What a step in depth multiplies: a number, or a pair of bfloat16, whose two products are added to the sum: that of the upper
// halves first, as AVX512_BF16's instruction does it. The products are exact in float32, so without the instruction the bits
// are the same.
LANES_INLINE Words loadWords(const uint32_t* p) {
  Words v;
  LANES_EACH(v.part[i] = *reinterpret_cast<const Words::LoosePart*>(p + i * kPartLanes));
  return v;
}
LANES_INLINE void storeWords(uint32_t* p, Words v) {
  LANES_EACH(*reinterpret_cast<Words::LoosePart*>(p + i * kPartLanes) = v.part[i]);
}
template <int PARTS>
LANES_INLINE Words loadUnits(const Pair<PARTS>* p) {
  return loadWords(&p->word);
}
template <int PARTS>
LANES_INLINE void storeUnits(Pair<PARTS>* p, Words v) {
  storeWords(&p->word, v);
}
template <int PARTS>
LANES_INLINE Words allUnits(Pair<PARTS> x) {
  return allOf<uint32_t>(x.word);
}
LANES_INLINE Floats multiplyAdd(Words a, Words b, Floats c) {
#ifdef __AVX512BF16__
  c.part[0] = (Floats::Part)_mm512_dpbf16_ps((__m512)c.part[0], (__m512bh)a.part[0], (__m512bh)b.part[0]);
  return c;
#else
  c = multiplyAdd(as<Floats>(a & 0xffff0000u), as<Floats>(b & 0xffff0000u), c);
  return multiplyAdd(as<Floats>(a << 16), as<Floats>(b << 16), c);
#endif
}
LANES_INLINE Floats loadUnits(const float* p) { return load(p); }
LANES_INLINE Floats allUnits(float x) { return all(x); }

// To do while tiles multiply (amx.h).
struct Nothing {
  void step() {}
};

// What lasts from one product to the next.
template <typename Unit>
struct Mode {};

// While it lives, products of pairs take and give subnormal numbers as zeros, which is what the instruction does by itself.
template <typename Unit>
struct Subnormals {};

#if defined(__x86_64__) && !defined(__AVX512BF16__)
template <int PARTS>
struct Subnormals<Pair<PARTS>> {
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
  const unsigned saved = _mm_getcsr();
  Subnormals() { _mm_setcsr(saved | kFlushToZero | kDenormalsAreZero); }
  ~Subnormals() { _mm_setcsr(saved); }
};
#endif

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

// A strip of 16 VECTORS columns from row `from` on, ROWS at a time and then fewer.
template <int ROWS, int VECTORS, typename Unit>
LANES_INLINE void strip(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t from, int64_t m,
                        int64_t depth, bool accumulate) {
  int64_t i = from;
  for (; i + ROWS <= m; i += ROWS) {
    tile<ROWS, VECTORS>({a.data + i * a.rowStride, a.rowStride, a.columnStride}, b, bStride, c + i * cStride, cStride,
                        depth, accumulate);
  }
  if constexpr (ROWS > 1) strip<ROWS / 2, VECTORS>(a, b, bStride, c, cStride, i, m, depth, accumulate);
}

template <int VECTORS>
struct Vectors {
  static constexpr int value = VECTORS;
};

template <typename Unit>
LANES_INLINE void strips(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                         int64_t depth, int64_t n, bool accumulate) {
  for (int64_t left = n / kLanes; left > 0;) {
    const auto take = [&](auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      strip<kTileRows, kVectors>(a, b, bStride, c, cStride, 0, m, depth, accumulate);
      b += kVectors * kLanes;
      c += kVectors * kLanes;
      left -= kVectors;
    };
    // Four are two pairs: a single one is slower.
    if (kTileVectors >= 3 && left >= 3 && left != 4) {
      take(Vectors<3>{});
    } else if (kTileVectors >= 2 && left >= 2) {
      take(Vectors<2>{});
    } else {
      take(Vectors<1>{});
    }
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
