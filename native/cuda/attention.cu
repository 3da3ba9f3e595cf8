// Attention on the device, without scores in memory (Dao, "FlashAttention-2", 2023): a block takes 64 queries of one head and
// goes over the keys by 64, keeping a running maximum and sum. The gradient is two kernels that compute the scores again: one
// keeps the queries and sums dq, one keeps the keys and sums dk and dv. Nothing is added by two blocks, so bits are fixed.
#include <stdexcept>
#include <string>

#include "attention_tile.h"
#include "reduce.h"
#include "table.h"

namespace lockstep::cuda {
namespace {

template <typename T>
struct Inputs {
  const T *query, *memory;
  const int32_t* lengths;
  AttentionShape shape;
};

// The rows of one head of one sample, chosen by the grid: x tile, y head, z sample.
template <typename T>
struct Head {
  int64_t sample = blockIdx.z, head = blockIdx.y, length, outStride, outAt, logSumAt, qAt, kAt, vAt;

  __device__ explicit Head(const Inputs<T>& in) {
    const AttentionShape& s = in.shape;
    length = in.lengths[sample];
    outStride = s.heads * s.headWidth;
    outAt = sample * s.queries * outStride + head * s.headWidth;
    logSumAt = (sample * s.heads + head) * s.queries;
    qAt = s.qOffset + sample * s.queries * s.qStride + head * s.headWidth;
    kAt = s.kOffset + sample * s.keys * s.kvStride + head * s.headWidth;
    vAt = s.vOffset + sample * s.keys * s.kvStride + head * s.headWidth;
  }
};

// Query i sees keys [0, visible(i)).
__device__ inline int64_t visible(const AttentionShape& s, int64_t query, int64_t length) {
  int64_t limit = s.causal ? query + 1 + s.keys - s.queries : s.keys;
  if (limit > length) limit = length;
  return query >= s.queries || limit < 0 ? 0 : limit;
}

// The keys that any query of the tile sees.
__device__ inline int64_t visibleToTile(const AttentionShape& s, int64_t firstQuery, int64_t length) {
  const int64_t last = firstQuery + kTile - 1;
  return visible(s, last < s.queries ? last : s.queries - 1, length);
}

template <typename T, int D>
__global__ void __launch_bounds__(kTileThreads)
forward(Inputs<T> in, T* out, float* logSum, float scale) {
  const AttentionShape& s = in.shape;
  const Head<T> head(in);
  constexpr int S = stride<T>(D), P = stride<T>(kTile);
  T* const q = sharedMemory<T>();
  T *const k = q + kTile * S, *const v = k + kTile * S;
  const int width = static_cast<int>(s.headWidth), warp = static_cast<int>(threadIdx.x) / 32;
  T* const p = v + kTile * S + warp * 16 * P;
  const int64_t firstQuery = int64_t{blockIdx.x} * kTile, firstRow = firstQuery + warp * 16;
  loadTile<T, D>(q, in.query + head.qAt, firstQuery, s.queries, s.qStride, width);

  Rows<D> sum;
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};  // of rows g and g + 8; totals of this lane's columns
  const int64_t end = visibleToTile(s, firstQuery, head.length);
  for (int64_t firstKey = 0; firstKey < end; firstKey += kTile) {
    __syncthreads();
    loadTile<T, D>(k, in.memory + head.kAt, firstKey, s.keys, s.kvStride, width);
    loadTile<T, D>(v, in.memory + head.vAt, firstKey, s.keys, s.kvStride, width);
    __syncthreads();
    Rows<kTile> score;
    multiplyTiles<kTile, D, S, 1, S>(score, q + warp * 16 * S, k);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int limit = static_cast<int>(visible(s, firstRow + score.line(half * 2), head.length) - firstKey);
      float most = -INFINITY;
#pragma unroll
      for (int n = 0; n < kTile / 8; n++) {
#pragma unroll
        for (int e = half * 2; e < half * 2 + 2; e++) {
          float& value = score.at[n][e];
          value = score.column(n, e) < limit ? value * scale : -INFINITY;
          most = value > most ? value : most;
        }
      }
      most = reduceWarp<Maximum, 4>(most);
      const float before = largest[half];
      largest[half] = most > before ? most : before;
      // A row that has seen no key yet has nothing to rescale.
      const float kept = before == -INFINITY ? 0 : expf(before - largest[half]);
      total[half] *= kept;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
#pragma unroll
        for (int e = half * 2; e < half * 2 + 2; e++) sum.at[n][e] *= kept;
      }
#pragma unroll
      for (int n = 0; n < kTile / 8; n++) {
#pragma unroll
        for (int e = half * 2; e < half * 2 + 2; e++) {
          float& value = score.at[n][e];
          value = value == -INFINITY ? 0 : expf(value - largest[half]);
          total[half] += value;
        }
      }
    }
    storeRows(p, score);
    multiplyTiles<D, kTile, P, S, 1>(sum, p, v);
  }

#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] = reduceWarp<Sum, 4>(total[half]);
    const int64_t query = firstRow + sum.line(half * 2);
    if (query >= s.queries) continue;
    const bool seesNone = total[half] == 0;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
#pragma unroll
      for (int e = half * 2; e < half * 2 + 2; e++) {
        const int column = sum.column(n, e);
        if (column >= width) continue;
        out[head.outAt + query * head.outStride + column] = fromFloat<T>(seesNone ? 0 : sum.at[n][e] / total[half]);
      }
    }
    if (threadIdx.x % 4 == 0) logSum[head.logSumAt + query] = seesNone ? 0 : largest[half] + logf(total[half]);
  }
}

// along[b,h,i] = Σ out · dOut: a warp per query and head.
template <typename T>
__global__ void dotOutputs(const T* out, const T* dOut, float* along, int64_t rows, int64_t queries, int64_t heads,
                           int64_t headWidth) {
  const int64_t index = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;  // (b, i, h)
  if (index >= rows) return;
  float sum = 0;
  for (int64_t j = threadIdx.x % 32; j < headWidth; j += 32) {
    sum += toFloat(out[index * headWidth + j]) * toFloat(dOut[index * headWidth + j]);
  }
  sum = reduceWarp<Sum>(sum);
  const int64_t head = index % heads, query = index / heads % queries, sample = index / heads / queries;
  if (threadIdx.x % 32 == 0) along[(sample * heads + head) * queries + query] = sum;
}

template <typename T>
struct Outputs {
  const T* dOut;
  const float *logSum, *along;
};

template <typename T, int D>
__global__ void __launch_bounds__(kTileThreads)
queryGradient(Inputs<T> in, Outputs<T> of, T* dQuery, float scale) {
  const AttentionShape& s = in.shape;
  const Head<T> head(in);
  constexpr int S = stride<T>(D), P = stride<T>(kTile);
  T* const q = sharedMemory<T>();
  T *const dOut = q + kTile * S, *const k = dOut + kTile * S, *const v = k + kTile * S;
  const int width = static_cast<int>(s.headWidth), warp = static_cast<int>(threadIdx.x) / 32;
  T* const dScores = v + kTile * S + warp * 16 * P;
  const int64_t firstQuery = int64_t{blockIdx.x} * kTile, firstRow = firstQuery + warp * 16;
  loadTile<T, D>(q, in.query + head.qAt, firstQuery, s.queries, s.qStride, width);
  loadTile<T, D>(dOut, of.dOut + head.outAt, firstQuery, s.queries, head.outStride, width);

  float logSum[2] = {}, along[2] = {};
  int64_t limit[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int64_t query = firstRow + Rows<D>::line(half * 2);
    limit[half] = visible(s, query, head.length);
    if (limit[half] == 0) continue;
    logSum[half] = of.logSum[head.logSumAt + query];
    along[half] = of.along[head.logSumAt + query];
  }
  Rows<D> sum;
  const int64_t end = visibleToTile(s, firstQuery, head.length);
  for (int64_t firstKey = 0; firstKey < end; firstKey += kTile) {
    __syncthreads();
    loadTile<T, D>(k, in.memory + head.kAt, firstKey, s.keys, s.kvStride, width);
    loadTile<T, D>(v, in.memory + head.vAt, firstKey, s.keys, s.kvStride, width);
    __syncthreads();
    Rows<kTile> score, toward;
    multiplyTiles<kTile, D, S, 1, S>(score, q + warp * 16 * S, k);
    multiplyTiles<kTile, D, S, 1, S>(toward, dOut + warp * 16 * S, v);
#pragma unroll
    for (int n = 0; n < kTile / 8; n++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const bool sees = score.column(n, e) < limit[e / 2] - firstKey;
        const float weight = sees ? expf(score.at[n][e] * scale - logSum[e / 2]) : 0;
        score.at[n][e] = weight * (toward.at[n][e] - along[e / 2]) * scale;
      }
    }
    storeRows(dScores, score);
    multiplyTiles<D, kTile, P, S, 1>(sum, dScores, k);
  }
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int64_t query = firstRow + sum.line(e);
      const int column = sum.column(n, e);
      if (query < s.queries && column < width) dQuery[head.qAt + query * s.qStride + column] = fromFloat<T>(sum.at[n][e]);
    }
  }
}

// Rows are keys here, columns queries. Left alone the compiler takes so many registers that two blocks fit a processor, not three.
template <typename T, int D>
__global__ void __launch_bounds__(kTileThreads, D > 64 ? 1 : 3)
memoryGradient(Inputs<T> in, Outputs<T> of, T* dMemory, float scale) {
  const AttentionShape& s = in.shape;
  const Head<T> head(in);
  constexpr int S = stride<T>(D), P = stride<T>(kTile);
  T* const k = sharedMemory<T>();
  T *const v = k + kTile * S, *const q = v + kTile * S, *const dOut = q + kTile * S;
  const int width = static_cast<int>(s.headWidth), warp = static_cast<int>(threadIdx.x) / 32;
  T* const weights = dOut + kTile * S + warp * 16 * P;
  __shared__ float logSum[kTile], along[kTile];
  __shared__ int limit[kTile];  // how many of these keys a query sees
  const int64_t firstKey = int64_t{blockIdx.x} * kTile, firstRow = firstKey + warp * 16;
  loadTile<T, D>(k, in.memory + head.kAt, firstKey, s.keys, s.kvStride, width);
  loadTile<T, D>(v, in.memory + head.vAt, firstKey, s.keys, s.kvStride, width);

  Rows<D> dk, dv;
  for (int64_t firstQuery = 0; firstQuery < s.queries; firstQuery += kTile) {
    if (visibleToTile(s, firstQuery, head.length) <= firstKey) continue;
    __syncthreads();
    loadTile<T, D>(q, in.query + head.qAt, firstQuery, s.queries, s.qStride, width);
    loadTile<T, D>(dOut, of.dOut + head.outAt, firstQuery, s.queries, head.outStride, width);
    if (threadIdx.x < kTile) {
      const int64_t query = firstQuery + threadIdx.x;
      const int64_t all = visible(s, query, head.length);
      limit[threadIdx.x] = static_cast<int>(all - firstKey);
      if (all > firstKey) {
        logSum[threadIdx.x] = of.logSum[head.logSumAt + query];
        along[threadIdx.x] = of.along[head.logSumAt + query];
      }
    }
    __syncthreads();
    Rows<kTile> score, toward;
    multiplyTiles<kTile, D, S, 1, S>(score, k + warp * 16 * S, q);
    multiplyTiles<kTile, D, S, 1, S>(toward, v + warp * 16 * S, dOut);
#pragma unroll
    for (int n = 0; n < kTile / 8; n++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int column = score.column(n, e);
        const bool isSeen = warp * 16 + score.line(e) < limit[column];
        const float weight = isSeen ? expf(score.at[n][e] * scale - logSum[column]) : 0;
        score.at[n][e] = weight;
        toward.at[n][e] = isSeen ? weight * (toward.at[n][e] - along[column]) * scale : 0;
      }
    }
    storeRows(weights, score);
    multiplyTiles<D, kTile, P, S, 1>(dv, weights, dOut);
    __syncwarp();
    storeRows(weights, toward);
    multiplyTiles<D, kTile, P, S, 1>(dk, weights, q);
  }
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int64_t key = firstRow + dk.line(e);
      const int column = dk.column(n, e);
      if (key >= s.keys || column >= width) continue;
      dMemory[head.kAt + key * s.kvStride + column] = fromFloat<T>(dk.at[n][e]);
      dMemory[head.vAt + key * s.kvStride + column] = fromFloat<T>(dv.at[n][e]);
    }
  }
}

dim3 gridOf(const AttentionShape& s, int64_t rows) {
  return dim3(static_cast<unsigned>(divideUp(rows, kTile)), static_cast<unsigned>(s.heads), static_cast<unsigned>(s.batch));
}

template <typename T, int D>
constexpr size_t sharedBytes(int tiles) {
  return (static_cast<size_t>(tiles) * kTile * stride<T>(D) + kTile * stride<T>(kTile)) * sizeof(T);
}

// Calls body with the narrowest tile that holds a head.
template <typename Body>
void withHeadWidth(int64_t width, const Body& body) {
  if (width <= 32) return body(std::integral_constant<int, 32>());
  if (width <= 64) return body(std::integral_constant<int, 64>());
  if (width <= 128) return body(std::integral_constant<int, 128>());
  throw std::runtime_error("attention on a GPU takes heads of at most 128 elements, not " + std::to_string(width) +
                           ": use more heads");
}

float scaleOf(const AttentionShape& s) { return 1 / sqrtf(static_cast<float>(s.headWidth)); }

template <typename T>
void attention(Activations query, Activations memory, const int32_t* lengths, Activations out, float* logSum,
               const AttentionShape& s) {
  const Inputs<T> in = {activations<T>(query), activations<T>(memory), lengths, s};
  withHeadWidth(s.headWidth, [&](auto width) {
    constexpr int D = decltype(width)::value;
    launch(forward<T, D>, gridOf(s, s.queries), kTileThreads, sharedBytes<T, D>(3), in, activations<T>(out), logSum, scaleOf(s));
  });
}

template <typename T>
void attentionGradient(Activations query, Activations memory, const int32_t* lengths, Activations out, const float* logSum,
                       Activations dOut, Activations dQuery, Activations dMemory, const AttentionShape& s) {
  const Inputs<T> in = {activations<T>(query), activations<T>(memory), lengths, s};
  const int64_t rows = s.batch * s.queries * s.heads;
  float* const along = scratch<float>(Scratch::along, rows);
  launch(dotOutputs<T>, dim3(static_cast<unsigned>(divideUp(rows, kWarps))), kWarps * 32, 0, activations<T>(out),
         activations<T>(dOut), along, rows, s.queries, s.heads, s.headWidth);
  const Outputs<T> of = {activations<T>(dOut), logSum, along};
  withHeadWidth(s.headWidth, [&](auto width) {
    constexpr int D = decltype(width)::value;
    launch(queryGradient<T, D>, gridOf(s, s.queries), kTileThreads, sharedBytes<T, D>(4), in, of, activations<T>(dQuery),
           scaleOf(s));
    launch(memoryGradient<T, D>, gridOf(s, s.keys), kTileThreads, sharedBytes<T, D>(4), in, of, activations<T>(dMemory),
           scaleOf(s));
  });
}

}  // namespace

void fillAttention(Operations& table, Arithmetic arithmetic) {
  withElement(arithmetic, [&](auto element) {
    using T = decltype(element);
    table.attention = attention<T>;
    table.attentionGradient = attentionGradient<T>;
  });
}

}  // namespace lockstep::cuda
