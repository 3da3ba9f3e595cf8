// Linear layers on the device: products by cuBLASLt with bias and relu in their epilogue, and kernels of our own for what stands
// between them. Weights are float32; for products of bfloat16 they are rounded at each use, a hundredth of a product's time.
#include "columns.h"
#include "operands.h"
#include "product.h"
#include "table.h"

namespace lockstep::cuda {
namespace {

__device__ inline float normalCdf(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }

__device__ inline float logistic(float x) { return 1 / (1 + expf(-x)); }

// y = activation(z)
template <typename T, int V>
__global__ void activate(const T* z, T* y, int64_t count, Activation activation) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  if (i >= count) return;
  Lanes<V> lanes = load<V>(z + i);
  for (int v = 0; v < V; v++) {
    float& value = lanes.at[v];
    if (activation == Activation::relu) value = value > 0 || value != value ? value : 0;
    if (activation == Activation::gelu) value *= normalCdf(value);
    if (activation == Activation::swish) value *= logistic(value);
  }
  store(y + i, lanes);
}

template <Activation activation>
__device__ inline float slope(float saved) {
  if constexpr (activation == Activation::relu) return saved > 0 ? 1 : 0;
  if constexpr (activation == Activation::gelu) {
    return normalCdf(saved) + saved * expf(-0.5f * saved * saved) * 0.39894228040143268f;
  }
  if constexpr (activation == Activation::swish) return logistic(saved) * (1 + saved * logistic(-saved));
  return 1;
}

// dx = dx * activation'(saved)
template <typename T, int V, Activation activation>
__global__ void throughActivation(const T* saved, T* dx, int64_t count) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  if (i >= count) return;
  Lanes<V> lanes = load<V>(dx + i);
  const Lanes<V> at = load<V>(saved + i);
  for (int v = 0; v < V; v++) lanes.at[v] *= slope<activation>(at.at[v]);
  store(dx + i, lanes);
}

// What a bias's gradient is the sum of.
template <typename T, int V>
struct BiasTerms {
  const T* dy;
  int64_t width;
  __device__ void operator()(int64_t row, int64_t column, Lanes<V>* sums) const {
    const Lanes<V> lanes = load<V>(dy + row * width + column);
    for (int v = 0; v < V; v++) sums[0].at[v] += lanes.at[v];
  }
};

template <typename T, bool tf32>
void linear(Activations x, const float* w, const float* b, Activations y, Activations preActivation, int64_t m, int64_t k,
            int64_t n, Activation activation, Precision) {
  // gelu is exact here, as everywhere: cuBLASLt's is an approximation, and swish it has none. What is kept is the sum before the
  // activation.
  const bool inEpilogue = (activation == Activation::none || activation == Activation::relu) && !preActivation.data;
  T* const z = activations<T>(preActivation.data ? preActivation : y);
  Product product = {{x.data, kFormat<T>}, {operand<T>(Scratch::weights, w, n * k), kFormat<T>, true}, z, kFormat<T>, m, k, n};
  if (b) product.bias = operand<T>(Scratch::bias, b, n);
  product.relu = inEpilogue && activation == Activation::relu;
  multiply(product, tf32);
  if (inEpilogue) return;
  withLanes(n, [&](auto lanes) {
    constexpr int V = decltype(lanes)::value;
    launch(activate<T, V>, dim3(static_cast<unsigned>(divideUp(m * n, 256 * V))), 256, 0,
           static_cast<const T*>(z), activations<T>(y), m * n, activation);
  });
}

template <typename T, bool tf32>
void linearGradient(Activations dy, Activations x, const float* w, Activations saved, Activations dx, float* dw, float* db,
                    int64_t m, int64_t k, int64_t n, Activation activation, Precision) {
  if (db) {
    withLanes(n, [&](auto lanes) {
      constexpr int V = decltype(lanes)::value;
      sumColumns<V, 1>(BiasTerms<T, V>{activations<T>(dy), n}, db, static_cast<float*>(nullptr), m, n);
    });
  }
  const Factor gradient = {dy.data, kFormat<T>}, transposed = {dy.data, kFormat<T>, true};
  multiply({gradient, {operand<T>(Scratch::weights, w, n * k), kFormat<T>}, dx.data, kFormat<T>, m, n, k}, tf32);
  multiply({transposed, {x.data, kFormat<T>}, dw, Format::float32, n, m, k}, tf32);
  if (activation == Activation::none) return;
  withActivation(activation, [&](auto known) {
    withLanes(k, [&](auto lanes) {
      constexpr int V = decltype(lanes)::value;
      launch(throughActivation<T, V, decltype(known)::value>, dim3(static_cast<unsigned>(divideUp(m * k, 256 * V))), 256, 0,
             static_cast<const T*>(activations<T>(saved)), activations<T>(dx), m * k);
    });
  });
}

template <bool tf32>
void matmul(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA, bool transposeB) {
  multiply({{a, Format::float32, transposeA}, {b, Format::float32, transposeB}, c, Format::float32, m, k, n}, tf32);
}

template <typename T, bool tf32>
void fill(Operations& table) {
  table.linear = linear<T, tf32>;
  table.linearGradient = linearGradient<T, tf32>;
  table.matmul = matmul<tf32>;
}

}  // namespace

void fillLinear(Operations& table, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::float32: return fill<float, false>(table);
    case Arithmetic::tf32: return fill<float, true>(table);
    case Arithmetic::bfloat16: return fill<Bfloat16, false>(table);
  }
}

}  // namespace lockstep::cuda
