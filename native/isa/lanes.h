// Vectors of 16 lanes in GCC's vector extensions: one AVX-512 register, two of AVX2, four of SSE2. Only for native/isa.
#pragma once

#include <stddef.h>

#include "isa/kernels.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));  // 8 lanes
typedef float HalfFloats __attribute__((vector_size(32)));

// The same, at any address.
typedef float LooseFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t LooseHalves __attribute__((vector_size(32), aligned(2), may_alias));

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE void copyFloats(float* to, const float* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}
LANES_INLINE void zeroFloats(float* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(float));
}

LANES_INLINE Floats load(const float* p) { return *reinterpret_cast<const LooseFloats*>(p); }
LANES_INLINE void store(float* p, Floats v) { *reinterpret_cast<LooseFloats*>(p) = v; }

// The first `count` (< 16) lanes from memory, the others zero.
LANES_INLINE Floats loadPart(const float* p, int64_t count) {
  alignas(64) float lanes[kLanes] = {};
  copyFloats(lanes, p, count);
  return load(lanes);
}
LANES_INLINE void storePart(float* p, Floats v, int64_t count) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  copyFloats(p, lanes, count);
}

// x in every lane (x - 0 rather than 0 + x: that would turn -0 into 0).
LANES_INLINE Floats all(float x) { return x - Floats{}; }

LANES_INLINE Ints laneNumbers() { return Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
// v in lanes below `count`, `other` above.
LANES_INLINE Floats firstLanes(Floats v, int64_t count, Floats other) {
  return laneNumbers() < static_cast<int32_t>(count) ? v : other;
}

// Lane sums in the one order that all instruction sets share: halves onto halves.
LANES_INLINE float sumLanes(Floats v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}
LANES_INLINE float maxLanes(Floats v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
  }
  return lanes[0];
}

// Correctly rounded by IEEE 754, unlike anything made of approximations.
LANES_INLINE Floats squareRoot(Floats v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < kLanes; i++) lanes[i] = __builtin_sqrtf(lanes[i]);
  return load(lanes);
}

// Calls body(index, count) over [0, total): whole vectors first (count 16), then what is left.
template <typename Body>
LANES_INLINE void forLanes(int64_t total, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= total; i += kLanes) body(i, kLanes);
  if (i < total) body(i, total - i);
}
LANES_INLINE Floats loadSome(const float* p, int64_t count) {
  return count == kLanes ? load(p) : loadPart(p, count);
}
LANES_INLINE void storeSome(float* p, Floats v, int64_t count) {
  if (count == kLanes) {
    store(p, v);
  } else {
    storePart(p, v, count);
  }
}

// Rows of 16 become columns: rows[i][j] = old rows[j][i]. Four rounds of interleaving row i with row i + 8.
LANES_INLINE void transpose(Floats rows[16]) {
  const Ints low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  const Ints high = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  Floats next[16];
#pragma GCC unroll 4
  for (int round = 0; round < 4; round++) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + 8], low);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + 8], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) rows[i] = next[i];
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
