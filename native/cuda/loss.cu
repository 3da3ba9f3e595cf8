// The tied output product with cross-entropy on the device, over the rows that carry loss. Logits are float32 and exist for a block
// of rows at a time; their gradient is what is kept.
#include "operands.h"
#include "product.h"
#include "reduce.h"
#include "table.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlockRows = 1024;  // whose logits exist at once

constexpr int kRowThreads = 128;

// to[i] = from[picked[i]]
template <typename T, int V>
__global__ void gather(const T* from, const int32_t* picked, T* to, int64_t width) {
  const int64_t row = blockIdx.x;
  for (int64_t j = int64_t{threadIdx.x} * V; j < width; j += kRowThreads * V) {
    store(to + row * width + j, load<V>(from + picked[row] * width + j));
  }
}

// to[picked[i]] = from[i]; rows that are picked more than once, which stand together, are added.
template <typename T, int V>
__global__ void scatter(const T* from, const int32_t* picked, T* to, int64_t rows, int64_t width) {
  const int64_t first = blockIdx.x, target = picked[first];
  if (first > 0 && picked[first - 1] == target) return;
  for (int64_t j = int64_t{threadIdx.x} * V; j < width; j += kRowThreads * V) {
    Lanes<V> sum = load<V>(from + first * width + j);
    for (int64_t row = first + 1; row < rows && picked[row] == target; row++) {
      const Lanes<V> more = load<V>(from + row * width + j);
      for (int v = 0; v < V; v++) sum.at[v] += more.at[v];
    }
    store(to + target * width + j, sum);
  }
}

struct RowLoss {
  float loss, correct;
};

// One row of logits [V]: its loss, and the gradient of its logits where it is wanted.
template <typename T>
__global__ void crossEntropyRow(const float* logits, const float* bias, const int32_t* labels, T* dLogits, RowLoss* results,
                                int64_t vocabulary, float smoothing) {
  const int64_t row = blockIdx.x, label = labels[row];
  const float* const z = logits + row * vocabulary;
  float largest = -INFINITY, sum = 0, total = 0;
  for (int64_t j = threadIdx.x; j < vocabulary; j += kThreads) {
    const float value = z[j] + bias[j];
    total += value;
    if (value > largest) {
      sum = sum * expf(largest - value) + 1;
      largest = value;
    } else {
      sum += expf(value - largest);
    }
  }
  const float ofAll = reduceBlock<Maximum>(largest);
  // A thread without elements has no largest, and e^(-inf - ofAll) is 0.
  sum = reduceBlock<Sum>(sum * expf(largest - ofAll));
  total = reduceBlock<Sum>(total);
  const float logSum = ofAll + logf(sum), even = smoothing / static_cast<float>(vocabulary);
  if (threadIdx.x == 0) {
    const float atLabel = z[label] + bias[label];
    results[row] = {logSum - (1 - smoothing) * atLabel - even * total, atLabel >= ofAll ? 1.0f : 0.0f};
  }
  if (!dLogits) return;
  for (int64_t j = threadIdx.x; j < vocabulary; j += kThreads) {
    const float target = even + (j == label ? 1 - smoothing : 0);
    dLogits[row * vocabulary + j] = fromFloat<T>(expf(z[j] + bias[j] - logSum) - target);
  }
}

__global__ void addRows(const RowLoss* results, float* loss, float* correct, int64_t rows) {
  double lossSum = 0, correctSum = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    lossSum += results[row].loss;
    correctSum += results[row].correct;
  }
  lossSum = reduceBlock<Sum>(lossSum);
  correctSum = reduceBlock<Sum>(correctSum);
  if (threadIdx.x == 0) {
    *loss = static_cast<float>(lossSum);
    *correct = static_cast<float>(correctSum);
  }
}

template <typename T>
const T* gathered(const float* hidden, const int32_t* lossRows, int64_t rows, int64_t width) {
  T* const out = scratch<T>(Scratch::gathered, rows * width);
  withLanes(width, [&](auto lanes) {
    launch(gather<T, decltype(lanes)::value>, dim3(static_cast<unsigned>(rows)), kRowThreads, 0, activations<T>(hidden), lossRows,
           out, width);
  });
  return out;
}

template <typename T, bool tf32>
void crossEntropy(const float* hidden, const float* table, const float* bias, const int32_t* lossRows, const int32_t* labels,
                  Activations dLogits, float* loss, float* correct, int64_t rows, int64_t width, int64_t vocabulary,
                  double smoothing, Precision) {
  const T* const inputs = gathered<T>(hidden, lossRows, rows, width);
  const T* const weights = operand<T>(Scratch::weights, table, vocabulary * width);
  float* const logits = scratch<float>(Scratch::logits, kBlockRows * vocabulary);
  RowLoss* const results = scratch<RowLoss>(Scratch::rowLosses, rows);
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const int64_t count = rows - first < kBlockRows ? rows - first : kBlockRows;
    multiply({{inputs + first * width, kFormat<T>}, {weights, kFormat<T>, true}, logits, Format::float32, count, width, vocabulary},
             tf32);
    launch(crossEntropyRow<T>, dim3(static_cast<unsigned>(count)), kThreads, 0, static_cast<const float*>(logits), bias,
           labels + first, activations<T>(dLogits) + (dLogits.data ? first * vocabulary : 0), results + first,
           vocabulary, static_cast<float>(smoothing));
  }
  launch(addRows, dim3(1), kThreads, 0, static_cast<const RowLoss*>(results), loss, correct, rows);
}

template <typename T, bool tf32>
void crossEntropyGradient(Activations dLogits, const float* hidden, const float* table, const int32_t* lossRows, float* dHidden,
                          float* dTable, int64_t hiddenRows, int64_t rows, int64_t width, int64_t vocabulary, float scale,
                          bool accumulate, Precision) {
  const Factor gradient = {dLogits.data, kFormat<T>}, transposed = {dLogits.data, kFormat<T>, true};
  const T* const weights = operand<T>(Scratch::weights, table, vocabulary * width);
  T* const rowGradients = scratch<T>(Scratch::rowGradients, rows * width);
  lockstepCudaDevice()->zero(dHidden, hiddenRows * width * static_cast<int64_t>(sizeof(T)));
  multiply({gradient, {weights, kFormat<T>}, rowGradients, kFormat<T>, rows, vocabulary, width, scale}, tf32);
  withLanes(width, [&](auto lanes) {
    launch(scatter<T, decltype(lanes)::value>, dim3(static_cast<unsigned>(rows)), kRowThreads, 0,
           static_cast<const T*>(rowGradients), lossRows, activations<T>(dHidden), rows, width);
  });
  const T* const inputs = gathered<T>(hidden, lossRows, rows, width);
  multiply({transposed, {inputs, kFormat<T>}, dTable, Format::float32, vocabulary, rows, width, scale, accumulate}, tf32);
}

template <typename T, bool tf32>
void fill(Operations& table) {
  table.crossEntropy = crossEntropy<T, tf32>;
  table.crossEntropyGradient = crossEntropyGradient<T, tf32>;
}

}  // namespace

void fillLoss(Operations& table, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::float32: return fill<float, false>(table);
    case Arithmetic::tf32: return fill<float, true>(table);
    case Arithmetic::bfloat16: return fill<Bfloat16, false>(table);
  }
}

}  // namespace lockstep::cuda
