// What surrounds the matrix products of a linear layer: bias, activation and its gradient, column sums.
#include "isa/elementary.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

enum { kNone = 0, kRelu = 1, kGelu = 2 };

template <int ACTIVATION>
LANES_INLINE Floats activate(Floats z) {
  if (ACTIVATION == kRelu) return select(z <= 0.0f, all(0.0f), z);  // NaN stays NaN
  if (ACTIVATION == kGelu) return gelu(z);
  return z;
}

template <int ACTIVATION>
void biasActivationOf(float* y, const float* bias, float* preActivation, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++) {
    float* row = y + r * width;
    forLanes(width, [=](int64_t i, int64_t count) {
      Floats z = loadSome(row + i, count);
      if (bias) z += loadSome(bias + i, count);
      if (preActivation) storeSome(preActivation + r * width + i, z, count);
      storeSome(row + i, activate<ACTIVATION>(z), count);
    });
  }
}

void biasActivation(float* y, const float* bias, float* preActivation, int64_t rows, int64_t width,
                    int activation) {
  if (activation == kRelu) {
    biasActivationOf<kRelu>(y, bias, preActivation, rows, width);
  } else if (activation == kGelu) {
    biasActivationOf<kGelu>(y, bias, preActivation, rows, width);
  } else {
    biasActivationOf<kNone>(y, bias, preActivation, rows, width);
  }
}

void activationGradient(const float* dy, const float* saved, float* dz, int64_t count, int activation) {
  forLanes(count, [=](int64_t i, int64_t n) {
    const Floats gradient = loadSome(dy + i, n), z = loadSome(saved + i, n);
    Floats result = gradient;
    if (activation == kRelu) result = select(z > 0.0f, gradient, all(0.0f));
    if (activation == kGelu) result = gradient * geluSlope(z);
    storeSome(dz + i, result, n);
  });
}

void columnSums(const float* a, int64_t rowStride, int64_t rows, int64_t columns, float* out) {
  forLanes(columns, [=](int64_t c, int64_t count) {
    Floats sum = {};
    for (int64_t block = 0; block < rows; block += 64) {
      const int64_t end = block + 64 < rows ? block + 64 : rows;
      Floats part = {};
      for (int64_t r = block; r < end; r++) part += loadSome(a + r * rowStride + c, count);
      sum += part;
    }
    storeSome(out + c, sum, count);
  });
}

void exponentials(const float* x, float* out, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(out + i, exponential(loadSome(x + i, n)), n); });
}

void normalCdf(const float* x, float* out, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(out + i, normal(loadSome(x + i, n)).cdf, n); });
}

}  // namespace

void fillLinear(Kernels& table) {
  table.biasActivation = biasActivation;
  table.activationGradient = activationGradient;
  table.columnSums = columnSums;
  table.exponential = exponentials;
  table.normalCdf = normalCdf;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
