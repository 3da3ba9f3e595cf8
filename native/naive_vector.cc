// Flat-vector operations as plain loops, and the table of all naive operations. See naive_model.cc.
#include <cmath>

#include "naive.h"
#include "operations.h"

namespace lockstep {
namespace {

void add(float* out, Activations first, Activations second, int64_t count, bool bfloat16) {
  const std::vector<float> a = numbersOf(first, count), b = numbersOf(second, count);
  for (int64_t i = 0; i < count; i++) {
    const float sum = a[i] + b[i];
    out[i] = bfloat16 ? fromBfloat16(toBfloat16(sum)) : sum;
  }
}

void roundToBfloat16(float* values, int64_t count) {
  for (int64_t i = 0; i < count; i++) values[i] = fromBfloat16(toBfloat16(values[i]));
}

void packBfloat16(const float* values, uint16_t* out, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = toBfloat16(values[i]);
}

void unpackBfloat16(const uint16_t* values, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = fromBfloat16(values[i]);
}

double sumOfSquares(const float* values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += double(values[i]) * values[i];
  return sum;
}

void adamW(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count,
           const Ranges& undecayed, const AdamW& s) {
  forRuns(undecayed, 0, count, [&](int64_t first, int64_t size, bool isUndecayed) {
    const double decay = isUndecayed ? 1 : 1 - s.learningRate * s.weightDecay;
    for (int64_t i = first; i < first + size; i++) {
      const double g = gradient[i] * s.gradientScale;
      const double m = moment1[i] * s.beta1 + g * (1 - s.beta1);
      const double v = moment2[i] * s.beta2 + g * g * (1 - s.beta2);
      const double denominator = std::sqrt(v / s.correction2) + s.epsilon;
      parameters[i] = static_cast<float>(parameters[i] * decay - s.learningRate / s.correction1 * m / denominator);
      moment1[i] = static_cast<float>(m);
      moment2[i] = static_cast<float>(v);
    }
  });
}

}  // namespace

void fillNaiveVectors(Operations& table) {
  table.add = add;
  table.roundToBfloat16 = roundToBfloat16;
  table.packBfloat16 = packBfloat16;
  table.unpackBfloat16 = unpackBfloat16;
  table.sumOfSquares = sumOfSquares;
  table.adamW = adamW;
}

const Operations& naiveOperations() {
  static const Operations table = [] {
    Operations made;
    fillNaiveModel(made);
    fillNaiveProducts(made);
    fillNaiveAttention(made);
    fillNaiveVectors(made);
    return made;
  }();
  return table;
}

}  // namespace lockstep
