// The embedding on the device. Its gradient sorts the tokens by id, so that each row of the table is one block's, which adds in
// token order.
#include "device.h"
#include "dropout.h"
#include "operands.h"
#include "sort.h"
#include "table.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 128;

template <typename T, int V>
__global__ void lookUp(const float* table, const float* positions, const int32_t* ids, T* out, int64_t length, int64_t first,
                       int64_t width, float scale, DropoutField dropout) {
  const int64_t row = blockIdx.x, id = ids[row], position = first + row % length;
  for (int64_t j = int64_t{threadIdx.x} * V; j < width; j += kThreads * V) {
    Lanes<V> lanes = load<V>(table + id * width + j);
    const Lanes<V> at = load<V>(positions + position * width + j);
    for (int v = 0; v < V; v++) lanes.at[v] = lanes.at[v] * scale + at.at[v];
    drop(dropout, row * width + j, lanes);
    store(out + row * width + j, lanes);
  }
}

// The first place in ascending `ids` that holds `id` or more.
__device__ inline int64_t lowerBound(const int32_t* ids, int64_t count, int64_t id) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (ids[middle] < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// One row of the table. `rows` are the tokens' rows, ordered by their ids.
template <typename T, int V>
__global__ void gather(const T* dOut, const int32_t* ids, const int32_t* rows, float* dTable, int64_t count, int64_t width,
                       float scale, DropoutField dropout, int64_t padding, bool accumulate) {
  const int64_t id = blockIdx.x;
  const int64_t begin = lowerBound(ids, count, id), end = id == padding ? begin : lowerBound(ids, count, id + 1);
  for (int64_t j = int64_t{threadIdx.x} * V; j < width; j += kThreads * V) {
    Lanes<V> sum = {};
    for (int64_t i = begin; i < end; i++) {
      Lanes<V> lanes = load<V>(dOut + rows[i] * width + j);
      drop(dropout, rows[i] * width + j, lanes);
      for (int v = 0; v < V; v++) sum.at[v] += lanes.at[v] * scale;
    }
    float* const out = dTable + id * width + j;
    if (accumulate) {
      if (begin == end) continue;
      const Lanes<V> before = load<V>(out);
      for (int v = 0; v < V; v++) sum.at[v] += before.at[v];
    }
    store(out, sum);
  }
}

template <typename T>
void embedding(const float* table, const float* positions, const int32_t* ids, float* out, int64_t rows, int64_t length,
               int64_t first, int64_t width, float scale, const Dropout& dropout) {
  withLanes(width, [&](auto lanes) {
    launch(lookUp<T, decltype(lanes)::value>, dim3(static_cast<unsigned>(rows)), kThreads, 0, table, positions, ids,
           activations<T>(out), length, first, width, scale, fieldOf(dropout));
  }, table, positions);
}

template <typename T>
void embeddingGradient(const float* dOut, const int32_t* ids, float* dTable, int64_t rows, int64_t vocabulary, int64_t width,
                       float scale, const Dropout& dropout, int64_t padding, bool accumulate) {
  const Sorted sorted = sortIds(ids, rows);
  withLanes(width, [&](auto lanes) {
    launch(gather<T, decltype(lanes)::value>, dim3(static_cast<unsigned>(vocabulary)), kThreads, 0, activations<T>(dOut),
           sorted.ids, sorted.rows, dTable, rows, width, scale, fieldOf(dropout), padding, accumulate);
  }, dTable);
}

}  // namespace

void fillEmbedding(Operations& table, Arithmetic arithmetic) {
  withElement(arithmetic, [&](auto element) {
    using T = decltype(element);
    table.embedding = embedding<T>;
    table.embeddingGradient = embeddingGradient<T>;
  });
}

}  // namespace lockstep::cuda
