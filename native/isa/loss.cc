// Cross-entropy of one row of logits.
#include "isa/elementary.h"
#include "isa/bfloat16.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

LossRow crossEntropy(float* logits, int64_t vocabulary, int64_t label, double smoothing, Activations gradient) {
  const Floats lowest = all(-__builtin_inff());
  Floats top = lowest, total = {};
  forLanes(vocabulary, [&](int64_t j, int64_t count) {
    const Floats z = loadSome(logits + j, count);
    const Floats seen = firstLanes(z, count, lowest);
    top = select(seen > top, seen, top);
    total += z;
  });
  const float largest = maxLanes(top), labelLogit = logits[label];
  Floats sums = {};
  forLanes(vocabulary, [&](int64_t j, int64_t count) {
    const Floats e = firstLanes(exponential(loadSome(logits + j, count) - largest), count, Floats{});
    if (gradient.data) storeSome(logits + j, e, count);
    sums += e;
  });
  const float sum = sumLanes(sums);
  const double even = smoothing / static_cast<double>(vocabulary);
  if (gradient.data) {
    const float inverse = 1.0f / sum, evenly = static_cast<float>(even);
    const auto others = [=](Floats e) { return e * inverse - evenly; };
    const Floats atLabel = others(all(logits[label])) - static_cast<float>(1.0 - smoothing);
    withNumbers(gradient, [=](auto* out) {
      forLanes(vocabulary, [=](int64_t j, int64_t count) { storeNext(out + j, others(loadSome(logits + j, count)), count); });
      storeSome(out + label, atLabel, 1);
    });
  }
  const double logSum = largest + logarithm(sum);
  return {logSum - (1.0 - smoothing) * labelLogit - even * sumLanes(total), labelLogit >= largest};
}

void scaled(const float* a, float scale, Activations out, int64_t count) {
  withNumbers(out, [=](auto* numbers) {
    forLanes(count, [=](int64_t i, int64_t n) { storeNext(numbers + i, loadSome(a + i, n) * scale, n); });
  });
}

}  // namespace

void fillLoss(Kernels& table) {
  table.crossEntropy = crossEntropy;
  table.scaled = scaled;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
