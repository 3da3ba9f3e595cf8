// The tied output product with cross-entropy. Only the rows that carry loss have logits, 256 of them at a time.
#include <cstring>
#include <vector>

#include "operations.h"
#include "products.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 256;
constexpr int64_t kTableRows = kPanelsColumns;      // of the table, in one panel of the logits
constexpr int64_t kHiddenRows = 128;                // in one panel of the hidden states' gradient
constexpr int64_t kTableBlock = 512;                // rows of the table that such a panel passes at a time

// out[i] = a[rows[i]] * scale, dense.
void gather(const float* a, const int32_t* rows, int64_t count, int64_t width, float scale, float* out) {
  for (int64_t i = 0; i < count; i++) {
    kernels().scaled(a + rows[i] * width, scale, out + i * width, width);
  }
}

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, Activations dLogits, float* loss, float* correct, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing, Precision precision) {
  std::vector<LossRow> lossOf(static_cast<size_t>(rows));
  const int64_t depth = depthOf(precision, width);
  const float* const weights = packed(Slot::weights, precision, table, 1, width, width, vocabulary);
  for (int64_t block = 0; block < rows; block += kRows) {
    const int64_t count = rows - block < kRows ? rows - block : kRows;
    float* const gathered = scratch(Slot::rows, count * width);
    const Activations kept = from(dLogits, block * vocabulary);
    float* const logits = scratch(Slot::kept, count * vocabulary);
    gather(hidden, lossRows + block, count, width, 1, gathered);
    float* const buffer = scratch(Slot::inputs, leftUnits(precision, count, width));
    const Matrix<float> inputs = kernels().left(precision, activations(gathered), width, count, width, buffer);
    forPanelsOf(kTableRows, vocabulary, [=](int64_t first, int64_t size) {
      kernels().product(precision, inputs, weights + first * depth, logits + first, vocabulary, count, width, size, false);
    });
    forPanelsOf(8, count, [&](int64_t first, int64_t size) {
      for (int64_t i = first; i < first + size; i++) {
        lossOf[block + i] = kernels().crossEntropy(logits + i * vocabulary, bias, vocabulary, labels[block + i], smoothing,
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
  float* const dense = scratch(Slot::rows, rows * width);
  forPanelsOf(kHiddenRows, rows, [=](int64_t first, int64_t count) {
    float* const buffer = scratch(Slot::operand, leftUnits(precision, count, kTableBlock));
    for (int64_t v = 0; v < vocabulary; v += kTableBlock) {
      const int64_t size = vocabulary - v < kTableBlock ? vocabulary - v : kTableBlock;
      const Matrix<float> part =
          kernels().left(precision, from(dLogits, first * vocabulary + v), vocabulary, count, size, buffer);
      kernels().product(precision, part, weights + depthOf(precision, v) * columns, dense + first * width, width, count,
                        size, width, v > 0);
    }
  });
  std::memset(dHidden, 0, static_cast<size_t>(hiddenRows * width) * sizeof(float));
  for (int64_t i = 0; i < rows; i++) {
    float* const term = dense + i * width;
    float* const row = dHidden + lossRows[i] * width;
    kernels().scaled(term, scale, term, width);
    kernels().add(row, activations(row), activations(term), width, false);
  }
  gather(hidden, lossRows, rows, width, scale, dense);
  weightGradient(precision, dLogits, activations(dense), dTable, rows, width, vocabulary, accumulate);
}

}  // namespace

void fillLoss(Operations& table) {
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
