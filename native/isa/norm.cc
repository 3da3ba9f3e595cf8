// Rows of residual + dropout + layer norm, forward and gradient.
#include "isa/dropout.h"
#include "isa/bfloat16.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

// Mean and 1 / √(variance + epsilon) of a row: two passes, since E[x²] - E[x]² would cancel.
LANES_INLINE void statistics(const float* row, int64_t width, float epsilon, float* mean, float* inverse) {
  Floats sum = {};
  forLanes(width, [&](int64_t i, int64_t count) { sum += loadSome(row + i, count); });
  const float middle = sumLanes(sum) / static_cast<float>(width);
  Floats squares = {};
  forLanes(width, [&](int64_t i, int64_t count) {
    const Floats off = firstLanes(loadSome(row + i, count) - middle, count, Floats{});
    squares += off * off;
  });
  *mean = middle;
  *inverse = 1.0f / __builtin_sqrtf(sumLanes(squares) / static_cast<float>(width) + epsilon);
}

void addDropoutNorm(const float* residual, Activations x, const float* gamma, const float* beta, float* sum,
                    float* y, Activations operand, float* stats, int64_t first, int64_t rows, int64_t width, float epsilon,
                    const DropoutField& dropout, float* scratch) {
  for (int64_t r = first; r < first + rows; r++) {
    const int64_t at = r * width;
    const float* factors = dropout.active ? dropoutFactors(dropout, at, width, scratch) : nullptr;
    withNumbers(x, [=](const auto* numbers) {
      forLanes(width, [=](int64_t i, int64_t count) {
        Floats value = loadSome(numbers + at + i, count);
        if (factors) value *= loadSome(factors + i, count);
        if (residual) value = loadSome(residual + at + i, count) + value;
        storeNext(sum + at + i, value, count);
      });
    });
    float mean, inverse;
    statistics(sum + at, width, epsilon, &mean, &inverse);
    stats[r * 2] = mean;
    stats[r * 2 + 1] = inverse;
    withNumbers(operand, [=](auto* numbers) {
      forLanes(width, [=](int64_t i, int64_t count) {
        const Floats normalised = (loadSome(sum + at + i, count) - mean) * inverse;
        const Floats normed = normalised * loadSome(gamma + i, count) + loadSome(beta + i, count);
        storeNext(y + at + i, normed, count);
        if (numbers) storeNext(numbers + at + i, normed, count);
      });
    });
  }
}

// Of what was given in two formats; one of them may be missing.
template <typename T>
LANES_INLINE Floats bothOf(const float* a, const T* b, int64_t i, int64_t count) {
  if (!a) return loadSome(b + i, count);
  return b ? loadSome(a + i, count) + loadSome(b + i, count) : loadSome(a + i, count);
}

void addDropoutNormGradient(const float* dy, Activations dOperand, const float* dSum, const float* sum, const float* gamma,
                            const float* stats, float* dResidual, Activations dx, float* dGamma, float* dBeta,
                            int64_t first, int64_t rows, int64_t width, const DropoutField& dropout,
                            float* scratch) {
  zeroFloats(dGamma, width);
  zeroFloats(dBeta, width);
  for (int64_t r = first; r < first + rows; r++) {
    const int64_t at = r * width;
    const float mean = stats[r * 2], inverse = stats[r * 2 + 1];
    const float* factors = dropout.active ? dropoutFactors(dropout, at, width, scratch) : nullptr;
    withNumbers(dOperand, [&](const auto* more) {
      // Sums over the row of g = dy * gamma, and of g * normalised. Lanes beyond the row load zeros as dy.
      Floats sumG = {}, sumGX = {};
      forLanes(width, [&](int64_t i, int64_t count) {
        const Floats d = bothOf(dy, more, at + i, count);
        const Floats normalised = (loadSome(sum + at + i, count) - mean) * inverse;
        const Floats g = d * loadSome(gamma + i, count), dNormalised = d * normalised;
        sumG += g;
        sumGX += firstLanes(g * normalised, count, Floats{});
        storeSome(dGamma + i, loadSome(dGamma + i, count) + dNormalised, count);
        storeSome(dBeta + i, loadSome(dBeta + i, count) + d, count);
      });
      const float meanG = sumLanes(sumG) / static_cast<float>(width);
      const float meanGX = sumLanes(sumGX) / static_cast<float>(width);
      withNumbers(dx, [=](auto* out) {
        forLanes(width, [=](int64_t i, int64_t count) {
          const Floats g = bothOf(dy, more, at + i, count) * loadSome(gamma + i, count);
          const Floats normalised = (loadSome(sum + at + i, count) - mean) * inverse;
          Floats gradient = ((g - meanG) - normalised * meanGX) * inverse;
          if (dSum) gradient += loadSome(dSum + at + i, count);
          if (dResidual) storeNext(dResidual + at + i, gradient, count);
          if (factors) gradient *= loadSome(factors + i, count);
          storeNext(out + at + i, gradient, count);
        });
      });
    });
  }
}

void factors(const DropoutField& field, int64_t first, int64_t count, float* out, float* scratch) {
  const float* made = dropoutFactors(field, first, count, scratch);
  copyFloats(out, made, count);
}

}  // namespace

void fillNorm(Kernels& table) {
  table.addDropoutNorm = addDropoutNorm;
  table.addDropoutNormGradient = addDropoutNormGradient;
  table.dropoutFactors = factors;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
