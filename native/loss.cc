// The tied output product with cross-entropy. Only the rows that carry loss have logits, 256 of them at a time, and
// their gradient takes the logits' place.
#include <cstring>
#include <vector>

#include "operations.h"
#include "pool.h"
#include "product.h"
#include "scratch.h"
#include "select.h"

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

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, float* dLogits, float* result, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing) {
  std::vector<LossRow> lossOf(static_cast<size_t>(rows));
  for (int64_t block = 0; block < rows; block += kRows) {
    const int64_t count = rows - block < kRows ? rows - block : kRows;
    // This thread's scratch, but the panels below that other threads take use it too: it stays until the next
    // block. Nothing inside the panels asks for the same slot.
    float* const gathered = scratch(Slot::panel, count * (width + (dLogits ? 0 : vocabulary)));
    float* const logits = dLogits ? dLogits + block * vocabulary : gathered + count * width;
    gather(hidden, lossRows + block, count, width, 1, gathered);
    forPanelsOf(kTableRows, vocabulary, [=](int64_t first, int64_t size) {
      multiply({gathered, width, 1}, {table + first * width, 1, width}, logits + first, vocabulary, count, width,
               size, false);
    });
    forPanelsOf(8, count, [&](int64_t first, int64_t size) {
      for (int64_t i = first; i < first + size; i++) {
        lossOf[block + i] = kernels().crossEntropy(logits + i * vocabulary, bias, vocabulary, labels[block + i],
                                                   smoothing, dLogits != nullptr);
      }
    });
  }
  double loss = 0, correct = 0;
  for (const LossRow& row : lossOf) {
    loss += row.loss;
    correct += row.correct;
  }
  result[0] = static_cast<float>(loss);
  result[1] = static_cast<float>(correct);
}

void crossEntropyGradient(const float* dLogits, const float* hidden, const float* table,
                          const int32_t* lossRows, float* dHidden, float* dTable, int64_t hiddenRows,
                          int64_t rows, int64_t width, int64_t vocabulary, float scale, bool accumulate) {
  // A row may carry loss twice; its gradients are added in order. Hence one dense result first.
  std::vector<float> dense(static_cast<size_t>(rows * width));
  forPanelsOf(kHiddenRows, rows, [&](int64_t first, int64_t count) {
    multiply({dLogits + first * vocabulary, vocabulary, 1}, {table, width, 1}, dense.data() + first * width,
             width, count, vocabulary, width, false);
  });
  std::memset(dHidden, 0, static_cast<size_t>(hiddenRows * width) * sizeof(float));
  for (int64_t i = 0; i < rows; i++) {
    float* const term = dense.data() + i * width;
    float* const row = dHidden + lossRows[i] * width;
    kernels().scaled(term, scale, term, width);
    kernels().add(row, row, term, width, false);
  }
  gather(hidden, lossRows, rows, width, scale, dense.data());
  const Operations& operations = fastOperations();
  operations.linearWeightGradient(dLogits, dense.data(), dTable, nullptr, rows, width, vocabulary, accumulate);
}

}  // namespace

void fillLoss(Operations& table) {
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
