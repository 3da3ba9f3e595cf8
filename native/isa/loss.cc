// Cross-entropy of one row of logits, in place.
#include "isa/elementary.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

LossRow crossEntropy(float* logits, const float* bias, int64_t vocabulary, int64_t label, double smoothing,
                     bool gradient) {
  const Floats lowest = all(-__builtin_inff());
  Floats top = lowest, total = {};
  forLanes(vocabulary, [&](int64_t j, int64_t count) {
    const Floats z = loadSome(logits + j, count) + loadSome(bias + j, count);
    storeSome(logits + j, z, count);
    const Floats seen = firstLanes(z, count, lowest);
    top = select(seen > top, seen, top);
    total += z;
  });
  const float largest = maxLanes(top), labelLogit = logits[label];
  Floats sums = {};
  forLanes(vocabulary, [&](int64_t j, int64_t count) {
    const Floats e = firstLanes(exponential(loadSome(logits + j, count) - largest), count, Floats{});
    if (gradient) storeSome(logits + j, e, count);
    sums += e;
  });
  const float sum = sumLanes(sums);
  const double even = smoothing / static_cast<double>(vocabulary);
  if (gradient) {
    const float inverse = 1.0f / sum, evenly = static_cast<float>(even);
    forLanes(vocabulary, [=](int64_t j, int64_t count) {
      storeSome(logits + j, loadSome(logits + j, count) * inverse - evenly, count);
    });
    logits[label] -= static_cast<float>(1.0 - smoothing);
  }
  const double logSum = largest + logarithm(sum);
  return {logSum - (1.0 - smoothing) * labelLogit - even * sumLanes(total), labelLogit >= largest};
}

void scaled(const float* a, float scale, float* out, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(out + i, loadSome(a + i, n) * scale, n); });
}

}  // namespace

void fillLoss(Kernels& table) {
  table.crossEntropy = crossEntropy;
  table.scaled = scaled;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
