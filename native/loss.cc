// The tied output product with cross-entropy. Only the rows that carry loss have logits, 256 of them at a time. Their
// gradient takes the logits' place, or, where products take another format, is kept in that format alone.
#include <cstring>
#include <vector>

#include "formats.h"
#include "operations.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 256;
constexpr int64_t kTableRows = 512;   // of the table, in one panel of the logits
constexpr int64_t kHiddenRows = 128;  // in one panel of the hidden states' gradient

// out[i] = a[rows[i]] * scale, dense.
void gather(const float* a, const int32_t* rows, int64_t count, int64_t width, float scale, float* out) {
  for (int64_t i = 0; i < count; i++) {
    kernels().scaled(a + rows[i] * width, scale, out + i * width, width);
  }
}

template <typename Format>
void crossEntropyOf(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                    const int32_t* labels, typename Format::Element* dLogits, float* loss, float* correct, int64_t rows,
                    int64_t width, int64_t vocabulary, double smoothing) {
  using Element = typename Format::Element;
  std::vector<LossRow> lossOf(static_cast<size_t>(rows));
  const Element* const weights = operand<Format>(Slot::weights, table, vocabulary * width);
  for (int64_t block = 0; block < rows; block += kRows) {
    const int64_t count = rows - block < kRows ? rows - block : kRows;
    // This thread's scratch, which the panels below read on other threads too: nothing in them asks for these slots.
    float* const gathered = scratch(Slot::kernel, count * width);
    float* logits = nullptr;
    if constexpr (!Format::kConverts) {
      if (dLogits) logits = dLogits + block * vocabulary;  // their gradient is kept as it is computed
    }
    if (!logits) logits = scratch(Slot::gradients, count * vocabulary);
    gather(hidden, lossRows + block, count, width, 1, gathered);
    const Element* const inputs = panelOperand<Format>(Slot::inputs, gathered, count * width);
    forPanelsOf(kTableRows, vocabulary, [=](int64_t first, int64_t size) {
      multiply(Matrix<Element>{inputs, width, 1}, Matrix<Element>{weights + first * width, 1, width}, logits + first,
               vocabulary, count, width, size, false);
    });
    forPanelsOf(8, count, [&](int64_t first, int64_t size) {
      for (int64_t i = first; i < first + size; i++) {
        float* const row = logits + i * vocabulary;
        lossOf[block + i] =
            kernels().crossEntropy(row, bias, vocabulary, labels[block + i], smoothing, dLogits != nullptr);
        if (Format::kConverts && dLogits) Format::convert(row, dLogits + (block + i) * vocabulary, vocabulary);
      }
    });
  }
  double lossSum = 0, correctSum = 0;
  for (const LossRow& row : lossOf) {
    lossSum += row.loss;
    correctSum += row.correct;
  }
  *loss = static_cast<float>(lossSum);
  *correct = static_cast<float>(correctSum);
}

template <typename Format>
void crossEntropyGradientOf(const typename Format::Element* dLogits, const float* hidden, const float* table,
                            const int32_t* lossRows, float* dHidden, float* dTable, int64_t hiddenRows, int64_t rows,
                            int64_t width, int64_t vocabulary, float scale, bool accumulate) {
  using Element = typename Format::Element;
  // A row may carry loss twice; its gradients are added in order. Hence one dense result first.
  float* const dense = scratch(Slot::gradients, rows * width);
  const Element* const weights = operand<Format>(Slot::weights, table, vocabulary * width);
  forPanelsOf(kHiddenRows, rows, [&](int64_t first, int64_t count) {
    multiply(Matrix<Element>{dLogits + first * vocabulary, vocabulary, 1}, Matrix<Element>{weights, width, 1},
             dense + first * width, width, count, vocabulary, width, false);
  });
  std::memset(dHidden, 0, static_cast<size_t>(hiddenRows * width) * sizeof(float));
  for (int64_t i = 0; i < rows; i++) {
    float* const term = dense + i * width;
    float* const row = dHidden + lossRows[i] * width;
    kernels().scaled(term, scale, term, width);
    kernels().add(row, row, term, width, false);
  }
  gather(hidden, lossRows, rows, width, scale, dense);
  weightGradient(dLogits, operand<Format>(Slot::inputs, dense, rows * width), dTable, rows, width, vocabulary,
                 accumulate);
}

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, float* dLogits, float* loss, float* correct, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing, Precision precision) {
  withFormat(precision, [&](auto format) {
    using Format = decltype(format);
    auto* const kept = reinterpret_cast<typename Format::Element*>(dLogits);
    crossEntropyOf<Format>(hidden, table, bias, lossRows, labels, kept, loss, correct, rows, width, vocabulary, smoothing);
  });
}

void crossEntropyGradient(const float* dLogits, const float* hidden, const float* table, const int32_t* lossRows,
                          float* dHidden, float* dTable, int64_t hiddenRows, int64_t rows, int64_t width,
                          int64_t vocabulary, float scale, bool accumulate, Precision precision) {
  withFormat(precision, [&](auto format) {
    using Format = decltype(format);
    const auto* const kept = reinterpret_cast<const typename Format::Element*>(dLogits);
    crossEntropyGradientOf<Format>(kept, hidden, table, lossRows, dHidden, dTable, hiddenRows, rows, width,
                                   vocabulary, scale, accumulate);
  });
}

}  // namespace

void fillLoss(Operations& table) {
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
