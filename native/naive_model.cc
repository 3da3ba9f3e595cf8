// The model's operations as plain loops with float64 sums and libm: slow, obviously right, and what the fast
// kernels are tested against. Not used in training.
#include <cmath>
#include <vector>

#include "operations.h"
#include "philox.h"

namespace lockstep {
namespace {

double normalCdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }

double activated(double z, Activation activation) {
  if (activation == Activation::relu) return z > 0 || std::isnan(z) ? z : 0;
  if (activation == Activation::gelu) return z * normalCdf(z);
  return z;
}

// What an element of a dropout's input is multiplied by.
float dropoutFactor(const Dropout& dropout, int64_t index) {
  if (dropout.rate == 0) return 1;
  const uint32_t word = philoxWord(static_cast<uint64_t>(index), dropout.seed, dropout.site,
                                   dropout.microBatch, dropout.step);
  return word >= dropout.threshold() ? dropout.scale() : 0;
}

// c[i,j] = Σ_p a[i * ai + p * ap] * b[p * bp + j * bj], added to what c holds when `accumulate`.
void product(const float* a, int64_t ai, int64_t ap, const float* b, int64_t bp, int64_t bj, float* c,
             int64_t m, int64_t k, int64_t n, bool accumulate) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = accumulate ? c[i * n + j] : 0;
      for (int64_t p = 0; p < k; p++) sum += double(a[i * ai + p * ap]) * b[p * bp + j * bj];
      c[i * n + j] = static_cast<float>(sum);
    }
  }
}

void linear(const float* x, const float* w, const float* b, float* y, float* preActivation, int64_t m,
            int64_t k, int64_t n, Activation activation) {
  product(x, k, 1, w, 1, k, y, m, k, n, false);
  for (int64_t i = 0; i < m * n; i++) {
    const float z = b ? y[i] + b[i % n] : y[i];
    if (preActivation) preActivation[i] = z;
    y[i] = static_cast<float>(activated(z, activation));
  }
}

void activationGradient(const float* dy, const float* saved, float* dz, int64_t count,
                        Activation activation) {
  for (int64_t i = 0; i < count; i++) {
    const double z = saved[i];
    double slope = 1;
    if (activation == Activation::relu) slope = z > 0 ? 1 : 0;
    if (activation == Activation::gelu) {
      slope = normalCdf(z) + z * std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI);
    }
    dz[i] = static_cast<float>(dy[i] * slope);
  }
}

void linearInputGradient(const float* dz, const float* w, float* dx, int64_t m, int64_t k, int64_t n) {
  product(dz, n, 1, w, k, 1, dx, m, n, k, false);
}

void linearWeightGradient(const float* dz, const float* x, float* dw, float* db, int64_t m, int64_t k,
                          int64_t n, bool accumulate) {
  product(dz, 1, n, x, k, 1, dw, n, m, k, accumulate);
  for (int64_t j = 0; db && j < n; j++) {
    double sum = 0;
    for (int64_t i = 0; i < m; i++) sum += dz[i * n + j];
    db[j] = static_cast<float>(sum);
  }
}

void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
            bool transposeB) {
  product(a, transposeA ? 1 : k, transposeA ? m : 1, b, transposeB ? 1 : n, transposeB ? k : 1, c, m, k, n,
          false);
}

void addDropoutNorm(const float* residual, const float* x, const float* gamma, const float* beta, float* sum,
                    float* y, float* stats, int64_t rows, int64_t width, float epsilon,
                    const Dropout& dropout) {
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, variance = 0;
    for (int64_t i = r * width; i < (r + 1) * width; i++) {
      const float dropped = x[i] * dropoutFactor(dropout, i);
      sum[i] = residual ? residual[i] + dropped : dropped;
      mean += sum[i];
    }
    mean /= static_cast<double>(width);
    for (int64_t i = r * width; i < (r + 1) * width; i++) variance += (sum[i] - mean) * (sum[i] - mean);
    variance /= static_cast<double>(width);
    const double inverse = 1 / std::sqrt(variance + epsilon);
    for (int64_t j = 0; j < width; j++) {
      y[r * width + j] = static_cast<float>((sum[r * width + j] - mean) * inverse * gamma[j] + beta[j]);
    }
    stats[r * 2] = static_cast<float>(mean);
    stats[r * 2 + 1] = static_cast<float>(inverse);
  }
}

void addDropoutNormGradient(const float* dy, const float* dSum, const float* sum, const float* gamma,
                            const float* stats, float* dResidual, float* dx, float* dGamma, float* dBeta,
                            int64_t rows, int64_t width, const Dropout& dropout) {
  std::vector<double> gammaSum(width), betaSum(width);
  for (int64_t r = 0; r < rows; r++) {
    const double mean = stats[r * 2], inverse = stats[r * 2 + 1];
    double meanG = 0, meanGX = 0;  // of g = dy * gamma, and of g * normalised
    for (int64_t j = 0; j < width; j++) {
      const int64_t i = r * width + j;
      const double normalised = (sum[i] - mean) * inverse;
      meanG += double(dy[i]) * gamma[j] / static_cast<double>(width);
      meanGX += double(dy[i]) * gamma[j] * normalised / static_cast<double>(width);
      gammaSum[j] += dy[i] * normalised;
      betaSum[j] += dy[i];
    }
    for (int64_t j = 0; j < width; j++) {
      const int64_t i = r * width + j;
      const double normalised = (sum[i] - mean) * inverse;
      double gradient = (double(dy[i]) * gamma[j] - meanG - normalised * meanGX) * inverse;
      if (dSum) gradient += dSum[i];
      if (dResidual) dResidual[i] = static_cast<float>(gradient);
      dx[i] = static_cast<float>(gradient) * dropoutFactor(dropout, i);
    }
  }
  for (int64_t j = 0; j < width; j++) {
    dGamma[j] = static_cast<float>(gammaSum[j]);
    dBeta[j] = static_cast<float>(betaSum[j]);
  }
}

void embedding(const float* table, const float* positions, const int32_t* ids, float* out, int64_t rows,
               int64_t length, int64_t first, int64_t width, float scale, const Dropout& dropout) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t j = 0; j < width; j++) {
      const float value = table[ids[r] * width + j] * scale + positions[(first + r % length) * width + j];
      out[r * width + j] = value * dropoutFactor(dropout, r * width + j);
    }
  }
}

void embeddingGradient(const float* dOut, const int32_t* ids, float* dTable, int64_t rows, int64_t vocabulary,
                       int64_t width, float scale, const Dropout& dropout, int64_t padding, bool accumulate) {
  std::vector<double> total(vocabulary * width);
  for (int64_t r = 0; r < rows; r++) {
    if (ids[r] == padding) continue;
    for (int64_t j = 0; j < width; j++) {
      const float dropped = dOut[r * width + j] * dropoutFactor(dropout, r * width + j);
      total[ids[r] * width + j] += double(dropped) * scale;
    }
  }
  for (int64_t i = 0; i < vocabulary * width; i++) {
    dTable[i] = static_cast<float>(accumulate ? dTable[i] + total[i] : total[i]);
  }
}

void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                  const int32_t* labels, float* dLogits, float* result, int64_t rows, int64_t width,
                  int64_t vocabulary, double smoothing) {
  double loss = 0, correct = 0;
  std::vector<float> logits(vocabulary);
  for (int64_t r = 0; r < rows; r++) {
    product(hidden + lossRows[r] * width, width, 1, table, 1, width, logits.data(), 1, width, vocabulary,
            false);
    double largest = -INFINITY, sum = 0, total = 0;
    for (int64_t j = 0; j < vocabulary; j++) {
      logits[j] += bias[j];
      largest = std::fmax(largest, logits[j]);
      total += logits[j];
    }
    for (int64_t j = 0; j < vocabulary; j++) sum += std::exp(logits[j] - largest);
    const double logSum = largest + std::log(sum), even = smoothing / static_cast<double>(vocabulary);
    loss += logSum - (1 - smoothing) * logits[labels[r]] - even * total;
    if (logits[labels[r]] >= largest) correct++;
    for (int64_t j = 0; dLogits && j < vocabulary; j++) {
      const double target = even + (j == labels[r] ? 1 - smoothing : 0);
      dLogits[r * vocabulary + j] = static_cast<float>(std::exp(logits[j] - logSum) - target);
    }
  }
  result[0] = static_cast<float>(loss);
  result[1] = static_cast<float>(correct);
}

void crossEntropyGradient(const float* dLogits, const float* hidden, const float* table,
                          const int32_t* lossRows, float* dHidden, float* dTable, int64_t hiddenRows,
                          int64_t rows, int64_t width, int64_t vocabulary, float scale, bool accumulate) {
  for (int64_t i = 0; i < hiddenRows * width; i++) dHidden[i] = 0;
  if (!accumulate) {
    for (int64_t i = 0; i < vocabulary * width; i++) dTable[i] = 0;
  }
  std::vector<float> gathered(rows * width), row(width);
  for (int64_t r = 0; r < rows; r++) {
    product(dLogits + r * vocabulary, vocabulary, 1, table, width, 1, row.data(), 1, vocabulary, width, false);
    for (int64_t j = 0; j < width; j++) {
      dHidden[lossRows[r] * width + j] += row[j] * scale;
      gathered[r * width + j] = hidden[lossRows[r] * width + j] * scale;
    }
  }
  product(dLogits, 1, vocabulary, gathered.data(), width, 1, dTable, vocabulary, rows, width, true);
}

}  // namespace

void fillNaiveModel(Operations& table) {
  table.linear = linear;
  table.activationGradient = activationGradient;
  table.linearInputGradient = linearInputGradient;
  table.linearWeightGradient = linearWeightGradient;
  table.matmul = matmul;
  table.addDropoutNorm = addDropoutNorm;
  table.addDropoutNormGradient = addDropoutNormGradient;
  table.embedding = embedding;
  table.embeddingGradient = embeddingGradient;
  table.crossEntropy = crossEntropy;
  table.crossEntropyGradient = crossEntropyGradient;
}

}  // namespace lockstep
