// What surrounds the matrix products of a linear layer: bias, activation and its gradient, column sums.
#include "isa/elementary.h"
#include "isa/bfloat16.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

template <Activation ACTIVATION>
LANES_INLINE Floats activate(Floats z) {
  switch (ACTIVATION) {
    case Activation::relu: return select(z <= 0.0f, all(0.0f), z);  // NaN stays NaN
    case Activation::gelu: return gelu(z);
    case Activation::swish: return swish(z);
    case Activation::none: break;
  }
  return z;
}

// dy * activation'(z)
template <Activation ACTIVATION>
LANES_INLINE Floats throughActivation(Floats dy, Floats z) {
  switch (ACTIVATION) {
    case Activation::relu: return select(z > 0.0f, dy, all(0.0f));
    case Activation::gelu: return dy * geluSlope(z);
    case Activation::swish: return dy * swishSlope(z);
    case Activation::none: break;
  }
  return dy;
}

void biasActivation(const float* sums, int64_t sumStride, const float* bias, Activations preActivation, Activations y,
                    int64_t stride, int64_t rows, int64_t width, Activation activation) {
  withActivation(activation, [=](auto known) {
    withNumbers(y, [=](auto* out) {
      const auto kept = static_cast<decltype(out)>(preActivation.data);
      for (int64_t r = 0; r < rows; r++) {
        forLanes(width, [=](int64_t i, int64_t count) {
          Floats z = loadSome(sums + r * sumStride + i, count);
          if (bias) z += loadSome(bias + i, count);
          if (kept) storeNext(kept + r * stride + i, z, count);
          storeNext(out + r * stride + i, activate<decltype(known)::value>(z), count);
        });
      }
    });
  });
}

void activationGradient(Activations dy, Activations saved, Activations dz, int64_t count, Activation activation) {
  withActivation(activation, [=](auto known) {
    withNumbers(dy, [=](const auto* gradients) {
      const auto kept = static_cast<decltype(gradients)>(saved.data);
      withNumbers(dz, [=](auto* out) {
        forLanes(count, [=](int64_t i, int64_t n) {
          const Floats z = kept ? loadSome(kept + i, n) : Floats{};
          storeNext(out + i, throughActivation<decltype(known)::value>(loadSome(gradients + i, n), z), n);
        });
      });
    });
  });
}

void columnSums(Activations a, int64_t rowStride, int64_t rows, int64_t columns, float* out) {
  withNumbers(a, [=](const auto* numbers) {
    forLanes(columns, [=](int64_t c, int64_t count) {
      Floats sum = {};
      for (int64_t block = 0; block < rows; block += 64) {
        const int64_t end = block + 64 < rows ? block + 64 : rows;
        Floats part = {};
        for (int64_t r = block; r < end; r++) part += loadSome(numbers + r * rowStride + c, count);
        sum += part;
      }
      storeSome(out + c, sum, count);
    });
  });
}

void exponentials(const float* x, float* out, int64_t count) {
  forLanes(count, [=](int64_t i, int64_t n) { storeSome(out + i, exponential(loadSome(x + i, n)), n); });
}

}  // namespace

void fillLinear(Kernels& table) {
  table.biasActivation = biasActivation;
  table.activationGradient = activationGradient;
  table.columnSums = columnSums;
  table.exponential = exponentials;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
