// Linear layers: panels of the matrix products, with bias and activation applied while a panel is in cache.
#include <vector>

#include "operations.h"
#include "products.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 128;  // chosen by measurement; the bias's gradient is summed in parts of so many

void linear(const float* x, const float* w, const float* b, float* y, float* preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, {w, 1, k}, k, n);
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    float* const panel = y + first * n;
    float* const buffer = scratch(Slot::operand, leftUnits(precision, rows, k));
    const Matrix<float> inputs = kernels().left(precision, x + first * k, rows, k, buffer);
    kernels().product(precision, inputs, weights, panel, n, rows, k, n, false);
    if (b || preActivation || activation != Activation::none) {
      kernels().biasActivation(panel, b, preActivation ? preActivation + first * n : nullptr, rows, n, activation);
    }
  });
}

// Panels of tokens first: while one is in cache it passes the activation, gives its part of the bias's gradient and its
// rows of dx. What the weight's gradient needs of it, which goes across all tokens, is kept in the products' format.
void linearGradient(const float* dy, const float* x, const float* w, const float* saved, float* dx, float* dw,
                    float* db, int64_t m, int64_t k, int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, {w, k, 1}, n, k);
  const bool converts = precision != Precision::float32, activates = activation != Activation::none;
  const int64_t stride = converts ? wholeLanes(n) : n;
  float* const kept = converts || activates ? scratch(Slot::kept, depthOf(precision, m) * stride) : nullptr;
  std::vector<float> parts(db ? static_cast<size_t>(ceilDiv(m, kRows) * n) : 0);
  forPanelsOf(kRows, m, [&, kept, weights](int64_t first, int64_t rows) {
    const int64_t at = first * n;
    const float* dz = dy + at;
    if (activates) {
      float* const panel = converts ? scratch(Slot::panel, rows * n) : kept + at;
      kernels().activationGradient(dz, saved + at, panel, rows * n, activation);
      dz = panel;
    }
    if (converts) kernels().stacked(precision, dz, n, rows, n, kept + depthOf(precision, first) * stride);
    if (db) kernels().columnSums(dz, n, rows, n, parts.data() + first / kRows * n);
    const Matrix<float> operand =
        kernels().left(precision, dz, rows, n, scratch(Slot::operand, leftUnits(precision, rows, n)));
    kernels().product(precision, operand, weights, dx + first * k, k, rows, n, k, false);
  });
  if (db) kernels().columnSums(parts.data(), n, ceilDiv(m, kRows), n, db);
  weightGradient(precision, kept ? kept : dy, stride, x, dw, m, k, n, false);
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  const Matrix<float> right = {b, transposeB ? 1 : n, transposeB ? k : 1};
  const float* const units = packed(Slot::weights, Precision::float32, right, k, n);
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    const Matrix<float> left = transposeA ? Matrix<float>{a + first, 1, m} : Matrix<float>{a + first * k, k, 1};
    kernels().product(Precision::float32, left, units, c + first * n, n, rows, k, n, false);
  });
}

}  // namespace

void fillLinear(Operations& table) {
  table.linear = linear;
  table.linearGradient = linearGradient;
  table.matmul = matmul;
}

}  // namespace lockstep
