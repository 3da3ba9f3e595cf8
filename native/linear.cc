// Linear layers: panels of the matrix products, with bias and activation applied while a panel is in cache.
#include <algorithm>

#include "operations.h"
#include "products.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = kStripRows;  // of one part of the bias's gradient
constexpr int64_t kBiasColumns = 64;   // of its parts, that one thread adds: many parts lie in other cores' caches
// Weights in bfloat16 of more than this, L2 does not keep from one panel to the next; larger panels of inputs, of so many bytes and
// strips at most, then read them fewer times. Other products are not waiting for them. Chosen by measurement.
constexpr int64_t kKeptWeights = 1 << 20, kPanelBytes = 512 << 10, kMostStrips = 4;

// Rows of a panel of m rows that depth k makes n columns of: whole strips of them, and two panels for each thread.
int64_t panelRows(int64_t m, int64_t k, int64_t n, Precision precision) {
  if (precision != Precision::bfloat16 || packedUnits(precision, k, n) * 4 <= kKeptWeights) return kRows;
  const int64_t fitting = std::min(kMostStrips, kPanelBytes / (kRows * leftStride(precision, k) * 4));
  const int64_t shared = ceilDiv(m, kRows) / (2 * poolThreads());
  return std::max<int64_t>(1, std::min(fitting, shared)) * kRows;
}

// The whole panel behind this one, which is this thread's next unless its share ends here.
Ahead nextPanel(Activations a, int64_t first, int64_t rows, int64_t width, int64_t m) {
  const int64_t next = first + rows;
  return next + rows > m ? kNothingAhead : aheadOf(from(a, next * width), 0, rows * width, 1);
}

void linear(Activations x, const float* w, const float* b, Activations y, Activations preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, w, 1, k, k, n);
  forPanelsOf(panelRows(m, k, n, precision), m, [=](int64_t first, int64_t rows) {
    float* const buffer = scratch(Slot::operand, leftUnits(precision, rows, k));
    const Matrix<float> inputs = kernels().left(precision, from(x, first * k), k, rows, k, buffer);
    kernels().linear({precision, inputs, weights, b, from(preActivation, first * n), from(y, first * n), kNone, rows, k, n, n,
                      activation, passesCaches(y, m * n), nextPanel(x, first, rows, k, m)},
                     scratch(Slot::sums, linearScratch(rows)));
  });
}

// Panels of tokens first: while one is in cache it gives its part of the bias's gradient and its rows of dx. The weight's gradient
// goes across all tokens, so where dy is float32 and products take bfloat16 it is kept in that.
void linearGradient(Activations dy, Activations x, const float* w, Activations saved, Activations dx, float* dw, float* db,
                    int64_t m, int64_t k, int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, w, k, 1, n, k);
  const Format format = formatOf(precision);
  const bool converts = dy.format != format;
  const Activations gradients = converts ? Activations{scratch(Slot::kept, floatsOf(format, m * n)), format} : dy;
  float* const parts = db ? scratch(Slot::parts, ceilDiv(m, kRows) * n) : nullptr;
  forPanelsOf(panelRows(m, n, k, precision), m, [&](int64_t first, int64_t rows) {
    const Activations panel = from(gradients, first * n);
    if (converts) {
      kernels().packBfloat16(static_cast<const float*>(dy.data) + first * n, static_cast<uint16_t*>(panel.data), rows * n);
    }
    for (int64_t r = 0; db && r < rows; r += kRows) {
      kernels().columnSums(from(panel, r * n), n, std::min(kRows, rows - r), n, parts + (first + r) / kRows * n);
    }
    float* const buffer = scratch(Slot::operand, leftUnits(precision, rows, n));
    const Matrix<float> operand = kernels().left(precision, panel, n, rows, n, buffer);
    kernels().linear({precision, operand, weights, nullptr, kNone, from(dx, first * k), from(saved, first * k), rows, n, k, k,
                      activation, passesCaches(dx, m * k), nextPanel(dy, first, rows, n, m)},
                     scratch(Slot::sums, linearScratch(rows)));
  });
  if (db) {
    forPanelsOf(kBiasColumns, n, [=](int64_t first, int64_t columns) {
      kernels().columnSums(activations(parts + first), n, ceilDiv(m, kRows), columns, db + first);
    });
  }
  weightGradient(precision, gradients, x, dw, m, k, n, false);
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  const float* const units = packed(Slot::weights, Precision::float32, b, transposeB ? 1 : n, transposeB ? k : 1, k, n);
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    const Matrix<float> left = transposeA ? Matrix<float>{a + first, 1, m} : Matrix<float>{a + first * k, k, 1};
    kernels().product(Precision::float32, left, units, c + first * n, n, rows, k, n, false, kNoNext);
  });
}

}  // namespace

void fillLinear(Operations& table) {
  table.linear = linear;
  table.linearGradient = linearGradient;
  table.matmul = matmul;
}

}  // namespace lockstep
