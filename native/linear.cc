// Linear layers: panels of the matrix products, with bias and activation applied while a panel is in cache.
#include <vector>

#include "operations.h"
#include "products.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 128;  // chosen by measurement; the bias's gradient is summed in parts of so many

// y[rows, n] = activation(a · weights + bias), of which a panel has all columns. A product writes a few cache lines of each row at
// a time: to scratch, from where rows go to y as a whole.
void layer(Precision precision, Matrix<float> a, int64_t k, const float* weights, const float* bias,
           Activations preActivation, Activations y, int64_t rows, int64_t n, Activation activation) {
  const int64_t step = n < kPanelsColumns ? n : kPanelsColumns, stride = wholeLanes(step);
  float* const sums = scratch(Slot::sums, rows * stride);
  for (int64_t j = 0; j < n; j += step) {
    const int64_t columns = n - j < step ? n - j : step;
    kernels().product(precision, a, weights + j * depthOf(precision, k), sums, stride, rows, k, columns, false);
    kernels().biasActivation(sums, stride, bias ? bias + j : nullptr, from(preActivation, j), from(y, j), n, rows, columns,
                             activation);
  }
}

void linear(Activations x, const float* w, const float* b, Activations y, Activations preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, w, 1, k, k, n);
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    float* const buffer = scratch(Slot::operand, leftUnits(precision, rows, k));
    const Matrix<float> inputs = kernels().left(precision, from(x, first * k), k, rows, k, buffer);
    layer(precision, inputs, k, weights, b, from(preActivation, first * n), from(y, first * n), rows, n, activation);
  });
}

// Panels of tokens first: while one is in cache it passes the activation, gives its part of the bias's gradient and its
// rows of dx. The weight's gradient goes across all tokens, so where dz is not dy it is kept, in the products' format.
void linearGradient(Activations dy, Activations x, const float* w, Activations saved, Activations dx, float* dw, float* db,
                    int64_t m, int64_t k, int64_t n, Activation activation, Precision precision) {
  const float* const weights = packed(Slot::weights, precision, w, k, 1, n, k);
  const bool keeps = activation != Activation::none || dy.format != formatOf(precision);
  const Activations dz = keeps ? Activations{scratch(Slot::kept, floatsOf(formatOf(precision), m * n)), formatOf(precision)} : dy;
  std::vector<float> parts(db ? static_cast<size_t>(ceilDiv(m, kRows) * n) : 0);
  forPanelsOf(kRows, m, [&](int64_t first, int64_t rows) {
    const int64_t at = first * n;
    const Activations panel = from(dz, at);
    if (keeps) kernels().activationGradient(from(dy, at), from(saved, at), panel, rows * n, activation);
    if (db) kernels().columnSums(panel, n, rows, n, parts.data() + first / kRows * n);
    float* const buffer = scratch(Slot::operand, leftUnits(precision, rows, n));
    const Matrix<float> operand = kernels().left(precision, panel, n, rows, n, buffer);
    layer(precision, operand, n, weights, nullptr, kNone, from(dx, first * k), rows, k, Activation::none);
  });
  if (db) kernels().columnSums(activations(parts.data()), n, ceilDiv(m, kRows), n, db);
  weightGradient(precision, dz, x, dw, m, k, n, false);
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  const float* const units = packed(Slot::weights, Precision::float32, b, transposeB ? 1 : n, transposeB ? k : 1, k, n);
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
