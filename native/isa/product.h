// Products by blocks of depth: of a whole operand (product.cc), and of one strip (linear.cc).
#pragma once

#include "isa/operands.h"

namespace lockstep {
namespace LOCKSTEP_ISA {

// Units of depth that a panel's strips pass at a time: a block of A then stays in L2, and a strip of B in L1. Of three parts they
// are multiplied twice each.
template <typename Unit>
static constexpr int64_t kDepthBlock = Terms<Unit>::kParts == 1 ? 256 : 192;

LANES_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// c[m, lanes] = a · strip, packed columns in whole lanes. All blocks of depth follow each other, so c stays in L1.
template <typename Unit>
static inline void stripOfAllDepth(Mode<Unit>& mode, Matrix<Unit> a, const Unit* strip, float* c, int64_t m, int64_t depth,
                                   int64_t lanes) {
  for (int64_t p = 0; p == 0 || p < depth; p += kDepthBlock<Unit>) {
    const Matrix<Unit> part = {a.data + p * a.columnStride, a.rowStride, a.columnStride};
    stripProduct(mode, part, strip + p * lanes, lanes, c, lanes, m, smaller(kDepthBlock<Unit>, depth - p), lanes, p > 0);
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
