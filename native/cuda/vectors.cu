// Flat vectors on the device: gradients, parameters and their wire formats.
#include <cmath>
#include <vector>

#include "device.h"
#include "element.h"
#include "reduce.h"
#include "runtime.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 4096;  // more elements are the same threads' next turn

template <typename Body>
__global__ void eachElement(Body body, int64_t count) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// Calls body(i) for each i below `count`, on the device.
template <typename Body>
void forEach(int64_t count, const Body& body) {
  int64_t blocks = divideUp(count, kThreads);
  if (blocks > kMostBlocks) blocks = kMostBlocks;
  launch(eachElement<Body>, dim3(static_cast<unsigned>(blocks)), kThreads, 0, body, count);
}

template <typename T>
struct SumOf {
  T* out;
  const T *a, *b;
  bool round;  // to bfloat16
  __device__ void operator()(int64_t i) const {
    const float sum = toFloat(a[i]) + toFloat(b[i]);
    out[i] = fromFloat<T>(round ? rounded<Bfloat16>(sum) : sum);
  }
};

template <typename To, typename From>
struct Conversion {
  To* to;
  const From* from;
  __device__ void operator()(int64_t i) const { to[i] = fromFloat<To>(toFloat(from[i])); }
};

struct Rounding {
  float* values;
  __device__ void operator()(int64_t i) const { values[i] = rounded<Bfloat16>(values[i]); }
};

// As torch.optim.AdamW computes it, with its factors worked out in double once.
struct Update {
  float *parameters, *moment1, *moment2;
  const float* gradient;
  float scale, beta1, rest1, beta2, rest2, decay, rate, correction2, epsilon;
  __device__ void operator()(int64_t i) const {
    const float g = gradient[i] * scale;
    const float m = moment1[i] * beta1 + g * rest1;
    const float v = moment2[i] * beta2 + g * g * rest2;
    moment1[i] = m;
    moment2[i] = v;
    parameters[i] = parameters[i] * decay - rate * m / (sqrtf(v / correction2) + epsilon);
  }
};

void add(float* out, Activations a, Activations b, int64_t count, bool bfloat16) {
  forEach(count, SumOf<float>{out, static_cast<const float*>(a.data), static_cast<const float*>(b.data), bfloat16});
}

void roundToBfloat16(float* values, int64_t count) { forEach(count, Rounding{values}); }

void packBfloat16(const float* values, uint16_t* out, int64_t count) {
  forEach(count, Conversion<Bfloat16, float>{reinterpret_cast<Bfloat16*>(out), values});
}

void unpackBfloat16(const uint16_t* values, float* out, int64_t count) {
  forEach(count, Conversion<float, Bfloat16>{out, reinterpret_cast<const Bfloat16*>(values)});
}

constexpr int64_t kSquares = 65536;  // elements of one block's sum

__global__ void sumSquares(const float* values, double* sums, int64_t count) {
  const int64_t first = blockIdx.x * kSquares, end = first + kSquares < count ? first + kSquares : count;
  double sum = 0;
  for (int64_t i = first + threadIdx.x; i < end; i += blockDim.x) sum += double(values[i]) * values[i];
  sum = reduceBlock<Sum>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

double sumOfSquares(const float* values, int64_t count) {
  const int64_t blocks = divideUp(count, kSquares);
  double* const sums = scratch<double>(Scratch::columns, blocks);
  launch(sumSquares, dim3(static_cast<unsigned>(blocks)), kThreads, 0, values, sums, count);
  std::vector<double> ofBlocks(blocks);
  lockstepCudaDevice()->download(ofBlocks.data(), sums, blocks * static_cast<int64_t>(sizeof(double)));
  double sum = 0;
  for (const double one : ofBlocks) sum += one;
  return sum;
}

void adamW(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count, const Ranges& undecayed,
           const AdamW& s) {
  const auto f = [](double value) { return static_cast<float>(value); };
  forRuns(undecayed, 0, count, [&](int64_t first, int64_t size, bool isUndecayed) {
    const double decay = isUndecayed ? 1 : 1 - s.learningRate * s.weightDecay;
    forEach(size, Update{parameters + first, moment1 + first, moment2 + first, gradient + first, f(s.gradientScale), f(s.beta1),
                         f(1 - s.beta1), f(s.beta2), f(1 - s.beta2), f(decay), f(s.learningRate / s.correction1),
                         f(s.correction2), f(s.epsilon)});
  });
}

void convert(void* to, Format toFormat, const void* from, Format fromFormat, int64_t count) {
  if (toFormat == Format::bfloat16 && fromFormat == Format::float32) {
    packBfloat16(static_cast<const float*>(from), static_cast<uint16_t*>(to), count);
  } else if (toFormat == Format::float32 && fromFormat == Format::bfloat16) {
    unpackBfloat16(static_cast<const uint16_t*>(from), static_cast<float*>(to), count);
  } else if (toFormat == Format::float32) {
    forEach(count, Conversion<float, float>{static_cast<float*>(to), static_cast<const float*>(from)});
  } else {
    forEach(count, Conversion<Bfloat16, Bfloat16>{static_cast<Bfloat16*>(to), static_cast<const Bfloat16*>(from)});
  }
}

void sum(void* out, const void* a, const void* b, int64_t count, Format format) {
  if (format == Format::float32) {
    forEach(count, SumOf<float>{static_cast<float*>(out), static_cast<const float*>(a), static_cast<const float*>(b), false});
  } else {
    forEach(count, SumOf<Bfloat16>{static_cast<Bfloat16*>(out), static_cast<const Bfloat16*>(a),
                                   static_cast<const Bfloat16*>(b), false});
  }
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

void fillVectorFunctions(Device& device) {
  device.convert = convert;
  device.sum = sum;
}

}  // namespace lockstep::cuda
