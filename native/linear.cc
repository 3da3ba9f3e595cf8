// Linear layers: panels of the matrix products, with bias and activation applied while a panel is in cache. The
// sizes of panels are fixed, so that bits depend on no number of threads; they were chosen by measurement.
#include <vector>

#include "formats.h"
#include "operations.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 256;

template <typename Format>
void linearOf(const float* x, const float* w, const float* b, float* y, float* preActivation, int64_t m, int64_t k,
              int64_t n, Activation activation) {
  using Element = typename Format::Element;
  const Element* const weights = operand<Format>(Slot::weights, w, n * k);
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    float* const panel = y + first * n;
    const Element* const inputs = panelOperand<Format>(Slot::panel, x + first * k, rows * k);
    multiply(Matrix<Element>{inputs, k, 1}, Matrix<Element>{weights, 1, k}, panel, n, rows, k, n, false);
    if (b || preActivation || activation != Activation::none) {
      kernels().biasActivation(panel, b, preActivation ? preActivation + first * n : nullptr, rows, n,
                               activation);
    }
  });
}

// dz = dy * activation'(saved), or dy itself.
const float* throughActivation(const float* dy, const float* saved, float* dz, int64_t count, Activation activation) {
  if (activation == Activation::none) return dy;
  kernels().activationGradient(dy, saved, dz, count, activation);
  return dz;
}

// Panels of tokens first: while one is in cache it passes the activation, gives its part of the bias's gradient and its
// rows of dx. What the weight's gradient needs of it, which goes across all tokens, is kept in the products' format.
template <typename Format>
void linearGradientOf(const float* dy, const float* x, const float* w, const float* saved, float* dx, float* dw,
                      float* db, int64_t m, int64_t k, int64_t n, Activation activation) {
  using Element = typename Format::Element;
  const Element* const weights = operand<Format>(Slot::weights, w, n * k);
  const bool isKept = Format::kConverts || activation != Activation::none;
  Element* const kept = isKept ? elements<Element>(Slot::gradients, m * n) : nullptr;
  std::vector<float> parts(db ? static_cast<size_t>((m + kRows - 1) / kRows * n) : 0);
  forPanelsOf(kRows, m, [&, kept, weights](int64_t first, int64_t rows) {
    const int64_t at = first * n;
    const Element* operands;
    const float* dz;
    if constexpr (Format::kConverts) {
      dz = throughActivation(dy + at, saved + at, scratch(Slot::panel, rows * n), rows * n, activation);
      Format::convert(dz, kept + at, rows * n);
      operands = kept + at;
    } else {
      operands = dz = throughActivation(dy + at, saved + at, kept + at, rows * n, activation);
    }
    if (db) kernels().columnSums(dz, n, rows, n, parts.data() + first / kRows * n);
    multiply(Matrix<Element>{operands, n, 1}, Matrix<Element>{weights, k, 1}, dx + first * k, k, rows, n, k, false);
  });
  if (db) kernels().columnSums(parts.data(), n, (m + kRows - 1) / kRows, n, db);
  const Element* dzs;
  if constexpr (Format::kConverts) {
    dzs = kept;
  } else {
    dzs = isKept ? kept : dy;
  }
  weightGradient(dzs, operand<Format>(Slot::inputs, x, m * k), dw, m, k, n, false);
}

void linear(const float* x, const float* w, const float* b, float* y, float* preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision precision) {
  withFormat(precision, [&](auto format) {
    linearOf<decltype(format)>(x, w, b, y, preActivation, m, k, n, activation);
  });
}

void linearGradient(const float* dy, const float* x, const float* w, const float* saved, float* dx, float* dw,
                    float* db, int64_t m, int64_t k, int64_t n, Activation activation, Precision precision) {
  withFormat(precision, [&](auto format) {
    linearGradientOf<decltype(format)>(dy, x, w, saved, dx, dw, db, m, k, n, activation);
  });
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  const Matrix<float> right = {b, transposeB ? 1 : n, transposeB ? k : 1};
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    const Matrix<float> left =
        transposeA ? Matrix<float>{a + first, 1, m} : Matrix<float>{a + first * k, k, 1};
    multiply(left, right, c + first * n, n, rows, k, n, false);
  });
}

}  // namespace

void fillLinear(Operations& table) {
  table.linear = linear;
  table.linearGradient = linearGradient;
  table.matmul = matmul;
}

}  // namespace lockstep
