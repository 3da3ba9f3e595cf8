// The tied output product with cross-entropy. Only the rows that carry loss have logits, some hundred of them at a time.
#include <algorithm>
#include <cstring>
#include <vector>

#include "operations.h"
#include "products.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 512;                      // whose logits are there at a time
constexpr int64_t kTableRows = kPanelsColumns;      // of the table, in one panel of the logits
constexpr int64_t kPanelRows = 128;                 // that a thread takes at a time
constexpr int64_t kHiddenRows = 512;                // in one panel of the hidden states' gradient, at most
constexpr int64_t kTableBlock = 256;                // rows of the table that such a panel passes at a time

// a[rows[i]] * scale, dense, as products take it; in the slot `rows`.
Activations gathered(const float* a, const int32_t* rows, int64_t count, int64_t width, float scale, Precision precision) {
  const Format format = formatOf(precision);
  const Activations out = {scratch(Slot::rows, floatsOf(format, count * width)), format};
  forPanelsOf(kPanelRows, count, [=](int64_t first, int64_t size) {
    for (int64_t i = first; i < first + size; i++) kernels().scaled(a + rows[i] * width, scale, from(out, i * width), width);
  });
  return out;
}

// Rows of `width` from where they are `stride` apart to where they follow each other: a power of two apart they would drive
// each other out of the caches.
void copyRows(Activations rows, int64_t stride, Activations to, int64_t width, int64_t count) {
  const size_t bytes = static_cast<size_t>(width * bytesOf(rows.format));
  for (int64_t i = 0; i < count; i++) std::memcpy(from(to, i * width).data, from(rows, i * stride).data, bytes);
}

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, Activations dLogits, float* loss, float* correct, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing, Precision precision) {
  std::vector<LossRow> lossOf(static_cast<size_t>(rows));
  const int64_t depth = depthOf(precision, width);
  const float* const weights = packed(Slot::weights, precision, table, 1, width, width, vocabulary);
  for (int64_t block = 0; block < rows; block += kRows) {
    const int64_t count = std::min(kRows, rows - block);
    const Activations kept = from(dLogits, block * vocabulary);
    float* const logits = scratch(Slot::kept, count * vocabulary);
    const Activations dense = gathered(hidden, lossRows + block, count, width, 1, precision);
    float* const buffer = scratch(Slot::inputs, leftUnits(precision, count, width));
    const Matrix<float> inputs = kernels().left(precision, dense, width, count, width, buffer);
    const bool passes = passesCaches(activations(logits), count * vocabulary);
    forPanelsOf(kTableRows, vocabulary, [=](int64_t first, int64_t size) {
      for (int64_t r = 0; r < count; r += kPanelRows) {
        const int64_t some = std::min(kPanelRows, count - r);
        const Matrix<float> part = {inputs.data + r * inputs.rowStride, inputs.rowStride, inputs.columnStride};
        const Activations out = activations(logits + r * vocabulary + first);
        kernels().linear({precision, part, weights + first * depth, bias + first, kNone, out, kNone, some, width, size, vocabulary,
                          Activation::none, passes, kNothingAhead},
                         scratch(Slot::sums, linearScratch(some)));
      }
    });
    forPanelsOf(8, count, [&](int64_t first, int64_t size) {
      for (int64_t i = first; i < first + size; i++) {
        lossOf[block + i] = kernels().crossEntropy(logits + i * vocabulary, vocabulary, labels[block + i], smoothing,
                                                   from(kept, i * vocabulary));
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

void crossEntropyGradient(Activations dLogits, const float* hidden, const float* table, const int32_t* lossRows,
                          float* dHidden, float* dTable, int64_t hiddenRows, int64_t rows, int64_t width,
                          int64_t vocabulary, float scale, bool accumulate, Precision precision) {
  const int64_t columns = wholeLanes(width);
  // The table in blocks of depth, each packed by itself.
  float* const weights = scratch(Slot::weights, packedUnits(precision, vocabulary, width));
  forPanelsOf(kTableBlock, vocabulary, [=](int64_t first, int64_t size) {
    kernels().pack(precision, activations(table + first * width), width, 1, 0, size, size, width,
                   weights + depthOf(precision, first) * columns);
  });
  // A row may carry loss twice; its gradients are added in order. Hence one dense result first.
  float* const dense = scratch(Slot::kept, rows * width);
  const int64_t panelRows = evenPart(rows, std::min(kHiddenRows, ceilDiv(rows, 2 * poolThreads())));
  forPanelsOf(panelRows, rows, [=](int64_t first, int64_t count) {
    const Activations block = {scratch(Slot::panel, floatsOf(dLogits.format, count * kTableBlock)), dLogits.format};
    float* const buffer = scratch(Slot::operand, leftUnits(precision, count, kTableBlock));
    for (int64_t v = 0; v < vocabulary; v += kTableBlock) {
      const int64_t size = std::min(kTableBlock, vocabulary - v);
      copyRows(from(dLogits, first * vocabulary + v), vocabulary, block, size, count);
      const Matrix<float> part = kernels().left(precision, block, size, count, size, buffer);
      kernels().product(precision, part, weights + depthOf(precision, v) * columns, dense + first * width, width, count,
                        size, width, v > 0, kNoNext);
    }
  });
  forPanelsOf(kPanelRows, hiddenRows, [=](int64_t first, int64_t size) {
    std::memset(dHidden + first * width, 0, static_cast<size_t>(size * width) * sizeof(float));
    for (int64_t i = 0; i < rows; i++) {
      if (lossRows[i] < first || lossRows[i] >= first + size) continue;
      const Activations term = activations(dense + i * width), row = activations(dHidden + lossRows[i] * width);
      kernels().scaled(dense + i * width, scale, term, width);
      kernels().add(dHidden + lossRows[i] * width, row, term, width, false);
    }
  });
  const Activations inputs = gathered(hidden, lossRows, rows, width, scale, precision);
  weightGradient(precision, dLogits, inputs, dTable, rows, width, vocabulary, accumulate);
}

}  // namespace

void fillLoss(Operations& table) {
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
