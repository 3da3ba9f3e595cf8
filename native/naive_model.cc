// Norms and embeddings as plain loops with float64 sums and libm: slow, obviously right, and what the fast kernels are
// tested against, like everything in naive_*.cc. Not used in training.
#include <cmath>
#include <vector>

#include "naive.h"
#include "operations.h"
#include "philox.h"

namespace lockstep {
namespace {

// What an element of a dropout's input is multiplied by.
float dropoutFactor(const Dropout& dropout, int64_t index) {
  if (dropout.rate == 0) return 1;
  const uint32_t word = philoxWord(static_cast<uint64_t>(index), dropout.key.seed, dropout.site,
                                   dropout.key.microBatch, dropout.key.step);
  return word >= dropout.threshold() ? dropout.scale() : 0;
}

void addDropoutNorm(const float* residual, Activations x, const float* gamma, const float* beta, float* sum,
                    float* y, Activations operand, float* stats, int64_t rows, int64_t width, float epsilon,
                    const Dropout& dropout) {
  const std::vector<float> numbers = numbersOf(x, rows * width);
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, variance = 0;
    for (int64_t i = r * width; i < (r + 1) * width; i++) {
      const float dropped = numbers[i] * dropoutFactor(dropout, i);
      sum[i] = residual ? residual[i] + dropped : dropped;
      mean += sum[i];
    }
    mean /= static_cast<double>(width);
    for (int64_t i = r * width; i < (r + 1) * width; i++) variance += (sum[i] - mean) * (sum[i] - mean);
    variance /= static_cast<double>(width);
    const double inverse = 1 / std::sqrt(variance + epsilon);
    for (int64_t j = 0; j < width; j++) {
      const int64_t i = r * width + j;
      y[i] = static_cast<float>((sum[i] - mean) * inverse * gamma[j] + beta[j]);
      if (operand.data) put(operand, i, y[i]);
    }
    stats[r * 2] = static_cast<float>(mean);
    stats[r * 2 + 1] = static_cast<float>(inverse);
  }
}

void addDropoutNormGradient(const float* ofY, Activations ofOperand, const float* dSum, const float* sum,
                            const float* gamma, const float* stats, float* dResidual, Activations dx, float* dGamma, float* dBeta,
                            int64_t rows, int64_t width, const Dropout& dropout) {
  std::vector<float> dy = ofOperand.data ? numbersOf(ofOperand, rows * width) : std::vector<float>(ofY, ofY + rows * width);
  for (int64_t i = 0; ofY && ofOperand.data && i < rows * width; i++) dy[i] += ofY[i];
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
      put(dx, i, static_cast<float>(gradient) * dropoutFactor(dropout, i));
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

}  // namespace

void fillNaiveModel(Operations& table) {
  table.addDropoutNorm = addDropoutNorm;
  table.addDropoutNormGradient = addDropoutNormGradient;
  table.embedding = embedding;
  table.embeddingGradient = embeddingGradient;
}

}  // namespace lockstep
