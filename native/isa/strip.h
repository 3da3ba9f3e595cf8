// The product that all others are made of: some columns of a packed operand, by what the instruction set has for its units.
#pragma once

#include "isa/amx.h"
#include "isa/tile.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

template <typename Unit>
static constexpr bool kArePairs = false;
template <int PARTS>
static constexpr bool kArePairs<Pair<PARTS>> = true;

// Whether tiles multiply such units, beside which a core has time for something else.
template <typename Unit>
static constexpr bool kHasTiles =
#ifdef __AMX_BF16__
    kArePairs<Unit>;
#else
    false;
#endif

template <typename Unit>
LANES_INLINE void termsProduct(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                               int64_t depth, int64_t n, bool accumulate);

// c[m, n] (+)= a[m, depth] · b[depth, n] where n is a multiple of 16 and one stride of `a` is 1; with tiles the second one.
// `meanwhile` is what a core does while its tiles multiply (amx.h). Not inlined: one copy for each such thing is enough.
template <typename Unit, typename Meanwhile>
__attribute__((noinline)) static void stripProduct([[maybe_unused]] Mode<Unit>& mode, [[maybe_unused]] Meanwhile& meanwhile,
                                                   Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride,
                                                   int64_t m, int64_t depth, int64_t n, bool accumulate) {
  if constexpr (kHasTiles<Unit>) {
#ifdef __AMX_BF16__
    pairsProduct(mode, meanwhile, a, b, bStride, c, cStride, m, depth, n, accumulate);
#endif
  } else if constexpr (Terms<Unit>::kParts > 1) {
    termsProduct(a, b, bStride, c, cStride, m, depth, n, accumulate);
  } else {
    [[maybe_unused]] const Subnormals<Unit> asZeros;
    if (a.columnStride == 1) {
      strips<Unit>({a.data, a.rowStride, 1}, b, bStride, c, cStride, m, depth, n, accumulate);
    } else {
      strips<Unit>({a.data, 1, a.columnStride}, b, bStride, c, cStride, m, depth, n, accumulate);
    }
  }
}

template <typename Unit>
static void stripProduct(Mode<Unit>& mode, Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                         int64_t depth, int64_t n, bool accumulate) {
  Nothing nothing;
  stripProduct(mode, nothing, a, b, bStride, c, cStride, m, depth, n, accumulate);
}

// Numbers of several parts without tiles: one product for each term.
template <typename Unit>
LANES_INLINE void termsProduct(Matrix<Unit> a, const Unit* b, int64_t bStride, float* c, int64_t cStride, int64_t m,
                               int64_t depth, int64_t n, bool accumulate) {
  typedef Terms<Unit> Of;
  const auto* const left = reinterpret_cast<const Pair<1>*>(a.data);
  const auto* const right = reinterpret_cast<const Pair<1>*>(b);
  Mode<Pair<1>> mode;
  for (int64_t p = 0; p == 0 || p < depth; p += Of::kParts * kLanes) {
    const int64_t rest = (depth - p) / Of::kParts, steps = rest < kLanes ? rest : kLanes;
    for (int t = 0; t < Of::kCount; t++) {
      const Matrix<Pair<1>> part = {left + (p + Of::kLeft[t] * steps) * a.columnStride, a.rowStride, a.columnStride};
      stripProduct<Pair<1>>(mode, part, right + (p + Of::kRight[t] * steps) * bStride, bStride, c, cStride, m, steps, n,
                            accumulate || p > 0 || t > 0);
    }
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
