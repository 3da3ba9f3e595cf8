// Linear layers and the loss as plain loops. See naive_model.cc.
#include <cmath>
#include <vector>

#include "naive.h"
#include "operations.h"

namespace lockstep {
namespace {

double normalCdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

double activated(double z, Activation activation) {
  if (activation == Activation::relu) return z > 0 || std::isnan(z) ? z : 0;
  if (activation == Activation::gelu) return z * normalCdf(z);
  if (activation == Activation::swish) return z * logistic(z);
  return z;
}

// c[i,j] = Σ_p a[i * ai + p * ap] * b[p * bp + j * bj], added to what c holds when `accumulate`.
void product(const float* a, int64_t ai, int64_t ap, const float* b, int64_t bp, int64_t bj, float* c, int64_t m,
             int64_t k, int64_t n, bool accumulate, Precision precision) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = accumulate ? c[i * n + j] : 0;
      for (int64_t p = 0; p < k; p++) {
        sum += multiplied(a[i * ai + p * ap], b[p * bp + j * bj], precision);
      }
      c[i * n + j] = static_cast<float>(sum);
    }
  }
}

void linear(Activations x, const float* w, const float* b, Activations y, Activations preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision precision) {
  std::vector<float> z(m * n);
  product(numbersOf(x, m * k).data(), k, 1, w, 1, k, z.data(), m, k, n, false, precision);
  for (int64_t i = 0; i < m * n; i++) {
    if (b) z[i] += b[i % n];
    put(y, i, static_cast<float>(activated(z[i], activation)));
  }
  putAll(preActivation, z);
}

double slope(double z, Activation activation) {
  if (activation == Activation::relu) return z > 0 ? 1 : 0;
  if (activation == Activation::gelu) return normalCdf(z) + z * std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI);
  if (activation == Activation::swish) return logistic(z) * (1 + z * logistic(-z));
  return 1;
}

void linearGradient(Activations dy, Activations x, const float* w, Activations saved, Activations dx, float* dw, float* db,
                    int64_t m, int64_t k, int64_t n, Activation activation, Precision precision) {
  const std::vector<float> gradients = numbersOf(dy, m * n), at = numbersOf(saved, m * k);
  std::vector<float> inputs(m * k);
  product(gradients.data(), n, 1, w, k, 1, inputs.data(), m, n, k, false, precision);
  for (int64_t i = 0; activation != Activation::none && i < m * k; i++) {
    inputs[i] = static_cast<float>(inputs[i] * slope(at[i], activation));
  }
  product(gradients.data(), 1, n, numbersOf(x, m * k).data(), k, 1, dw, n, m, k, false, precision);
  putAll(dx, inputs);
  for (int64_t j = 0; db && j < n; j++) {
    double sum = 0;
    for (int64_t i = 0; i < m; i++) sum += asOperand(gradients[i * n + j], precision);
    db[j] = static_cast<float>(sum);
  }
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  product(a, transposeA ? 1 : k, transposeA ? m : 1, b, transposeB ? 1 : n, transposeB ? k : 1, c, m, k, n, false,
          Precision::float32);
}

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, Activations dLogits, float* loss, float* correct, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing, Precision precision) {
  double lossSum = 0, correctSum = 0;
  std::vector<float> logits(vocabulary);
  for (int64_t r = 0; r < rows; r++) {
    product(hidden + lossRows[r] * width, width, 1, table, 1, width, logits.data(), 1, width, vocabulary, false,
            precision);
    double largest = -INFINITY, sum = 0, total = 0;
    for (int64_t j = 0; j < vocabulary; j++) {
      logits[j] += bias[j];
      largest = std::fmax(largest, logits[j]);
      total += logits[j];
    }
    for (int64_t j = 0; j < vocabulary; j++) sum += std::exp(logits[j] - largest);
    const double logSum = largest + std::log(sum), even = smoothing / static_cast<double>(vocabulary);
    lossSum += logSum - (1 - smoothing) * logits[labels[r]] - even * total;
    if (logits[labels[r]] >= largest) correctSum++;
    for (int64_t j = 0; dLogits.data && j < vocabulary; j++) {
      const double target = even + (j == labels[r] ? 1 - smoothing : 0);
      put(dLogits, r * vocabulary + j, static_cast<float>(std::exp(logits[j] - logSum) - target));
    }
  }
  *loss = static_cast<float>(lossSum);
  *correct = static_cast<float>(correctSum);
}

void crossEntropyGradient(Activations dLogits, const float* hidden, const float* table, const int32_t* lossRows,
                          float* dHidden, float* dTable, int64_t hiddenRows, int64_t rows, int64_t width,
                          int64_t vocabulary, float scale, bool accumulate, Precision precision) {
  for (int64_t i = 0; i < hiddenRows * width; i++) dHidden[i] = 0;
  if (!accumulate) {
    for (int64_t i = 0; i < vocabulary * width; i++) dTable[i] = 0;
  }
  std::vector<float> gathered(rows * width), row(width);
  const std::vector<float> kept = numbersOf(dLogits, rows * vocabulary);
  for (int64_t r = 0; r < rows; r++) {
    product(kept.data() + r * vocabulary, vocabulary, 1, table, width, 1, row.data(), 1, vocabulary, width, false,
            precision);
    for (int64_t j = 0; j < width; j++) {
      dHidden[lossRows[r] * width + j] += row[j] * scale;
      gathered[r * width + j] = hidden[lossRows[r] * width + j] * scale;
    }
  }
  product(kept.data(), 1, vocabulary, gathered.data(), width, 1, dTable, vocabulary, rows, width, true, precision);
}

}  // namespace

void fillNaiveProducts(Operations& table) {
  table.linear = linear;
  table.linearGradient = linearGradient;
  table.matmul = matmul;
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
