// Residual, dropout and layer norm on the device: a warp per row, and sums down the columns for gamma and beta.
#include "columns.h"
#include "dropout.h"
#include "operands.h"
#include "reduce.h"
#include "table.h"

namespace lockstep::cuda {
namespace {

constexpr int kWarps = 4;  // rows of a block

// This warp's row, or -1; and this lane's first column.
__device__ inline int64_t rowOfWarp(int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  return row < rows ? row : -1;
}

template <typename T, int V>
__global__ void forward(const T* residual, const T* x, const float* gamma, const float* beta, T* sum, T* y, float* stats,
                        int64_t rows, int64_t width, float epsilon, DropoutField dropout) {
  const int64_t row = rowOfWarp(rows), first = threadIdx.x % 32 * V;
  if (row < 0) return;
  // Each lane reads later what it wrote itself. What counts is what was stored: the gradient starts from that.
  float total = 0;
  for (int64_t j = first; j < width; j += 32 * V) {
    const int64_t i = row * width + j;
    Lanes<V> lanes = load<V>(x + i);
    drop(dropout, i, lanes);
    if (residual) {
      const Lanes<V> before = load<V>(residual + i);
      for (int v = 0; v < V; v++) lanes.at[v] += before.at[v];
    }
    store(sum + i, lanes);
    for (int v = 0; v < V; v++) total += rounded<T>(lanes.at[v]);
  }
  const float mean = reduceWarp<Sum>(total) / static_cast<float>(width);
  float squares = 0;
  for (int64_t j = first; j < width; j += 32 * V) {
    const Lanes<V> lanes = load<V>(sum + row * width + j);
    for (int v = 0; v < V; v++) squares += (lanes.at[v] - mean) * (lanes.at[v] - mean);
  }
  const float inverse = 1 / sqrtf(reduceWarp<Sum>(squares) / static_cast<float>(width) + epsilon);
  for (int64_t j = first; j < width; j += 32 * V) {
    Lanes<V> lanes = load<V>(sum + row * width + j);
    const Lanes<V> g = load<V>(gamma + j), b = load<V>(beta + j);
    for (int v = 0; v < V; v++) lanes.at[v] = (lanes.at[v] - mean) * inverse * g.at[v] + b.at[v];
    store(y + row * width + j, lanes);
  }
  if (threadIdx.x % 32 == 0) {
    stats[row * 2] = mean;
    stats[row * 2 + 1] = inverse;
  }
}

// The gradient of y, and of y as an operand, either of which may be missing.
template <int V, typename T>
__device__ Lanes<V> bothOf(const T* a, const T* b, int64_t i) {
  if (!a) return load<V>(b + i);
  Lanes<V> lanes = load<V>(a + i);
  if (!b) return lanes;
  const Lanes<V> more = load<V>(b + i);
  for (int v = 0; v < V; v++) lanes.at[v] += more.at[v];
  return lanes;
}

template <typename T, int V>
__global__ void backward(const T* dy, const T* dOperand, const T* dSum, const T* sum, const float* gamma,
                         const float* stats, T* dResidual, T* dx, int64_t rows, int64_t width, DropoutField dropout) {
  const int64_t row = rowOfWarp(rows), first = threadIdx.x % 32 * V;
  if (row < 0) return;
  const float mean = stats[row * 2], inverse = stats[row * 2 + 1];
  float along = 0, alongNormed = 0;  // of g = dy * gamma, and of g * normalised
  for (int64_t j = first; j < width; j += 32 * V) {
    const Lanes<V> d = bothOf<V>(dy, dOperand, row * width + j), s = load<V>(sum + row * width + j), g = load<V>(gamma + j);
    for (int v = 0; v < V; v++) {
      along += d.at[v] * g.at[v];
      alongNormed += d.at[v] * g.at[v] * ((s.at[v] - mean) * inverse);
    }
  }
  along = reduceWarp<Sum>(along) / static_cast<float>(width);
  alongNormed = reduceWarp<Sum>(alongNormed) / static_cast<float>(width);
  for (int64_t j = first; j < width; j += 32 * V) {
    const int64_t i = row * width + j;
    const Lanes<V> s = load<V>(sum + i), g = load<V>(gamma + j);
    Lanes<V> lanes = bothOf<V>(dy, dOperand, i);
    for (int v = 0; v < V; v++) {
      const float normalised = (s.at[v] - mean) * inverse;
      lanes.at[v] = (lanes.at[v] * g.at[v] - along - normalised * alongNormed) * inverse;
    }
    if (dSum) {
      const Lanes<V> more = load<V>(dSum + i);
      for (int v = 0; v < V; v++) lanes.at[v] += more.at[v];
    }
    if (dResidual) store(dResidual + i, lanes);
    drop(dropout, i, lanes);
    store(dx + i, lanes);
  }
}

// The terms of dGamma and dBeta.
template <typename T, int V>
struct ParameterTerms {
  const T *dy, *dOperand, *sum;
  const float* stats;
  int64_t width;
  __device__ void operator()(int64_t row, int64_t column, Lanes<V>* sums) const {
    const Lanes<V> d = bothOf<V>(dy, dOperand, row * width + column), s = load<V>(sum + row * width + column);
    const float mean = stats[row * 2], inverse = stats[row * 2 + 1];
    for (int v = 0; v < V; v++) {
      sums[0].at[v] += d.at[v] * ((s.at[v] - mean) * inverse);
      sums[1].at[v] += d.at[v];
    }
  }
};

template <typename T>
void addDropoutNorm(const float* residual, Activations x, const float* gamma, const float* beta, float* sum, float* y,
                    Activations, float* stats, int64_t rows, int64_t width, float epsilon, const Dropout& dropout) {
  withLanes(width, [&](auto lanes) {
    launch(forward<T, decltype(lanes)::value>, dim3(static_cast<unsigned>(divideUp(rows, kWarps))), kWarps * 32, 0,
           activations<T>(residual), activations<T>(x), gamma, beta, activations<T>(sum), activations<T>(y), stats, rows,
           width, epsilon, fieldOf(dropout));
  }, gamma, beta);
}

template <typename T>
void addDropoutNormGradient(const float* dy, Activations dOperand, const float* dSum, const float* sum, const float* gamma,
                            const float* stats, float* dResidual, Activations dx, float* dGamma, float* dBeta, int64_t rows,
                            int64_t width, const Dropout& dropout) {
  withLanes(width, [&](auto lanes) {
    constexpr int V = decltype(lanes)::value;
    launch(backward<T, V>, dim3(static_cast<unsigned>(divideUp(rows, kWarps))), kWarps * 32, 0, activations<T>(dy),
           activations<T>(dOperand), activations<T>(dSum), activations<T>(sum), gamma, stats, activations<T>(dResidual),
           activations<T>(dx), rows, width, fieldOf(dropout));
    const ParameterTerms<T, V> terms = {activations<T>(dy), activations<T>(dOperand), activations<T>(sum), stats, width};
    sumColumns<V, 2>(terms, dGamma, dBeta, rows, width);
  }, gamma);
}

}  // namespace

void fillNorm(Operations& table, Arithmetic arithmetic) {
  withElement(arithmetic, [&](auto element) {
    using T = decltype(element);
    table.addDropoutNorm = addDropoutNorm<T>;
    table.addDropoutNormGradient = addDropoutNormGradient<T>;
  });
}

}  // namespace lockstep::cuda
