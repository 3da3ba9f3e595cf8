// Linear layers: panels of the matrix products, with bias and activation applied while a panel is in cache. The
// sizes of panels are fixed, so that bits depend on no number of threads; they were chosen by measurement.
#include "operations.h"
#include "pool.h"
#include "product.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 256;
constexpr int64_t kElements = 16384;  // of an elementwise panel

void linear(const float* x, const float* w, const float* b, float* y, float* preActivation, int64_t m,
            int64_t k, int64_t n, Activation activation) {
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    float* const panel = y + first * n;
    multiply({x + first * k, k, 1}, {w, 1, k}, panel, n, rows, k, n, false);
    if (b || preActivation || activation != Activation::none) {
      kernels().biasActivation(panel, b, preActivation ? preActivation + first * n : nullptr, rows, n,
                               static_cast<int>(activation));
    }
  });
}

void activationGradient(const float* dy, const float* saved, float* dz, int64_t count,
                        Activation activation) {
  forPanelsOf(kElements, count, [=](int64_t first, int64_t size) {
    kernels().activationGradient(dy + first, saved + first, dz + first, size, static_cast<int>(activation));
  });
}

void linearInputGradient(const float* dz, const float* w, float* dx, int64_t m, int64_t k, int64_t n) {
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    multiply({dz + first * n, n, 1}, {w, k, 1}, dx + first * k, k, rows, n, k, false);
  });
}

// Panels of the weight's rows, each over all tokens in one product. oneDNN 2.6 is fast with a transposed operand
// only where that is dense, so with many tokens dz's columns are copied out first.
void linearWeightGradient(const float* dz, const float* x, float* dw, float* db, int64_t m, int64_t k,
                          int64_t n, bool accumulate) {
  forPanelsOf(n >= 1024 ? 256 : 128, n, [=](int64_t first, int64_t rows) {
    const float* columns = dz + first;
    int64_t stride = n;
    if (m >= 1024 && rows < n) {
      float* const dense = scratch(Slot::panel, m * rows);
      kernels().copyColumns(columns, n, m, rows, dense);
      columns = dense;
      stride = rows;
    }
    multiply({columns, 1, stride}, {x, k, 1}, dw + first * k, k, rows, m, k, accumulate);
    if (db) kernels().columnSums(columns, stride, m, rows, db + first);
  });
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  const MatrixView right = {b, transposeB ? 1 : n, transposeB ? k : 1};
  forPanelsOf(kRows, m, [=](int64_t first, int64_t rows) {
    const MatrixView left = transposeA ? MatrixView{a + first, 1, m} : MatrixView{a + first * k, k, 1};
    multiply(left, right, c + first * n, n, rows, k, n, false);
  });
}

}  // namespace

void fillLinear(Operations& table) {
  table.linear = linear;
  table.activationGradient = activationGradient;
  table.linearInputGradient = linearInputGradient;
  table.linearWeightGradient = linearWeightGradient;
  table.matmul = matmul;
}

}  // namespace lockstep
