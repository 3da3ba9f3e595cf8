// Flat vectors, by panels; and the table of all fast operations.
#include <cmath>
#include <vector>

#include "operations.h"
#include "pool.h"
#include "select.h"

namespace lockstep {
namespace {

constexpr int64_t kElements = 8192;
constexpr int64_t kSquares = 65536;  // a sum is that of the sums of so many

void add(float* out, Activations a, Activations b, int64_t count, bool bfloat16) {
  forPanelsOf(kElements, count, [=](int64_t first, int64_t size) {
    kernels().add(out + first, from(a, first), from(b, first), size, bfloat16);
  });
}

void roundToBfloat16(float* values, int64_t count) {
  forPanelsOf(kElements, count,
              [=](int64_t first, int64_t size) { kernels().roundToBfloat16(values + first, size); });
}

void packBfloat16(const float* values, uint16_t* out, int64_t count) {
  forPanelsOf(kElements, count,
              [=](int64_t first, int64_t size) { kernels().packBfloat16(values + first, out + first, size); });
}

void unpackBfloat16(const uint16_t* values, float* out, int64_t count) {
  forPanelsOf(kElements, count,
              [=](int64_t first, int64_t size) { kernels().unpackBfloat16(values + first, out + first, size); });
}

double sumOfSquares(const float* values, int64_t count) {
  std::vector<double> parts(static_cast<size_t>(ceilDiv(count, kSquares)));
  forPanelsOf(kSquares, count, [&](int64_t first, int64_t size) {
    parts[first / kSquares] = kernels().sumOfSquares(values + first, size);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

// Scalars are computed in float64 and rounded once, as PyTorch does.
AdamWFactors factorsOf(const AdamW& s, double weightDecay) {
  return {
      static_cast<float>(s.gradientScale),
      static_cast<float>(1 - s.learningRate * weightDecay),
      static_cast<float>(1 - s.beta1),
      static_cast<float>(s.beta2),
      static_cast<float>(1 - s.beta2),
      static_cast<float>(std::sqrt(s.correction2)),
      static_cast<float>(s.epsilon),
      static_cast<float>(s.learningRate / s.correction1),
  };
}

void adamW(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count,
           const Ranges& undecayed, const AdamW& s) {
  const AdamWFactors decaying = factorsOf(s, s.weightDecay), others = factorsOf(s, 0);
  forPanelsOf(kElements, count, [&](int64_t first, int64_t size) {
    forRuns(undecayed, first, size, [&](int64_t start, int64_t elements, bool isUndecayed) {
      kernels().adamW(parameters + start, moment1 + start, moment2 + start, gradient + start, elements,
                      isUndecayed ? others : decaying);
    });
  });
}

}  // namespace

void fillVectors(Operations& table) {
  table.add = add;
  table.roundToBfloat16 = roundToBfloat16;
  table.packBfloat16 = packBfloat16;
  table.unpackBfloat16 = unpackBfloat16;
  table.sumOfSquares = sumOfSquares;
  table.adamW = adamW;
}

const Operations& fastOperations() {
  static const Operations table = [] {
    Operations made;
    fillLinear(made);
    fillAttention(made);
    fillNorm(made);
    fillEmbedding(made);
    fillLoss(made);
    fillVectors(made);
    return made;
  }();
  return table;
}

}  // namespace lockstep
