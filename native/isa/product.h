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

// Asks for LINES lines of what is ahead with every step.
template <int LINES>
struct Asking {
  const char *line, *end;  // of a row
  int64_t bytes, skip, rows;

  explicit Asking(const Ahead& ahead)
      : line(ahead.at), end(ahead.at + ahead.bytes), bytes(ahead.bytes), skip(ahead.stride - ahead.bytes), rows(ahead.rows) {}

  __attribute__((always_inline)) void step() {
    if (rows <= 0) return;  // nor for address 0, which would cost a walk through the page table
#pragma GCC unroll 8
    for (int i = 0; i < LINES; i++) __builtin_prefetch(line + 64 * i, 0, 2);
    line += 64 * LINES;
    if (line >= end) {
      rows--;
      line = end + skip;
      end = line + bytes;
    }
  }
};

// c[m, lanes] = a · strip, packed columns in whole lanes. All blocks of depth follow each other, so c stays in L1.
template <typename Unit, typename Meanwhile>
static inline void stripOfAllDepth(Mode<Unit>& mode, Meanwhile& meanwhile, Matrix<Unit> a, const Unit* strip, float* c,
                                   int64_t m, int64_t depth, int64_t lanes) {
  for (int64_t p = 0; p == 0 || p < depth; p += kDepthBlock<Unit>) {
    const Matrix<Unit> part = {a.data + p * a.columnStride, a.rowStride, a.columnStride};
    const int64_t block = smaller(kDepthBlock<Unit>, depth - p);
    stripProduct(mode, meanwhile, part, strip + p * lanes, lanes, c, lanes, m, block, lanes, p > 0);
  }
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
