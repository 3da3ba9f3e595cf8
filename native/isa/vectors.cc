// Flat vectors: sums, bfloat16, squares, AdamW.
#include "isa/bfloat16.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

void add(float* out, Activations a, Activations b, int64_t count, bool bfloat16) {
  withNumbers(a, [=](const auto* first) {
    withNumbers(b, [=](const auto* second) {
      forLanes(count, [=](int64_t i, int64_t n) {
        const Floats sum = loadSome(first + i, n) + loadSome(second + i, n);
        storeNext(out + i, bfloat16 ? roundedToBfloat16(sum) : sum, n);
      });
    });
  });
}

void roundToBfloat16(float* values, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(values + i, roundedToBfloat16(loadSome(values + i, n)), n); });
}

void packBfloat16(const float* values, uint16_t* out, int64_t count) {
  forLanes(count, [=](int64_t at, int64_t n) {
    storeSomeHalves(out + at, roundedBits(loadSome(values + at, n)) >> 16, n);
  });
}

void unpackBfloat16(const uint16_t* values, float* out, int64_t count) {
  forLanes(count, [=](int64_t at, int64_t n) { storeSome(out + at, loadSome(values + at, n), n); });
}

// 16 sums in float64, lanes 0..7 in `low` and 8..15 in `high`.
double sumOfSquares(const float* values, int64_t count) {
  Doubles low = {}, high = {};
  forLanes(count, [&](int64_t at, int64_t n) {
    __builtin_prefetch(reinterpret_cast<const char*>(values + at) + 4096);  // the processor's own reading ahead ends with a page
    alignas(64) float lanes[kLanes];
    store(lanes, loadSome(values + at, n));
    alignas(64) double wide[kLanes];
    for (int j = 0; j < kLanes; j++) wide[j] = lanes[j];
    Doubles a, b;
    __builtin_memcpy(&a, wide, sizeof a);
    __builtin_memcpy(&b, wide + 8, sizeof b);
    low += a * a;
    high += b * b;
  });
  low += high;
  alignas(64) double lanes[8];
  __builtin_memcpy(lanes, &low, sizeof lanes);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The order of operations is torch.optim.AdamW's (single tensor, float32).
void adamW(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count,
           const AdamWFactors& f) {
  forLanes(count, [&](int64_t i, int64_t n) {
    const Floats g = loadSome(gradient + i, n) * f.gradientScale;
    const Floats old = loadSome(moment1 + i, n);
    const Floats m = old + (g - old) * f.oneMinusBeta1;
    const Floats v = loadSome(moment2 + i, n) * f.beta2 + (g * g) * f.oneMinusBeta2;
    const Floats denominator = squareRoot(v) / f.root2 + f.epsilon;
    const Floats p = loadSome(parameters + i, n) * f.decay - (m / denominator) * f.stepSize;
    storeSome(moment1 + i, m, n);
    storeSome(moment2 + i, v, n);
    storeSome(parameters + i, p, n);
  });
}

}  // namespace

void fillVectors(Kernels& table) {
  table.add = add;
  table.roundToBfloat16 = roundToBfloat16;
  table.packBfloat16 = packBfloat16;
  table.unpackBfloat16 = unpackBfloat16;
  table.sumOfSquares = sumOfSquares;
  table.adamW = adamW;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
