// Matrix products over the pool. Operands take the products' format on their way into one, unless they have it: weights
// whole and once, the rest by panels. With bfloat16 the sums are float32.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "pool.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {

// b[k,n] packed by all threads, each of which takes some of what lies together in memory. It lies in the caller's scratch, where
// panels of other threads may read it until the caller uses the slot again.
inline const float* packed(Slot slot, Precision precision, const float* b, int64_t rowStride, int64_t columnStride,
                           int64_t k, int64_t n) {
  constexpr int64_t kRows = 64;
  float* const out = scratch(slot, packedUnits(precision, k, n));
  if (columnStride == 1) {
    forPanelsOf(kRows, k, [=](int64_t first, int64_t rows) {
      kernels().pack(precision, activations(b), rowStride, columnStride, first, rows, k, n, out);
    });
  } else {
    forPanelsOf(kernels().panelColumns, n, [=](int64_t first, int64_t columns) {
      kernels().pack(precision, activations(b + first * columnStride), rowStride, columnStride, 0, k, k, columns,
                     out + first * depthOf(precision, k));
    });
  }
  return out;
}

// The sizes of a weight gradient's panels and of their blocks of tokens were chosen by measurement. No bit depends on them.
constexpr int64_t kMostPanelRows = 512, kLeastPanelRows = 64, kBlockDepth = 128;
// From so many rows on, dy is the logits'.
constexpr int64_t kWideRows = 2048;

inline int64_t mostPanelColumns(bool isWide) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const bool hasLargeL2 = sysconf(_SC_LEVEL2_CACHE_SIZE) >= 2 << 20;
#else
  static const bool hasLargeL2 = false;
#endif
  return isWide ? 512 : hasLargeL2 ? 256 : 192;
}

// Whether so many numbers are more than L2 holds until they are read, chosen by measurement.
inline bool passesCaches(Activations a, int64_t count) { return floatsOf(a.format, count) * sizeof(float) > 1 << 20; }

// The size of parts, whole vectors each, into which `total` falls evenly when none may be larger than `most`.
inline int64_t evenPart(int64_t total, int64_t most) {
  return total > 0 ? wholeLanes(ceilDiv(total, ceilDiv(total, most))) : kLanes;
}

// `width` numbers in each of so many rows.
inline Ahead aheadOf(Activations a, int64_t stride, int64_t width, int64_t rows) {
  return {static_cast<const char*>(a.data), width * bytesOf(a.format), stride * bytesOf(a.format), rows};
}

// dw[n,k] (+)= dyᵀ · x over m tokens. A panel is some rows and columns of dw; it takes blocks of tokens that stay in cache, of
// which it lays out what it needs of dy and x.
inline void weightGradient(Precision precision, Activations dy, Activations x, float* dw, int64_t m, int64_t k, int64_t n,
                           bool accumulate) {
  int64_t rowStep = evenPart(n, kMostPanelRows), columnStep = evenPart(k, mostPanelColumns(n > kWideRows));
  // Until panels fall evenly to the threads, or every thread has two: each lays out what it reads.
  const auto isUneven = [&] {
    const int64_t panels = ceilDiv(n, rowStep) * ceilDiv(k, columnStep);
    return panels < 2 * poolThreads() && panels % poolThreads() != 0;
  };
  while (isUneven() && rowStep > kLeastPanelRows) rowStep = wholeLanes(rowStep / 2);
  const int64_t rowPanels = ceilDiv(n, rowStep), columnPanels = ceilDiv(k, columnStep);
  const int64_t tokenStep = kBlockDepth * (precision == Precision::bfloat16 ? 2 : 1);
  const int64_t panels = rowPanels * columnPanels;
  const auto firstRow = [=](int64_t panel) { return panel % rowPanels * rowStep; };
  const auto firstColumn = [=](int64_t panel) { return panel / rowPanels * columnStep; };
  // What a panel needs of dy and x for tokens [t, t + tokenStep).
  const auto operands = [=](int64_t panel, int64_t t) -> NextOperands {
    const int64_t row = firstRow(panel), column = firstColumn(panel), tokens = std::min(tokenStep, m - t);
    return {aheadOf(from(dy, t * n + row), n, std::min(rowStep, n - row), tokens),
            aheadOf(from(x, t * k + column), k, std::min(columnStep, k - column), tokens)};
  };
  forPanels(panels, [=](int64_t panel) {
    const int64_t row = firstRow(panel), column = firstColumn(panel);
    const int64_t rows = std::min(rowStep, n - row), columns = std::min(columnStep, k - column);
    // The panel grows in memory of its own: rows of dw may lie a power of two apart, where they drive each other out of the cache.
    float* const sums = scratch(Slot::sums, rows * columns);
    float* const result = dw + row * k + column;
    for (int64_t r = 0; accumulate && r < rows; r++) {
      std::memcpy(sums + r * columns, result + r * k, static_cast<size_t>(columns) * sizeof(float));
    }
    float* const inputs = scratch(Slot::panel, packedUnits(precision, tokenStep, columns));
    float* const gradients = scratch(Slot::operand, leftUnits(precision, wholeLanes(rows), tokenStep));
    for (int64_t t = 0; t == 0 || t < m; t += tokenStep) {
      const int64_t tokens = std::min(tokenStep, m - t);
      kernels().transposed(precision, from(dy, t * n + row), n, tokens, rows, gradients);
      kernels().pack(precision, from(x, t * k + column), k, 1, 0, tokens, tokens, columns, inputs);
      const int64_t after = panel + 1;  // this thread's next, unless its share ends here
      const NextOperands next = t + tokens < m ? operands(panel, t + tokens) : after < panels ? operands(after, 0) : kNoNext;
      kernels().product(precision, {gradients, leftStride(precision, tokens), 1}, inputs, sums, columns,
                        rows, tokens, columns, accumulate || t > 0, next);
    }
    kernels().stream(sums, columns, result, k, rows, columns);
  });
}

}  // namespace lockstep
